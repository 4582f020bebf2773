"""Dropout whose rate may be a traced number."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.core import Tracer
from jaxtyping import Array

from verax.findings import InputError

Rate = float | int | np.generic | np.ndarray | Array


class Dropout(nn.Dropout):
    """Flax's dropout, bit for bit, whose rate may also be an array: an input of the compiled program.

    Then one program trains every rate, and a batch of rates under `vmap`. A rate of exactly 0.0 in Python costs
    nothing; a traced 0 keeps every number and costs the drawing of the mask.

    Example:
      >>> rates = jnp.array([0.0, 0.5, 1.0])
      >>> drop = lambda rate: Dropout(rate).apply({}, jnp.ones(100), False, rngs={"dropout": jax.random.key(0)})
      >>> [float(each.max()) for each in jax.vmap(drop)(rates)]
      [1.0, 2.0, 0.0]
    """

    rate: Any  # a Rate: Flax's own field says float

    @nn.compact
    def __call__(
        self, inputs: Array | np.ndarray, deterministic: bool | None = None, rng: Array | None = None
    ) -> Array:
        """Returns the inputs, a share `rate` of them set to zero and the others scaled by `1 / (1 - rate)`."""
        deterministic = nn.merge_param("deterministic", self.deterministic, deterministic)
        inputs = jnp.asarray(inputs)
        known = not isinstance(self.rate, jax.Array)
        if deterministic or (known and self.rate == 0):
            return inputs
        if known and self.rate == 1:
            return jnp.zeros_like(inputs)
        keep = 1.0 - (float(self.rate) if known else self.rate)
        shape = [1 if axis in self.broadcast_dims else size for axis, size in enumerate(inputs.shape)]
        mask = jax.random.bernoulli(self.make_rng(self.rng_collection) if rng is None else rng, keep, tuple(shape))
        if not known:  # dividing by zero would make the gradient NaN, though nothing of it is kept
            keep = jnp.where(keep > 0, keep, jnp.ones_like(keep)).astype(inputs.dtype)
        mask = jnp.broadcast_to(mask, inputs.shape)
        return jax.lax.select(mask, inputs / keep, jnp.zeros_like(inputs))


def check_rate(rate: Rate) -> None:
    """Raises an InputError unless a dropout rate lies in [0, 1). Of arrays, which may be traced, the shape counts."""
    if isinstance(rate, jax.Array | np.ndarray):
        if rate.shape:
            raise InputError(f"dropout_rate must be one number, got shape {rate.shape}. Use jax.vmap for many rates.")
    elif isinstance(rate, bool) or not 0 <= float(rate) < 1:
        raise InputError(f"dropout_rate must be a number in [0, 1), got {rate!r}.")


def rate_text(rate: Rate) -> list[str]:
    """Returns `["dropout 0.1"]`, or nothing where there is no dropout."""
    if isinstance(rate, Tracer):
        return ["dropout traced"]
    return [f"dropout {float(rate):g}"] if float(rate) else []
