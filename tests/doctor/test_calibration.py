"""The calibration set: that it is what it says, and that its check can tell a program that is not healthy."""

import dataclasses
import importlib
import sys
import types
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import verax.doctor
from verax.doctor._probe import Examined
from verax.findings import Finding

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def check():
    """`benchmarks/calibration/check.py`; its modules are forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("calibration.check")
    sys.path[:] = path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(BENCHMARKS):
            del sys.modules[name]


def named(check, name):
    return next(each for each in check.PROGRAMS if each.name == name)


def test_the_set_is_large_and_every_program_states_its_score_and_what_it_tempts_to(check):
    names = [each.name for each in check.PROGRAMS]
    assert len(names) == len(set(names)) >= 60
    for each in check.PROGRAMS:
        assert each.tempting and each.scores and set(each.scores) <= {"acc", "bal_acc", "r2", "loss"}, each.name


@pytest.mark.parametrize("name", ["event_counts", "balanced_batches"])
def test_a_program_is_the_same_each_time(check, name):
    one, other = named(check, name).make(), named(check, name).make()
    for a, b in zip(jax.tree.leaves((one.train, one.test)), jax.tree.leaves((other.train, other.test)), strict=True):
        np.testing.assert_array_equal(a, b)
    if one.batches is not None:
        batches = [next(iter(each.batches(*each.train, 3)))[0] for each in (one, other)]
        np.testing.assert_array_equal(*batches)


def test_a_healthy_program_passes_the_check_and_a_broken_one_does_not(check):
    healthy = named(check, "whole_set_as_batch")
    program = healthy.make()

    def changed(**parts):
        return dataclasses.replace(healthy, make=lambda: dataclasses.replace(program, **parts))

    def noisy(variables, inputs, key):
        outputs = program.evaluate(variables, inputs, None)
        return outputs + 1e-3 * jax.random.normal(key, outputs.shape)

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert check.checked(healthy)[1]
        said, passed = check.checked(changed(optimizer=optax.set_to_zero()))
        assert not passed and "r2 -" in said
        said, passed = check.checked(changed(optimizer=optax.sgd(0.7)))
        assert not passed
        said, passed = check.checked(changed(evaluate=noisy))
        assert not passed and "evaluation is not deterministic" in said


def test_an_alarm_and_a_failure_are_rows_with_their_reason(check, monkeypatch):
    run = importlib.import_module("calibration.run")
    healthy = named(check, "whole_set_as_batch")
    alarm = Finding("overfitting", "warning", "0.5 above.", part="schedule", evidence=("best at epoch 3",))
    remark = Finding("constant-feature", "info", "column 3.")
    unable = Examined("signals", (), "could not run", "TypeError: no", 0.1)
    diagnosis = types.SimpleNamespace(findings=(alarm, remark), probes=(unable,), seconds={"check": 1.0})
    monkeypatch.setattr(verax.doctor, "diagnose", lambda program, **budget: diagnosis, raising=False)
    text = run.text(run.row(healthy, 1.0, 1.0))
    assert text.startswith("FALSE  whole_set_as_batch") and "constant-feature" not in text
    assert "warning overfitting (schedule): 0.5 above." in text and "best at epoch 3" in text
    assert "could not run: signals: TypeError: no" in text
    broken = dataclasses.replace(healthy, make=lambda: 1 / 0)
    assert "ZeroDivisionError" in run.text(run.row(broken, 1.0, 1.0))
