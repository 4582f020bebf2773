"""Matrix products and convolutions of a function, computed from narrower numbers; everything else as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from verax.jaxpr._rebind import constant, inner_programs
from verax.jaxpr._walk import has_primitive
from verax.trees import Tree

PRODUCTS = ("dot_general", "conv_general_dilated")
DERIVED = (
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
)  # they bring a derivative: left alone


def with_narrow_products(function: Callable[..., Tree], dtype: Any) -> Callable[..., Tree]:
    """Returns the function with its float32 matrix products and convolutions computed in `dtype`.

    Operands are cast to `dtype` before each product and its result is cast back, so that the types of all other values
    stay, and with them the precision of sums, norms, softmax and losses. Derivatives follow: their products are in
    `dtype` too. Reaches into loops, branches, `jit` and `remat`; functions with a derivative of their own are left.

    Args:
      function: any traceable function of trees of arrays; may be differentiated afterwards.
      dtype: a floating-point type narrower than float32.

    Example:
      >>> half = with_narrow_products(lambda x: x @ x, jnp.bfloat16)
      >>> float(half(jnp.full((1, 1), 1.001))[0, 0]), half(jnp.ones((1, 1))).dtype
      (1.0, dtype('float32'))
    """

    def narrow(*args: Tree) -> Tree:
        program, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        outputs = _evaluate(program.jaxpr, program.consts, jax.tree.leaves(args), jnp.dtype(dtype))
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return narrow


def float32_products(jaxpr: Jaxpr | ClosedJaxpr) -> int:
    """Returns how many products of float32 numbers a program holds that `with_narrow_products` would narrow.

    Example:
      >>> float32_products(jax.make_jaxpr(lambda x: jnp.sin(x @ x))(jnp.ones((2, 2))))
      1
    """
    count = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in DERIVED:
            continue
        count += _is_float32_product(eqn) + sum(float32_products(inner) for inner in inner_programs(eqn).values())
    return count


def _evaluate(jaxpr: Jaxpr, consts: Any, args: list[Any], dtype: Any) -> list[Any]:
    """Returns the outputs of a jaxpr, its equations bound anew, the products narrowed."""
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        operands = [each.val if isinstance(each, Literal) else values[each] for each in eqn.invars]
        params = eqn.params
        with eqn.ctx.manager, jax.named_scope(str(eqn.source_info.name_stack)):
            if _is_float32_product(eqn):
                operands = [lax.convert_element_type(each, dtype) for each in operands]
                params = {**params, "preferred_element_type": dtype}
            elif eqn.primitive.name not in DERIVED:
                params = {**params, **_narrowed(eqn, dtype)}
            results = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(params))
            results = results if eqn.primitive.multiple_results else [results]
            if params.get("preferred_element_type") == dtype:
                results = [lax.convert_element_type(each, jnp.float32) for each in results]
        values.update(zip(eqn.outvars, results, strict=True))
    return [constant(each) if isinstance(each, Literal) else values[each] for each in jaxpr.outvars]


def _is_float32_product(eqn: JaxprEqn) -> bool:
    avals: list[Any] = [var.aval for var in (*eqn.invars, *eqn.outvars)]
    return eqn.primitive.name in PRODUCTS and all(aval.dtype == jnp.float32 for aval in avals)


def _narrowed(eqn: JaxprEqn, dtype: Any) -> dict[str, Any]:
    """Returns the parameters of an equation that hold programs with products, with these narrowed."""
    changed: dict[str, Any] = {}
    for (name, index), inner in inner_programs(eqn).items():
        if not has_primitive(inner, PRODUCTS):
            continue
        new = _same_signature(inner, dtype)
        before = changed.get(name, eqn.params[name])
        changed[name] = (*before[:index], new, *before[index + 1 :]) if isinstance(before, tuple) else new
    return changed


def _same_signature(inner: Jaxpr | ClosedJaxpr, dtype: Any) -> Jaxpr | ClosedJaxpr:
    """Returns a nested program with its products narrowed; types of inputs and outputs are as before."""
    jaxpr, consts = (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, ())
    avals: list[Any] = [var.aval for var in jaxpr.invars]
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type) for aval in avals]
    new = jax.make_jaxpr(lambda *args: _evaluate(jaxpr, consts, list(args), dtype))(*shapes)
    return new if isinstance(inner, ClosedJaxpr) else new.jaxpr
