"""Where the examples go in each primitive: a rule from the states of its operands to the state of its outputs.

Each variable is in one of three states: independent of the inputs (`None`), `Rows` (one of its axes carries the
examples), or `MIXED`. A primitive without a rule mixes its examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn


@dataclass(frozen=True)
class Rows:
    """The examples lie along one axis, which is `outer x examples x inner` (both 1 unless axes were merged)."""

    axis: int
    outer: int = 1
    inner: int = 1

    @property
    def merged(self) -> tuple[int, int]:
        """What was merged into the axis around the examples."""
        return self.outer, self.inner


class _Mixed:
    def __repr__(self) -> str:
        return "MIXED"


MIXED = _Mixed()
State = Rows | _Mixed | None


def shape(var: Any) -> tuple[int, ...]:
    """Returns the shape of a variable or literal of a jaxpr."""
    return tuple(var.aval.shape)


def common(states: Sequence[State]) -> State:
    """Returns the one state in which all tracked operands agree, else MIXED."""
    tracked = {state for state in states if state is not None}
    return tracked.pop() if len(tracked) == 1 else MIXED


# Rules: (equation, states of its operands, number of examples) -> state of its outputs. At least one operand is tracked
# and none is MIXED when a rule is asked.


def _elementwise(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Operands of one shape; the untracked ones may be scalars or have axes of length 1 that broadcast."""
    rows, out = common(states), shape(eqn.outvars[0])
    if not isinstance(rows, Rows):
        return MIXED
    for var, state in zip(eqn.invars, states, strict=True):
        if state and (len(shape(var)) != len(out) or shape(var)[rows.axis] != out[rows.axis]):
            return MIXED
    return rows


def _along(param: str) -> Callable[..., State]:
    """A rule for what works along the axes in a parameter and keeps the shape: `sort`, `cumsum`, `rev`."""

    def rule(eqn: JaxprEqn, states: list[State], examples: int) -> State:
        rows, axes = common(states), np.atleast_1d(eqn.params[param]).tolist()
        return rows if isinstance(rows, Rows) and rows.axis not in axes else MIXED

    return rule


def _removing(param: str) -> Callable[..., State]:
    """A rule for what removes the axes in a parameter: `reduce_sum`, `argmax`, `squeeze`."""

    def rule(eqn: JaxprEqn, states: list[State], examples: int) -> State:
        rows, axes = common(states), tuple(eqn.params[param])
        if not isinstance(rows, Rows) or rows.axis in axes:
            return MIXED
        return Rows(rows.axis - sum(axis < rows.axis for axis in axes), *rows.merged)

    return rule


def _leading(trailing: int) -> Callable[..., State]:
    """A rule for what treats the last axes as one object (a matrix, a key) and maps over the axes before them."""

    def rule(eqn: JaxprEqn, states: list[State], examples: int) -> State:
        rows = common(states)
        tracked = [var for var, state in zip(eqn.invars, states, strict=True) if state]
        inside = isinstance(rows, Rows) and all(rows.axis < len(shape(var)) - trailing for var in tracked)
        return rows if inside else MIXED

    return rule


def _fft(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    return _leading(len(eqn.params["fft_lengths"]))(eqn, states, examples)


def _broadcast_in_dim(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if not isinstance(rows, Rows) or any(states[1:]):
        return MIXED
    axis = eqn.params["broadcast_dimensions"][rows.axis]
    same_length = shape(eqn.outvars[0])[axis] == shape(eqn.invars[0])[rows.axis]
    return Rows(axis, *rows.merged) if same_length else MIXED


def _reshape(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """In row-major order the array is `before x examples x after`; looks for an axis that holds all examples again."""
    rows, old, new = states[0], shape(eqn.invars[0]), shape(eqn.outvars[0])
    if not isinstance(rows, Rows) or any(states[1:]) or eqn.params.get("dimensions") is not None:
        return MIXED
    if 0 in old:
        return MIXED
    before, after = prod(old[: rows.axis]) * rows.outer, rows.inner * prod(old[rows.axis + 1 :])
    for axis, length in enumerate(new):
        left, right = prod(new[:axis]), prod(new[axis + 1 :])
        if before % left or after % right:
            continue
        outer, inner = before // left, after // right
        if outer * examples * inner == length:
            return Rows(axis, outer, inner)
    return MIXED


def _stack(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """A new axis, before or after that of the examples."""
    rows, axis = common(states), eqn.params["axis"]
    if not isinstance(rows, Rows):
        return MIXED
    return Rows(rows.axis + (axis <= rows.axis), *rows.merged)


def _tile(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    return rows if isinstance(rows, Rows) and eqn.params["reps"][rows.axis] == 1 else MIXED


def _transpose(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if not isinstance(rows, Rows):
        return MIXED
    return Rows(tuple(eqn.params["permutation"]).index(rows.axis), *rows.merged)


def _dot_general(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Result axes: batch, then those of the left that are not contracted, then those of the right."""
    (left_sum, right_sum), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    left, right = states[0], states[1]
    if isinstance(left, Rows) and isinstance(right, Rows):
        pairs = list(zip(left_batch, right_batch, strict=True))
        aligned = (left.axis, right.axis) in pairs and left.merged == right.merged
        return Rows(pairs.index((left.axis, right.axis)), *left.merged) if aligned else MIXED
    rows, summed, batch = (left, left_sum, left_batch) if left else (right, right_sum, right_batch)
    if not isinstance(rows, Rows) or rows.axis in summed:
        return MIXED
    if rows.axis in batch:
        return Rows(tuple(batch).index(rows.axis), *rows.merged)
    operand = eqn.invars[0 if left else 1]
    free = [axis for axis in range(len(shape(operand))) if axis not in summed and axis not in batch]
    left_free = len(shape(eqn.invars[0])) - len(left_sum) - len(left_batch)
    return Rows(len(batch) + (0 if left else left_free) + free.index(rows.axis), *rows.merged)


def _convolution(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    numbers, rows = eqn.params["dimension_numbers"], states[0]
    if not isinstance(rows, Rows) or states[1] or eqn.params["batch_group_count"] != 1:
        return MIXED
    return Rows(numbers.out_spec[0], *rows.merged) if rows.axis == numbers.lhs_spec[0] else MIXED


def _windowed(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Pooling and its gradient: nothing may happen along the axis of the examples."""
    rows, params = common(states), eqn.params
    if not isinstance(rows, Rows):
        return MIXED
    kept = params["window_dimensions"][rows.axis] == 1 and tuple(params["padding"][rows.axis]) == (0, 0)
    for name in ("window_strides", "base_dilation", "window_dilation"):
        kept &= params.get(name) is None or params[name][rows.axis] == 1
    return rows if kept else MIXED


def _slice(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if not isinstance(rows, Rows):
        return MIXED
    strides = eqn.params["strides"]
    whole = shape(eqn.outvars[0])[rows.axis] == shape(eqn.invars[0])[rows.axis]
    return rows if whole and (strides is None or strides[rows.axis] == 1) else MIXED


def _dynamic_slice(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if any(states[1:]):
        return MIXED
    whole = isinstance(rows, Rows) and shape(eqn.outvars[0])[rows.axis] == shape(eqn.invars[0])[rows.axis]
    return rows if whole else MIXED


def _dynamic_update_slice(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = common(states[:2])
    if not isinstance(rows, Rows) or any(states[2:]):
        return MIXED
    return rows if shape(eqn.invars[0])[rows.axis] == shape(eqn.invars[1])[rows.axis] else MIXED


def _pad(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if not isinstance(rows, Rows) or states[1]:
        return MIXED
    return rows if tuple(eqn.params["padding_config"][rows.axis]) == (0, 0, 0) else MIXED


def _gather(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """A lookup in a table by tracked indices, a lookup in tracked rows by fixed indices, or one lookup a row."""
    numbers, operand, indices = eqn.params["dimension_numbers"], states[0], states[1]
    operand_shape, outputs = shape(eqn.invars[0]), range(len(shape(eqn.outvars[0])))
    paired = dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
    looked_up = [axis for axis in outputs if axis not in numbers.offset_dims]  # in the order of the indices' axes
    if isinstance(indices, Rows):
        if indices.axis >= len(looked_up):  # the axis of index vectors
            return MIXED
        if isinstance(operand, Rows) and (paired.get(operand.axis) != indices.axis or operand.merged != indices.merged):
            return MIXED
        return Rows(looked_up[indices.axis], *indices.merged)
    if not isinstance(operand, Rows) or operand.axis in numbers.start_index_map:
        return MIXED
    if operand.axis in paired:
        return Rows(looked_up[paired[operand.axis]], *operand.merged)
    gone = (*numbers.collapsed_slice_dims, *paired)
    windows = [axis for axis in range(len(operand_shape)) if axis not in gone]
    whole = eqn.params["slice_sizes"][operand.axis] == operand_shape[operand.axis]
    if operand.axis not in windows or not whole:
        return MIXED
    return Rows(int(numbers.offset_dims[windows.index(operand.axis)]), *operand.merged)


def _scatter(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Writing at fixed places within each row."""
    numbers, (operand, indices, updates) = eqn.params["dimension_numbers"], states
    written, update_shape = shape(eqn.invars[0]), shape(eqn.invars[2])
    gone = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    windows = [axis for axis in range(len(written)) if axis not in gone]
    update_axes = dict(zip(numbers.update_window_dims, windows, strict=True))
    rows = operand
    if isinstance(updates, Rows):
        if updates.axis not in update_axes:
            return MIXED
        rows = Rows(update_axes[updates.axis], *updates.merged)
        if operand not in (None, rows) or update_shape[updates.axis] != written[rows.axis]:
            return MIXED
    if indices or not isinstance(rows, Rows):
        return MIXED
    return rows if rows.axis in windows and rows.axis not in numbers.scatter_dims_to_operand_dims else MIXED


_ELEMENTWISE = [
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e",
    "bessel_i1e", "bitcast_convert_type", "cbrt", "ceil", "clamp", "clz", "complex", "conj",
    "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc",
    "exp", "exp2", "expm1", "floor", "ge", "gt", "igamma", "igamma_grad_a", "igammac", "imag", "integer_pow",
    "is_finite", "le", "lgamma", "log", "log1p", "log2", "logistic", "lt", "max", "min", "mul", "name", "ne",
    "neg", "nextafter", "not", "one_minus_square", "or", "polygamma", "polynomial", "population_count", "pow",
    "real", "reduce_precision", "regularized_incomplete_beta", "rem", "round", "rsqrt", "select_n", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient",
    "sub", "tan", "tanh", "threefry2x32", "xor", "zeta", "random_fold_in",
]  # fmt: skip
_REDUCTIONS = [f"reduce_{name}" for name in ("sum", "max", "min", "prod", "and", "or", "xor")] + ["argmax", "argmin"]
_WINDOWS = [f"reduce_window_{name}" for name in ("max", "min", "sum")]
_WINDOWS += ["select_and_scatter_add", "select_and_gather_add"]

RULES: dict[str, Callable[[JaxprEqn, list[State], int], State]] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_REDUCTIONS, _removing("axes")),
    **dict.fromkeys(_WINDOWS, _windowed),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _along("axis")),
    **dict.fromkeys(("scatter", "scatter_add", "scatter-add", "scatter_mul", "scatter_min", "scatter_max"), _scatter),
    **dict.fromkeys(("random_bits", "random_split", "random_unwrap"), _leading(0)),
    **dict.fromkeys(("cholesky", "lu", "eigh", "qr", "svd", "triangular_solve"), _leading(2)),
    "random_wrap": _leading(1),
    "squeeze": _removing("dimensions"),
    "sort": _along("dimension"),
    "rev": _along("dimensions"),
    "concatenate": _along("dimension"),
    "top_k": _along("axis"),
    "split": _along("axis"),
    "stack": _stack,
    "tile": _tile,
    "fft": _fft,
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": _reshape,
    "transpose": _transpose,
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "pad": _pad,
    "gather": _gather,
}
