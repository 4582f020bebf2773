"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Num

from verax.plot._canvas import BLUE, FONT, ORANGE, Axes, axes_or_new, ink, short

NUMBERED = 20  # with more classes the counts would be too small to read
LABELLED = 26


def confusion_matrix(
    confusion: Num[np.ndarray, "classes classes"], classes: Sequence[str] | None = None, *, ax: Axes = None
) -> Axes:
    """Draws counts with true classes in rows and predicted ones in columns.

    Right answers are blue and mistakes orange, the stronger the larger their share of the row; a cell without examples
    is left empty. Up to 20 classes have their counts written in.

    Args:
      confusion: counts, or sums of weights.
      classes: their names, in order; numbers if not given.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if there is another number of names than of classes.
    """
    size = len(confusion)
    names = [str(index) for index in range(size)] if classes is None else [short(name, 12) for name in classes]
    if len(names) != size:
        raise ValueError(f"classes must name the {size} classes of the confusion matrix, got {len(names)} names.")
    ax = axes_or_new(ax, height=3.5)
    ax.grid(False)
    ax.imshow(_shades(confusion), interpolation="none")
    if size <= NUMBERED:
        look = {"ha": "center", "va": "center", "fontsize": min(FONT - 1, 190 / size / 2), "color": ink(ax)}
        for row, column in zip(*np.nonzero(confusion), strict=True):
            ax.text(column, row, f"{confusion[row, column]:.4g}", **look)
    _name_ticks(ax, names)
    ax.set(xlabel="predicted", ylabel="true")
    return ax


def _shades(confusion: Num[np.ndarray, "classes classes"]) -> np.ndarray:
    """Returns red, green, blue and opacity of each cell; the opacity leaves text of either colour readable on it."""
    from matplotlib.colors import to_rgb

    total = confusion.sum(axis=1, keepdims=True)
    share = np.divide(confusion, total, out=np.zeros(confusion.shape), where=total > 0)
    right = np.eye(len(confusion), dtype=bool)
    color = np.where(right[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    opacity = np.where(right, 0.45 * share, 0.2 + 0.35 * share) * (confusion > 0)
    return np.concatenate([color, opacity[..., None]], axis=-1)


def _name_ticks(ax: Axes, names: list[str]) -> None:
    every = -(-len(names) // LABELLED)
    places = np.arange(0, len(names), every)
    long = max(len(names[place]) for place in places) * min(len(names), LABELLED) > 34
    ax.set_xticks(places, [names[place] for place in places], rotation=90 if long else 0)
    ax.set_yticks(places, [names[place] for place in places])
    ax.tick_params(length=0, labelsize=FONT - 1 if len(names) <= 14 else FONT - 3)
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_parse_math(False)
