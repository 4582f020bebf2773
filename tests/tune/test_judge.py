"""What curves are worth, and what of a winner's value was luck."""

import math

import numpy as np
import pytest

import verax as vx
from tests.train.cases import experiment
from verax.evaluate import Estimate
from verax.train import lane_estimate
from verax.tune import LaneResult, Trial
from verax.tune._judge import best_first, joined, judged
from verax.tune._winner import luck, ties

STOPPING = {"patience": 2, "min_delta": 0.0, "metric": "validation/loss"}
CURVES = {
    "validation/loss": ((3.0, 1.0, 2.0, 2.0, 0.5),),
    "validation/accuracy": ((0.1, 0.2, 0.9, 0.3, 0.4),),
}


def test_without_stopping_the_last_epoch_counts():
    found = judged(CURVES, None, 0, "validation/accuracy", None)
    assert found == (0.4, "all 5 epochs were trained", 5)


def test_with_stopping_the_epoch_of_the_best_weights_counts():
    found = judged(CURVES, None, 0, "validation/accuracy", STOPPING)
    assert found.value == 0.2 and found.epochs == 4
    assert "did not improve" in found.reason and "at epoch 2" in found.reason


def test_it_is_what_a_single_run_reports():
    def stopping():
        return experiment(stopping=vx.EarlyStopping(patience=1), epochs=12, batch_size=10)

    run = vx.train(stopping)
    curves = {name: (tuple(run.history.series(name)[1]),) for name in ("validation/loss", "validation/accuracy")}
    found = judged(curves, None, 0, "validation/accuracy", {**STOPPING, "patience": 1})
    assert found.epochs == len(curves["validation/loss"][0])
    steps, values = run.history.series("validation/accuracy")
    assert found.value == values[steps.index(int(run.best.step))]


def test_what_is_not_finite_is_worth_nothing():
    found = judged(CURVES, 7, 0, "validation/loss", None)
    assert math.isnan(found.value) and found.reason == "not finite by step 7"


def test_epochs_without_a_number_are_no_improvement():
    curves = {"validation/loss": ((3.0, None, None, None),)}
    assert judged(curves, None, 0, "validation/loss", STOPPING).value == 3.0


def test_the_best_comes_first_and_nan_last():
    values = [0.3, math.nan, 0.1, 0.3]
    assert best_first(values, "validation/loss") == [2, 0, 3, 1]
    assert best_first(values, "validation/accuracy") == [0, 3, 2, 1]


def test_results_of_rungs_are_joined():
    one = LaneResult(0, {"a": ((1.0,), (2.0,))}, (None, 3), 5, 1.0)
    two = LaneResult(0, {"a": ((4.0,), (5.0,))}, (9, 8), 5, 2.0)
    assert joined(one, two) == LaneResult(0, {"a": ((1.0, 4.0), (2.0, 5.0))}, (9, 3), 5, 3.0)
    assert joined(None, two) is two


def test_luck_is_what_was_seen_less_what_is():
    fresh = lane_estimate([0.90, 0.92, 0.94])
    assert luck(0.95, fresh, "validation/accuracy").value == pytest.approx(0.03)
    assert luck(0.05, lane_estimate([0.08, 0.10]), "validation/loss").value == pytest.approx(0.04)


def test_the_interval_of_luck_covers_it():
    """Trials that are all alike: what the search saw above their worth is luck alone."""
    random = np.random.default_rng(0)
    covered, flattering = 0, 0
    for _ in range(400):
        worth, noise = 0.9, 0.01
        seen = float((worth + noise * random.normal(size=30)).max())
        found: Estimate = luck(
            seen, lane_estimate((worth + noise * random.normal(size=5)).tolist()), "validation/accuracy"
        )
        covered += found.low <= seen - worth <= found.high
        flattering += found.low > 0
    assert 0.92 <= covered / 400 <= 0.98
    assert flattering / 400 > 0.8


def trial(number, value, parameters, state="complete"):
    return Trial({}, value, 0.0, "", number, state, (value,), {}, parameters)


def test_ties_are_named_the_simplest_first():
    fresh = lane_estimate([0.94, 0.95, 0.96, 0.95, 0.95])
    trials = [
        trial(0, 0.96, 900),
        trial(1, 0.949, 100),
        trial(2, 0.80, 50),
        trial(3, 0.97, 500, "pruned"),
        trial(4, math.nan, 10, "not finite"),
        trial(5, 0.955, 400),
    ]
    assert ties(trials[0], trials, fresh, "validation/accuracy") == (1, 5, 0)
    losses = [trial(at, -each.value, each.parameters, each.state) for at, each in enumerate(trials)]
    assert ties(losses[0], losses, lane_estimate([-0.94, -0.95, -0.96, -0.95, -0.95]), "validation/loss") == (1, 5, 0)


def test_without_noise_only_equals_tie():
    trials = [trial(0, 0.9, 10), trial(1, 0.9, 5), trial(2, 0.89, 1)]
    assert ties(trials[0], trials, lane_estimate([0.9, 0.9, 0.9]), "validation/accuracy") == (1, 0)


def test_nearly_all_alike_trials_tie():
    """Of trials that differ by noise alone, about 5 % are told apart."""
    random = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        values = 0.9 + 0.01 * random.normal(size=20)
        trials = [trial(at, value, 1) for at, value in enumerate(values.tolist())]
        fresh = lane_estimate((0.9 + 0.01 * random.normal(size=5)).tolist())
        shares.append(len(ties(max(trials, key=lambda each: each.value), trials, fresh, "validation/accuracy")) / 20)
    assert np.mean(shares) > 0.93
