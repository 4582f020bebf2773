"""Metrics of a regressor, each with an interval."""

from __future__ import annotations

import math

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


def _r_squared(squares: Table, targets: Table, weight: Float[np.ndarray, " examples"]) -> Estimate:
    """Returns the share of the targets' variance that is explained; of a constant target 1 if it is met, else 0."""
    share = weight / weight.sum()
    from_mean = (targets - share @ targets) ** 2
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
