"""Trials of one program against single runs: the same training, up to the rounding of float32."""

import functools
import io
import threading
import types

import jax
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import LINEAR, NOISY, data, experiment, regression_data
from verax.tune import Task, TaskResult
from verax.tune import _group as group
from verax.tune import _lanes as lanes
from verax.tune import _packing as packing
from verax.tune import _states as states
from verax.tune._lanes import run_task

CLOSE = {"rtol": 2e-4, "atol": 2e-5}


def task(settings, *, inputs=(), seeds=(0,), **changes):
    numbers = tuple(range(len(settings)))
    given = Task("g0-0", numbers, tuple(settings), (tuple(seeds),) * len(settings), {}, tuple(inputs), ())
    return functools.reduce(
        lambda one, change: one.__class__(**{**vars(one), change[0]: change[1]}), changes.items(), given
    )


def linear(rate=0.1, l2=0.0, epochs=3):
    return experiment(
        optimizer=optax.adam(rate), objective=vx.classification(l2=l2), network=LINEAR, epochs=epochs, batch_size=10
    )


def noisy(rate=0.1):
    return experiment(optimizer=optax.sgd(rate), network=NOISY, epochs=3, batch_size=12)  # the last batch is partial


def decaying(decay=0.0):
    return experiment(optimizer=optax.adamw(0.1, weight_decay=decay), epochs=3, batch_size=10)


def normalised(rate=0.1):
    return experiment(network=vx.models.MLP((8, 3), norm="batch"), optimizer=optax.sgd(rate), epochs=3, batch_size=12)


def averaged(average=0.9):
    return experiment(optimizer=optax.sgd(0.3), ema=average, epochs=3, batch_size=10)


def augmented(rate=0.1):
    def noise(key, batch):
        return batch._replace(inputs=batch.inputs + 0.1 * jax.random.normal(key, batch.inputs.shape))

    return experiment(optimizer=optax.sgd(rate), augment=noise, epochs=3, batch_size=10)


def regressor(rate=0.01):
    network = (lambda key, x: np.zeros((x.shape[1], 1), np.float32), lambda params, x: x @ params)
    return experiment(
        network=network, objective=vx.regression(standardise=True), data=regression_data(), optimizer=optax.sgd(rate),
        epochs=3, batch_size=10,
    )  # fmt: skip


def counted(rate=0.1):
    return experiment(optimizer=optax.sgd(rate), epochs=None, steps=13, batch_size=10)  # ends within an epoch


def scaled(scale=0.1, rate=0.1):
    def init(key, x):
        return {"kernel": scale * jax.random.normal(key, (x.shape[1], 3)), "bias": np.zeros(3, np.float32)}

    return experiment(network=(init, LINEAR[1]), optimizer=optax.sgd(rate), epochs=3, batch_size=10)


CASES = {
    "two inputs": (linear, [{"rate": rate, "l2": l2} for rate in (0.01, 0.3) for l2 in (0.0, 0.5)], ("rate", "l2")),
    "no input": (linear, [{"rate": 0.1, "l2": 0.1}], ()),
    "noise, a partial batch": (noisy, [{"rate": 0.05}, {"rate": 0.2}], ("rate",)),
    "a decay that some lack": (decaying, [{"decay": 0.0}, {"decay": 0.3}], ("decay",)),
    "batch statistics": (normalised, [{"rate": 0.05}, {"rate": 0.2}], ("rate",)),
    "an average of the weights": (averaged, [{"average": 0.5}, {"average": 0.9}], ("average",)),
    "augmentation": (augmented, [{"rate": 0.05}, {"rate": 0.2}], ("rate",)),
    "standardised targets": (regressor, [{"rate": 0.01}, {"rate": 0.1}], ("rate",)),
    "first weights of an input": (
        scaled,
        [{"scale": scale, "rate": rate} for scale in (0.1, 1.0) for rate in (0.05, 0.2)],
        ("scale", "rate"),
    ),
    "an end within an epoch": (counted, [{"rate": 0.05}, {"rate": 0.2}], ("rate",)),
}


@pytest.mark.parametrize("what", CASES)
def test_a_trial_is_what_a_single_run_is(what):
    function, settings, inputs = CASES[what]
    result = run_task(function, task(settings, inputs=inputs, seeds=(0, 3)))
    assert result.programs == 1 and result.lanes == 2 * len(settings)
    for setting, trial in zip(settings, result.trials, strict=True):
        for place, seed in enumerate((0, 3)):
            run = vx.train(function, **setting, seed=seed)
            for name, curves in trial.curves.items():
                assert np.allclose(curves[place], run.history.series(name)[1], **CLOSE), name
            assert trial.parameters == run.facts["parameters"]
            assert trial.broken[place] is None


@pytest.mark.parametrize("what", ["two inputs", "noise, a partial batch", "batch statistics", "augmentation"])
def test_a_call_for_each_seed_gives_the_same(monkeypatch, what):
    function, settings, inputs = CASES[what]
    given = task(settings, inputs=inputs, seeds=(0, 3), keep=True)
    whole = run_task(function, given)
    monkeypatch.setattr(packing, "ENOUGH", 0)
    apart = run_task(function, given)
    assert (whole.lanes, apart.lanes) == (2 * len(settings), len(settings))
    assert whole.programs == apart.programs == 1
    for one, other in zip(whole.trials, apart.trials, strict=True):
        assert one.number == other.number and one.broken == other.broken
        for name, curves in one.curves.items():
            assert np.allclose(curves, other.curves[name], **CLOSE), name
    for one, other in zip(whole.states, apart.states, strict=True):
        with np.load(io.BytesIO(one)) as left, np.load(io.BytesIO(other)) as right:
            assert left.files == right.files
            assert all(np.allclose(left[name], right[name], **CLOSE) for name in left.files)


def test_lanes_with_convolutions_run_one_by_one_on_a_cpu():
    def images(rate=0.1):
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 3, 60).astype(np.int32)
        inputs = (rng.normal(size=(60, 8, 8, 1)) + labels[:, None, None, None]).astype(np.float32)
        splits = {"train": (inputs[:48], labels[:48]), "validation": (inputs[48:], labels[48:])}
        network = vx.models.ConvNet(3, widths=(4,), dense=(8,), dropout_rate=0.5)
        return experiment(network=network, data=splits, optimizer=optax.sgd(rate), epochs=2, batch_size=16)

    settings = [{"rate": 0.05}, {"rate": 0.2}]
    result = run_task(images, task(settings, inputs=("rate",), seeds=(0, 3)))
    assert result.programs == 1
    assert result.lanes == (1 if jax.default_backend() == "cpu" else 4)
    for setting, trial in zip(settings, result.trials, strict=True):
        for place, seed in enumerate((0, 3)):
            run = vx.train(images, **setting, seed=seed)
            assert np.allclose(
                trial.curves["validation/loss"][place], run.history.series("validation/loss")[1], **CLOSE
            )


def test_a_whole_number_that_no_program_takes_is_an_error_of_its_trial():
    def shifted(offset=0, rate=0.1):
        shift = 1e-9 * (float(offset) if isinstance(offset, int) else offset.astype(np.float32))
        return experiment(optimizer=optax.sgd(rate + shift), epochs=1)

    settings = [{"offset": 2**40, "rate": 0.1}, {"offset": 2, "rate": 0.1}]
    result = run_task(shifted, task(settings, inputs=("offset", "rate")))
    assert "offset must fit into 32 bits to be an input of a program, got 1099511627776" in result.trials[0].error
    assert result.trials[1].error is None and result.trials[1].curves


def test_a_lane_that_is_not_finite_hurts_no_other():
    settings = [{"rate": 0.1}, {"rate": float("inf")}, {"rate": 0.3}]
    together = run_task(linear, task(settings, inputs=("rate",))).trials
    alone = run_task(linear, task([settings[0], settings[2]], inputs=("rate",))).trials
    assert together[1].broken[0] in (1, 2)
    assert together[1].curves["validation/loss"][0][-1] is None
    for one, other in zip((together[0], together[2]), alone, strict=True):
        assert one.broken == (None,)
        assert np.allclose(one.curves["validation/loss"], other.curves["validation/loss"], **CLOSE)


def test_what_the_program_cannot_take_is_an_error_of_its_trial_alone():
    def needs(rate=0.1):
        if isinstance(rate, float) and rate == 13.0:
            raise vx.InputError("13 is unlucky")
        return experiment(optimizer=optax.sgd(rate), epochs=1)

    result = run_task(needs, task([{"rate": 13.0}, {"rate": 0.1}], inputs=("rate",)))
    assert "13 is unlucky" in result.trials[0].error and not result.trials[0].curves
    assert result.trials[1].error is None and result.trials[1].curves


def test_a_number_that_these_trials_need_is_given_to_them():
    def strict(rate=0.1):
        return experiment(optimizer=optax.sgd(rate if rate > 0 else 0.1), epochs=1)

    result = run_task(strict, task([{"rate": 0.2}, {"rate": 0.1}], inputs=("rate",)))
    assert result.programs == 2 and all(trial.error is None and trial.curves for trial in result.trials)


def test_lanes_are_split_where_memory_is_short():
    settings = [{"rate": rate, "l2": 0.1} for rate in (0.01, 0.03, 0.1, 0.3, 1.0)]
    whole = run_task(linear, task(settings, inputs=("rate",)))
    parts = run_task(linear, task(settings, inputs=("rate",), memory=whole.peak_bytes // 2))
    assert parts.lanes < whole.lanes == 5
    assert parts.programs > 1 and parts.peak_bytes < whole.peak_bytes
    for one, other in zip(whole.trials, parts.trials, strict=True):
        assert np.allclose(one.curves["validation/loss"], other.curves["validation/loss"], **CLOSE)


def test_trials_go_on_from_where_they_were_kept():
    settings = [{"rate": rate} for rate in (0.01, 0.1, 0.3)]
    whole = run_task(linear, task(settings, inputs=("rate",), seeds=(0, 1)))
    first = run_task(linear, task(settings, inputs=("rate",), seeds=(0, 1), until=1, keep=True))
    going = task(settings, inputs=("rate",), seeds=(0, 1), begun=1, states=first.states).of([0, 2])
    later = run_task(linear, going)
    assert later.begun == 1
    for at, trial in zip((0, 2), later.trials, strict=True):
        for name in ("train/loss", "validation/loss"):
            expected = np.array(whole.trials[at].curves[name])
            assert np.allclose(np.array(first.trials[at].curves[name])[:, 0], expected[:, 0], **CLOSE)
            assert np.allclose(trial.curves[name], expected[:, 1:], **CLOSE)


@pytest.fixture
def first_weights(monkeypatch):
    """Lists that fill with a None for each compilation of the program that draws first weights, and for each call."""
    compiled, compilations, calls = states.compiled, [], []

    def watched(lowered, options):
        program = compiled(lowered, options)
        compilations.append(None)
        return lambda *given: calls.append(None) or program(*given)

    monkeypatch.setattr(states, "compiled", watched)
    return compilations, calls


@pytest.mark.parametrize(
    ("function", "names", "draws"),
    [(linear, ("rate", "l2"), 2), (scaled, ("rate", "scale"), 4)],  # of two seeds; of two seeds and two scales
)
def test_first_weights_are_drawn_once_for_trials_that_share_them(first_weights, function, names, draws):
    settings = [dict(zip(names, each, strict=True)) for each in ((0.1, 0.1), (0.3, 0.1), (0.1, 0.5))]
    run_task(function, task(settings, inputs=names, seeds=(0, 3)))
    compilations, calls = first_weights
    assert (len(compilations), len(calls)) == (1, draws)


def test_nothing_is_compiled_while_the_device_is_held(monkeypatch):
    device, held = threading.Lock(), []
    for module in (lanes, states):
        compiled = module.compiled
        monkeypatch.setattr(
            module, "compiled", lambda *given, compiled=compiled: held.append(device.locked()) or compiled(*given)
        )
    run_task(linear, task([{"rate": 0.1}, {"rate": 0.3}], inputs=("rate",)), device=device)
    assert held == [False, False]


def test_trials_that_go_on_compile_no_first_weights(first_weights):
    settings = [{"rate": rate} for rate in (0.01, 0.1)]
    first = run_task(linear, task(settings, inputs=("rate",), until=1, keep=True))
    run_task(linear, task(settings, inputs=("rate",), begun=1, states=first.states))
    assert len(first_weights[0]) == 1


def test_states_hold_no_code():
    kept = run_task(linear, task([{"rate": 0.1}], until=1, keep=True)).states
    assert len(kept) == 1
    with np.load(io.BytesIO(kept[0]), allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_tasks_and_results_are_text():
    given = task([{"rate": 0.1, "l2": (0.1, "a", None, True)}], inputs=("rate",), states=(b"\x00\xff",))
    assert Task.from_json(given.to_json()) == given
    result = run_task(linear, task([{"rate": 0.1}, {"rate": float("inf")}], inputs=("rate",), until=1, keep=True))
    assert TaskResult.from_json(result.to_json()) == result
    with pytest.raises(vx.InputError, match="need plain hyperparameters, but 'rate' is of type ndarray"):
        task([{"rate": np.ones(2)}]).to_json()


def test_a_long_trial_takes_several_calls(monkeypatch):
    settings = [{"rate": 0.1, "epochs": 6}, {"rate": 0.3, "epochs": 6}]
    whole = run_task(linear, task(settings, inputs=("rate",)))
    monkeypatch.setattr(lanes, "ROWS_BYTES", 4 * 2 * 50 * 4)  # four epochs of two lanes, where three divide six
    spans, run = [], lanes._run
    monkeypatch.setattr(lanes, "_run", lambda *given: spans.append(list(given[-1])) or run(*given))
    parts = run_task(linear, task(settings, inputs=("rate",)))
    assert spans == [[0, 3]] and parts.programs == 1
    for one, other in zip(whole.trials, parts.trials, strict=True):
        assert np.allclose(one.curves["validation/loss"], other.curves["validation/loss"], **CLOSE)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is about XLA's CPU compiler")
@pytest.mark.parametrize("is_shared", [False, True])
def test_lanes_with_batches_of_their_own_spare_a_copy_of_the_first_weights(monkeypatch, is_shared):
    programs, compiled = [], lanes.compiled
    monkeypatch.setattr(lanes, "compiled", lambda *given: programs.append(compiled(*given)) or programs[-1])
    if is_shared:  # as on an accelerator; else this test shows nothing
        monkeypatch.setattr(group, "jax", types.SimpleNamespace(**{**vars(jax), "default_backend": lambda: "gpu"}))

    def wide(rate=0.1):
        return experiment(network=vx.models.MLP((48, 3)), optimizer=optax.sgd(rate), epochs=1, batch_size=10)

    run_task(wide, task([{"rate": rate} for rate in (0.1, 0.2, 0.3)], inputs=("rate",)))
    assert ("f32[10,144]" in programs[0].as_text()) == is_shared  # one product for three lanes of 48 units


def test_data_without_validation_cannot_choose():
    def blind(rate=0.1):
        return experiment(optimizer=optax.sgd(rate), data=data(validation=0))

    assert "the data has none" in run_task(blind, task([{"rate": 0.1}])).trials[0].error


def test_a_trial_that_only_the_clock_ends_is_refused():
    def clocked(rate=0.1):
        return experiment(optimizer=optax.sgd(rate), epochs=None, seconds=1.0)

    assert "needs epochs or steps" in run_task(clocked, task([{"rate": 0.1}])).trials[0].error


def test_an_early_stop_is_told_with_its_numbers():
    def stopping(rate=0.1):
        return experiment(optimizer=optax.sgd(rate), stopping=vx.EarlyStopping(patience=2))

    assert run_task(stopping, task([{"rate": 0.1}])).stopping == {
        "patience": 2,
        "min_delta": 0.0,
        "metric": "validation/loss",
    }
