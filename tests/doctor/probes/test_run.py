import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from tests.doctor.programs import HEALTHY, MLP, binary, classifier, clouds, ids, regressor, subject, suspected, waves
from verax.doctor._probe import NotApplicable
from verax.doctor._trajectory import train
from verax.doctor._trial import outcome_of, try_repair
from verax.doctor.probes import _run_answers, _run_fit, _run_modes, _run_numbers

FILES = (_run_numbers, _run_modes, _run_fit, _run_answers)


def seen(program, *files):
    made = subject(program)
    run = train(made, seconds=120)
    outcome = outcome_of(made, run.final)
    looked = []
    for probe in (probe for file in files for probe in file.PROBES):
        try:
            looked.append(probe.look(made, run, outcome))
        except NotApplicable:
            continue
    return looked


def alarms(program, *files):
    return [each for look in seen(program, *files) for each in ids(look)]


def suspicions(program, *files):
    return [each for look in seen(program, *files) for each in suspected(look)]


@pytest.mark.parametrize("program", HEALTHY)
def test_healthy_runs_raise_no_alarm(program):
    assert alarms(program(), *FILES) == []


# Numbers


def log_of_probability(outputs, targets):
    p = jax.nn.sigmoid(40 * outputs.reshape(-1))
    return -(targets * jnp.log(p) + (1 - targets) * jnp.log(1 - p))


def test_the_operation_that_broke_a_run_is_named():
    (look,) = seen(binary(loss=log_of_probability), _run_numbers)
    cause, symptom = look.findings
    assert cause.id == "log-of-zero" and cause.part == "loss" and symptom.id.startswith("non-finite")
    assert alarms(binary(), _run_numbers) == []


def test_weights_that_grew_without_bounds_are_no_fault_of_the_operation_that_overflowed():
    def fourth_power(outputs, targets):
        return (outputs.reshape(-1) - targets) ** 4

    (look,) = seen(regressor(optimizer=optax.sgd(30.0), loss=fourth_power), _run_numbers)
    assert look.findings[-1].id.startswith("non-finite")


# Fit


def test_a_large_network_on_few_rows_overfits_and_a_short_run_does_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(360, 8)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=360)).astype(np.float32) / 1.4
    parts = {"train": (x[:60], y[:60]), "test": (x[60:], y[60:]), "network": MLP((128, 128), 1)}
    parts["optimizer"] = optax.adam(3e-3)
    assert "overfitting" in alarms(regressor(**parts, epochs=200), _run_fit)
    assert "overfitting" not in alarms(regressor(**parts, epochs=4), _run_fit)


def test_steps_that_are_too_small_or_too_large_are_suspected_and_right_ones_are_not():
    assert "learning-rate-too-low" in suspicions(classifier(optimizer=optax.sgd(1e-4)), _run_fit)
    assert "learning-rate-too-high" in suspicions(classifier(optimizer=optax.adam(0.5)), _run_fit)
    assert "insufficient-training" in suspicions(classifier(epochs=1, batch_size=32), _run_fit)
    assert suspicions(classifier(epochs=12), _run_fit) == []


def test_a_network_that_learnt_nothing_is_told():
    assert "loss-not-decreasing" in alarms(classifier(optimizer=optax.sgd(0.0)), _run_fit)


# Answers


def test_a_rare_class_that_is_not_learnt_is_suspected_and_one_that_is_learnt_is_not():
    train_rows, test_rows = clouds(rows=1500, share=0.06)
    assert suspicions(binary(train=train_rows, test=test_rows), _run_answers) == ["class-imbalance"]

    def apart(rows):
        x, y = rows
        return x + 3 * y[:, None].astype(np.float32), y

    easy = binary(train=apart(train_rows), test=apart(test_rows))
    assert suspicions(easy, _run_answers) == [] and alarms(easy, _run_answers) == []


def test_weighting_helps_a_rare_class():
    train_rows, test_rows = clouds(rows=1500, share=0.06)
    made = subject(binary(train=train_rows, test=test_rows))
    run = train(made, seconds=60)
    trial = try_repair(made, run, outcome_of(made, run.final), _run_answers.WEIGHTED, seconds=60.0)
    assert trial.helped, trial.said


def test_one_answer_for_all_rows_is_a_symptom():
    program = classifier(optimizer=optax.sgd(0.0), network=MLP(head=lambda x: x * 0 + jnp.arange(10.0)))
    assert "majority-class-collapse" in alarms(program, _run_answers)


def test_probabilities_that_a_temperature_mends_are_told():
    far = binary(probabilities=lambda outputs: jax.nn.sigmoid(8 * outputs.reshape(-1)))
    assert alarms(far, _run_answers) == ["miscalibration"]
    assert alarms(binary(probabilities=lambda outputs: jax.nn.sigmoid(outputs.reshape(-1))), _run_answers) == []


# Modes


class Normalised(nn.Module):
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.Dense(32)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not training, momentum=self.momentum)(x))
        return nn.Dense(1)(x)


def test_running_statistics_that_lag_behind_are_told_with_what_true_ones_give():
    train_rows, test_rows = ((3 + 4 * x, y) for x, y in waves())
    parts = {"train": train_rows, "test": test_rows, "epochs": 4}
    (look,) = seen(regressor(network=Normalised(0.9999), **parts), _run_modes)
    assert ids(look) == ["stale-batch-stats"] and "training batches in their place" in look.findings[0].tried
    assert alarms(regressor(network=Normalised(0.9), **parts), _run_modes) == []


# Remarks


def remarks(program):
    found = [finding for look in seen(program, _run_fit) for finding in look.findings if not finding.is_alarm]
    return {finding.id for finding in found}


def test_the_course_of_a_loss_is_remarked_on():
    upside = binary(loss=lambda outputs, targets: -((outputs.reshape(-1) - targets) ** 2), epochs=2)
    assert "negative-loss" in remarks(upside)
    assert "underfitting" in remarks(classifier(optimizer=optax.sgd(1e-4), epochs=2))
    assert "loss-oscillation" in remarks(regressor(network=MLP((), 1), optimizer=optax.sgd(0.5)))
    assert remarks(classifier()) == set()
