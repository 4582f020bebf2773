"""Parallel coordinates: each trial of a study a line through its hyperparameters to what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verax.plot._canvas import BLUE, FONT, LINE, PURPLE, Axes, axes_or_new, ink, legend, short
from verax.plot._trials import Scale, best_number, complete, content_of, objective_scale, scales, worst_edge

ROWS = 14  # hyperparameters that fit into a picture
SPREAD = 0.05  # of an axis, over which trials of one value of a list are drawn: else they hide one another
ABSENT = -0.12  # where lines go whose trial has no such hyperparameter


def parallel_coordinates(study: Any, *, ax: Axes = None) -> Axes:
    """Draws each complete trial as a line from its hyperparameters at the top to its objective at the bottom.

    Each hyperparameter has a line across with its lowest value at the left; better trials are stronger, the winner has
    a colour of its own, and trials that were not trained to their end are dotted and stop above the objective. A trial
    far worse than the others ends at the edge.

    Args:
      study: a `vx.tune.Study`, or the content of its study.json.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if it has no trial.
    """
    content = content_of(study)
    if not content["trials"]:
        raise ValueError("study must have at least one trial, got none.")
    rows, objective, winner = scales(content)[:ROWS], objective_scale(content), best_number(content)
    finished, worst = complete(content), worst_edge(content)
    done = {trial["number"] for trial in finished}
    ax = axes_or_new(ax, height=0.9 + 0.52 * (len(rows) + 1))
    _draw_rows(ax, [*rows, objective])
    depth = -np.arange(len(rows) + 1.0)
    unfinished = [trial for trial in content["trials"] if trial["number"] not in done]
    faint = min(1.0, 12 / math.sqrt(len(content["trials"])) / 4)  # many lines add up
    for trial in unfinished:
        ax.plot(_places(trial, rows), depth[:-1], ":", color=LINE, linewidth=0.9, alpha=max(0.25, faint))
    for trial in reversed(finished):
        end = min(max(objective.share(trial["value"]), 0.0), 1.0)
        goodness = abs(worst - end)
        color, width, alpha = BLUE, 0.9, (0.12 + 0.88 * goodness**3) * max(0.15, faint)
        if trial["number"] == winner:
            color, width, alpha = PURPLE, 2.2, 1.0
        ax.plot([*_places(trial, rows), end], depth, color=color, linewidth=width, alpha=alpha)
    looks = [("best", "-", PURPLE, 2.2, winner is not None)]
    looks += [("complete; the stronger the better", "-", BLUE, 1.2, len(finished) > 1)]
    looks += [("not trained to the end", ":", LINE, 1.2, bool(unfinished))]
    for label, line, color, width, is_there in looks:
        if is_there:
            ax.plot([], [], line, color=color, linewidth=width, label=label)
    ax.set_xlabel("each from its lowest to its highest")
    ax.set_ylabel("hyperparameter")
    ax.set_title(_left_out(content, rows), loc="right", fontsize=FONT - 1, color=ink(ax))
    legend(ax, loc="lower center", bbox_to_anchor=(0.35, 1.0), ncols=1)
    return ax


def _draw_rows(ax: Axes, rows: list[Scale]) -> None:
    """Draws the line of each hyperparameter with what lies along it."""
    for depth, row in enumerate(rows):
        ax.plot([0, 1], [-depth, -depth], color=LINE, linewidth=0.8, zorder=1)
        ticks = row.ticks(most=2)
        ends = (ticks[0][0], ticks[-1][0]) if len(ticks) > 1 else (math.nan, math.nan)
        for place, text in ticks:
            side = (
                "center"
                if row.has_places
                else "left"
                if place == ends[0]
                else "right"
                if place == ends[1]
                else "center"
            )
            ax.text(place, -depth - 0.1, text, ha=side, va="top", fontsize=FONT - 2, color=ink(ax), parse_math=False)
        if row.is_partial:
            ax.text(ABSENT, -depth - 0.1, "none", ha="center", va="top", fontsize=FONT - 2, color=ink(ax))
    ax.set_yticks([-depth for depth in range(len(rows))], [short(row.name, 16) for row in rows], fontsize=FONT - 1)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    partial = any(row.is_partial for row in rows)
    ax.set(xticks=[], xlim=(ABSENT - 0.08 if partial else -0.04, 1.04), ylim=(0.55 - len(rows) - 0.1, 0.25))
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _places(trial: Mapping[str, Any], rows: list[Scale]) -> list[float]:
    """Returns where a trial crosses each line; trials of one value of a list lie side by side."""
    aside = SPREAD * ((trial["number"] * 0.618034) % 1.0 - 0.5)
    given = trial["hyperparameters"]
    places = [row.place(given[row.name]) if row.name in given else ABSENT for row in rows]
    return [place + aside if row.has_places else place for place, row in zip(places, rows, strict=True)]


def _left_out(content: Mapping[str, Any], rows: list[Scale]) -> str:
    count = len(scales(content))
    return f"{len(rows)} of {count} hyperparameters shown" if count > len(rows) else ""
