"""A reshape that exchanges the sizes of two axes: it keeps the order of the numbers, where a transpose was meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend.core import JaxprEqn

from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._rewrite import Replacements, with_operations
from verax.doctor._subject import Subject
from verax.doctor.probes._points import shape_of
from verax.findings import Finding
from verax.jaxpr import Equation, equations


def look(subject: Subject) -> Seen:
    """Asks for reshapes within an example whose result has the same axes in another order.

    (batch, time, features) to (batch, features, time) by `reshape` mixes the two; whether that does harm is decided by
    a transpose in its place. What moves the batch axis is asked by the independence of the rows.
    """
    found = scrambling(subject.evaluation_program)
    if not found:
        return Seen("no reshape exchanges the sizes of two axes")
    if len(found) > 4:
        raise NotApplicable(f"{len(found)} reshapes exchange the sizes of axes, which is a way of this network.")
    before, after = _shapes(found[0].eqn)
    compared = f"a reshape from {before} to {after}"
    finding = Finding(
        "scrambling-reshape",
        "warning",
        f"{compared} exchanges sizes of axes, but not the axes: numbers of one are spread over the other.",
        f"Use jnp.transpose(x, {_axes(before, after)}), if the axes were to change places.",
        where=found[0].place.span,
        part="model",
        evidence=(compared,),
        confidence=0.9,
    )
    repair = Repair("a transpose in place of the reshape", lambda subject: with_operations(subject, _transposes))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def scrambling(program: Any) -> list[Equation]:
    """Returns the reshapes that give the same axes in another order, the first axis in its place."""
    return [each for each in equations(program) if each.eqn.primitive.name == "reshape" and _scrambles(each.eqn)]


def _scrambles(eqn: JaxprEqn) -> bool:
    before, after = _shapes(eqn)
    alike = len(before) == len(after) and sorted(before) == sorted(after) and before != after
    moved = [size for size, other in zip(before, after, strict=False) if size != other]
    return alike and before[0] == after[0] and min(moved) > 1  # an axis of one row carries no order


def _shapes(eqn: JaxprEqn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return shape_of(eqn.invars[0]), shape_of(eqn.outvars[0])


def _axes(before: Sequence[int], after: Sequence[int]) -> tuple[int, ...]:
    """Returns the order of axes that gives the shape, each axis used once."""
    left = list(range(len(before)))
    order = []
    for size in after:
        axis = next(each for each in left if before[each] == size)
        left.remove(axis)
        order.append(axis)
    return tuple(order)


def _transposes(program: Any) -> Replacements:
    return [(each, _transpose_of(each)) for each in scrambling(program)]


def _transpose_of(equation: Equation) -> Any:
    before, after = _shapes(equation.eqn)
    return lambda operands: jnp.transpose(jnp.asarray(operands[0]), _axes(before, after))


PROBES = (Probe("reshapes within an example", ("scrambling-reshape",), look),)
