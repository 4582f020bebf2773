"""The look that all pictures share: size, colours, axes. Figures are made without pyplot, so nothing stays open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Axes = Any  # matplotlib.axes.Axes, or None for an argument: Matplotlib is imported when something is drawn
Figure = Any  # matplotlib.figure.Figure

WIDTH = 3.6  # inches: a column of a paper; on a phone, a font of 10 points stays one of about 10 pixels
FONT = 10

# Okabe and Ito (2008), "Color Universal Design": told apart with any kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, LINE, GRID = "#1c2733", "#7d8894", "#d9dee3"

PALETTE = {"ink": INK, "line": LINE, "grid": GRID, "blue": BLUE, "orange": ORANGE, "green": GREEN, "purple": PURPLE}
SERIES = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "D"))  # shapes differ as well


def axes_or_new(ax: Axes, height: float = 2.5) -> Axes:
    """Returns the given axes untouched, or new ones of the common width and look in a figure of their own."""
    if ax is not None:
        return ax
    figure = new_figure(height)
    ax = figure.subplots()
    dress(ax)
    return ax


def new_figure(height: float) -> Figure:
    """Returns an empty figure of the common width; `height` is in inches."""
    from matplotlib.figure import Figure as NewFigure

    return NewFigure(figsize=(WIDTH, height), layout="constrained", facecolor="white")


def dress(ax: Axes) -> None:
    """Gives axes the common look: two thin spines, a light grid, dark text."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=LINE, linewidth=0.8)
    ax.tick_params(color=LINE, labelcolor=INK, labelsize=FONT, width=0.8, length=3)
    for label in (ax.xaxis.label, ax.yaxis.label, ax.title):
        label.set(color=INK, fontsize=FONT)
    ax.grid(color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)


def ink(ax: Axes) -> str:
    """Returns the colour that text has in these axes, so that a picture fits into a user's dark figure too."""
    from matplotlib.colors import to_hex

    return to_hex(ax.xaxis.label.get_color())


def legend(ax: Axes, **options: Any) -> None:
    """Draws a legend without a frame, in the axes' ink."""
    box = ax.legend(frameon=False, fontsize=FONT - 1, labelcolor=ink(ax), handlelength=1.8, **options)
    for text in box.get_texts():
        text.set_parse_math(False)


def plain_log_ticks(ax: Axes) -> None:
    """Labels a logarithmic axis 0.1, 1, 100 rather than with powers, which SVG shows as text only in pieces."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,g}" if 1e-4 <= value < 1e6 else f"{value:.0e}")
    )
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="y", which="minor", length=0)


def short(name: object, most: int = 14) -> str:
    """Returns a user's name fit for a picture: one line, at most `most` characters, nothing that cannot be printed."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(name))
    return text if len(text) <= most else text[: most - 1] + "…"


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Names in scripts that Matplotlib's font lacks are boxes in a PNG and right in a browser: no warning."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support")
        yield
