"""Several runs in one picture, and the perplexity of a language model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from verax.plot._canvas import SERIES, Axes, axes_or_new, legend, plain_log_ticks
from verax.plot._curves import SPLITS, curves_of, mark_not_finite
from verax.train import History


def seeds(histories: Sequence[History], metric: str = "loss", *, ax: Axes = None) -> Axes:
    """Draws the mean of several runs at each epoch, with a band of 95 % intervals of that mean, and each run thinly.

    Args:
      histories: of runs that differ in their seed (or fold).
      metric: the part of a name after the split: `loss`, `accuracy`, `rmse`.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if there is no history, or none has the metric.
    """
    every = [curves_of(history, metric) for history in histories]
    names = [name for name in (*SPLITS, "test") if any(name in curves for curves, _ in every)]
    if not names:
        raise ValueError(f"metric must be in the histories, got {metric!r} and {len(histories)} histories.")
    ax = axes_or_new(ax)
    for name in names:
        color, line, _ = SERIES[(*SPLITS, "test").index(name)]
        runs = [curves[name] for curves, _ in every if name in curves]
        for places, values in runs:
            ax.plot(places, values, line, color=color, linewidth=0.6, alpha=0.35)
        length = min(len(values) for _, values in runs)  # a run may stop early: the mean is of epochs that all have
        places, table = runs[0][0][:length], np.stack([values[:length] for _, values in runs])
        mean = table.mean(axis=0)
        ax.plot(places, mean, line, color=color, linewidth=1.8, label=f"{name}, mean of {len(runs)}")
        if len(runs) > 1:
            half = _half_width(table)
            ax.fill_between(places, mean - half, mean + half, color=color, alpha=0.18, linewidth=0)
    ax.set(xlabel=every[0][1], ylabel=metric.replace("_", " "))
    ax.xaxis.get_major_locator().set_params(integer=True)
    legend(ax)
    return ax


def perplexity_curve(history: History, *, ax: Axes = None) -> Axes:
    """Draws the perplexity of a language model, `exp(loss)`, of the training and the validation split.

    Args:
      history: what was measured.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if the history has no loss.
    """
    curves, unit = curves_of(history, "loss")
    if not curves:
        raise ValueError("history must have a loss, got none.")
    ax = axes_or_new(ax)
    raised = {name: (places, np.exp(np.minimum(values, 700.0))) for name, (places, values) in curves.items()}
    for name, (places, values) in raised.items():
        color, line, marker = SERIES[(*SPLITS, name).index(name)]
        look = {"color": color, "marker": marker if len(values) <= 30 else None, "markersize": 3.5, "linewidth": 1.6}
        ax.plot(places, values, line, label=name, **look)
    mark_not_finite(ax, raised)
    every = np.concatenate([values for _, values in raised.values()])
    finite = every[np.isfinite(every)]
    if finite.size and finite.max() / finite.min() > 30:
        ax.set_yscale("log")
        plain_log_ticks(ax)
    ax.set(xlabel=unit, ylabel="perplexity")
    ax.xaxis.get_major_locator().set_params(integer=True)
    legend(ax)
    return ax


def _half_width(table: np.ndarray) -> np.ndarray:
    """Returns half the 95 % interval of the mean over runs (rows), Student's."""
    from scipy.special import stdtrit

    runs = len(table)
    return float(stdtrit(runs - 1, 0.975)) * table.std(axis=0, ddof=1) / math.sqrt(runs)
