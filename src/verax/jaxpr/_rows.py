"""Does row i of the outputs depend on row i of the inputs alone? Read from the program, never by running it.

Each variable is in one of three states: independent of the inputs (`None`), a `Rows` (one of its axes carries the
examples), or `MIXED`. A rule for each primitive says where the examples go; a primitive without one mixes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from verax.trees import Tree


@dataclass(frozen=True)
class Rows:
    """The examples lie along one axis, which is `outer x examples x inner` (both 1 unless axes were merged)."""

    axis: int
    outer: int = 1
    inner: int = 1


class _Mixed:
    def __repr__(self) -> str:
        return "MIXED"


MIXED = _Mixed()
State = Rows | _Mixed | None


def rows_are_independent(fn: Callable[..., Any], inputs: Tree, *args: Any) -> bool:
    """Returns whether each row of what `fn(inputs, *args)` gives back depends on the same row of `inputs` alone.

    The answer is conservative: True is a proof from the program, False may only mean that a rule is missing. Rows are
    along axis 0 of every leaf of `inputs` and of the outputs; `args` (parameters, keys) are not tracked, so random bits
    do not couple rows. The batch size itself may still enter as a number: `x / len(x)` counts as independent.

    Args:
      fn: any traceable function.
      inputs: a batch, arrays or shapes; all leaves have the same leading axis.
      args: further arguments.

    Example:
      >>> rows_are_independent(lambda x: jax.nn.softmax(x, axis=1), jnp.ones((4, 3)))
      True
      >>> rows_are_independent(lambda x: x - x.mean(axis=0, keepdims=True), jnp.ones((4, 3)))
      False
    """
    closed = jax.make_jaxpr(fn)(inputs, *args)
    leaves = jax.tree.leaves(inputs)
    rows = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in leaves}
    if len(rows) != 1 or None in rows:
        return False
    (examples,) = rows
    untracked = len(closed.jaxpr.invars) - len(leaves)
    states = _run(closed.jaxpr, [Rows(0)] * len(leaves) + [None] * untracked, examples)
    return all(state in (None, Rows(0)) for state in states)


def _run(jaxpr: Jaxpr, states: Sequence[State], examples: int) -> list[State]:
    """Returns the states of a jaxpr's outputs for given states of its inputs."""
    known: dict[Any, State] = dict(zip(jaxpr.invars, states, strict=True))

    def read(var: Any) -> State:
        return None if isinstance(var, Literal) else known.get(var)

    for eqn in jaxpr.eqns:
        results = _equation(eqn, [read(var) for var in eqn.invars], examples)
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _equation(eqn: JaxprEqn, states: list[State], examples: int) -> list[State]:
    if not any(states):
        return [None] * len(eqn.outvars)
    if eqn.primitive.name in _NESTED:
        return _NESTED[eqn.primitive.name](eqn, states, examples)
    if MIXED in states:
        return [MIXED] * len(eqn.outvars)
    rule = _RULES.get(eqn.primitive.name)
    result = rule(eqn, states, examples) if rule else MIXED
    return [result] * len(eqn.outvars)


def _shape(var: Any) -> tuple[int, ...]:
    return tuple(var.aval.shape)


def _common(states: Sequence[State]) -> State:
    """Returns the one state in which all tracked operands agree, else MIXED."""
    tracked = {state for state in states if state is not None}
    return tracked.pop() if len(tracked) == 1 else MIXED


# Rules: (equation, states of its operands, number of examples) -> state of its outputs. None is MIXED here.


def _elementwise(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Operands of one shape; the untracked ones may be scalars or have axes of length 1 that broadcast."""
    rows, out = _common(states), _shape(eqn.outvars[0])
    if not isinstance(rows, Rows):
        return MIXED
    for var, state in zip(eqn.invars, states, strict=True):
        if state and (len(_shape(var)) != len(out) or _shape(var)[rows.axis] != out[rows.axis]):
            return MIXED
    return rows


def _along(param: str) -> Callable[..., State]:
    """A rule for what works along the axes in a parameter and keeps the shape: `sort`, `cumsum`, `rev`."""

    def rule(eqn: JaxprEqn, states: list[State], examples: int) -> State:
        rows, axes = _common(states), np.atleast_1d(eqn.params[param]).tolist()
        return rows if isinstance(rows, Rows) and rows.axis not in axes else MIXED

    return rule


def _removing(param: str) -> Callable[..., State]:
    """A rule for what removes the axes in a parameter: `reduce_sum`, `argmax`, `squeeze`."""

    def rule(eqn: JaxprEqn, states: list[State], examples: int) -> State:
        rows, axes = _common(states), tuple(eqn.params[param])
        if not isinstance(rows, Rows) or rows.axis in axes:
            return MIXED
        return Rows(rows.axis - sum(axis < rows.axis for axis in axes), rows.outer, rows.inner)

    return rule


def _leading(trailing: int) -> Callable[..., State]:
    """A rule for what treats the last axes as one object (a matrix, a key) and maps over the axes before them."""

    def rule(eqn: JaxprEqn, states: list[State], examples: int) -> State:
        rows = _common(states)
        tracked = [var for var, state in zip(eqn.invars, states, strict=True) if state]
        inside = isinstance(rows, Rows) and all(rows.axis < len(_shape(var)) - trailing for var in tracked)
        return rows if inside else MIXED

    return rule


def _fft(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    return _leading(len(eqn.params["fft_lengths"]))(eqn, states, examples)


def _broadcast_in_dim(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if not isinstance(rows, Rows) or any(states[1:]):
        return MIXED
    axis = eqn.params["broadcast_dimensions"][rows.axis]
    same_length = _shape(eqn.outvars[0])[axis] == _shape(eqn.invars[0])[rows.axis]
    return Rows(axis, rows.outer, rows.inner) if same_length else MIXED


def _reshape(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """In row-major order the array is `before x examples x after`; looks for an axis that holds all examples again."""
    rows, old, new = states[0], _shape(eqn.invars[0]), _shape(eqn.outvars[0])
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


def _transpose(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if not isinstance(rows, Rows):
        return MIXED
    return Rows(tuple(eqn.params["permutation"]).index(rows.axis), rows.outer, rows.inner)


def _dot_general(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Result axes: batch, then those of the left that are not contracted, then those of the right."""
    (left_sum, right_sum), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    left, right = states[0], states[1]
    if left and right:
        both_batch = left.axis in left_batch and right.axis in right_batch
        position = tuple(left_batch).index(left.axis) if both_batch else -1
        aligned = both_batch and right_batch[position] == right.axis
        return (
            Rows(position, left.outer, left.inner)
            if aligned and (left.outer, left.inner) == (right.outer, right.inner)
            else MIXED
        )
    rows, summed, batch = (left, left_sum, left_batch) if left else (right, right_sum, right_batch)
    if not isinstance(rows, Rows) or rows.axis in summed:
        return MIXED
    if rows.axis in batch:
        return Rows(tuple(batch).index(rows.axis), rows.outer, rows.inner)
    operand = eqn.invars[0 if left else 1]
    free = [axis for axis in range(len(_shape(operand))) if axis not in summed and axis not in batch]
    left_free = len(_shape(eqn.invars[0])) - len(left_sum) - len(left_batch)
    return Rows(len(batch) + (0 if left else left_free) + free.index(rows.axis), rows.outer, rows.inner)


def _convolution(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    numbers, rows = eqn.params["dimension_numbers"], states[0]
    if not isinstance(rows, Rows) or states[1] or eqn.params["batch_group_count"] != 1:
        return MIXED
    return Rows(numbers.out_spec[0], rows.outer, rows.inner) if rows.axis == numbers.lhs_spec[0] else MIXED


def _windowed(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Pooling and its gradient: nothing may happen along the axis of the examples."""
    rows, params = _common(states), eqn.params
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
    whole = _shape(eqn.outvars[0])[rows.axis] == _shape(eqn.invars[0])[rows.axis]
    return rows if whole and (strides is None or strides[rows.axis] == 1) else MIXED


def _dynamic_slice(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    return MIXED if any(states[1:]) else _slice_whole(eqn, states[0])


def _slice_whole(eqn: JaxprEqn, rows: State) -> State:
    whole = isinstance(rows, Rows) and _shape(eqn.outvars[0])[rows.axis] == _shape(eqn.invars[0])[rows.axis]
    return rows if whole else MIXED


def _dynamic_update_slice(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = _common(states[:2])
    if not isinstance(rows, Rows) or any(states[2:]):
        return MIXED
    return rows if _shape(eqn.invars[0])[rows.axis] == _shape(eqn.invars[1])[rows.axis] else MIXED


def _pad(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    rows = states[0]
    if not isinstance(rows, Rows) or states[1]:
        return MIXED
    return rows if tuple(eqn.params["padding_config"][rows.axis]) == (0, 0, 0) else MIXED


def _gather(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """A lookup in a table by tracked indices, a lookup in tracked rows by fixed indices, or one lookup a row."""
    numbers, operand, indices = eqn.params["dimension_numbers"], states[0], states[1]
    operand_batch = tuple(getattr(numbers, "operand_batching_dims", ()))
    indices_batch = tuple(getattr(numbers, "start_indices_batching_dims", ()))
    outputs = range(len(_shape(eqn.outvars[0])))
    looked_up = [axis for axis in outputs if axis not in numbers.offset_dims]  # in the order of the indices' axes
    if isinstance(indices, Rows):
        if indices.axis >= len(looked_up):  # the axis of index vectors
            return MIXED
        if operand is not None:
            paired = operand.axis in operand_batch and indices_batch[operand_batch.index(operand.axis)] == indices.axis
            if not paired or (operand.outer, operand.inner) != (indices.outer, indices.inner):
                return MIXED
        return Rows(looked_up[indices.axis], indices.outer, indices.inner)
    if not isinstance(operand, Rows) or operand.axis in numbers.start_index_map:
        return MIXED
    if operand.axis in operand_batch:
        return Rows(looked_up[indices_batch[operand_batch.index(operand.axis)]], operand.outer, operand.inner)
    windows = [
        axis
        for axis in range(len(_shape(eqn.invars[0])))
        if axis not in (*numbers.collapsed_slice_dims, *operand_batch)
    ]
    whole = eqn.params["slice_sizes"][operand.axis] == _shape(eqn.invars[0])[operand.axis]
    if operand.axis not in windows or not whole:
        return MIXED
    return Rows(int(numbers.offset_dims[windows.index(operand.axis)]), operand.outer, operand.inner)


def _scatter(eqn: JaxprEqn, states: list[State], examples: int) -> State:
    """Writing at fixed places within each row."""
    numbers, (operand, indices, updates) = eqn.params["dimension_numbers"], states
    batching = tuple(getattr(numbers, "operand_batching_dims", ()))
    shape, update_shape = _shape(eqn.invars[0]), _shape(eqn.invars[2])
    windows = [axis for axis in range(len(shape)) if axis not in (*numbers.inserted_window_dims, *batching)]
    if indices:
        return MIXED
    if isinstance(operand, Rows):
        axis = operand.axis
    elif isinstance(updates, Rows) and updates.axis in numbers.update_window_dims:
        axis = windows[tuple(numbers.update_window_dims).index(updates.axis)]
    else:
        return MIXED
    if axis not in windows or axis in numbers.scatter_dims_to_operand_dims:
        return MIXED
    update_axis = numbers.update_window_dims[windows.index(axis)]
    rows = operand or Rows(axis, updates.outer, updates.inner)
    fits = updates is None or (
        updates == Rows(update_axis, rows.outer, rows.inner) and update_shape[update_axis] == shape[axis]
    )
    return rows if fits else MIXED


# Nested programs: (equation, states, examples) -> one state for each output.


def _call(eqn: JaxprEqn, states: list[State], examples: int) -> list[State]:
    inner = list(jaxprs_in_params(eqn.params))
    fits = len(inner) == 1 and len(inner[0].invars) == len(states) and len(inner[0].outvars) == len(eqn.outvars)
    return _run(inner[0], states, examples) if fits else [MIXED] * len(eqn.outvars)


def _cond(eqn: JaxprEqn, states: list[State], examples: int) -> list[State]:
    if states[0]:
        return [MIXED] * len(eqn.outvars)
    branches = [_run(_open(branch), states[1:], examples) for branch in eqn.params["branches"]]
    return [_join(results) for results in zip(*branches, strict=True)]


def _scan(eqn: JaxprEqn, states: list[State], examples: int) -> list[State]:
    """Steps along an axis that does not carry examples. Consts, carry and xs are told apart by their ranks."""
    body = _open(eqn.params["jaxpr"])
    is_carry = [len(_shape(a)) == len(_shape(b)) for a, b in zip(eqn.outvars, body.outvars, strict=True)]
    is_step = [len(_shape(a)) != len(_shape(b)) for a, b in zip(eqn.invars, body.invars, strict=True)]
    carries, steps = sum(is_carry), sum(is_step)
    consts = len(states) - carries - steps
    xs = [_shifted(state, -1) for state in states[consts + carries :]]
    carry = states[consts : consts + carries]
    for _ in range(2 * carries + 1):  # states only move from None to Rows to MIXED
        results = _run(body, [*states[:consts], *carry, *xs], examples)
        after = [_join(pair) for pair in zip(carry, results[:carries], strict=True)]
        if after == carry:
            break
        carry = after
    return [*carry, *(_shifted(state, 1) for state in results[carries:])]


def _while(eqn: JaxprEqn, states: list[State], examples: int) -> list[State]:
    condition, body = _open(eqn.params["cond_jaxpr"]), _open(eqn.params["body_jaxpr"])
    first, second = eqn.params["cond_nconsts"], eqn.params["cond_nconsts"] + eqn.params["body_nconsts"]
    carry = states[second:]
    for _ in range(2 * len(carry) + 1):
        results = _run(body, [*states[first:second], *carry], examples)
        after = [_join(pair) for pair in zip(carry, results, strict=True)]
        if after == carry:
            break
        carry = after
    (again,) = _run(condition, [*states[:first], *carry], examples)
    return [MIXED] * len(carry) if again else carry


def _barrier(eqn: JaxprEqn, states: list[State], examples: int) -> list[State]:
    return states  # one output for each operand


def _open(jaxpr: Any) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def _join(states: Sequence[State]) -> State:
    """Returns the state that covers all: what does not depend on the inputs may stand as any rows."""
    return _common(states) if any(states) else None


def _shifted(state: State, by: int) -> State:
    if not isinstance(state, Rows):
        return state
    return Rows(state.axis + by, state.outer, state.inner) if state.axis + by >= 0 else MIXED


_ELEMENTWISE = """
abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type cbrt ceil clamp clz
complex conj convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma
igamma_grad_a igammac imag integer_pow is_finite le lgamma log log1p log2 logistic lt max min mul name ne neg nextafter
not one_minus_square or polygamma polynomial population_count pow real reduce_precision
regularized_incomplete_beta rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh
sqrt square stop_gradient sub tan tanh threefry2x32 xor zeta random_fold_in
""".split()
_REDUCTIONS = "reduce_sum reduce_max reduce_min reduce_prod reduce_and reduce_or reduce_xor argmax argmin".split()
_WINDOWS = "reduce_window_max reduce_window_min reduce_window_sum select_and_scatter_add select_and_gather_add".split()

_RULES: dict[str, Callable[[JaxprEqn, list[State], int], State]] = {
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

_NESTED: dict[str, Callable[[JaxprEqn, list[State], int], list[State]]] = {
    **dict.fromkeys(("jit", "pjit", "closed_call", "core_call", "remat2", "checkpoint", "remat"), _call),
    **dict.fromkeys(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"), _call),
    "cond": _cond,
    "scan": _scan,
    "while": _while,
    "optimization_barrier": _barrier,
}
