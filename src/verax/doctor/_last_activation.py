"""A network without the function that bounds its outputs: the repair of an output activation that does not fit."""

from __future__ import annotations

import math
from typing import Any

from jax.extend.core import Literal

from verax.doctor._rewrite import Replacements, with_operations
from verax.doctor._subject import Subject
from verax.jaxpr import Equation, Range, output_ranges
from verax.jaxpr._evaluate import called_program, open_program

SHAPES = ("reshape", "squeeze", "broadcast_in_dim", "convert_element_type", "transpose", "slice", "gather", "copy")
ACTIVATIONS = ("max", "min", "tanh", "logistic", "clamp", "exp", "abs", "square", "integer_pow", "erf")


def has_last_activation(closed: Any) -> bool:
    """Returns whether a program ends in a function of each number that bounds it.

    Example:
      >>> import jax.numpy as jnp
      >>> [has_last_activation(jax.make_jaxpr(f)(jnp.ones(3))) for f in (jax.nn.relu, jnp.tanh, lambda x: x + 1)]
      [True, True, False]
    """
    return _last(closed, None) is not None


def without_last_activation(subject: Subject) -> Subject:
    """Returns the program with the last such function left out, in training and in evaluation."""

    def choose(closed: Any) -> Replacements:
        last = _last(closed, None)
        return () if last is None else ((last, lambda operands: _operand(last.eqn, operands)),)

    return with_operations(subject, choose)


def _last(program: Any, outer: Equation | None) -> Equation | None:
    """Returns the equation that bounds the first output of a program, met on the way back from it."""
    jaxpr, _ = open_program(program)
    makers: dict[Any, Any] = {}
    for eqn in jaxpr.eqns:
        makers.update(dict.fromkeys(eqn.outvars, eqn))
    var: Any = jaxpr.outvars[0]
    while not isinstance(var, Literal) and var in makers:
        eqn = makers[var]
        equation, inner = Equation(eqn, outer), called_program(eqn)
        if inner is not None:
            if _is_activation(eqn, inner):
                return equation
            is_plain = eqn.outvars[0] is var and not eqn.primitive.name.startswith("custom")
            return _last(inner, equation) if is_plain else None
        if eqn.primitive.name in ACTIVATIONS:
            return equation if _operand(eqn, eqn.invars).aval.shape == var.aval.shape else None
        if eqn.primitive.name not in SHAPES:
            return None
        var = eqn.invars[0]
    return None


def _is_activation(eqn: Any, inner: Any) -> bool:
    """Returns whether a call bounds one array number by number: `jax.nn.relu`, `jnp.clip`."""
    arrays = [var for var in eqn.invars if not isinstance(var, Literal) and var.aval.shape]
    alike = len(arrays) == len(eqn.outvars) == 1 and arrays[0].aval.shape == eqn.outvars[0].aval.shape
    return alike and output_ranges(inner)[0] != Range(-math.inf, math.inf)


def _operand(eqn: Any, operands: Any) -> Any:
    """Returns what an activation is applied to: its largest operand (the others are bounds)."""
    sizes = [var.aval.size * (not isinstance(var, Literal)) for var in eqn.invars]
    return operands[sizes.index(max(sizes))]
