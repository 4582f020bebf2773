import optax
import pytest

from tests.doctor.programs import classifier, regressor, subject
from verax.doctor._probe import Repair
from verax.doctor._trajectory import train
from verax.doctor._trial import TUNED, outcome_of, try_repair
from verax.doctor.probes._run_fit import scaled_updates


def tried(program, repair):
    made = subject(program)
    run = train(made, seconds=60)
    return try_repair(made, run, outcome_of(made, run.final), repair, seconds=60.0, worth=TUNED)


@pytest.mark.parametrize("optimizer", [optax.sgd(1e-5), optax.adam(1e-6)])
def test_a_repair_that_mends_is_seen_to_help(optimizer):
    trial = tried(regressor(optimizer=optimizer, epochs=6), scaled_updates(1000.0))
    assert trial.helped and trial.after < 0.7 * trial.before
    assert trial.said.startswith("with updates × 1000, error ")


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_healthy_program_is_not_helped_by_another_step_size(factor):
    assert not tried(classifier(), scaled_updates(factor)).helped


def test_a_change_that_does_nothing_does_not_help():
    trial = tried(regressor(epochs=2), Repair("nothing changed", lambda subject: subject.changed(seed=subject.seed)))
    assert not trial.helped and trial.before == trial.after


def test_a_repair_that_breaks_the_run_does_not_help():
    assert not tried(regressor(epochs=2), scaled_updates(1e30)).helped
