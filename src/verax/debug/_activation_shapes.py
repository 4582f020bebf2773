"""Which axes of a value tell units apart: those of the weights that made it, through what changes its shape."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

Axes = tuple[int, ...] | None


def units_of_product(eqn: JaxprEqn, side: int | None) -> Axes:
    """Returns the axes of a product's result that belong to its weight.

    Args:
      eqn: a `dot_general` or `conv_general_dilated`.
      side: the number of the operand that is the weight; None where both depend on the inputs.
    """
    if eqn.primitive.name == "conv_general_dilated":
        return (eqn.params["dimension_numbers"].out_spec[1],)
    if side is None:
        return None
    (left, right), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    ranks = [len(shape_of(var)) for var in eqn.invars[:2]]
    free = [ranks[0] - len(left) - len(left_batch), ranks[1] - len(right) - len(right_batch)]
    start = len(left_batch) + (free[0] if side == 1 else 0)
    return tuple(range(start, start + free[side]))


def units_through(eqn: JaxprEqn, units: Axes, operand: int) -> Axes:
    """Returns the axes of an equation's result that tell units apart, given those of one operand; None if not known."""
    if units is None:
        return None
    name, params = eqn.primitive.name, eqn.params
    before, after = shape_of(eqn.invars[operand]), shape_of(eqn.outvars[0])
    if name == "transpose":
        return tuple(sorted(params["permutation"].index(axis) for axis in units))
    if name == "broadcast_in_dim":
        return tuple(params["broadcast_dimensions"][axis] for axis in units)
    if name == "squeeze":
        return _without(units, params["dimensions"])
    if name.startswith(("reduce_", "argm")) and "axes" in params:
        return _without(units, params["axes"])
    if name == "reshape":
        return _reshaped(before, after, units)
    return units if len(before) == len(after) else None


def as_rows(value: Any, units: Axes) -> np.ndarray:
    """Returns a value as a table of rows and units, in float32 or what it has; the last axis is that of the units where
    nothing is known.

    Example:
      >>> as_rows(np.ones((2, 3, 4, 5)), (1,)).shape, as_rows(np.ones(4), ()).shape
      ((40, 3), (4, 1))
    """
    array = np.asarray(value)
    if array.dtype.itemsize < 4:
        array = array.astype(np.float32)
    if units is None or any(axis >= array.ndim for axis in units):
        units = (array.ndim - 1,) if array.ndim > 1 else ()
    others = [axis for axis in range(array.ndim) if axis not in units]
    return array.transpose(*others, *units).reshape(-1, prod(array.shape[axis] for axis in units))


def shape_of(var: Any) -> tuple[int, ...]:
    """Returns the shape of a variable of a program."""
    return var.aval.shape


def _without(units: tuple[int, ...], gone: Any) -> tuple[int, ...]:
    return tuple(axis - sum(each < axis for each in gone) for axis in units if axis not in gone)


def _reshaped(before: tuple[int, ...], after: tuple[int, ...], units: tuple[int, ...]) -> Axes:
    """Follows axes through a reshape: what lies before and after the units must stay apart from them."""
    if not units or list(units) != list(range(units[0], units[0] + len(units))):
        return None
    front, inside = prod(before[: units[0]]), prod(before[axis] for axis in units)
    for start in range(len(after) + 1):
        if prod(after[:start]) != front:
            continue
        for stop in range(start + 1, len(after) + 1):
            if prod(after[start:stop]) == inside:
                return tuple(range(start, stop))
    return None
