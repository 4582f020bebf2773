"""Seeds as lanes: each is the single run with its seed; stopping and numbers that are not finite stay in their lane."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import CLASSES, CNN, DATA, MLP, NOISY, WithNorm, compilations, experiment
from verax.data import epoch_order
from verax.findings import InputError, Moment
from verax.train._lanes import train_lanes
from verax.train._lanes_program import forward_cost, runs_in_turn
from verax.train._runs import lane_estimate, score_lanes

ROUNDING = 1e-5  # single and vmapped products of float32 add up in another order; 1e-7 a step was seen


def assert_close(value, wanted, name):
    """Numbers up to rounding; of statistics of leaves, which a record holds in four digits, up to that."""
    if isinstance(value, dict):
        assert value.keys() == wanted.keys()
        for path in value:
            rows = [np.array(each[path], float) for each in (value, wanted)]  # None becomes NaN
            np.testing.assert_allclose(*rows, rtol=1e-3, atol=ROUNDING, err_msg=f"{name} {path}")
    else:
        np.testing.assert_allclose(value, wanted, rtol=ROUNDING, atol=ROUNDING, err_msg=name)


def assert_alike(run, alone):
    """A lane and the run that was trained alone: the same records, numbers equal up to rounding."""
    ours = [(record.kind, record.step, record.epoch, sorted(record.values)) for record in run.history]
    assert ours == [(record.kind, record.step, record.epoch, sorted(record.values)) for record in alone.history]
    for one, other in zip(run.history, alone.history, strict=True):
        if one.kind != "event":
            for name, value in one.values.items():
                assert_close(value, other.values[name], name)
    assert int(run.state.step) == int(alone.state.step)
    assert (run.best is None) == (alone.best is None)
    for state, other in ((run.state, alone.state), (run.best, alone.best)):
        if state is not None:
            for leaf, wanted in zip(jax.tree.leaves(state.variables), jax.tree.leaves(other.variables), strict=True):
                np.testing.assert_allclose(leaf, wanted, rtol=ROUNDING, atol=ROUNDING)


CASES = {
    "noise, padded last batch": {"network": NOISY, "watch": True},
    "BatchNorm, last batch of its own shape": {"network": WithNorm()},
    "convolution, lanes in turn, dropped rows": {"network": CNN(), "remainder": "drop"},
    "dropout, wrapped, cut chunks, an odd number of steps": {
        "network": MLP(), "remainder": "wrap", "steps": 11, "chunk_steps": 4, "ema": 0.9, "optimizer": optax.adam(0.01),
    },
    "epochs within a chunk": {"network": NOISY, "data": {"train": DATA["train"]}, "epochs": 3},
}  # fmt: skip


@pytest.mark.compiler
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "in turn" in name or "cut" in name else ()) for name in CASES]
)
def test_a_lane_is_the_single_run_with_its_seed(name):
    made = experiment(**CASES[name])
    runs = train_lanes(made, seeds=[7, 3])
    assert runs.seeds == (7, 3) and [run.experiment.seed for run in runs] == [7, 3]
    in_turn = "in turn" in name
    assert runs[0].facts["lanes_run"] == ("one after another" if in_turn else "side by side")
    alone = vx.train(made, seed=3)
    if name == "epochs within a chunk":  # then a chunk's record spans them
        assert [record.kind for record in runs[1].history] == ["event", "epoch", "epoch", "chunk", "epoch", "event"]
        for kind in ("epoch", "chunk"):
            ours, theirs = (run.history.series("train/loss", kind) for run in (runs[1], alone))
            assert ours[0] == theirs[0]
            np.testing.assert_allclose(ours[1], theirs[1], rtol=ROUNDING)
    else:
        assert_alike(runs[1], alone)
    assert runs[0].history.last("train/loss") != runs[1].history.last("train/loss")


# Stopping.


def stopping(seed_free_rate: float = 0.3):
    return experiment(
        network=NOISY, optimizer=optax.adam(seed_free_rate), epochs=30, stopping=vx.EarlyStopping(patience=2)
    )


@pytest.fixture(scope="module")
def stopped():
    with compilations() as names:
        runs = train_lanes(stopping, seeds=4)
    return runs, names


def test_each_lane_stops_by_its_own_validation(stopped):
    runs, _ = stopped
    ends = {int(run.state.step) for run in runs}
    assert len(ends) > 1
    for run in runs:
        steps, losses = run.history.series("validation/loss")
        waited, best = 0, math.inf
        for index, loss in enumerate(losses):
            waited, best = (0, loss) if loss < best else (waited + 1, best)
            assert (waited == 2) == (index == len(losses) - 1)  # it ends at the second epoch without improvement
        assert int(run.state.step) == steps[-1] == run.facts["steps"]
        assert int(run.best.step) == steps[int(np.argmin(losses))]
        assert "did not improve by more than 0 for 2 epochs" in run.stop_reason


def test_a_lane_that_stopped_is_the_single_run_that_stopped(stopped):
    runs, _ = stopped
    first = min(runs, key=lambda run: int(run.state.step))
    assert_alike(first, vx.train(stopping, seed=first.experiment.seed))
    assert first.variables is first.best.variables


def test_all_lanes_are_one_program(stopped):
    _, names = stopped
    assert names.count("jit(side_by_side)") == 2  # a chunk of steps, an evaluation step


def test_stacked_variables_serve_a_vmap(stopped):
    runs, _ = stopped
    inputs = DATA["test"][0]
    outputs = jax.vmap(lambda variables: runs[0].network.apply(variables, inputs)[0])(runs.stacked)
    for lane, run in enumerate(runs):
        np.testing.assert_allclose(outputs[lane], run.network.apply(run.variables, inputs)[0], rtol=1e-5, atol=1e-6)


def test_lanes_are_scored_on_the_test_split(stopped):
    runs, _ = stopped
    scores = score_lanes(runs)
    inputs, labels = DATA["test"]
    hits = [float((run.network.apply(run.variables, inputs)[0].argmax(axis=1) == labels).mean()) for run in runs]
    np.testing.assert_allclose([each.metrics["accuracy"].value for each in scores.lanes], hits, rtol=1e-6)
    np.testing.assert_allclose(scores.metrics["accuracy"].mean.value, np.mean(hits), rtol=1e-6)
    np.testing.assert_allclose(scores.metrics["accuracy"].sd, np.std(hits, ddof=1), rtol=1e-6)
    assert str(scores).startswith("test, 4 lanes") and json.loads(json.dumps(scores.to_json()))["split"] == "test"


# The summary.


def test_the_summary_is_that_of_student(stopped):
    from scipy.stats import t

    runs, _ = stopped
    summary = runs.summary()
    values = np.array([run.history.last("validation/accuracy") for run in runs])
    (low, high) = t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    mean, sd, lanes = summary.last["validation/accuracy"]
    np.testing.assert_allclose([*mean, sd, lanes], [values.mean(), low, high, values.std(ddof=1), 4])
    best = np.mean([min(run.history.series("validation/loss")[1]) for run in runs])
    np.testing.assert_allclose(summary.best["validation/loss"].mean.value, best)
    assert str(runs).splitlines()[0].startswith("4 lanes") and "best validation/loss" in str(summary)
    json.dumps(runs.to_json(), allow_nan=False)


def test_one_lane_has_no_interval():
    mean, sd, lanes = lane_estimate([0.5])
    assert (mean.value, mean.low, mean.high, lanes) == (0.5, -math.inf, math.inf, 1) and math.isnan(sd)
    with pytest.raises(ValueError, match="at least one lane"):
        lane_estimate([])


def test_a_folder_holds_a_run_for_each_lane(stopped, tmp_path):
    from verax.train import load_run
    from verax.train._lanes import save_runs

    runs, _ = stopped
    save_runs(tmp_path / "runs", stopping, runs)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "lanes.json",
        *[f"seed-{n}" for n in range(4)],
    ]
    content = json.loads((tmp_path / "runs" / "lanes.json").read_text())
    assert content["kind"] == "seeds" and [each["seed"] for each in content["runs"]] == [0, 1, 2, 3]
    loaded = load_run(tmp_path / "runs" / "seed-2")
    assert_alike(loaded, runs[2])
    assert loaded.experiment.seed == 2 and loaded.stop_reason == runs[2].stop_reason


# Numbers that stop being finite.

BAD_ROW = 17
INPUTS, TARGETS = DATA["train"]
MARKED = {**DATA, "train": (np.where(np.arange(50)[:, None] == BAD_ROW, 7.25, INPUTS).astype(np.float32), TARGETS)}


def init_poisoned(key, x):
    """Weights of which some seeds hold poison."""
    kernel = 0.1 * jax.random.normal(key, (x.shape[1], CLASSES))
    return {"kernel": kernel, "poison": jnp.where(kernel[:1, :1] > 0, 1.0, 0.0)}


def apply_poisoned(params, x):
    bad = (jax.lax.stop_gradient(params["poison"]) > 0) & (x[:, :1] == 7.25)
    return jnp.where(bad, jnp.nan, x @ params["kernel"])


def test_a_lane_that_is_not_finite_is_reported_and_hurts_no_other():
    made = experiment(network=(init_poisoned, apply_poisoned), data=MARKED)
    runs = train_lanes(made, seeds=4)
    poisoned = [bool(run.state.variables.params["poison"][0, 0] != 0) for run in runs]
    assert 0 < sum(poisoned) < 4
    for seed, (run, bad) in enumerate(zip(runs, poisoned, strict=True)):
        errors = [finding for finding in run.findings if finding.severity == "error"]
        if bad:
            step = int(np.flatnonzero(epoch_order(50, seed, 0) == BAD_ROW)[0]) // 8 + 1
            assert run.stop_reason == f"not finite at step {step}"
            assert [(finding.id, finding.where) for finding in errors] == [("non-finite-loss", Moment(step, 1))]
            assert run.best is None and not [record for record in run.history if record.kind == "epoch"]
        else:
            assert not errors and run.stop_reason == "all 14 steps were taken"
    healthy = poisoned.index(False)
    assert_alike(runs[healthy], vx.train(made, seed=healthy))
    summary = runs.summary()
    assert list(summary.left_out) == [f"seed {seed}" for seed in range(4) if poisoned[seed]]
    assert summary.last["train/loss"].lanes == 4 - sum(poisoned)
    assert "left out: seed" in str(summary)
    json.dumps(runs.to_json(), allow_nan=False)
    with pytest.raises(InputError, match=f"seed {poisoned.index(True)}.* did not stay finite and cannot be scored"):
        score_lanes(runs)


@pytest.mark.parametrize(("width", "in_turn"), [(16, False), (4096, True)])
def test_large_networks_run_lane_after_lane(width, in_turn):
    """A product of (512, 64) and (64, width): 1e6 and 2.7e8 floating-point operations."""
    network = vx.as_network((lambda key, x: jnp.zeros((64, width)), lambda params, x: x @ params))
    inputs = np.zeros((512, 64), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), inputs)
    assert runs_in_turn(forward_cost(network, shapes, inputs)) == in_turn


# What is given.


def test_all_lanes_start_from_the_weights_that_are_given():
    params = {"kernel": jnp.ones((4, CLASSES)), "bias": jnp.arange(3.0)}
    still = experiment(optimizer=optax.sgd(0.0), data={"train": DATA["train"]}, steps=1)
    runs = train_lanes(still, seeds=2, initial=params)
    for run in runs:
        jax.tree.map(np.testing.assert_array_equal, run.state.variables.params, params)


def test_a_folder_in_use_is_refused_before_training(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already and is not empty"):
        train_lanes(lambda: pytest.fail("it was called"), seeds=2, out=tmp_path)


# What is refused.


def seeded_data(seed: int = 0):
    return experiment(data={"train": (INPUTS + np.float32(seed), TARGETS)}, seed=seed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give seeds or folds, one of them, got seeds=None, folds=None"),
        ({"seeds": 2, "folds": 2}, "give seeds or folds, one of them, got seeds=2, folds=2"),
        ({"seeds": 0}, "seeds must be at least one"),
        ({"seeds": True}, "seeds must be a number of seeds or a list of them, got True"),
        ({"seeds": [1, 1]}, r"seeds must differ, got \[1, 1\]"),
        ({"seeds": [0.5]}, r"seeds must be whole numbers in \[0, 2\*\*32\)"),
        ({"seeds": [-1]}, r"seeds must be whole numbers in \[0, 2\*\*32\)"),
        ({"seeds": [2**32]}, r"seeds must be whole numbers in \[0, 2\*\*32\)"),
        ({"seeds": 2, "seed": 1}, "give seed or seeds, not both"),
        ({"folds": "5"}, "folds must be a number, or a list"),
        ({"folds": 1}, "k must be a whole number of folds between 2 and the 50 rows"),
    ],
)
def test_wrong_lanes_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        train_lanes(lambda **_: experiment(), **given)


def test_a_warm_up_longer_than_the_run_is_refused():
    rate = optax.linear_schedule(0.0, 0.1, 1000)
    with pytest.raises(InputError, match="warmup-too-long"):
        train_lanes(experiment(optimizer=optax.sgd(rate)), seeds=2)


def test_a_seed_that_changes_the_data_is_refused():
    with pytest.raises(InputError, match="the experiment's own use of `seed` changes its data or its program"):
        train_lanes(seeded_data, seeds=2)
