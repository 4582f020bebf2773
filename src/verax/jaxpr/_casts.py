"""Where a computation that was given float64 falls back to narrower floats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from verax.jaxpr._walk import Equation, Place
from verax.trees import is_floating


@dataclass(frozen=True)
class Cast:
    """A place where floating-point numbers lose precision: `float64 -> float32 in MLP/Dense_0 (mlp.py:12)`."""

    place: Place
    wide: str
    narrow: str

    def __str__(self) -> str:
        return f"{self.wide} -> {self.narrow} in {self.place}"


def narrowing_casts(fn: Callable[..., Any], *args: Any) -> tuple[Cast, ...]:
    """Returns the places where `fn`, given float64 for every floating-point argument, narrows what its result needs.

    Each place is named once. Empty for a function that computes in the precision of its arguments. A function that asks
    for its own precision (`dtype=float32` inside a network) cannot be checked beyond it.

    Example:
      >>> [(cast.wide, cast.narrow) for cast in narrowing_casts(lambda x: jnp.sin(x.astype(jnp.float32)), jnp.ones(3))]
      [('float64', 'float32')]
      >>> narrowing_casts(lambda x: jnp.sin(x) * 2, jnp.ones(3))
      ()
    """
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # the caller's constants may be float32
        closed = jax.make_jaxpr(fn)(*jax.tree.map(_widened, args))
    return narrowing_equations(closed)


def narrowing_equations(closed: ClosedJaxpr) -> tuple[Cast, ...]:
    """Returns the casts of a program that was already traced with float64 arguments; see `narrowing_casts`.

    Example:
      >>> narrowing_equations(jax.make_jaxpr(lambda x: x.astype(jnp.bfloat16))(jnp.ones(3)))[0].narrow
      'bfloat16'
    """
    casts, _ = _run(closed.jaxpr, [True] * len(closed.jaxpr.invars), None)
    return tuple(dict.fromkeys(casts))


def _widened(leaf: Any) -> Any:
    """Returns a leaf (or its shape) in float64 if it holds floating-point numbers."""
    if not is_floating(leaf):
        return leaf
    return jax.ShapeDtypeStruct(np.shape(leaf), jnp.float64)


def _run(jaxpr: Jaxpr, given: list[bool], outer: Equation | None) -> tuple[list[Cast], list[bool]]:
    """Returns the casts among the equations that use the inputs marked in `given` and are used by the outputs, and
    which outputs use those inputs."""
    used = {var for var, marked in zip(jaxpr.invars, given, strict=True) if marked}
    needed = _needed(jaxpr)
    casts: list[Cast] = []

    def uses(var: Any) -> bool:
        return not isinstance(var, Literal) and var in used

    for index, eqn in enumerate(jaxpr.eqns):
        marks = [uses(var) for var in eqn.invars]
        if not any(marks):
            continue
        used.update(eqn.outvars)
        if index not in needed:
            continue
        equation = Equation(eqn, outer)
        inner = list(jaxprs_in_params(eqn.params))
        for program in inner:
            same = len(program.invars) == len(marks)
            casts += _run(program, marks if same else [True] * len(program.invars), equation)[0]
        if not inner:
            casts += _narrowing(equation, marks)
    return casts, [uses(var) for var in jaxpr.outvars]


def _needed(jaxpr: Jaxpr) -> set[int]:
    """Returns the numbers of the equations that the outputs depend on."""
    wanted = {var for var in jaxpr.outvars if not isinstance(var, Literal)}
    needed = set()
    for index in reversed(range(len(jaxpr.eqns))):
        eqn = jaxpr.eqns[index]
        if wanted.intersection(eqn.outvars):
            needed.add(index)
            wanted.update(var for var in eqn.invars if not isinstance(var, Literal))
    return needed


def _narrowing(equation: Equation, marks: list[bool]) -> Iterator[Cast]:
    eqn: JaxprEqn = equation.eqn
    operands = _floats([var for var, mark in zip(eqn.invars, marks, strict=True) if mark])
    results = _floats(eqn.outvars)
    if not operands or not results:
        return
    wide, narrow = max(operands, key=_bits), min(results, key=_bits)
    if eqn.primitive.name == "reduce_precision" and eqn.params["mantissa_bits"] < jnp.finfo(wide).nmant:
        yield Cast(equation.place, str(wide), f"{eqn.params['mantissa_bits']} bits of mantissa")
    elif _bits(narrow) < _bits(wide):
        yield Cast(equation.place, str(wide), str(narrow))


def _floats(variables: Sequence[Any]) -> list[Any]:
    return [var.aval.dtype for var in variables if hasattr(var.aval, "dtype") and is_floating(var.aval)]


def _bits(dtype: Any) -> int:
    return jnp.finfo(dtype).bits
