"""A program computed in float64 throughout, whatever narrower types it asks for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from verax.jaxpr._rebind import bind, constant, inner_program, inner_programs, jaxpr_of, with_inner
from verax.trees import is_floating

CALLS = ("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2")
OWN_DERIVATIVES = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")  # only their values are needed
LOOPS = ("scan", "while", "cond")
PRECISE = {"precision": None, "algorithm": None}  # of products: a float32 algorithm does not take float64
# What fixes its types from outside: its operands are narrowed again, and its results are what it makes of them.
FIXED = (
    "bitcast_convert_type",
    "pure_callback",
    "io_callback",
    "ffi_call",
    "pallas_call",
    "rng_bit_generator",
)


def in_float64(program: ClosedJaxpr) -> ClosedJaxpr:
    """Returns a program that computes every floating-point number in float64; call it where float64 is on.

    All floating-point inputs, constants, intermediate values and outputs become float64: casts to narrower types and
    roundings of the mantissa do nothing, products and sums that ask for a narrower result give float64. Integers, keys
    and random bits stay as they are. Derivatives that functions bring with them are dropped: differentiate first. What
    fixes its types from outside (a callback) stays narrow, as `narrowing_equations` of the result says.

    Args:
      program: traced from any function, also of a gradient.

    Example:
      >>> with jax.enable_x64(True):
      ...     program = jax.make_jaxpr(lambda x: (x.astype(jnp.float32) / 3).astype(jnp.float16))(1.0)
      ...     wide = in_float64(program)
      >>> wide.out_avals[0].dtype
      dtype('float64')
    """
    if not _is_narrow_somewhere(program):
        return program
    return _traced(program)


def _is_narrow_somewhere(jaxpr: Jaxpr | ClosedJaxpr) -> bool:
    variables = [*jaxpr_of(jaxpr).invars, *(var for eqn in jaxpr.eqns for var in (*eqn.invars, *eqn.outvars))]
    values = [*getattr(jaxpr, "consts", ()), *(var.aval for var in variables)]
    return any(map(_is_narrow, values)) or any(
        eqn.primitive.name == "reduce_precision" or any(map(_is_narrow_somewhere, inner_programs(eqn).values()))
        for eqn in jaxpr.eqns
    )


def _is_narrow(value: Any) -> bool:
    return hasattr(value, "dtype") and is_floating(value) and value.dtype != np.float64


def _traced(inner: Jaxpr | ClosedJaxpr) -> ClosedJaxpr:
    """Returns a (nested) program with inputs and outputs in float64."""
    jaxpr, consts = jaxpr_of(inner), getattr(inner, "consts", ())
    avals: list[Any] = [var.aval for var in jaxpr.invars]
    shapes = [jax.ShapeDtypeStruct(aval.shape, np.float64 if is_floating(aval) else aval.dtype) for aval in avals]
    return jax.make_jaxpr(lambda *args: _evaluate(jaxpr, consts, list(args)))(*shapes)


def _evaluate(jaxpr: Jaxpr, consts: Any, args: list[Any]) -> list[Any]:
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(_wide, consts), *args], strict=True))

    def read(var: Any) -> Any:
        return _wide(constant(var)) if isinstance(var, Literal) else values[var]

    for eqn in jaxpr.eqns:
        with eqn.ctx.manager, jax.named_scope(str(eqn.source_info.name_stack)):
            results = _results(eqn, [read(var) for var in eqn.invars])
        values.update(zip(eqn.outvars, results, strict=True))
    return [jnp.asarray(read(var)) if isinstance(var, Literal) else values[var] for var in jaxpr.outvars]


def _results(eqn: JaxprEqn, operands: list[Any]) -> list[Any]:
    name, params = eqn.primitive.name, eqn.params
    if name in CALLS or name in OWN_DERIVATIVES:
        inner = inner_program(eqn)
        return _evaluate(inner.jaxpr, inner.consts, operands)
    if name in LOOPS:
        return bind(eqn, operands, with_inner(eqn, _traced))
    if name == "reduce_precision":
        return operands
    if name in FIXED or inner_programs(eqn):
        narrow = [_as(each, var.aval) for each, var in zip(operands, eqn.invars, strict=True)]
        return [_wide(result) for result in bind(eqn, narrow, params)]
    if name == "convert_element_type" and operands[0].dtype == np.float64 and _is_narrow(eqn.outvars[0].aval):
        return operands
    changed = {key: np.dtype(np.float64) for key, value in params.items() if _is_narrow_type(value)}
    changed |= {key: value for key, value in PRECISE.items() if changed and key in params}
    return [_wide(result) for result in bind(eqn, operands, {**params, **changed})]


def _is_narrow_type(value: Any) -> bool:
    is_type = isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))
    return is_type and jnp.issubdtype(value, jnp.floating) and np.dtype(value) != np.float64


def _wide(value: Any) -> Any:
    return lax.convert_element_type(value, np.float64) if _is_narrow(value) else value


def _as(value: Any, aval: Any) -> Any:
    return lax.convert_element_type(value, aval.dtype) if _is_narrow(aval) else value
