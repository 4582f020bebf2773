"""Metrics of a regressor and of an autoencoder, each with an interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from verax.evaluate._estimate import Estimate, mean_estimate

Table = Float[np.ndarray, "examples outputs"]


def regression_metrics(
    predictions: Table, targets: Table, weight: Float[np.ndarray, " examples"]
) -> dict[str, Estimate]:
    """Returns loss (mean squared error), RMSE, MAE and R2 by name; of several outputs the plain average of each score.

    The intervals of RMSE and R2 are those of a mean of each example's influence on the score (delta method); RMSE's is
    taken on the scale of its square, where it is exactly a mean.
    """
    share = weight / weight.sum()
    squares = (predictions - targets) ** 2
    roots = np.sqrt(share @ squares)
    rmse = float(roots.mean())
    # The mean of these is rmse ** 2, and their changes are its changes to first order; of one output, plain squares.
    parts = rmse * np.divide(squares, roots, out=np.zeros_like(squares), where=roots > 0).mean(axis=1)
    square = mean_estimate(parts, weight)
    return {
        "loss": mean_estimate(squares.mean(axis=1), weight),
        "rmse": Estimate(rmse, math.sqrt(square.low), math.sqrt(square.high)),
        "mae": mean_estimate(np.abs(predictions - targets).mean(axis=1), weight),
        "r2": _r_squared(squares, targets, weight),
    }


def per_output_scores(
    predictions: Table, targets: Table, weight: Float[np.ndarray, " examples"], names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Returns a dict for each output: its name, RMSE, MAE and R2 with the ends of their intervals."""
    rows = []
    for column, name in enumerate(names):
        one = slice(column, column + 1)
        row: dict[str, Any] = {"output": name}
        metrics = regression_metrics(predictions[:, one], targets[:, one], weight)
        for score in ("rmse", "mae", "r2"):
            row |= {
                score: metrics[score].value,
                f"{score}_low": metrics[score].low,
                f"{score}_high": metrics[score].high,
            }
        rows.append(row)
    return rows


def reconstruction_metrics(
    reconstructions: Table, inputs: Table, weight: Float[np.ndarray, " examples"]
) -> dict[str, Estimate]:
    """Returns loss (mean squared error), RMSE, MAE and R2 by name; all parts of an input count together.

    R2 is the share of the inputs' whole variance about their mean that is kept: 0 for the mean input. A part that never
    varies (the corners of a set of images) adds only its error. Intervals are over examples.
    """
    share = weight / weight.sum()
    squares = (reconstructions - inputs) ** 2
    from_mean = ((inputs - share @ inputs) ** 2).mean(axis=1)[:, None]
    loss = mean_estimate(squares.mean(axis=1), weight)
    return {
        "loss": loss,
        "rmse": Estimate(*(math.sqrt(end) for end in loss)),
        "mae": mean_estimate(np.abs(reconstructions - inputs).mean(axis=1), weight),
        "r2": _explained(squares.mean(axis=1)[:, None], from_mean, weight),
    }


def _r_squared(squares: Table, targets: Table, weight: Float[np.ndarray, " examples"]) -> Estimate:
    """Returns the share of the targets' variance that is explained; of a constant target 1 if it is met, else 0."""
    return _explained(squares, (targets - weight / weight.sum() @ targets) ** 2, weight)


def _explained(squares: Table, from_mean: Table, weight: Float[np.ndarray, " examples"]) -> Estimate:
    """Returns one less the ratio of two means, squared errors over squared distances from the mean, over columns."""
    share = weight / weight.sum()
    variance, error = share @ from_mean, share @ squares
    varies = variance > 0
    if not varies.all():
        constant = np.where(error[~varies] > 0, 0.0, 1.0)
        if not varies.any():
            return Estimate(float(constant.mean()), -math.inf, 1.0)
    else:
        constant = np.zeros(0)
    left = error[varies] / variance[varies]  # what is not explained, of each output
    influence = ((squares[:, varies] - left * from_mean[:, varies]) / variance[varies]).sum(axis=1) / len(variance)
    value = float((np.sum(1 - left) + constant.sum()) / len(variance))
    unexplained = mean_estimate(influence, weight)  # of mean zero
    return Estimate(value, value - unexplained.high, min(1.0, value - unexplained.low))
