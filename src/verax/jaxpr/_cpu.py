"""Equations that XLA's CPU backend runs slowly, written as others that give the same.

Convolutions: the backend hands one to its fast kernels only in the layout examples, space, channels. It brings others
into that layout by itself, but only outside loops; inside one, the gradients of a convolution fall to a naive
implementation that is tens of times slower (jax-ml/jax#12868; docs/decisions/0004). Writing the transposes out makes
both alike.

Gradients of max-pooling: the backend searches each window for its maximum one number at a time. Where windows do not
overlap, comparing one place of all windows with the maxima at once is many times faster.

Products of few rows with the transpose of a large matrix, as the gradient of a dense layer is in a small batch: the
backend lays the matrix out anew each time, which takes as long as the product. With the operands changed over it is the
rows that are laid out anew.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.extend.source_info_util import current_name_stack, user_context

from verax.jaxpr._rebind import bind, constant
from verax.jaxpr._walk import has_primitive
from verax.trees import Tree

CONVOLUTION = "conv_general_dilated"
POOL_GRADIENT = "select_and_scatter_add"
PRODUCT = "dot_general"
FEW, LARGE = 32, 128  # rows, and both sides of the matrix; `benchmarks/tuning.py --steps` times 32 and 256
INLINED = ("jit", "pjit", "custom_jvp_call")  # calls that are entered to reach the slow equations in them


def rewritten_for_cpu(function: Callable[..., Tree]) -> Callable[..., Tree]:
    """Returns the same function with convolutions, pool gradients and products of few rows rewritten.

    It is for compiling, not for differentiating.

    The arithmetic is the same. What is inside the function's own loops and branches stays as it is.

    Args:
      function: any traceable function of trees of arrays.

    Example:
      >>> def smooth(x):
      ...     return jax.lax.conv(x, jnp.ones((1, 1, 2, 2)), (1, 1), "VALID")
      >>> bool((rewritten_for_cpu(smooth)(jnp.ones((1, 1, 3, 3))) == 4.0).all())
      True
    """

    def rewritten(*args: Tree) -> Tree:
        program, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        outputs = _evaluate(program.jaxpr, program.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return rewritten


def _evaluate(jaxpr: Jaxpr, consts: list[Any], args: list[Any]) -> list[Any]:
    """Returns the outputs of a jaxpr, its equations bound anew, the slow ones rewritten."""
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        operands = [each.val if isinstance(each, Literal) else values[each] for each in eqn.invars]
        name_stack = (
            current_name_stack() + eqn.source_info.name_stack
        )  # layer and source line stay: a profile shows them
        with user_context(eqn.source_info.traceback, name_stack=name_stack), eqn.ctx.manager:
            results = _results(eqn, operands)
        values.update(zip(eqn.outvars, results, strict=True))
    return [constant(each) if isinstance(each, Literal) else values[each] for each in jaxpr.outvars]


def _results(eqn: JaxprEqn, operands: list[Any]) -> list[Any]:
    name = eqn.primitive.name
    inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr")) if name in INLINED else None
    if name == CONVOLUTION:
        inputs, kernel = operands
        return [_canonical(inputs, kernel, **eqn.params)]
    if name == POOL_GRADIENT and _is_split(operands[1], **eqn.params):
        source, operand = operands
        return [_pool_gradient(source, operand, eqn.params["window_dimensions"])]
    if name == PRODUCT and _has_few_rows(*eqn.invars, **eqn.params):
        return [_of_few_rows(*operands, **eqn.params)]
    if inner is not None and has_primitive(inner, (CONVOLUTION, POOL_GRADIENT, PRODUCT)):
        return _evaluate(inner.jaxpr, inner.consts, operands)
    return bind(eqn, operands, eqn.params)


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


def _has_few_rows(rows: Any, matrix: Any, *, dimension_numbers: Any, **others: Any) -> bool:
    """Returns whether this is a product of few rows with the transpose of a large matrix, in float32."""
    if dimension_numbers != (((1,), (1,)), ((), ())) or not rows.aval.dtype == matrix.aval.dtype == jnp.float32:
        return False
    return rows.aval.shape[0] <= FEW and min(matrix.aval.shape) >= LARGE


def _of_few_rows(rows: Any, matrix: Any, *, precision: Any, **params: Any) -> Any:
    """Returns the product as the transpose of one with the operands changed over.

    The barrier keeps the transpose apart: the compiler would take it into the product and change them back.
    """
    turned = precision[::-1] if isinstance(precision, tuple) else precision
    product = lax.dot_general_p.bind(matrix, rows, precision=turned, **params)
    return lax.optimization_barrier(product).T


def _transpose(array: Any, axes: tuple[int, ...]) -> Any:
    return array if axes == tuple(range(array.ndim)) else lax.transpose(array, axes)


def _is_split(
    operand: Any, *, select_prim: Any, window_dimensions: Any, window_strides: Any, padding: Any, **others: Any
) -> bool:
    """Returns whether a pool takes the maximum of windows that cut the operand into equal parts."""
    split = all(size % window == 0 for size, window in zip(operand.shape, window_dimensions, strict=True))
    unpadded = not any(before or after for before, after in padding)
    return select_prim.name == "ge" and tuple(window_dimensions) == tuple(window_strides) and unpadded and split


def _pool_gradient(source: Any, operand: Any, window: tuple[int, ...]) -> Any:
    """Returns the gradient of a max-pool: a window's number goes to the first of its maxima, as in the stock form."""
    offsets = list(itertools.product(*map(range, window)))
    parts = [operand[tuple(map(slice, offset, operand.shape, window))] for offset in offsets]
    top = functools.reduce(lax.max, parts)
    gradients, taken = [], lax.full_like(top, False, bool)
    for part in parts:
        first = (part == top) & ~taken
        gradients.append(lax.select(first, source, lax.full_like(source, 0)))
        taken = taken | first
    for axis in reversed(range(operand.ndim)):  # lay the parts side by side again, the last axis first
        size = window[axis]
        if size > 1:
            groups = [gradients[start : start + size] for start in range(0, len(gradients), size)]
            gradients = [_interleave(group, axis) for group in groups]
    return gradients[0]


def _interleave(parts: list[Any], axis: int) -> Any:
    """Returns arrays merged along an axis, in turn."""
    stacked = jnp.stack(parts, axis=axis + 1)
    shape = list(parts[0].shape)
    shape[axis] *= len(parts)
    return stacked.reshape(shape)
