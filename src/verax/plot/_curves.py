"""Training curves: one measured quantity against epochs or steps."""

from __future__ import annotations

import numpy as np

from verax.plot._canvas import ORANGE, SERIES, Axes, axes_or_new, ink, legend, plain_log_ticks
from verax.train import History

SPLITS = ("train", "validation")  # each has the same look in every picture
POINTS = 400  # a longer series is averaged down to this many: more cannot be seen


def training_curves(history: History, metric: str = "loss", *, ax: Axes = None) -> Axes:
    """Draws a metric of the training and the validation split; a dotted line marks where numbers stopped being finite.

    Epochs are drawn if there are at least two, the loss of every step otherwise. The axis is logarithmic where a loss
    falls by more than a factor of 30.

    Args:
      history: what was measured.
      metric: the part of a name after the split: `loss`, `accuracy`, `rmse`.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if the history has no such metric.
    """
    curves, unit = curves_of(history, metric)
    if not curves:
        known = sorted({name.partition("/")[2] for record in history for name in record.values if "/" in name})
        raise ValueError(f"metric must be one of {known}, got {metric!r}.")
    ax = axes_or_new(ax)
    for name, (places, values) in curves.items():
        color, line, marker = SERIES[(*SPLITS, name).index(name)]
        look = {"color": color, "marker": marker if len(values) <= 30 else None, "markersize": 3.5, "linewidth": 1.6}
        ax.plot(places, values, line, label=name, **look)
    mark_not_finite(ax, curves)
    if metric == "loss":
        log_if_far(ax, curves)
    ax.set(xlabel=unit, ylabel=metric.replace("_", " "))
    ax.xaxis.get_major_locator().set_params(integer=True)
    legend(ax)
    return ax


Curve = tuple[np.ndarray, np.ndarray]


def curves_of(history: History, metric: str) -> tuple[dict[str, Curve], str]:
    """Returns places and values of each split's curve, and what the places count."""
    curves: dict[str, Curve] = {}
    for record in history:
        if record.kind == "epoch":
            for name, value in record.values.items():
                split, _, measured = name.partition("/")
                if measured == metric:
                    places, values = curves.get(split, (np.zeros(0), np.zeros(0)))
                    curves[split] = np.append(places, float(record.epoch)), np.append(values, float(value))
    if any(len(values) > 1 for _, values in curves.values()):
        return {split: thinned(*curve) for split, curve in curves.items()}, "epoch"
    steps, values = history.series(f"train/{metric}", "chunk")
    if steps:
        return {"train": thinned(np.array(steps, float), np.array(values, float))}, "step"
    return curves, "epoch"


def log_if_far(ax: Axes, curves: dict[str, Curve]) -> None:
    """Makes the axis logarithmic where values are positive and span more than a factor of 30."""
    every = np.concatenate([values for _, values in curves.values()])
    known = every[np.isfinite(every)]
    if known.size and known.min() > 0 and known.max() / known.min() > 30:
        ax.set_yscale("log")
        plain_log_ticks(ax)


def thinned(places: np.ndarray, values: np.ndarray) -> Curve:
    """Returns a curve of at most `POINTS` points, each the mean of its neighbours; one NaN among them stays visible."""
    if len(places) <= POINTS:
        return places, values
    groups = np.array_split(np.arange(len(places)), POINTS)
    with np.errstate(invalid="ignore"):  # infinities of both signs
        means = [values[group].mean() for group in groups]
    return np.array([places[group].mean() for group in groups]), np.array(means)


def mark_not_finite(ax: Axes, curves: dict[str, Curve]) -> None:
    """Draws a dotted line where a curve first is not finite."""
    every = np.concatenate([places for places, _ in curves.values()])
    is_finite = np.isfinite(np.concatenate([values for _, values in curves.values()]))
    if is_finite.all():
        return
    first, last = float(every[~is_finite].min()), float(every.max())
    ax.axvline(first, color=ORANGE, linestyle=":", linewidth=1.6)
    right = first > 0.5 * last
    ax.annotate(
        "not finite from here", (first, 0.5), xycoords=("data", "axes fraction"), xytext=(-4 if right else 4, 0),
        textcoords="offset points", ha="right" if right else "left", va="center", fontsize=9, color=ink(ax),
    )  # fmt: skip
    ax.set_xlim(left=min(0.0, float(every.min())), right=last * 1.05)
