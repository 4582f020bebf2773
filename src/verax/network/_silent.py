"""A random key for passes without noise: it can be split and handed on, and drawing from it is an error."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl

from verax.findings import InputError


def silent_key(name: str) -> Any:
    """Returns a typed key from which no random number can be drawn; the error names the network.

    Layers that only pass a key on (a recurrent carry that begins at zero) work with it. A draw whose result is not used
    is an error too, because it is made all the same.

    Args:
      name: of the network.

    Example:
      >>> key = jax.random.split(silent_key("MLP"))[0]
      >>> jax.random.normal(key)
      Traceback (most recent call last):
      verax.findings.InputError: MLP draws random numbers in a pass without noise. ...
    """
    return jax.random.wrap_key_data(jnp.zeros(2, np.uint32), impl=_generator(name))


@cache
def _generator(name: str) -> Any:
    def refuse(key: Any, bit_width: int, shape: Sequence[int]) -> NoReturn:
        raise InputError(
            f"{name} draws random numbers in a pass without noise. Let the flag that switches its noise off "
            "(`deterministic`, `training`) reach every place that draws."
        )

    return define_prng_impl(
        key_shape=(2,),
        seed=lambda seed: jnp.zeros(2, np.uint32),
        split=lambda key, shape: jnp.broadcast_to(key, (*shape, 2)),
        random_bits=refuse,
        fold_in=lambda key, data: key,
        name="verax_silent",
        tag="vxs",
    )
