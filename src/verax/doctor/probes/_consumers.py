"""How the network uses an input: as a number that it computes with, or as an index that it looks up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from verax.doctor._subject import Subject
from verax.jaxpr import Equation

_WRAPPING = {"add", "sub", "mul", "neg", "integer_pow", "div", "dot_general", "reduce_sum", "square", "shift_left"}
_LOOKED_UP = {"gather": 1, "dynamic_slice": 1, "scatter": 1, "scatter-add": 1}  # first operand that is an index


class Uses(NamedTuple):
    """How the inputs' integer leaves are used.

    Attributes:
      numbers: places of the leaves that become floating-point numbers.
      narrow: for a leaf of 8 or 16 bits, the first equation that computes in that type.
    """

    numbers: frozenset[int]
    narrow: dict[int, Equation]


_known: WeakKeyDictionary[Subject, Uses] = WeakKeyDictionary()


def integer_uses(subject: Subject) -> Uses:
    """Returns how the network uses the integer leaves of its inputs; those it looks up are in neither list."""
    if subject not in _known:
        _known[subject] = _uses(subject)
    return _known[subject]


def index_leaves(subject: Subject) -> frozenset[int]:
    """Returns the places of the inputs' integer leaves that are never computed with: tokens and categories."""
    leaves = jax.tree.leaves(subject.train.inputs)
    integer = {place for place, leaf in enumerate(leaves) if leaf.dtype.kind in "iu" and leaf.dtype.itemsize > 0}
    return frozenset(integer - integer_uses(subject).numbers) if integer else frozenset()


def _uses(subject: Subject) -> Uses:
    leaves = jax.tree.leaves(subject.batch.inputs)
    integer = [place for place, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.integer)]
    if not integer:
        return Uses(frozenset(), {})
    program = subject.training_program
    before = len(jax.tree.leaves(subject.variables))
    numbers: set[int] = set()
    narrow: dict[int, Equation] = {}
    for place in integer:
        marked = [index == before + place for index in range(len(program.jaxpr.invars))]
        for kind, equation in _follow(program.jaxpr, marked, None)[1]:
            if kind == "number":
                numbers.add(place)
            elif place not in narrow:
                narrow[place] = equation
    return Uses(frozenset(numbers), narrow)


def _follow(
    jaxpr: Jaxpr, marked: Sequence[bool], outer: Equation | None
) -> tuple[list[bool], list[tuple[str, Equation]]]:
    """Returns which outputs are integers made from the marked inputs, and what was done with such integers."""
    known = {var for var, mark in zip(jaxpr.invars, marked, strict=False) if mark}
    events: list[tuple[str, Equation]] = []
    for eqn in jaxpr.eqns:
        flags = [not isinstance(var, Literal) and var in known for var in eqn.invars]
        if not any(flags):
            continue
        equation = Equation(eqn, outer)
        inner = list(jaxprs_in_params(eqn.params))
        if inner:
            ends = [_follow(each, _aligned(each, flags), equation) for each in inner]
            events += [event for _, found in ends for event in found]
            marks = [any(column) for column in zip(*(marks for marks, _ in ends), strict=False)]
            known |= {var for var, mark in zip(eqn.outvars, marks, strict=False) if mark}
            continue
        first_index = _LOOKED_UP.get(eqn.primitive.name)
        if first_index is not None and not any(flags[:first_index]):
            continue
        events += list(_events(eqn, equation))
        known |= {var for var in eqn.outvars if jnp.issubdtype(_dtype(var), jnp.integer)}
    return [not isinstance(var, Literal) and var in known for var in jaxpr.outvars], events


def _aligned(inner: Any, flags: list[bool]) -> list[bool]:
    """Returns the flags of an inner program's inputs: the last ones of the call (a `cond` begins with its choice)."""
    jaxpr = inner.jaxpr if hasattr(inner, "jaxpr") else inner
    missing = len(jaxpr.invars) - len(flags)
    return [False] * missing + flags if missing >= 0 else flags[-missing:]


def _events(eqn: JaxprEqn, equation: Equation) -> Iterator[tuple[str, Equation]]:
    dtypes = [np.dtype(_dtype(var)) if _is_plain(_dtype(var)) else None for var in eqn.outvars]
    if eqn.primitive.name in ("convert_element_type", "dot_general", "conv_general_dilated", "div"):
        floating = any(dtype is not None and jnp.issubdtype(dtype, jnp.inexact) for dtype in dtypes)
        if floating or eqn.primitive.name != "convert_element_type":
            yield "number", equation
    if eqn.primitive.name in _WRAPPING and any(d is not None and d.kind in "iu" and d.itemsize <= 2 for d in dtypes):
        yield "narrow", equation


def _dtype(var: Any) -> Any:
    return var.aval.dtype


def _is_plain(dtype: Any) -> bool:
    return not jnp.issubdtype(dtype, jax.dtypes.extended)
