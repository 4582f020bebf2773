"""Steps that are too large or too small are suspected, with repairs that mend them."""

import numpy as np
import optax
import pytest

from tests.doctor.probes.small import after, asked, changed, ruled, small
from tests.doctor.programs import regressor, suspected
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._step_size import noise, too_high, too_low


@pytest.mark.parametrize(
    "optimizer", [optax.adam(1.0), optax.sgd(300.0), optax.rmsprop(0.5)], ids=["adam", "sgd", "rms"]
)
def test_steps_that_are_too_large_are_suspected_and_smaller_ones_tried(optimizer):
    program = ruled(optimizer)
    seen = asked(too_high, program)
    assert suspected(seen) == ["learning-rate-too-high"]
    repairs = [after(changed(program, seen, which)) for which in range(2)]
    assert not after(program) <= np.nanmin(repairs)


def test_a_loss_that_diverges_at_once_is_suspected():
    program = regressor(optimizer=optax.sgd(50.0))
    assert suspected(asked(too_high, program)) == ["learning-rate-too-high"]


@pytest.mark.parametrize(
    "optimizer", [optax.sgd(0.5), optax.sgd(0.05, momentum=0.9), optax.adam(5e-3)], ids=["sgd", "momentum", "adam"]
)
def test_steps_of_ordinary_size_are_not(optimizer):
    program = ruled(optimizer)
    assert not asked(too_high, program).suspicions
    assert not asked(too_low, program).suspicions


@pytest.mark.parametrize("optimizer", [optax.sgd(1e-5), optax.adam(1e-6)], ids=["sgd", "adam"])
def test_steps_that_are_too_small_are_suspected_and_larger_ones_tried(optimizer):
    program = ruled(optimizer)
    seen = asked(too_low, program)
    assert suspected(seen) == ["learning-rate-too-low"]
    assert after(changed(program, seen, 2)) < after(program)


def test_a_schedule_that_does_not_fit_comes_first():
    with pytest.raises(NotApplicable):
        asked(too_low, ruled(optax.adam(optax.linear_schedule(0.0, 1e-3, 100_000))))


def test_the_noise_of_small_batches_is_a_remark():
    seen = asked(noise, small(batch_size=2))
    assert [(finding.id, finding.severity) for finding in seen.findings] == [("batch-size-too-small", "info")]
    assert not asked(noise, small(batch_size=100)).findings
