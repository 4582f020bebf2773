"""Augmentations that change values in their place: cutout and noise."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from verax.data._batch import Batch
from verax.data.augment._augmentation import Augmentation, finite, makes_augmentation, of_images, positive, shown, whole
from verax.findings import InputError
from verax.trees import is_floating, shape_text


@makes_augmentation
def cutout(size: int, fill: float | int = 0.0) -> Augmentation:
    """Returns an augmentation that overwrites a square of `size` pixels around a random pixel of each image.

    Every pixel is as likely as any other to be the centre, so near an edge part of the square falls outside.

    Args:
      size: of a side in pixels, at least 1 and at most the image's shorter side.
      fill: the value that is written, in the units of the inputs as the network sees them.

    Raises:
      InputError: if an argument is out of its range; when traced, if the inputs are not images, or smaller than that.

    References:
      DeVries and Taylor (2017), "Improved Regularization of Convolutional Neural Networks with Cutout".

    Example:
      >>> vx.data.augment.cutout(8)
      cutout(size=8)
    """
    size, fill = whole("size", size), finite("fill", fill)

    def transform(key: Any, images: Any) -> Any:
        shape = images.shape[1:3]
        if size > min(shape):
            raise InputError(f"size must be at most the shorter side of the images, {min(shape)}, got {size}.")
        centres = jax.random.randint(key, (images.shape[0], 2), 0, jnp.array([shape]))
        return jnp.where(squares(centres, size, shape)[..., None], jnp.asarray(fill, images.dtype), images)

    return of_images("cutout", shown(("size", size), fill), transform)


def squares(
    centres: Int[Array, "examples 2"], size: int, shape: tuple[int, int]
) -> Bool[Array, "examples height width"]:
    """Returns where the square around each centre (row, column) lies in an image of this height and width."""

    def within(positions: Any, first: Any) -> Any:
        return (positions >= first[:, None]) & (positions < first[:, None] + size)

    first = centres - size // 2
    rows, columns = (within(jnp.arange(length)[None], first[:, axis]) for axis, length in enumerate(shape))
    return rows[:, :, None] & columns[:, None, :]


@makes_augmentation
def noise(std: Any) -> Augmentation:
    """Returns an augmentation that adds normal noise to every floating-point input, whatever its shape.

    Args:
      std: its standard deviation, above 0, in the units of the inputs as the network sees them; may be traced.

    Raises:
      InputError: if `std` is not above 0; when traced, if no input is of floats.

    Example:
      >>> vx.data.augment.noise(0.1)
      noise(std=0.1)
    """
    std = positive("std", std)

    def apply(key: Any, batch: Batch) -> Batch:
        leaves, structure = jax.tree.flatten(batch.inputs)
        if not any(is_floating(leaf) for leaf in leaves):
            found = ", ".join(shape_text(leaf) for leaf in leaves)
            raise InputError(f"noise is added to floats, but the inputs are {found}. Scale them in .preprocess(...).")

        def noisy(key: Any, leaf: Any) -> Any:
            if not is_floating(leaf):
                return leaf
            drawn = jax.random.normal(key, jnp.shape(leaf), jnp.float32) * std
            return (leaf.astype(jnp.float32) + drawn).astype(leaf.dtype)

        keys = jax.random.split(key, len(leaves))
        changed = [noisy(own_key, leaf) for own_key, leaf in zip(keys, leaves, strict=True)]
        return batch._replace(inputs=jax.tree.unflatten(structure, changed))

    return Augmentation("noise", (("std", std),), apply)
