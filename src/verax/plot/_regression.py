"""Pictures of a regressor: predictions against the truth, and what is left over."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Num

from verax.plot._canvas import LINE, SERIES, Axes, axes_or_new, ink, legend

Values = Num[Array | np.ndarray, "..."]  # of other shapes the error below tells

BARS = 200
POINTS = 1500  # more only lie upon each other, and a report has to stay small


def predicted_against_true(
    predictions: Values, targets: Values, spread: Values | None = None, *, ax: Axes = None
) -> Axes:
    """Draws each prediction over its target; on the dashed diagonal they are equal.

    Of more than 1,500 examples an even, always equal selection is drawn, and the axes say so; with bars, of more than
    200.

    Args:
      predictions: one value an example, or several (outputs).
      targets: of the same shape.
      spread: the standard deviation of each prediction, of the same shape: drawn as a bar of twice its length to each
        side, within which 95 % of the targets should lie.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if the shapes differ.
    """
    predicted, true = _columns(predictions, targets)
    ax = axes_or_new(ax, height=3.3)
    wide = None if spread is None else _columns(spread, targets)[0]
    _scatter(ax, true, predicted, wide)
    both = np.concatenate([true.ravel(), predicted.ravel()])
    both = both[np.isfinite(both)]
    if both.size:
        ends = [float(both.min()), float(both.max())]
        ax.plot(ends, ends, "--", color=LINE, linewidth=1.2)
    ax.set(xlabel="true", ylabel="predicted")
    return ax


def residuals(predictions: Values, targets: Values, *, ax: Axes = None) -> Axes:
    """Draws prediction minus target over the prediction; a slope or a funnel is something the model has not learned.

    Args:
      predictions: one value an example, or several (outputs).
      targets: of the same shape.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if the shapes differ.
    """
    predicted, true = _columns(predictions, targets)
    ax = axes_or_new(ax)
    _scatter(ax, predicted, predicted - true)
    ax.axhline(0, linestyle="--", color=LINE, linewidth=1.2)
    ax.set(xlabel="predicted", ylabel="predicted − true")
    return ax


def _columns(predictions: Values, targets: Values) -> tuple[np.ndarray, np.ndarray]:
    predicted, true = np.asarray(predictions, np.float64), np.asarray(targets, np.float64)
    if predicted.shape != true.shape:
        raise ValueError(f"predictions and targets must have one shape, got {predicted.shape} and {true.shape}.")
    return predicted.reshape(len(predicted), -1), true.reshape(len(true), -1)


def _scatter(ax: Axes, across: np.ndarray, up: np.ndarray, spread: np.ndarray | None = None) -> None:
    outputs = across.shape[1]
    if outputs > len(SERIES):  # too many to tell apart
        across, up, outputs = across.reshape(-1, 1), up.reshape(-1, 1), 1
        spread = None if spread is None else spread.reshape(-1, 1)
    most = (POINTS if spread is None else BARS) // outputs
    shown = np.arange(len(across))
    if len(across) > most:
        shown = np.sort(np.random.default_rng(0).permutation(len(across))[:most])
    for column, (color, _, marker) in zip(range(outputs), SERIES, strict=False):
        if spread is not None:
            reach = 2 * spread[shown, column]
            ax.errorbar(
                across[shown, column], up[shown, column], reach, fmt="none", ecolor=color, alpha=0.25, elinewidth=1
            )
        ax.plot(
            across[shown, column], up[shown, column], marker, color=color, alpha=0.45, markersize=3.2,
            markeredgewidth=0, label=f"output {column}",
        )  # fmt: skip
    if outputs > 1:
        legend(ax)
    if len(shown) < len(across):
        ax.set_title(f"{len(shown):,} of {len(across):,} shown", loc="right", fontsize=9, color=ink(ax))
