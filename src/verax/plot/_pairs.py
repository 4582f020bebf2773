"""Images before and after something was done to them: augmentation, reconstruction."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Shaped

from verax.plot._canvas import FONT, INK, LINE, Figure, new_figure
from verax.plot._pictures import shown_images

Images = Shaped[Array | np.ndarray, "..."]  # two of them may differ in height and width: cropped, resized
COLUMNS = 8


def augmentation_grid(before: Images, after: Images) -> Figure:
    """Draws training images above what the network sees of them in one step.

    Args:
      before: grey or colour, `uint8` or any range of floats; without channels, or with 1, 3 or 4 of them at the end.
      after: the same examples, augmented. Both are drawn on one scale of brightness.

    Raises:
      ValueError: if the images are neither grey nor colour, or there are not as many.
    """
    return image_pairs(before, after, ("as it is", "augmented"))


def reconstructions(inputs: Images, outputs: Images) -> Figure:
    """Draws images above what an autoencoder makes of them.

    Args:
      inputs: grey or colour, `uint8` or any range of floats; without channels, or with 1, 3 or 4 of them at the end.
      outputs: of the same shape. Both are drawn on one scale of brightness.

    Raises:
      ValueError: if the images are neither grey nor colour, or there are not as many.
    """
    return image_pairs(inputs, outputs, ("input", "reconstruction"))


def image_pairs(first: Images, second: Images, names: tuple[str, str]) -> Figure:
    """Draws up to 8 images in a row, each above its counterpart, with a name before each row.

    Raises:
      ValueError: if the images are neither grey nor colour, or there are not as many.
    """
    if first.shape[0] != second.shape[0] or not len(first):
        raise ValueError(f"images must come in pairs, one at least, got {first.shape[0]} and {second.shape[0]}.")
    count = min(COLUMNS, first.shape[0])
    both = [np.asarray(images[:count]) for images in (first, second)]
    if both[0].dtype != both[1].dtype or both[0].shape[1:] != both[1].shape[1:]:
        drawn = [shown_images(images, np.arange(count)) for images in both]  # each on its own scale
    else:
        together = shown_images(np.concatenate(both), np.arange(2 * count))
        drawn = [together[:count], together[count:]]
    figure = new_figure(1.5)
    axes = figure.subplots(2, count, squeeze=False)
    for row, (name, images) in enumerate(zip(names, drawn, strict=True)):
        for ax, image in zip(axes[row], images, strict=True):
            ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="none")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(color=LINE, linewidth=0.6)
        axes[row][0].set_title(name, loc="left", fontsize=FONT - 1, color=INK)
    return figure
