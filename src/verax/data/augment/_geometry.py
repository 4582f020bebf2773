"""Augmentations that move the pixels of an image: crop, flip, rotate, shift."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Int, Shaped

from verax.data.augment._augmentation import (
    Augmentation,
    as_dtype,
    finite,
    makes_augmentation,
    of_images,
    positive,
    shown,
    whole,
)


@makes_augmentation
def crop(padding: int, fill: float | int = 0.0) -> Augmentation:
    """Returns an augmentation that pads an image on all sides and cuts a random piece of the old size out of it.

    A move by whole pixels, up to `padding` of them in each direction, all equally likely.

    Args:
      padding: pixels on each side, at least 1; 4 is usual for images of 28 to 32 pixels.
      fill: the value of the padding, in the units of the inputs as the network sees them.

    Raises:
      InputError: if an argument is out of its range; when traced, if the inputs are not images.

    Example:
      >>> batch = vx.data.Batch(jnp.ones((2, 8, 8)), jnp.array([0, 1]), jnp.ones(2))
      >>> vx.data.augment.crop(2)(jax.random.key(0), batch).inputs.shape
      (2, 8, 8)
    """
    padding, fill = whole("padding", padding), finite("fill", fill)

    def transform(key: Any, images: Any) -> Any:
        corners = jax.random.randint(key, (images.shape[0], 2), 0, 2 * padding + 1)
        return cropped(images, corners, padding, fill)

    return of_images("crop", shown(("padding", padding), fill), transform)


def cropped(
    images: Shaped[Array, "examples height width channels"],
    corners: Int[Array, "examples 2"],
    padding: int,
    fill: float | int = 0.0,
) -> Shaped[Array, "examples height width channels"]:
    """Returns from every padded image the piece that begins at its corner (row, column)."""
    edge = (padding, padding)
    padded = jnp.pad(images, ((0, 0), edge, edge, (0, 0)), constant_values=jnp.asarray(fill, images.dtype))

    def piece(image: Any, corner: Any) -> Any:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], jnp.zeros_like(corner[0])), images.shape[1:])

    return jax.vmap(piece)(padded, corners)


@makes_augmentation
def flip() -> Augmentation:
    """Returns an augmentation that mirrors an image left to right, with probability 1/2.

    Not for digits and letters: a mirrored 2 is no 2.

    Example:
      >>> vx.data.augment.flip()
      flip()
    """

    def transform(key: Any, images: Any) -> Any:
        mirrored = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
        return jnp.where(mirrored, images[:, :, ::-1], images)

    return of_images("flip", (), transform)


@makes_augmentation
def rotate(degrees: Any, fill: float | int = 0.0) -> Augmentation:
    """Returns an augmentation that turns an image about its centre, by an angle uniform on `[-degrees, degrees]`.

    Values between pixels are interpolated linearly; corners that come from outside take `fill`.

    Args:
      degrees: the largest angle, above 0; may be traced.
      fill: the value outside the image.

    Raises:
      InputError: if an argument is out of its range; when traced, if the inputs are not images.

    Example:
      >>> vx.data.augment.rotate(15)
      rotate(degrees=15.0)
    """
    degrees, fill = positive("degrees", degrees), finite("fill", fill)

    def transform(key: Any, images: Any) -> Any:
        return rotated(images, degrees * jax.random.uniform(key, (images.shape[0],), minval=-1.0, maxval=1.0), fill)

    return of_images("rotate", shown(("degrees", degrees), fill), transform)


def rotated(
    images: Shaped[Array, "examples height width channels"], degrees: Float[Array, "examples"], fill: float | int = 0.0
) -> Shaped[Array, "examples height width channels"]:
    """Returns every image turned anticlockwise by its angle in degrees."""
    rows, columns, (middle_row, middle_column) = _grid(images)
    rows, columns = rows - middle_row, columns - middle_column

    def source(angle: Any) -> tuple[Any, Any]:
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        return cosine * rows + sine * columns + middle_row, cosine * columns - sine * rows + middle_column

    return _sampled(images, *jax.vmap(source)(jnp.deg2rad(degrees)), fill)


@makes_augmentation
def shift(pixels: Any, fill: float | int = 0.0) -> Augmentation:
    """Returns an augmentation that moves an image by any fraction of a pixel, uniform on `[-pixels, pixels]` each way.

    Unlike `crop`, it interpolates between pixels (linearly), so that small images are moved by less than one, too.

    Args:
      pixels: the largest move along each axis, above 0; may be traced.
      fill: the value outside the image.

    Raises:
      InputError: if an argument is out of its range; when traced, if the inputs are not images.

    Example:
      >>> vx.data.augment.shift(1.5)
      shift(pixels=1.5)
    """
    pixels, fill = positive("pixels", pixels), finite("fill", fill)

    def transform(key: Any, images: Any) -> Any:
        return shifted(images, pixels * jax.random.uniform(key, (images.shape[0], 2), minval=-1.0, maxval=1.0), fill)

    return of_images("shift", shown(("pixels", pixels), fill), transform)


def shifted(
    images: Shaped[Array, "examples height width channels"],
    offsets: Float[Array, "examples 2"],
    fill: float | int = 0.0,
) -> Shaped[Array, "examples height width channels"]:
    """Returns every image moved down and to the right by its offsets in pixels."""
    rows, columns, _ = _grid(images)
    moved = jax.vmap(lambda offset: (rows - offset[0], columns - offset[1]))(offsets)
    return _sampled(images, *moved, fill)


def _grid(images: Any) -> tuple[Any, Any, tuple[float, float]]:
    """The row and column of every pixel, float32 (height, width), and the place of the centre."""
    height, width = images.shape[1:3]
    rows, columns = jnp.meshgrid(jnp.arange(float(height)), jnp.arange(float(width)), indexing="ij")
    return rows, columns, ((height - 1) / 2, (width - 1) / 2)


def _sampled(images: Any, rows: Any, columns: Any, fill: float) -> Any:
    """The value of every image at its own points (examples, height, width), linear between pixels."""

    def channel(plane: Any, rows: Any, columns: Any) -> Any:
        return map_coordinates(plane, [rows, columns], order=1, mode="constant", cval=fill)

    each_channel = jax.vmap(channel, in_axes=(2, None, None), out_axes=2)
    return as_dtype(jax.vmap(each_channel)(images.astype(jnp.float32), rows, columns), images.dtype)
