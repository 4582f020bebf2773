import math

import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import verax as vx
from tests.train.cases import experiment, same_bits
from verax.findings import InputError
from verax.train import EarlyStopping, LoopState

NAN = math.nan


def after(values, **settings):
    """The loop's state and reason after these epochs, the first of which ends at step 10."""
    stopping, loop = EarlyStopping(**settings), LoopState()
    for epoch, value in enumerate(values, start=1):
        loop = stopping.update(loop, value, step=10 * epoch)
    return loop, stopping.reason(loop)


def test_it_stops_when_patience_is_used_up():
    assert after([3.0, 2.0, 2.5, 2.5], patience=3)[1] is None
    loop, reason = after([3.0, 2.0, 2.5, 2.5, 2.1], patience=3)
    assert loop == LoopState(best_value=2.0, best_step=20, waited=3)
    assert reason == "validation/loss did not improve by more than 0 for 3 epochs (best 2 at step 20)"


def test_an_improvement_gives_all_the_patience_back():
    assert after([3.0, 3.5, 3.5, 2.9, 3.0, 3.0], patience=3) == (LoopState(2.9, 40, 2), None)


def test_an_improvement_must_exceed_min_delta():
    assert after([1.0, 0.9, 0.8], min_delta=0.15)[0] == LoopState(0.8, 30, 0)
    assert after([1.0, 0.9], min_delta=0.1 + 1e-9)[0] == LoopState(1.0, 10, 1)


def test_more_accuracy_is_better():
    assert after([0.5, 0.7, 0.6], metric="validation/accuracy")[0] == LoopState(0.7, 20, 1)


@pytest.mark.parametrize("metric", ["validation/loss", "validation/accuracy"])
def test_nan_is_never_best(metric):
    assert after([NAN, NAN], metric=metric)[0] == LoopState(None, 0, 2)
    assert after([NAN, 0.5, NAN], metric=metric)[0] == LoopState(0.5, 20, 1)
    assert after([NAN] * 5, metric=metric)[1].endswith("for 5 epochs (never finite)")


@given(st.lists(st.floats(0, 10) | st.just(NAN), min_size=1, max_size=30), st.sampled_from(["loss", "accuracy"]))
def test_without_min_delta_the_best_is_the_first_best(values, name):
    loop, _ = after(values, metric=f"validation/{name}")
    finite = [value for value in values if not math.isnan(value)]
    best = (max if name == "accuracy" else min)(finite, default=None)
    assert loop.best_value == best
    assert loop.best_step == (0 if best is None else 10 * (values.index(best) + 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 0}, "patience must be a whole number of epochs, at least 1, got 0"),
        ({"patience": True}, "patience must be a whole number of epochs, at least 1, got True"),
        ({"min_delta": -0.1}, "min_delta must be a number of at least 0, got -0.1"),
        ({"min_delta": NAN}, "min_delta must be a number of at least 0, got nan"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EarlyStopping(**settings)


# In a run: a learning rate that is too high makes the validation loss rise again.


@pytest.fixture(scope="module")
def stopped():
    rates = optax.piecewise_constant_schedule(0.1, {14: 200.0})
    return vx.train(
        experiment(optimizer=optax.sgd(rates), epochs=40, stopping=EarlyStopping(patience=3, min_delta=1e-3))
    )


def test_a_run_stops_early_and_says_why(stopped):
    steps, values = stopped.history.series("validation/loss")
    best = int(np.argmin(values))
    assert steps[-1] == steps[best] + 3 * 7 < 40 * 7
    said = f"for 3 epochs (best {values[best]:.6g} at step {steps[best]})"
    assert stopped.stop_reason == f"validation/loss did not improve by more than 0.001 {said}"
    assert stopped.history.records[-1].values["stopped"] == stopped.stop_reason


def test_the_best_weights_are_the_ones_to_use(stopped):
    """They are those of the best epoch, bit for bit, and not the last ones."""
    steps, values = stopped.history.series("validation/loss")
    best = steps[int(np.argmin(values))]
    assert int(stopped.best.step) == best == stopped.facts["best_step"]
    assert same_bits(stopped.variables, stopped.best.variables)
    assert not same_bits(stopped.variables, stopped.state.variables)
    again = next(state for state, record in vx.train.epochs(stopped.experiment) if record.step == best)
    assert same_bits(again.variables, stopped.best.variables)


def test_without_early_stopping_the_last_weights_are_the_ones_to_use():
    run = vx.train(experiment())
    assert run.stop_reason == "all 14 steps were taken"
    assert same_bits(run.variables, run.state.variables)
    assert run.best is not None
