"""The trials of a study: the objective against one hyperparameter, all learning curves, what matters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verax.plot._canvas import (
    BLUE,
    FONT,
    GREEN,
    LINE,
    ORANGE,
    PURPLE,
    Axes,
    axes_or_new,
    ink,
    legend,
    plain_log_ticks,
    short,
)
from verax.plot._trials import (
    Scale,
    best_number,
    content_of,
    curve,
    is_finite,
    objective_scale,
    scales,
    value_scale,
    worst_edge,
)

# Each state of a trial has the same look in every picture; shapes differ as well as colours.
STATES = {"complete": (BLUE, "o"), "pruned": (GREEN, "^"), "not finite": (ORANGE, "x"), "not trained": (LINE, "+")}
LISTED = 30  # bars that fit into a picture
POINTS = 12_000  # of all curves together; more makes a page heavy and shows no more


def trial_slice(study: Any, name: str, *, ax: Axes = None) -> Axes:
    """Draws the objective of each trial against one hyperparameter, marked by how the trial ended; a ring is the best.

    Trials that did not stay finite or could not be trained lie on the bad edge, as do those far worse than the others.
    Pruned ones show their value when they were stopped.

    Args:
      study: a `vx.tune.Study`, or the content of its study.json.
      name: of the hyperparameter.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if no trial has the hyperparameter.
    """
    content = content_of(study)
    known = {scale.name: scale for scale in scales(content)}
    having = [trial for trial in content["trials"] if name in trial["hyperparameters"]]
    if not having:
        raise ValueError(f"name must be one of {sorted(known)}, got {name!r}.")
    scale, objective, worst, winner = known[name], objective_scale(content), worst_edge(content), best_number(content)
    ax = axes_or_new(ax)
    for state, (color, marker) in STATES.items():
        some = [trial for trial in having if trial["state"] == state]
        if some:
            across = [_aside(scale, trial, name) for trial in some]
            up = [_height(trial, objective, worst) for trial in some]
            label = f"{state} ({len(some)})"
            ax.plot(across, up, marker, color=color, markersize=4.5, alpha=0.65, label=label, clip_on=False)
    best = next((trial for trial in having if trial["number"] == winner), None)
    if best is not None:
        place = [_aside(scale, best, name)], [_height(best, objective, worst)]
        ax.plot(*place, "o", color=PURPLE, markersize=9, fillstyle="none", markeredgewidth=2, label="best")
    _write_ticks(ax, scale, objective)
    ax.set_xlabel(short(name, 40), parse_math=False)
    ax.set_ylabel(_words(content["objective"]), parse_math=False)
    legend(ax, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0, handletextpad=0.3)
    return ax


def trial_curves(study: Any, metric: str | None = None, *, ax: Axes = None) -> Axes:
    """Draws a metric of every trial against epochs; the best is strong, ends of trials that were stopped are marked.

    Args:
      study: a `vx.tune.Study`, or the content of its study.json.
      metric: such as `train/loss`; the objective if not given.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if no trial has the metric.
    """
    content = content_of(study)
    metric = str(metric or content["objective"])
    drawn = [(trial, curve(trial, metric)) for trial in content["trials"]]
    drawn = [(trial, values) for trial, values in drawn if np.isfinite(values).any()]
    if not drawn:
        known = sorted({name for trial in content["trials"] for name in trial["curves"]})
        raise ValueError(f"metric must be one of {known} with a number, got {metric!r}.")
    ax, winner = axes_or_new(ax), best_number(content)
    each, faint = max(2, POINTS // len(drawn)), max(0.25, min(0.8, 8 / math.sqrt(len(drawn))))
    others = [pair for pair in drawn if pair[0]["number"] != winner]
    for trial, values in others:
        color, marker = STATES[trial["state"]]
        places, shown = _thinned(values, each)
        look = {
            "color": LINE,
            "linewidth": 0.9,
            "alpha": faint,
            "label": "complete" if trial is _first(others) else None,
        }
        ax.plot(places, shown, "-" if len(values) > 1 else "o", markersize=3, **look)
        if trial["state"] != "complete":
            end = int(np.flatnonzero(np.isfinite(values))[-1])
            ax.plot([end + 1], [values[end]], marker, color=color, markersize=4.5, alpha=0.8)
    for trial, values in drawn:
        if trial["number"] == winner:
            dots = "-" if len(values) > 1 else "o"
            ax.plot(*_thinned(values, 400), dots, color=PURPLE, linewidth=2.2, label=f"trial {winner}, the best")
    for state, (color, marker) in STATES.items():
        count = sum(trial["state"] == state for trial, _ in drawn)
        if state != "complete" and count:
            ax.plot([], [], marker, color=color, label=f"{state} from here ({count})")
    _limit(ax, metric, drawn)
    ax.set_xlabel("epoch")
    ax.set_ylabel(_words(metric), parse_math=False)
    ax.xaxis.get_major_locator().set_params(integer=True)
    legend(ax, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0)
    return ax


def importance_bars(importance: Mapping[str, float], *, ax: Axes = None) -> Axes:
    """Draws how much of the objective's variation each hyperparameter explains, the most at the top.

    Args:
      importance: a share for each hyperparameter, such as `optuna.importance.get_param_importances` returns.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if it is empty.
    """
    if not importance:
        raise ValueError("importance must name at least one hyperparameter, got none.")
    shown = sorted(importance.items(), key=lambda pair: -pair[1])[:LISTED]
    ax = axes_or_new(ax, height=0.8 + 0.3 * len(shown))
    places = np.arange(len(shown))
    ax.barh(places, [share for _, share in shown], color=BLUE, alpha=0.5, height=0.6)
    for place, (_, share) in enumerate(shown):
        ax.text(
            share + 0.01,
            place,
            "< 1 %" if share < 0.01 else f"{100 * share:.0f} %",
            va="center",
            fontsize=FONT - 1,
            color=ink(ax),
        )
    ax.set_yticks(places, [short(name, 18) for name, _ in shown], fontsize=FONT - 1)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.set(xlim=(0, 1.15), xlabel="share of the variation explained", ylabel="hyperparameter")
    ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    return ax


def _aside(scale: Scale, trial: Mapping[str, Any], name: str) -> float:
    """Returns where a trial lies along an axis; those of one value of a list lie side by side."""
    aside = 0.3 * ((trial["number"] * 0.618034) % 1.0 - 0.5) / len(scale.values or (0,)) if scale.has_places else 0.0
    return scale.place(trial["hyperparameters"][name]) + aside


def _height(trial: Mapping[str, Any], objective: Scale, worst: float) -> float:
    if trial["state"] not in ("complete", "pruned") or not is_finite(trial["value"]):
        return worst
    share = objective.share(trial["value"])
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 1.0 - worst


def _write_ticks(ax: Axes, across: Scale, up: Scale) -> None:
    for axis, scale in ((ax.xaxis, across), (ax.yaxis, up)):
        ticks = scale.ticks()
        axis.set_ticks([place for place, _ in ticks], [text for _, text in ticks])
        for label in axis.get_ticklabels():
            label.set_parse_math(False)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))


def _thinned(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    kept = np.unique(np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int))
    return kept + 1, values[kept]


def _limit(ax: Axes, metric: str, drawn: list[tuple[Mapping[str, Any], np.ndarray]]) -> None:
    """Sets the axis of the metric so that a few trials far worse than the others do not squeeze them."""
    found = np.concatenate([values[np.isfinite(values)] for _, values in drawn])
    scale = value_scale(metric, found.tolist())
    if scale.log:
        ax.set_yscale("log")
        plain_log_ticks(ax)
    ax.set_ylim(scale.low, scale.high)


def _first(pairs: list[tuple[Mapping[str, Any], np.ndarray]]) -> Mapping[str, Any]:
    return next((trial for trial, _ in pairs if trial["state"] == "complete"), pairs[0][0])


def _words(metric: str) -> str:
    return short(metric.replace("_", " "), 30)
