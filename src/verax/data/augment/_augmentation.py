"""What every augmentation is: a named, frozen function `(key, batch) -> batch`, drawing anew for every example."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data._batch import Batch
from verax.findings import InputError
from verax.trees import shape_text


@dataclass(frozen=True)
class Augmentation:
    """A change of a batch, drawn anew for every example: `augmentation(key, batch) -> batch`.

    Pure and traceable: the same key gives the same bits. Shapes, dtypes and weights stay as they are, except that
    `mixup` turns labels into distributions. Equal if name and arguments are equal.

    Attributes:
      name: of the function that made it.
      arguments: what it was made with, by name.
      apply: the function itself.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...]
    apply: Callable[[Any, Batch], Batch] = field(repr=False, compare=False)

    def __call__(self, key: Any, batch: Batch) -> Batch:
        """Returns the batch, changed."""
        return self.apply(key, batch)

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" if name else repr(value) for name, value in self.arguments]
        return f"{self.name}({', '.join(shown)})"


def compose(*augmentations: Any) -> Augmentation:
    """Returns augmentations applied one after the other, each with a key of its own.

    Args:
      *augmentations: functions `(key, batch) -> batch`, in the order in which they are applied; your own ones too.

    Raises:
      InputError: if one of them cannot be called, such as a function of this module that was not called.

    Example:
      >>> vx.data.augment.compose(vx.data.augment.crop(2), vx.data.augment.flip())
      compose(crop(padding=2), flip())
    """
    for each in augmentations:
        if not callable(each):
            raise InputError(f"compose takes functions (key, batch) -> batch, got {type(each).__name__} {each!r}.")
        if each in _FACTORIES:
            name = getattr(each, "__name__", repr(each))
            raise InputError(f"compose takes augmentations, got the function {name} that makes one. Call it: {name}().")

    def apply(key: Any, batch: Batch) -> Batch:
        for each, own_key in zip(augmentations, jax.random.split(key, max(1, len(augmentations))), strict=False):
            batch = each(own_key, batch)
        return batch

    return Augmentation("compose", tuple(("", each) for each in augmentations), apply)


_FACTORIES: list[Callable[..., Augmentation]] = [compose]


def makes_augmentation(function: Callable[..., Augmentation]) -> Callable[..., Augmentation]:
    """Registers a function that makes an augmentation, so that forgetting to call it is noticed."""
    _FACTORIES.append(function)
    return function


def of_images(
    name: str, arguments: tuple[tuple[str, Any], ...], transform: Callable[[Any, jax.Array], jax.Array]
) -> Augmentation:
    """Returns an augmentation of images, from a function of a key and an array (examples, height, width, channels)."""

    def apply(key: Any, batch: Batch) -> Batch:
        leaves = jax.tree.leaves(batch.inputs)
        if len(leaves) != 1 or jnp.ndim(leaves[0]) not in (3, 4):
            found = ", ".join(shape_text(leaf) for leaf in leaves)
            raise InputError(
                f"{name} changes images, one array (examples, height, width) or (examples, height, width, channels), "
                f"but the inputs are {found}. For other inputs write your own function (key, batch) -> batch."
            )
        images = jnp.asarray(leaves[0])
        if not (jnp.issubdtype(images.dtype, jnp.floating) or images.dtype == jnp.uint8):
            raise InputError(f"{name} changes images of floats or uint8, but the inputs are {shape_text(images)}.")
        with_channels = images if images.ndim == 4 else images[..., None]
        changed = transform(key, with_channels).astype(images.dtype).reshape(images.shape)
        return batch._replace(inputs=jax.tree.unflatten(jax.tree.structure(batch.inputs), [changed]))

    return Augmentation(name, arguments, apply)


def as_dtype(values: jax.Array, dtype: Any) -> jax.Array:
    """Returns float32 values in the dtype of the images they came from: uint8 is rounded and kept in [0, 255]."""
    return jnp.clip(jnp.round(values), 0, 255).astype(dtype) if dtype == jnp.uint8 else values.astype(dtype)


def whole(name: str, value: Any) -> int:
    """Returns a number of pixels as an int.

    Raises:
      InputError: if it is not a whole number of at least 1.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or int(value) < 1:
        raise InputError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def positive(name: str, value: Any) -> Any:
    """Returns a number above 0; one that is traced (a lane of a study) is let through.

    Raises:
      InputError: if it is not.
    """
    if isinstance(value, jax.Array):
        return value
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not is_number or not 0 < float(value) < math.inf:
        raise InputError(f"{name} must be a number above 0, got {value!r}.")
    return float(value)


def finite(name: str, value: Any) -> float:
    """Returns a finite number.

    Raises:
      InputError: if it is not.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool | np.bool_) or not math.isfinite(float(value)):
        raise InputError(f"{name} must be a number, got {value!r}.")
    return float(value)


def shown(argument: tuple[str, Any], fill: float) -> tuple[tuple[str, Any], ...]:
    """Returns the arguments to show: the fill only where it is not 0."""
    return (argument, ("fill", fill)) if fill else (argument,)
