"""How a classifier ranks: ROC and precision-recall curves, with the decision threshold on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array, Shaped

from verax.evaluate import Estimate, Threshold, score
from verax.plot._canvas import BLUE, LINE, ORANGE, Axes, axes_or_new, legend

Probabilities = Shaped[Array | np.ndarray, "..."]  # of other shapes the errors of `score` tell
POINTS = 300  # corners of a curve that are drawn: more cannot be seen


def roc_curve(
    probabilities: Probabilities,
    labels: Probabilities,
    *,
    threshold: Threshold | float | int | None = None,
    ax: Axes = None,
) -> Axes:
    """Draws the share of positives found against the share of negatives called positive; chance is the dashed diagonal.

    The legend tells the area with its 95 % interval; a point marks the threshold.

    Args:
      probabilities: of being positive (examples,), or of both classes (examples, 2).
      labels: 0 or 1.
      threshold: from which probability on an example is called positive.
      ax: where to draw; None means axes of their own.

    Raises:
      InputError: if they are not probabilities and labels of the same examples.
      ValueError: if the labels are all of one class.
    """
    from sklearn.metrics import roc_curve as corners

    positive, truth, area = _binary(probabilities, labels, "roc_auc")
    false, found, _ = corners(truth, positive)
    ax = axes_or_new(ax, height=3.3)
    ax.plot([0, 1], [0, 1], "--", color=LINE, linewidth=1.2)
    ax.plot(*_thinned(false, found), color=BLUE, linewidth=1.6, label=f"area {_with_interval(area)}")
    if threshold is not None:
        called = positive >= _number(threshold)
        _mark(ax, called[truth == 0].mean(), called[truth == 1].mean(), threshold)
    ax.set(xlabel="share of negatives called positive", ylabel="share of positives found")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
    legend(ax, loc="lower right")
    return ax


def precision_recall_curve(
    probabilities: Probabilities,
    labels: Probabilities,
    *,
    threshold: Threshold | float | int | None = None,
    ax: Axes = None,
) -> Axes:
    """Draws precision against recall; the dashed line is what chance gives, the share of positives.

    The legend tells the area (average precision) with its 95 % interval; a point marks the threshold.

    Args:
      probabilities: of being positive (examples,), or of both classes (examples, 2).
      labels: 0 or 1.
      threshold: from which probability on an example is called positive.
      ax: where to draw; None means axes of their own.

    Raises:
      InputError: if they are not probabilities and labels of the same examples.
      ValueError: if the labels are all of one class.
    """
    from sklearn.metrics import precision_recall_curve as corners

    positive, truth, area = _binary(probabilities, labels, "average_precision")
    precision, recall, _ = corners(truth, positive)
    ax = axes_or_new(ax, height=3.3)
    ax.axhline(float(truth.mean()), linestyle="--", color=LINE, linewidth=1.2)
    across, up = _thinned(recall[::-1], precision[::-1])
    ax.plot(across, up, drawstyle="steps-pre", color=BLUE, linewidth=1.6, label=f"area {_with_interval(area)}")
    if threshold is not None:
        called = positive >= _number(threshold)
        hits = float((called & (truth == 1)).sum())
        _mark(ax, hits / float(truth.sum()), hits / max(float(called.sum()), 1.0), threshold)
    ax.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
    legend(ax, loc="lower left")
    return ax


def _binary(probabilities: Any, labels: Any, metric: str) -> tuple[np.ndarray, np.ndarray, Estimate]:
    table, truth = np.asarray(probabilities), np.asarray(labels)
    positive = table[:, 1] if table.ndim == 2 and table.shape[1] == 2 else table.reshape(len(table))
    positive = positive.astype(np.float64)
    found = score(
        "multilabel", positive[:, None], truth[:, None]
    )  # one label: without the calibration of a binary task
    if metric not in found.metrics:
        raise ValueError(f"labels must be of both classes to draw a curve, got only {int(truth[0])}.")
    return positive, truth.astype(np.int64), found.metrics[metric]


def _number(threshold: Threshold | float | int) -> float:
    return threshold.value if isinstance(threshold, Threshold) else float(threshold)


def _mark(ax: Axes, across: float, up: float, threshold: Threshold | float | int) -> None:
    ax.plot([across], [up], "o", color=ORANGE, markersize=6, label=f"threshold {_number(threshold):.3g}", clip_on=False)


def _thinned(across: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(across) <= POINTS:
        return across, up
    kept = np.unique(np.linspace(0, len(across) - 1, POINTS).round().astype(int))
    return across[kept], up[kept]


def _with_interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
