"""Equations bound anew: with other operands, other parameters, other programs inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal


def bind(eqn: JaxprEqn, operands: list[Any], params: dict[str, Any]) -> list[Any]:
    """Returns the results of an equation for other operands and parameters."""
    results = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(params))
    return list(results) if eqn.primitive.multiple_results else [results]


def constant(literal: Literal) -> Any:
    """Returns the value of a literal as an array of its type."""
    aval: Any = literal.aval
    return jnp.asarray(literal.val, aval.dtype)


def inner_programs(eqn: JaxprEqn) -> dict[tuple[str, int], Jaxpr | ClosedJaxpr]:
    """Returns the programs among an equation's parameters, by name and position."""
    found = {}
    for name, value in eqn.params.items():
        for index, each in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(each, Jaxpr | ClosedJaxpr):
                found[name, index] = each
    return found


def jaxpr_of(program: Jaxpr | ClosedJaxpr) -> Jaxpr:
    """Returns a program without its constants. (From JAX 0.11 on, the two types are one.)"""
    return program.jaxpr if isinstance(program, ClosedJaxpr) else program


def inner_program(eqn: JaxprEqn) -> ClosedJaxpr:
    """Returns the one program of a call."""
    (inner,) = inner_programs(eqn).values()
    return inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ())


def with_inner(eqn: JaxprEqn, change: Callable[[Jaxpr | ClosedJaxpr], ClosedJaxpr]) -> dict[str, Any]:
    """Returns the parameters of an equation with each program in them changed."""
    changed = dict(eqn.params)
    for (name, index), inner in inner_programs(eqn).items():
        new = change(inner)
        new = new if isinstance(inner, ClosedJaxpr) else new.jaxpr
        before = changed[name]
        changed[name] = (*before[:index], new, *before[index + 1 :]) if isinstance(before, tuple) else new
    return changed
