"""Learning rates: the loss that each leads to, and how a schedule changes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Num

from verax.plot._canvas import BLUE, GREEN, ORANGE, Axes, axes_or_new, ink, legend, plain_log_ticks

Numbers = Num[Array | np.ndarray, " points"] | Sequence[float] | Sequence[int]
POINTS = 400


def learning_rates(
    rates: Numbers, losses: Numbers, low: float | None = None, high: float | None = None, *, ax: Axes = None
) -> Axes:
    """Draws the loss that each learning rate leads to; the band is the interval that was found, if there is one.

    Rates whose loss is not finite stand as crosses at the top.

    Args:
      rates: the learning rates that were tried, positive.
      losses: what each led to.
      low: where the interval begins; None where there is none.
      high: where it ends.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if there are not as many losses as rates, or a rate is not positive.
    """
    tried, reached = np.asarray(rates, np.float64), np.asarray(losses, np.float64)
    if tried.shape != reached.shape or tried.ndim != 1 or not (tried > 0).all():
        raise ValueError(f"rates and losses must be equally many, rates positive, got {tried.shape}, {reached.shape}.")
    ax = axes_or_new(ax)
    finite = np.isfinite(reached)
    ax.plot(tried[finite], reached[finite], "o-", color=BLUE, markersize=4, linewidth=1.4, label="loss")
    if not finite.all():
        top = float(reached[finite].max()) if finite.any() else 1.0
        ax.plot(tried[~finite], np.full((~finite).sum(), top), "x", color=ORANGE, markersize=6, label="not finite")
    if low is not None and high is not None:
        ax.axvspan(low, high, color=GREEN, alpha=0.18, linewidth=0, label=f"{low:.2g} to {high:.2g}")
    _log_axis(ax, reached[finite])
    ax.set(xlabel="learning rate", ylabel="loss")
    legend(ax)
    return ax


def schedule(steps: Numbers, sizes: Numbers, *, total: int | None = None, ax: Axes = None) -> Axes:
    """Draws the learning rate (or any step size) over the steps of a run.

    Args:
      steps: where it was read.
      sizes: what it was.
      total: where the run ends, if the schedule goes on behind it: a dotted line.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if there are not as many sizes as steps.
    """
    places, values = np.asarray(steps, np.float64), np.asarray(sizes, np.float64)
    if places.shape != values.shape or places.ndim != 1 or not len(places):
        raise ValueError(f"steps and sizes must be equally many, one at least, got {places.shape} and {values.shape}.")
    if len(places) > POINTS:
        kept = np.unique(np.linspace(0, len(places) - 1, POINTS).round().astype(int))
        places, values = places[kept], values[kept]
    ax = axes_or_new(ax)
    ax.plot(places, values, color=BLUE, linewidth=1.6)
    ax.set_ylim(bottom=min(0.0, float(values.min())))
    if total is not None:
        ax.axvline(total, color=ORANGE, linestyle=":", linewidth=1.6)
        ax.annotate(
            "end of the run", (total, 0.5), xycoords=("data", "axes fraction"), xytext=(-4, 0), fontsize=9,
            textcoords="offset points", ha="right", va="center", color=ink(ax),
        )  # fmt: skip
    ax.set(xlabel="step", ylabel="learning rate")
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    return ax


def _log_axis(ax: Axes, losses: np.ndarray) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("e-0", "e-")))
    ax.xaxis.set_minor_formatter(NullFormatter())
    if losses.size and losses.min() > 0 and losses.max() / losses.min() > 30:
        ax.set_yscale("log")
        plain_log_ticks(ax)
