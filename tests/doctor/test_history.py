"""A history alone tells when a loss left for good and when the held-out loss turned, and is quiet on healthy runs."""

import math

import numpy as np
import pytest

from verax.doctor._history import moments_of
from verax.doctor._show import marked_curve_text
from verax.train import History, Record

NOISE = np.random.default_rng(0).random(400)
HEALTHY = 2.3 * np.exp(-np.arange(400) / 80) + 0.2 * NOISE


def steps(losses) -> History:
    return History((Record("chunk", len(losses), 1, {"train/loss": tuple(map(float, losses))}, 1.0),))


def epochs(train, held) -> History:
    each = enumerate(zip(train, held, strict=True), 1)
    return History(
        tuple(Record("epoch", 10 * n, n, {"train/loss": a, "validation/loss": b}, 1.0) for n, (a, b) in each)
    )


def test_a_loss_that_leaves_for_good_is_found_at_its_step():
    for step in (50, 250, 390):
        (found,) = moments_of(
            steps(np.where(np.arange(1, 401) < step, HEALTHY, 90.0 + NOISE))
            if step < 390
            else steps(np.where(np.arange(1, 401) < 380, HEALTHY, 90.0))
        )
        assert (found.id, found.step) == ("loss-divergence", min(step, 380))


@pytest.mark.parametrize(
    "losses",
    [
        HEALTHY,
        np.where(np.arange(400) == 200, 500.0, HEALTHY),  # a spike that it came back from
        HEALTHY[::-1] * 0.5 + 1.0,  # rises, but not far
        np.where(np.arange(400) > 300, math.nan, HEALTHY),  # which is a finding of its own
        -HEALTHY,  # a density may have a loss below 0
        np.ones(3),
        [],
    ],
)
def test_other_losses_leave_nothing_to_mark(losses):
    assert moments_of(steps(losses)) == ()


def test_a_held_out_loss_that_turned_is_found_at_its_best_step():
    (found,) = moments_of(epochs([2.0, 1.0, 0.5, 0.2, 0.1], [2.1, 1.2, 1.0, 1.5, 2.0]))
    assert (found.id, found.step) == ("overfitting", 30)
    assert moments_of(epochs([2.0, 1.0, 0.5, 0.2, 0.1], [2.1, 1.2, 1.0, 1.1, 1.2])) == ()  # as a healthy run wanders
    assert moments_of(epochs([2.0, 1.0, 0.5, 0.8, 0.9], [2.1, 1.2, 1.0, 1.5, 2.0])) == ()  # both rise


def test_numbers_stand_under_the_steps_they_mark():
    curve, under = marked_curve_text("loss", range(240), [1, 121, 122, 240]).split("\n")
    assert curve.startswith("loss ▁") and under == "     1           2          4"
    assert "\n" not in marked_curve_text("loss", [1.0, 2.0], []) and marked_curve_text("loss", [], [3]) == "loss "
