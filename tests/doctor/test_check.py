import functools
import json

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.doctor.programs import HEALTHY, MLP, binary, classifier, clouds, regressor
from verax.doctor._recorded import monitored_findings
from verax.doctor._subject import subject_of

# Time enough: a busy machine must not decide what is found. What is done early is done.
check = functools.partial(vx.check, seconds=300.0)
diagnose = functools.partial(vx.diagnose, seconds=300.0, fix_seconds=300.0)


def alarms(diagnosis):
    return [finding.id for finding in diagnosis.alarms]


@pytest.mark.parametrize("program", HEALTHY)
def test_nothing_is_found_in_a_healthy_program(program):
    found = diagnose(program())
    assert alarms(found) == [] and found.passed
    assert [each.name for each in found.probes if each.verdict == "could not run"] == []
    assert str(found).startswith("nothing found by ")
    assert set(found.seconds) == {"check", "run", "fixes"} and len(found.curve) > 2
    json.dumps(found.to_json(), allow_nan=False)


def test_a_fault_that_is_proved_is_found_without_training():
    found = check(classifier(network=MLP(head=nn.softmax)))
    assert alarms(found) == ["double-softmax"] and not found.passed and found.curve == ()
    assert found.alarms[0].confidence == 1.0 and found.alarms[0].part == "model"
    assert "error: double-softmax" in str(found) and "verax explain double-softmax" in str(found)


def test_what_only_a_repair_decides_is_a_remark_until_the_repair_is_tried():
    slow = classifier(optimizer=optax.sgd(1e-4))
    remarked = check(slow)
    assert alarms(remarked) == []
    assert "learning-rate-too-low" in [each.id for each in remarked.findings]
    found = diagnose(slow)
    assert alarms(found) == ["learning-rate-too-low"]
    assert "error 0.9" in found.alarms[0].tried


def test_without_time_for_repairs_none_is_tried():
    found = diagnose(classifier(optimizer=optax.sgd(1e-4)), fix_seconds=0)
    assert "learning-rate-too-low" not in alarms(found) and found.seconds["fixes"] < 1


def test_an_experiment_is_examined_like_a_program():
    (inputs, labels), _ = clouds()
    experiment = vx.Experiment(
        MLP(outputs=2, head=nn.softmax),
        vx.classification(),
        optax.adam(1e-2),
        vx.data.from_arrays(train=(inputs, labels)).split(seed=0),
        epochs=3,
    )
    assert alarms(check(experiment)) == ["double-softmax"]


def test_what_is_wrong_with_the_data_of_an_experiment_is_found_by_the_same_names():
    (inputs, labels), _ = clouds()
    experiment = vx.Experiment(
        MLP(outputs=2),
        vx.classification(),
        optax.adam(1e-2),
        vx.data.from_arrays(train=(inputs, labels + 1)).split(seed=0),
        epochs=3,
    )
    assert alarms(check(experiment)) == ["label-out-of-range"]


def test_a_finished_run_is_read_and_not_trained_again():
    train, test = clouds()
    experiment = vx.Experiment(
        MLP(outputs=1),
        vx.binary(),
        optax.sgd(1e-4),
        vx.data.from_arrays(train=train, test=test).split(seed=0),
        epochs=8,
        watch=True,
        chunk_steps=5,
    )
    run = vx.train(experiment)
    found = diagnose(run)
    assert alarms(found) == ["learning-rate-too-low"]
    assert len(found.curve) == 8


def test_a_monitor_alone_says_what_it_saw():
    params = {"used": jax.numpy.ones((3, 2)), "unused": jax.numpy.ones(4)}
    optimizer = vx.monitor(optax.sgd(1e-9), every=1)
    opt_state = optimizer.init(params)
    for _ in range(3):
        grads = {"used": jax.numpy.ones((3, 2)), "unused": jax.numpy.zeros(4)}
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
    found = diagnose(vx.read_monitor(opt_state))
    assert set(alarms(found)) == {"parameter-without-gradient", "learning-rate-too-low"}


def test_a_healthy_monitor_says_nothing():
    params = {"used": jax.numpy.ones((3, 2))}
    optimizer = vx.monitor(optax.sgd(1e-3), every=1)
    opt_state = optimizer.init(params)
    for step in range(3):
        grads = {"used": jax.numpy.full((3, 2), 1.0 + step)}
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
    assert monitored_findings(vx.read_monitor(opt_state)) == ()


def test_times_are_checked():
    with pytest.raises(ValueError, match="seconds must be positive, got 0"):
        vx.check(regressor(), seconds=0)
    with pytest.raises(ValueError, match="fix_seconds must not be negative, got -1"):
        vx.diagnose(regressor(), fix_seconds=-1)


def test_a_program_is_checked_before_it_is_examined():
    with pytest.raises(vx.InputError, match="task must be one of"):
        regressor(task="classify")
    with pytest.raises(vx.InputError, match="same number of rows"):
        regressor(train=(np.ones((3, 2)), np.ones(4)))
    with pytest.raises(vx.InputError, match="batch_size must be a whole number of at least 1, got 0"):
        regressor(batch_size=0)


def test_a_training_that_raises_leaves_what_was_found_before_it():
    def batches(inputs, targets, epoch):
        if epoch:
            raise RuntimeError("the disk is gone")
        yield inputs[:64], targets[:64]

    found = diagnose(classifier(network=MLP(head=nn.softmax), batches=batches))
    assert alarms(found) == ["double-softmax"]
    assert "not run: training run: RuntimeError: the disk is gone" in str(found)


@pytest.mark.parametrize(("peak", "alarmed"), [(2e-2, False), (1e-4, True)])
def test_a_schedule_that_ends_early_is_a_fault_where_it_costs_something(peak, alarmed):
    (inputs, labels), (more, others) = clouds()
    apart = [(x + 6 * y[:, None].astype(np.float32), y) for x, y in ((inputs, labels), (more, others))]
    schedule = optax.piecewise_constant_schedule(peak, {60: 0.0})
    found = diagnose(binary(optimizer=optax.adam(schedule), train=apart[0], test=apart[1]))
    assert alarms(found) == (["lr-decayed-early"] if alarmed else [])
    assert "lr-decayed-early" in [finding.id for finding in found.findings]


def test_a_run_that_was_left_after_a_few_steps_decides_nothing():
    found = diagnose(classifier(optimizer=optax.sgd(1e-4), epochs=80), seconds=0.01)
    assert alarms(found) == [] and len(found.curve) == 2
    assert {each.verdict for each in found.probes} >= {"could not run"}


def test_a_recorded_run_that_went_on_with_nan_is_not_called_finite():
    train, test = clouds()
    bad = vx.objective_from_loss(
        lambda outputs, batch: jax.numpy.log(-(outputs.reshape(-1) ** 2) - 1) + 0 * batch.targets, task="binary"
    )
    data = vx.data.from_arrays(train=train, test=test).split(seed=0)
    run = vx.train(vx.Experiment(MLP(outputs=1), bad, optax.sgd(0.1), data, epochs=1))
    found = diagnose(run, fix_seconds=0)
    assert found.alarms
    numbers = next(each for each in found.probes if each.name == "finite numbers along the run")
    assert numbers.verdict == "failed" and numbers.said in ("loss not finite", "parameter not finite")


def test_a_probe_that_only_a_repair_decides_has_not_passed_before_it():
    slow = classifier(optimizer=optax.sgd(1e-4))
    verdicts = {each.name: each.verdict for each in check(slow).probes}
    assert verdicts["step size, from below"] == "undecided"
    assert {each.name: each.verdict for each in diagnose(slow).probes}["step size, from below"] == "failed"


def test_the_augmentation_of_an_experiment_is_in_its_training():
    (inputs, labels), _ = clouds()
    seen = []

    def augment(key, batch):
        seen.append(key)
        return batch._replace(inputs=batch.inputs + jax.random.normal(key, batch.inputs.shape))

    data = vx.data.from_arrays(train=(inputs, labels)).split(seed=0)
    experiment = vx.Experiment(MLP(outputs=2), vx.classification(), optax.adam(1e-2), data, epochs=1, augment=augment)
    subject = subject_of(experiment)
    (plain, _), (noisy, _) = (
        each.objective(*subject.variables, subject.batch, subject.noise(0))
        for each in (subject.changed(augment=None), subject)
    )
    assert seen and float(plain) != float(noisy)
