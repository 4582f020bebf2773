"""The arithmetic of the benchmarks: what is promised, met, missed and not measured, and that contenders do one work."""

import importlib
import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def training():
    name = "benchmarks_training"
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / "training.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture
def peers(monkeypatch):
    """Imports a file of `_peers` by name, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / "_peers"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(BENCHMARKS):
            del sys.modules[name]


def contender(training, name):
    return next(each for each in training.CONTENDERS if each.name == name)


def test_a_promise_below_or_above_its_end_is_missed(training):
    limit, nnx = contender(training, "limit"), contender(training, "verax-nnx")
    assert (
        training.row("mlp128", limit, [1.0], [0.96])["met"] and not training.row("mlp128", limit, [1.0], [0.94])["met"]
    )
    # Verax with a Linen network over Verax with the same one in NNX: NNX has at least 0.9 of Linen's speed.
    assert training.row("mlp128", nnx, [1.0], [1.10])["met"] and not training.row("mlp128", nnx, [1.0], [1.12])["met"]


def test_the_verdict_names_what_was_missed_and_what_was_not_measured(training):
    good = training.row("gpt12", contender(training, "limit"), [1.0], [1.0])
    bad = training.row("mlp32", contender(training, "verax-nnx"), [1.0], [1.5])
    absent = {"task": "cnn128", "contender": "keras", "at_least": 0.95, "absent": "not installed"}
    assert training._verdict([good]) == training.MET
    verdict = training._verdict([good, bad, absent])
    assert "missed: mlp32 verax-nnx (×1.50)" in verdict and "not measured: cnn128 keras" in verdict
    assert "none" in training._verdict([training.row("mlp32", contender(training, "torch"), [1.0], [1.0])])


def test_samples_a_second_count_the_batch(training):
    row = training.row("gpt12", contender(training, "textbook"), [2.0, 4.0, 3.0], [])
    assert row["samples_per_second"] == 36 and row["samples_per_second_best"] == 48 and "met" not in row


def test_the_table_shows_both_kinds_of_promise(training):
    rows = [
        training.row("mlp32", contender(training, "limit"), [1.0], [0.9]) | {"rounds": 1},
        training.row("mlp32", contender(training, "verax-nnx"), [1.0], [1.0]) | {"rounds": 1},
    ]
    table = training.table("mlp32", rows)
    assert "≥ 0.95: MISSED" in table and "≤ 1.11: met" in table


def test_every_contender_takes_part_in_known_tasks_with_a_file(training, peers):
    tasks = peers("_task").TASKS
    assert set(training.TITLES) == set(training.EPOCHS) == set(tasks) - {"first"}
    for each in training.CONTENDERS:
        assert set(each.tasks) <= set(training.TITLES) and (training.FOLDER / each.file).is_file()
    for task in training.TITLES:
        names = [each.name for each in training.CONTENDERS if task in each.tasks]
        assert {"verax", "limit", "textbook"} <= set(names)  # the hand-written loop stands beside every network


def test_the_transformers_targets_are_the_tokens_that_follow(peers):
    task = peers("_task")
    inputs, targets = task.data(task.TASKS["gpt12"])
    assert (inputs[:, 1:] == targets[:, :-1]).all() and inputs.shape == (12 * task.TASKS["gpt12"].steps, task.CONTEXT)
    assert inputs.min() >= 0 and inputs.max() < task.VOCABULARY


def test_the_perceptron_is_the_same_in_linen_and_nnx(peers):
    from flax import nnx

    task, linen, other = peers("_task"), peers("_linen"), peers("_nnx")
    inputs = np.zeros((2, 784), np.float32)
    shapes = jax.eval_shape(lambda: linen.MLP().init(jax.random.key(0), inputs, training=False))
    state = nnx.eval_shape(lambda: nnx.state(other.MLP(nnx.Rngs(0)), nnx.Param))

    def sizes(tree):
        return sorted(leaf.shape for leaf in jax.tree.leaves(tree))

    assert sizes(shapes) == sizes(state)
    assert linen.network(task.TASKS["mlp32"]) == linen.MLP()


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["verax", "limit", "textbook", "verax-nnx", "nnx"])
def test_a_contender_takes_the_steps_that_it_says(training, peer):
    worker = training.Worker(contender(training, peer), None)
    try:
        assert set(worker.ask("prepare", "first")) == {"seconds", "versions"}
        answer = worker.ask("run", "first", 2)
        assert answer["steps"] >= 2 and answer["seconds"] > 0
    finally:
        worker.close()


def test_a_contender_that_fails_is_absent_with_its_last_line(training, tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text("raise SystemExit('no such thing')")
    monkeypatch.setattr(training, "FOLDER", tmp_path)
    worker = training.Worker(training.Contender("bad", "bad", "bad.py"), None)
    with pytest.raises(training.Absent, match="no such thing"):
        worker.ask("prepare", "first")
    worker.close()
    with pytest.raises(training.Absent, match="VERAX_PEERS_PYTHON"):
        training.Worker(training.Contender("far", "far", "bad.py", foreign=True), None)


@pytest.fixture
def gradient_check(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module("gradient_check")
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(BENCHMARKS):
            del sys.modules[name]


def test_a_gradient_check_that_is_slower_than_promised_is_missed(gradient_check):
    first = {"verax": [1.0, 2.0], "check_grads": [1.1, 2.2], "gradcheck": [0.5, 0.5]}
    again = {"verax": [0.01, 0.02], "check_grads": [0.001, 0.002], "gradcheck": [0.05, 0.06]}
    rows = [gradient_check._speed_row(each, first, again, {}) for each in gradient_check.CONTENDERS]
    assert [row.get("met") for row in rows] == [None, True, True]  # times 1.1 with compilation, times 4 without
    again["gradcheck"] = [0.03, 0.06]
    assert not gradient_check._speed_row(gradient_check.TORCH, first, again, {})["met"]
    absent = gradient_check._speed_row(gradient_check.TORCH, first, again, {"gradcheck": "not installed"})
    assert not absent["met"] and "absent: not installed" in gradient_check.speed_table([absent])


def test_the_power_curve_is_of_errors_that_are_planted(gradient_check):
    rows = {row["planted"]: row for row in gradient_check.power(1)}
    assert rows[0.0]["met"] and rows[0.0]["networks"] == 1
    assert {error: row["caught"] for error, row in rows.items()} == {
        0.0: 0, 1e-2: 1, 1e-3: 1, 1e-4: 1, 3e-5: 1, 1e-5: 0, 1e-6: 0
    }  # fmt: skip
    assert "| 1e-04 | 1 | 1 | 1.000 | ≥ 0.99 met |" in gradient_check.power_table(list(rows.values()))
