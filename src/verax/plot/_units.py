"""Units through which no gradient passes, by layer and moment."""

from __future__ import annotations

import numpy as np

from verax.debug import DeadUnits
from verax.plot._canvas import FONT, LINE, ORANGE, Axes, axes_or_new, ink
from verax.plot._leaves import ending, spread

FAINT = 0.15  # opacity of the smallest share that is not zero


def dead_units(units: DeadUnits, *, ax: Axes = None) -> Axes:
    """Draws the share of dead units of every hidden layer at each moment, from empty (none) to strong (all).

    A dash stands where outputs are NaN or Inf. Of more than 30 layers, those with dead units are drawn and others at
    equal distances; the axes say so.

    Args:
      units: from `vx.debug.dead_units`, or of a certificate.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if there is no layer.
    """
    if not units.layers or not units.moments:
        raise ValueError("units must have a hidden layer with an activation, got none.")
    from matplotlib.colors import to_rgb

    shares = np.array([[np.nan if each is None else each for each in layer.shares] for layer in units], float)
    shown = spread(np.asarray(np.nan_to_num(shares, nan=1.0).any(axis=1)))
    shares = shares[shown]
    ax = axes_or_new(ax, height=1.3 + 0.22 * len(shown))
    ax.grid(False)
    opacity = np.where(shares > 0, FAINT + (1 - FAINT) * np.nan_to_num(shares), 0.0)
    opacity = np.where(np.isnan(shares), 0.3, opacity)
    color = np.where(np.isnan(shares)[..., None], to_rgb(LINE), to_rgb(ORANGE))
    ax.imshow(np.concatenate([color, opacity[..., None]], axis=-1), aspect="auto", interpolation="none")
    for (row, column), share in np.ndenumerate(shares):
        ax.text(column, row, _percent(share), ha="center", va="center", fontsize=FONT - 1, color=ink(ax))
    ax.set_yticks(range(len(shown)), [ending(units.layers[place].name) for place in shown], fontsize=FONT - 2)
    steps = ("" if step is None else f"\n{step:,}" for step in units.steps)
    ax.set_xticks(range(len(units.moments)), [f"{name}{step}" for name, step in zip(units.moments, steps, strict=True)])
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        label.set_parse_math(False)
    ax.tick_params(length=0)
    if len(shown) < len(units):
        ax.set_title(f"{len(shown)} of {len(units)} layers", loc="right", fontsize=FONT - 1, color=ink(ax))
    ax.set(xlabel="step", ylabel="layer")
    return ax


def _percent(share: float) -> str:
    """Returns a share in whole per cent; what is neither none nor all is not rounded to it."""
    if np.isnan(share):
        return "–"
    return "<1 %" if 0 < share < 0.01 else ">99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"
