"""Scores of the parts of a split, side by side with their intervals: labels, outputs, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verax.evaluate import Slices
from verax.plot._canvas import BLUE, FONT, LINE, SERIES, Axes, axes_or_new, ink, legend, short

LISTED = 30  # rows that fit into a picture


def label_bars(rows: Sequence[Mapping[str, Any]], metric: str = "f1", *, ax: Axes = None) -> Axes:
    """Draws a score of each label, class or output with its 95 % interval, the lowest at the bottom.

    Of more than 30, those with the lowest values are drawn, and the axes say so.

    Args:
      rows: `per_class` or `per_output` of an `Evaluation`.
      metric: a column of it: `f1`, `recall`, `precision`; of labels `roc_auc` or `average_precision`; of outputs
        `rmse`, `mae` or `r2`. A label that has none is left out.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if no row has the metric.
    """
    some = [row for row in rows if row.get(metric) is not None]
    if not some:
        known = sorted({name.removesuffix("_low") for row in rows for name in row if name.endswith("_low")})
        raise ValueError(f"metric must be one of {known}, got {metric!r}.")
    some = sorted(some, key=lambda row: row[metric])
    shown = some[:LISTED]
    names = [str(row.get("class", row.get("output"))) for row in shown]
    values, low, high = (np.array([row[metric + end] for row in shown], float) for end in ("", "_low", "_high"))
    ax = axes_or_new(ax, height=1.0 + 0.24 * len(shown))
    places = np.arange(len(shown))
    ax.barh(places, values, color=BLUE, alpha=0.35, height=0.62)
    _intervals(ax, places, values, low, high, BLUE, "o")
    _names(ax, names)
    ax.set_xlabel(metric.replace("_", " "))
    ax.set_ylabel("label" if "class" in shown[0] else "output")
    if len(shown) < len(some):
        ax.set_title(f"{len(shown)} lowest of {len(some)} shown", loc="right", fontsize=9, color=ink(ax))
    return ax


def slices(found: Slices, metric: str | None = None, *, ax: Axes = None) -> Axes:
    """Draws a metric of each group with its 95 % interval; groups of one attribute have one colour.

    Args:
      found: as `vx.evaluate.slices` returned it.
      metric: which; the first of them if not given.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if no group has the metric.
    """
    known = list(dict.fromkeys(name for row in found.rows for name in row.metrics))
    metric = known[0] if metric is None and known else metric
    rows = [row for row in found.rows if metric in row.metrics]
    if not rows or metric is None:
        raise ValueError(f"metric must be one of {known}, got {metric!r}.")
    rows = rows[: 2 * LISTED]
    ax = axes_or_new(ax, height=1.0 + 0.24 * len(rows))
    attributes = list(dict.fromkeys(row.attribute for row in rows))
    for index, attribute in enumerate(attributes):
        color, _, marker = SERIES[index % len(SERIES)]
        own = [place for place, row in enumerate(rows) if row.attribute == attribute]
        ends = np.array([tuple(rows[place].metrics[metric]) for place in own])
        _intervals(ax, np.array(own), ends[:, 0], ends[:, 1], ends[:, 2], color, marker, short(attribute))
    _names(ax, [f"{short(row.value)} ({row.examples:,})" for row in rows])
    ax.invert_yaxis()
    ax.set(xlabel=metric.replace("_", " "), ylabel="group (examples)")
    if len(attributes) > 1:
        legend(ax, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def _intervals(
    ax: Axes,
    places: np.ndarray,
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    color: str,
    marker: str,
    name: str | None = None,
) -> None:
    """Draws points with bars; an end that is not bounded by the data reaches to the edge of what is drawn."""
    known = np.concatenate([each[np.isfinite(each)] for each in (values, low, high)])
    edges = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    low, high = np.where(np.isfinite(low), low, edges[0]), np.where(np.isfinite(high), high, edges[1])
    reach = np.maximum(np.stack([values - low, high - values]), 0.0)
    ax.errorbar(
        values, places, xerr=reach, fmt=marker, color=color, markersize=4.5, elinewidth=1.3, capsize=2, label=name
    )


def _names(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(np.arange(len(names)), [short(name, 22) for name in names])
    ax.tick_params(axis="y", length=0, labelsize=FONT - 1)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set(color=LINE)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
