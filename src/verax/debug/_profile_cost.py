"""What a program computes, counted by XLA, and what this machine can do, measured."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun, jaxprs_in_params

REPEATS, MEASURED_SECONDS = 5, 0.7  # of each measurement of the machine, at the least; the best counts
LONG_ENOUGH = 0.02  # seconds of one matrix product: far above the cost of a dispatch
LARGEST = 16_384  # rows of the product
STREAM_BYTES = 2**27  # read, and as many written: beyond the caches


class Machine(NamedTuple):
    """What the first device can do, measured here and now: float32 operations and bytes a second, best of several."""

    flops_per_second: float
    bytes_per_second: float


def flops(program: ClosedJaxpr) -> tuple[float, bool]:
    """Returns the floating-point operations of one call, and whether a loop of unknown length counts only once.

    XLA's own count of the program as written (`lowered.cost_analysis()`): before fusion, which may compute a number
    twice. XLA counts the body of a rolled loop once; `scan` says how often it runs, so its body is counted that often.

    Example:
      >>> double = jax.make_jaxpr(lambda x: jax.lax.scan(lambda y, _: (y @ x, None), x, None, length=7)[0])
      >>> 7 * 2 * 64**3 <= flops(double(jnp.ones((64, 64))))[0] <= 1.01 * 7 * 2 * 64**3
      True
    """
    total, unknown = _counted_once(program), False
    for eqn in _loops(program.jaxpr):
        known = eqn.primitive.name == "scan"
        body = eqn.params["jaxpr" if known else "body_jaxpr"]
        counted, inner_unknown = flops(body)
        total += counted * (eqn.params["length"] if known else 1) - _counted_once(body)
        unknown |= inner_unknown or not known
    return total, unknown


def _counted_once(program: ClosedJaxpr) -> float:
    """Returns XLA's count, in which the body of a loop counts once."""
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in program.in_avals]
    analysis: Any = jax.jit(jaxpr_as_fun(program)).lower(*shapes).cost_analysis()
    return float((analysis or {}).get("flops", 0.0))


def _loops(jaxpr: Jaxpr | ClosedJaxpr) -> Iterator[JaxprEqn]:
    """Yields the loops of a program that are in no other loop."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("scan", "while"):
            yield eqn
        else:
            for inner in jaxprs_in_params(eqn.params):
                yield from _loops(inner)


@functools.cache
def measure_machine() -> Machine:
    """Returns the speed of a large float32 matrix product and of adding one to a large array; takes about two seconds.

    Measured once a process. Both repeat inside a compiled loop, where memory is taken from the system only once. The
    product is computed as JAX does by default: on devices that round float32 products (TF32), faster than exact ones.
    """
    size, seconds = 512, 0.0
    while seconds < LONG_ENOUGH and size < LARGEST:
        size *= 2
        operand = jnp.full((size, size), 1.0 / size, jnp.float32)
        seconds = _best_seconds(lambda array, operand=operand: operand @ array, operand, inner=2)
    stream = _best_seconds(lambda array: array + 1, jnp.zeros(STREAM_BYTES // 4, jnp.float32), inner=8)
    return Machine(2.0 * size**3 / seconds, 2.0 * STREAM_BYTES / stream)


def _best_seconds(function: Callable[[Any], Any], array: Any, inner: int) -> float:
    """Returns the least seconds of one application of a function from an array to one of the same shape.

    Short measurements, many of them: on a machine that does other things too, few are left alone.
    """
    repeated = jax.jit(lambda array: jax.lax.fori_loop(0, inner, lambda _, each: function(each), array))
    jax.block_until_ready(repeated(array))
    best, begun, repeats = math.inf, time.perf_counter(), 0
    while repeats < REPEATS or time.perf_counter() - begun < MEASURED_SECONDS:
        clock = time.perf_counter()
        jax.block_until_ready(repeated(array))
        best = min(best, time.perf_counter() - clock)
        repeats += 1
    return best / inner
