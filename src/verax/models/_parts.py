"""What the models share: normalisation by name, and checks of their arguments and inputs."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from math import gcd
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array

from verax.findings import InputError

Norm = Literal["batch", "layer", "group"]
NORMS = (*get_args(Norm), None)
GROUP_SIZE = 16  # channels a group: as good as 32 groups (Wu and He 2018, "Group Normalization", table 3)


def normalised(inputs: Array, norm: Norm | None, training: bool, *, scale_init: Any = nn.initializers.ones) -> Array:
    """Returns the inputs normalised; to be called inside a compact module, which the layer then belongs to.

    Args:
      inputs: examples first, channels last.
      norm: `batch` over examples and places, with running averages (momentum 0.9) in evaluation; `layer` over the
        channels of a place; `group` over places and up to 16 channels of an example; None leaves the inputs alone.
      training: whether the statistics are those of the batch.
      scale_init: initial scale; zeros switch a branch off.
    """
    if norm == "batch":
        layer = nn.BatchNorm(use_running_average=not training, momentum=0.9, epsilon=1e-5, scale_init=scale_init)
    elif norm == "layer":
        layer = nn.LayerNorm(epsilon=1e-5, scale_init=scale_init)
    elif norm == "group":
        size = gcd(inputs.shape[-1], GROUP_SIZE)
        layer = nn.GroupNorm(num_groups=None, group_size=size, epsilon=1e-5, scale_init=scale_init)
    else:
        return inputs
    return layer(inputs)


def norm_text(norm: Norm | None) -> list[str]:
    """Returns `["batch norm"]`, or nothing where there is none."""
    return [f"{norm} norm"] if norm else []


def choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raises an InputError unless a value is one of those allowed."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def whole_number(name: str, value: Any) -> int:
    """Returns a whole number of any kind as an int.

    Raises:
      InputError: unless it is one of at least 1.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def whole_numbers(name: str, values: Any, *, empty: bool = False) -> tuple[int, ...]:
    """Returns a sequence of whole numbers as a tuple, which can be hashed.

    Raises:
      InputError: unless all are at least 1, and there is one, or `empty` is allowed.
    """
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
        raise InputError(f"{name} must be a sequence of whole numbers such as (64, 32), got {values!r}.")
    if not len(values) and not empty:
        raise InputError(f"{name} must hold at least one number, got {values!r}.")
    return tuple(whole_number(f"{name}[{index}]", value) for index, value in enumerate(values))


def require_floating(model: str, inputs: Any) -> None:
    """Raises an InputError if inputs are no floating-point numbers."""
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise InputError(
            f"inputs of {model} must be floating-point, got {inputs.dtype} of shape {inputs.shape}. "
            "Scale them, with vx.data.scale_uint8() or vx.data.standardise(), or convert them."
        )


def as_images(model: str, inputs: Any) -> Any:
    """Returns images (examples, height, width, channels); those without channels get one.

    Raises:
      InputError: if inputs are no images, or not floating-point.
    """
    require_floating(model, inputs)
    if inputs.ndim not in (3, 4):
        raise InputError(
            f"inputs of {model} must be images (examples, height, width) or (examples, height, width, channels), "
            f"got shape {inputs.shape}."
        )
    return inputs[..., None] if inputs.ndim == 3 else inputs
