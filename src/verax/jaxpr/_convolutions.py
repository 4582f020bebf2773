"""Convolutions rewritten to the layout that XLA's CPU backend runs fast everywhere, inside compiled loops too.

The backend hands a convolution to its fast kernels only in the layout examples, space, channels. It brings others into that
layout by itself, but only outside loops; inside one, the gradients of a convolution fall to a naive implementation that is
tens of times slower (jax-ml/jax#12868; docs/decisions/0004). Writing the transposes out makes both alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.extend.core import Jaxpr, Literal

from verax.jaxpr._walk import has_primitive
from verax.trees import Tree

CONVOLUTION = "conv_general_dilated"
INLINED = ("jit", "pjit", "custom_jvp_call")  # calls that are entered to reach the convolutions in them


def canonical_convolutions(function: Callable[..., Tree]) -> Callable[..., Tree]:
    """Returns the same function with its convolutions in canonical layout; for compiling, not for differentiating.

    The arithmetic is the same, and where the layout was canonical the function is too. Convolutions inside the function's
    own loops and branches stay as they are.

    Args:
      function: any traceable function of trees of arrays.

    Example:
      >>> def smooth(x):
      ...     return jax.lax.conv(x, jnp.ones((1, 1, 2, 2)), (1, 1), "VALID")
      >>> bool((canonical_convolutions(smooth)(jnp.ones((1, 1, 3, 3))) == 4.0).all())
      True
    """

    def rewritten(*args: Tree) -> Tree:
        program, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        outputs = _evaluate(program.jaxpr, program.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return rewritten


def _evaluate(jaxpr: Jaxpr, consts: list[Any], args: list[Any]) -> list[Any]:
    """Returns the outputs of a jaxpr, its equations bound anew, convolutions in canonical layout."""
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        operands = [each.val if isinstance(each, Literal) else values[each] for each in eqn.invars]
        name = eqn.primitive.name
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr")) if name in INLINED else None
        if name == CONVOLUTION:
            results = [_canonical(*operands, **eqn.params)]
        elif inner is not None and has_primitive(inner, CONVOLUTION):
            results = _evaluate(inner.jaxpr, inner.consts, operands)
        else:
            with eqn.ctx.manager:
                results = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))
            results = results if eqn.primitive.multiple_results else [results]
        values.update(zip(eqn.outvars, results, strict=True))
    return [each.val if isinstance(each, Literal) else values[each] for each in jaxpr.outvars]


def _canonical(inputs: Any, kernel: Any, *, dimension_numbers: Any, **params: Any) -> Any:
    """Returns a convolution computed as examples, space, channels with a kernel of space, channels in, channels out."""
    space = inputs.ndim - 2
    canonical = lax.ConvDimensionNumbers(
        (0, space + 1, *range(1, space + 1)), (space + 1, space, *range(space)), (0, space + 1, *range(1, space + 1))
    )
    examples, channels, *places = dimension_numbers.lhs_spec
    channels_out, channels_in, *kernel_places = dimension_numbers.rhs_spec
    outputs = lax.conv_general_dilated_p.bind(
        _transpose(inputs, (examples, *places, channels)),
        _transpose(kernel, (*kernel_places, channels_in, channels_out)),
        dimension_numbers=canonical,
        **params,
    )
    examples, channels, *places = dimension_numbers.out_spec
    wanted = (examples, *places, channels)
    return _transpose(outputs, tuple(wanted.index(axis) for axis in range(len(wanted))))


def _transpose(array: Any, axes: tuple[int, ...]) -> Any:
    return array if axes == tuple(range(array.ndim)) else lax.transpose(array, axes)
