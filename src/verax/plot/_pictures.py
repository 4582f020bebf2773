"""The images that a classifier got most surely wrong."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from verax.plot._canvas import FONT, INK, LINE, Figure, new_figure, short

Images = Shaped[Array | np.ndarray, "examples height width *channels"]
Labels = Int[Array | np.ndarray, " examples"]
Probabilities = Float[Array | np.ndarray, "examples classes"]

COLUMNS = 4
DARK = 64  # bytes none of which is larger have a range of their own: scikit-learn's digits go up to 16
LARGEST = 96  # pixels along an edge; larger images are thinned, so that a page of them stays small


class Mistakes(NamedTuple):
    """Wrongly classified images, the most confident first.

    Attributes:
      images: between 0 and 1, with three channels or none; at most 96 pixels along an edge.
      labels: the true classes.
      predictions: the predicted ones.
      confidence: the probability that was given to the prediction.
      rows: their positions among the examples.
      classes: the names of the classes.
      total: how many mistakes there are in all.
      examples: out of how many.
    """

    images: Float[np.ndarray, "shown height width *channels"]
    labels: Int[np.ndarray, " shown"]
    predictions: Int[np.ndarray, " shown"]
    confidence: Float[np.ndarray, " shown"]
    rows: Int[np.ndarray, " shown"]
    classes: tuple[str, ...]
    total: int
    examples: int


def find_mistakes(
    images: Images,
    labels: Labels,
    predictions: Labels,
    probabilities: Probabilities,
    classes: Sequence[str] | None = None,
    *,
    count: int = 12,
) -> Mistakes:
    """Returns the images whose wrong class got the highest probability.

    Args:
      images: grey or colour, `uint8` or any range of floats; without channels, or with 1, 3 or 4 of them at the end.
      labels: the true classes.
      predictions: the predicted ones.
      probabilities: of every class, a row an example.
      classes: their names; numbers if not given.
      count: the most that are returned.

    Raises:
      ValueError: if the images are neither grey nor colour.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    confidence = np.asarray(probabilities, np.float64)[np.arange(len(labels)), predictions]
    wrong = np.flatnonzero(labels != predictions)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    names = classes if classes is not None else range(np.shape(probabilities)[1])
    return Mistakes(
        images=shown_images(images, rows),
        labels=labels[rows],
        predictions=predictions[rows],
        confidence=confidence[rows],
        rows=rows,
        classes=tuple(map(str, names)),
        total=len(wrong),
        examples=len(labels),
    )


def worst_mistakes(
    images: Images,
    labels: Labels,
    predictions: Labels,
    probabilities: Probabilities,
    classes: Sequence[str] | None = None,
    *,
    count: int = 12,
) -> Figure:
    """Draws the images whose wrong class got the highest probability, each with what it is and what it was taken for.

    Takes what `find_mistakes` takes. Without a mistake, the figure says so.
    """
    return draw_mistakes(find_mistakes(images, labels, predictions, probabilities, classes, count=count))


def draw_mistakes(found: Mistakes) -> Figure:
    """Draws what `find_mistakes` found."""
    lines = max(1, -(-len(found.rows) // COLUMNS))
    figure = new_figure(1.35 * lines)
    if not len(found.rows):
        words = f"no mistake in {found.examples} examples"
        figure.text(0.5, 0.5, words, ha="center", va="center", color=INK, fontsize=FONT)
        return figure
    for ax in figure.subplots(lines, COLUMNS, squeeze=False).ravel()[len(found.rows) :]:
        ax.set_axis_off()
    for ax, image, true, said, sure in zip(
        figure.axes, found.images, found.labels, found.predictions, found.confidence, strict=False
    ):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="none")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color=LINE, linewidth=0.6)
        text = (
            f"true: {short(found.classes[true], 10)}\nsaid: {short(found.classes[said], 10)}\n{100 * sure:.0f} % sure"
        )
        ax.set_xlabel(text, fontsize=FONT - 2, color=INK, parse_math=False)
    return figure


def png(image: Float[np.ndarray, "height width *channels"]) -> bytes:
    """Returns an image with values between 0 and 1, grey or with three channels, as the content of a PNG file."""
    from matplotlib.image import imsave

    content = io.BytesIO()
    unsigned: dict[str, Any] = {"Software": None}
    imsave(content, image, cmap="gray", vmin=0, vmax=1, format="png", metadata=unsigned)
    return content.getvalue()


def shown_images(images: Images, rows: Int[np.ndarray, " shown"]) -> Float[np.ndarray, "shown rows columns *colors"]:
    """Returns some images with values between 0 and 1, grey or of three channels, at most 96 pixels along an edge.

    Raises:
      ValueError: if the images are neither grey nor colour.
    """
    channels = images.shape[3] if images.ndim == 4 else 1
    if images.ndim > 4 or channels not in (1, 3, 4):
        raise ValueError(f"images must be grey or have 1, 3 or 4 channels at the end, got shape {tuple(images.shape)}.")
    every = -(-max(images.shape[1:3]) // LARGEST)
    shown = np.asarray(images[rows])[:, ::every, ::every].astype(np.float64)
    if images.ndim == 4:
        shown = shown[..., 0] if channels == 1 else shown[..., :3]
    if images.dtype == np.uint8 and shown.size and shown.max() > DARK:
        return shown / 255
    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return np.nan_to_num((shown - low) / (high - low if high > low else 1.0), nan=0.0, posinf=1.0, neginf=0.0)
