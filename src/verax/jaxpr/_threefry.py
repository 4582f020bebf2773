"""JAX's default random bits, drawn by straight-line code that XLA fuses into whatever uses them.

On CPU, JAX runs the 20 rounds of Threefry as a rolled loop to keep compilation short; a dropout mask then costs about
six times what the same bits cost here (`benchmarks/README.md`). Bits, `split` and `fold_in` equal those of a default
typed key with `jax_threefry_partitionable`, JAX's default; a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import define_prng_impl

PARITY = np.uint32(0x1BD11BDA)
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


@cache
def straight_threefry(once: bool = False) -> Any:
    """Returns the generator, for `jax.random.wrap_key_data(data, impl=straight_threefry())`.

    Args:
      once: whether XLA's CPU compiler keeps the bits of a draw, rather than draw them again in each loop that reads
        them, as the backward pass of a dropout is. For many lanes at once that is faster, for a small step alone
        slower (`benchmarks/README.md`). The bits are the same.
    """
    return define_prng_impl(
        key_shape=(2,),
        seed=_seed,
        split=_split,
        random_bits=_bits_once if once else _random_bits,
        fold_in=_fold_in,
        name="verax_threefry_once" if once else "verax_threefry",
        tag="vx3o" if once else "vx3",
    )


def threefry2x32(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Returns the two output words of Threefry-2x32-20 for each counter; elementwise on uint32 arrays.

    References:
      Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3"; Random123's `threefry2x32_R(20, ...)`.
    """
    schedule = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    first, second = counter[0] + schedule[0], counter[1] + schedule[1]
    for turn in range(20):
        first = first + second
        second = _rotate_left(second, ROTATIONS[turn % 8]) ^ first
        if turn % 4 == 3:
            injection = turn // 4 + 1
            first = first + schedule[injection % 3]
            second = second + schedule[(injection + 1) % 3] + np.uint32(injection)
    return first, second


def _rotate_left(word: Any, by: int) -> Any:
    return lax.shift_left(word, np.uint32(by)) | lax.shift_right_logical(word, np.uint32(32 - by))


def _counters(shape: Sequence[int]) -> tuple[Any, Any]:
    """Returns the row-major position of each element as (high, low) words, computed elementwise so that it fuses."""
    if np.prod(shape, dtype=float) >= 2**32:
        raise ValueError(f"a single draw must have fewer than 2**32 numbers, got shape {tuple(shape)}.")
    position, stride = jnp.zeros(shape, np.uint32), 1
    for axis in reversed(range(len(shape))):
        position = position + lax.broadcasted_iota(np.uint32, shape, axis) * np.uint32(stride)
        stride *= shape[axis]
    return jnp.zeros(shape, np.uint32), position


def _seed(seed: Any) -> Any:
    seed = jnp.asarray(seed)
    low = lax.convert_element_type(seed, np.uint32)
    wide = seed.dtype.itemsize == 8
    high = (
        lax.convert_element_type(lax.shift_right_logical(seed, np.array(32, seed.dtype)), np.uint32)
        if wide
        else jnp.zeros_like(low)
    )
    return jnp.stack([high, low])


def _split(key: Any, shape: Sequence[int]) -> Any:
    return _apart(jnp.stack(threefry2x32((key[0], key[1]), _counters(shape)), axis=len(shape)))


def _fold_in(key: Any, data: Any) -> Any:
    high, low = _seed(jnp.asarray(data, np.uint32))
    return _apart(jnp.stack(threefry2x32((key[0], key[1]), (high, low))))


def _apart(key: Any) -> Any:
    """Returns derived keys, kept out of the loops that draw from them.

    A key is the same for all numbers of a draw. Fused into the loop over them, three derivations in a row (60 rounds)
    keep LLVM's vectoriser, in the JAX 0.12 of today, busy for longer than anyone waits: it asks of each value, anew
    along every path, whether only its first lane is used.
    """
    return lax.optimization_barrier(key)


def _random_bits(key: Any, bit_width: int, shape: Sequence[int]) -> Any:
    high, low = threefry2x32((key[0], key[1]), _counters(shape))
    if bit_width == 64:
        return lax.shift_left(lax.convert_element_type(high, np.uint64), np.uint64(32)) | lax.convert_element_type(
            low, np.uint64
        )
    return lax.convert_element_type(high ^ low, np.dtype(f"uint{bit_width}"))


def _bits_once(key: Any, bit_width: int, shape: Sequence[int]) -> Any:
    """Returns the same bits, divided by a 1.

    Elementwise work XLA holds for cheap, and repeats the 20 rounds where the bits are read. Division of integers it
    holds for dear, and keeps the results. That the divisor is 1 only LLVM sees, which then leaves the division out.
    """
    bits = _random_bits(key, bit_width, shape)
    if jax.default_backend() != "cpu":
        return bits
    one = lax.shift_right_logical(key[0], np.uint32(31)) | np.uint32(1)
    return lax.div(bits, jnp.broadcast_to(lax.convert_element_type(one, bits.dtype), bits.shape))
