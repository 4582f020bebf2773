"""Whether stated confidence is met: reliability diagrams of classifiers, coverage of regressors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Shaped

from verax.evaluate import Calibration, PredictiveCalibration, Reliability, proportion_estimate
from verax.plot._canvas import (
    BLUE,
    FONT,
    INK,
    LINE,
    ORANGE,
    Axes,
    Figure,
    axes_or_new,
    dress,
    ink,
    legend,
    new_figure,
    plain_log_ticks,
    short,
)

LABELS, ACROSS = 12, 3  # labels drawn apart, and how many in a row


def reliability_diagram(calibration: Calibration, after: Calibration | None = None, *, ax: Axes = None) -> Axes:
    """Draws accuracy against confidence, with 95 % (Wilson) intervals; the dashed diagonal is perfect calibration.

    Above it stands how many examples each point is about, on a logarithmic scale: one of few may be off by chance.

    Args:
      calibration: as the network is.
      after: the same after recalibration.
      ax: where to draw; None means axes of their own.
    """
    own = ax is None
    ax = axes_or_new(ax, height=3.8)
    counts = ax.inset_axes((0, 1.04, 1, 0.22), sharex=ax)
    if own:
        dress(counts)
    ax.plot([0, 1], [0, 1], "--", color=LINE, linewidth=1.2)
    before_name = "before recalibration" if after else None
    _points(ax, calibration.reliability, BLUE, "o", before_name)
    _counts(counts, calibration.reliability, BLUE, filled=True)
    if after is not None:
        _points(ax, after.reliability, ORANGE, "s", "after")
        _counts(counts, after.reliability, ORANGE, filled=False)
        legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(-0.02, 1.03))
    most = max(int(drawn.reliability.count.max()) for drawn in (calibration, after) if drawn is not None)
    counts.set(yscale="log", ylim=(0.7, 2 * most))
    counts.set_ylabel("examples", color=ink(ax))
    counts.tick_params(labelbottom=False)
    plain_log_ticks(counts)
    return ax


def reliability_by_label(
    probabilities: Shaped[Array | np.ndarray, "examples labels"],
    targets: Shaped[Array | np.ndarray, "examples labels"],
    classes: Sequence[str] | None = None,
    *,
    bins: int = 10,
) -> Figure:
    """Draws for each label how often it is true against how probable it was said to be, with 95 % (Wilson) intervals.

    On the dashed diagonal what is said is met. The first 12 labels are drawn.

    Args:
      probabilities: of each label.
      targets: 0 or 1.
      classes: the labels' names; numbers if not given.
      bins: intervals of equal width on [0, 1]; an empty one is left out.

    Raises:
      ValueError: if the shapes differ, or there is another number of names than of labels.
    """
    stated, truth = np.asarray(probabilities, np.float64), np.asarray(targets, np.float64)
    names = [str(index) for index in range(stated.shape[1])] if classes is None else [short(name) for name in classes]
    if stated.shape != truth.shape or len(names) != stated.shape[1]:
        raise ValueError(
            f"labels must be as many everywhere, got {stated.shape}, {truth.shape} and {len(names)} names."
        )
    shown = names[:LABELS]
    lines = -(-len(shown) // ACROSS)
    figure = new_figure(0.5 + 1.25 * lines)
    grid = figure.subplots(lines, ACROSS, squeeze=False, sharex=True, sharey=True).ravel()
    for ax in grid[len(shown) :]:
        ax.set_axis_off()
    for label, (ax, name) in enumerate(zip(grid, shown, strict=False)):
        dress(ax)
        ax.plot([0, 1], [0, 1], "--", color=LINE, linewidth=1.0)
        group = np.minimum((stated[:, label] * bins).astype(np.int64), bins - 1)
        filled, place, count = np.unique(group, return_inverse=True, return_counts=True)
        across, share = (np.bincount(place, each[:, label], len(filled)) / count for each in (stated, truth))
        ends = np.array([tuple(proportion_estimate(s * n, float(n))) for s, n in zip(share, count, strict=True)])
        _with_bars(ax, across, share, ends[:, 1], ends[:, 2], BLUE, "o", None)
        ax.set_title(name, fontsize=9, color=INK, parse_math=False)
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[0, 1], yticks=[0, 1])
    figure.supxlabel("stated probability", fontsize=FONT, color=INK)
    figure.supylabel("share that is true", fontsize=FONT, color=INK)
    return figure


def coverage(
    calibration: PredictiveCalibration, after: PredictiveCalibration | None = None, *, ax: Axes = None
) -> Axes:
    """Draws the share of targets inside each predicted interval against its level; on the dashed diagonal it is met.

    Bars are 95 % intervals. Below the diagonal the intervals are too narrow: the model is too sure of itself.

    Args:
      calibration: as the network is.
      after: the same after recalibration.
      ax: where to draw; None means axes of their own.
    """
    ax = axes_or_new(ax, height=3.2)
    ax.plot([0, 1], [0, 1], "--", color=LINE, linewidth=1.2)
    both = [(calibration, BLUE, "o", -0.006), (after, ORANGE, "s", 0.006)]
    for drawn, color, marker, shift in both:  # a little apart, so that neither hides the other
        if drawn is None:
            continue
        share = np.array([tuple(estimate) for estimate in drawn.coverage])  # levels (value, low, high)
        across = np.array(drawn.levels) + shift
        _with_bars(ax, across, share[:, 0], share[:, 1], share[:, 2], color, marker, drawn.method)
    if after is not None:
        legend(ax, loc="upper left")
    ax.set(xlabel="stated probability", ylabel="share inside the interval", xlim=(0.4, 1.02), ylim=(0, 1.03))
    lowest = min(min(estimate.low for estimate in drawn.coverage) for drawn, *_ in both if drawn is not None)
    ax.set_ylim(bottom=min(0.4, max(0.0, lowest - 0.05)))
    ax.set_xlim(left=min(0.4, min(calibration.levels) - 0.05))
    return ax


def _points(ax: Axes, reliability: Reliability, color: str, marker: str, name: str | None) -> None:
    filled = reliability.count > 0
    across, up, low, high = (
        values[filled] for values in (reliability.confidence, reliability.accuracy, reliability.low, reliability.high)
    )
    _with_bars(ax, across, up, low, high, color, marker, name)


def _with_bars(
    ax: Axes,
    across: np.ndarray,
    up: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    color: str,
    marker: str,
    name: str | None,
) -> None:
    reach = np.maximum(np.stack([up - low, high - up]), 0.0)
    look = {"fmt": marker, "color": color, "markersize": 4.5, "elinewidth": 1.3, "capsize": 2}
    ax.errorbar(across, up, yerr=reach, label=name, clip_on=False, **look)


def _counts(ax: Axes, reliability: Reliability, color: str, filled: bool) -> None:
    edges, count = reliability.edges, reliability.count
    shown = {"color": color, "alpha": 0.35} if filled else {"fill": False, "edgecolor": color, "linewidth": 1.2}
    ax.bar(edges[:-1], count, np.diff(edges), align="edge", **shown)
