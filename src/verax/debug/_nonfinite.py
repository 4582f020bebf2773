"""The first operation whose operands are finite and whose result is not, in a function or in its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from verax.debug._nonfinite_births import Key, Pass, bad, first_that_matters, mended, seen_closely
from verax.debug._nonfinite_call import Call, call_of
from verax.debug._nonfinite_cause import (
    Cause,
    Suspect,
    cause_of,
    first_index,
    gradient_cause,
    operands_of,
    range_of,
    suspect_of,
)
from verax.debug._nonfinite_result import NonFinite, Operand
from verax.debug._nonfinite_rows import culprits, with_rows
from verax.jaxpr import Equation, Place, evaluate, nearest_inputs
from verax.trees import host, is_floating, shape_text


def find_nonfinite(
    fn: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] = 0,
    batch: int | Sequence[int] | None = None,
) -> NonFinite | None:
    """Returns the first operation that makes `fn(*args)` or its gradient NaN or Inf; None if all is finite.

    The function is compiled and run; if something is not finite, its program is evaluated operation by operation, in
    its own types, on the values given. Of all places where numbers stop being finite it is the first that matters: the
    -Inf of a mask that softmax turns into zeros is passed over, a NaN that `where` leaves out is reported if it comes
    back in the gradient. Where a parameter or input is not finite to begin with and reaches the result, that leaf is
    reported.

    Goes into `jit`, `scan`, `while`, `cond`, `remat` and functions with derivatives of their own. An answer costs some
    tens of evaluations and the compilation of each operation by itself: a second or two for a small network.

    Args:
      fn: any function of trees of arrays. If it returns a floating-point scalar, or a tuple that begins with one, the
        gradient of that is looked at too.
      args: its arguments. Booleans, integers, strings and functions among them are passed on as they are; arrays and
        random keys are traced.
      argnums: the arguments that the gradient is by.
      batch: the arguments that hold examples along their leading axis, to name the rows that do it. None takes all that
        the gradient is not by, if all their arrays have that axis in common; all, where there is no other.

    Raises:
      InputError: if a number is out of range, or it is called while another function is traced.

    Example:
      >>> def loss(params, inputs):
      ...     return jnp.mean(jnp.log(jax.nn.sigmoid(inputs @ params["kernel"])))
      >>> found = find_nonfinite(loss, {"kernel": jnp.ones(2)}, jnp.array([[1.0, 2.0], [-60.0, -80.0], [0.0, 1.0]]))
      >>> found.id, found.operation, found.rows, found.leaf
      ('log-of-zero', 'log', (1,), 'params/kernel')
      >>> find_nonfinite(loss, {"kernel": jnp.ones(2)}, jnp.ones((3, 2))) is None
      True
    """
    examples = (batch,) if isinstance(batch, int) else None if batch is None else tuple(batch)
    call = call_of(fn, args, (argnums,) if isinstance(argnums, int) else tuple(argnums), examples)
    forward, shapes = jax.make_jaxpr(call.flat, return_shape=True)(*call.leaves)
    has_gradient = bool(call.by) and _is_loss(shapes)
    program = _with_gradient(call) if has_gradient else forward
    finite = [not bad(output).any() for output in jax.jit(jaxpr_as_fun(program))(*call.leaves)]
    if all(finite):
        return None
    outputs = len(jax.tree.leaves(shapes))
    key = None if all(finite[:outputs]) else first_that_matters(forward, call.leaves)
    if key is not None:
        return _described(call, forward, key)
    key = first_that_matters(program, call.leaves) if has_gradient else None
    return None if key is None else _described(call, program, key, forward)


def _is_loss(shapes: Any) -> bool:
    """Returns whether an output can be differentiated: a scalar, or a tuple that begins with one."""
    first: Any = shapes[0] if type(shapes) is tuple and shapes else shapes
    return hasattr(first, "shape") and first.shape == () and is_floating(first)


def _with_gradient(call: Call) -> ClosedJaxpr:
    """Returns the program of the outputs followed by the gradient."""

    def with_gradient(*arrays: Any) -> Any:
        def loss(moving: list[Any]) -> Any:
            everything = list(arrays)
            for number, array in zip(call.by, moving, strict=True):
                everything[number] = array
            outputs = call.flat(*everything)
            return (outputs[0] if type(outputs) is tuple else outputs), outputs

        grads, outputs = jax.grad(loss, has_aux=True)([arrays[number] for number in call.by])
        return outputs, grads

    return jax.make_jaxpr(with_gradient)(*call.leaves)


def _described(call: Call, program: ClosedJaxpr, key: Key, forward: ClosedJaxpr | None = None) -> NonFinite:
    """Returns what is known of a place; `forward` is given where `program` is that of the gradient."""
    rows = _rows(call, program, key)
    if key[0] == "input":
        return _of_input(call, key[1], rows)
    event = seen_closely(program, call.leaves, key)
    place, index = event.equation.place, first_index(event)
    params = [path if number in call.by else None for number, path in enumerate(call.paths)]
    others = [None if number in call.by else path for number, path in enumerate(call.paths)]
    near_other = nearest_inputs(program, others).of_operands(event.equation)
    backward = forward is not None or place.is_backward
    cause = None if forward is None else _cause_in_forward(forward, call.leaves, place)
    if cause is None:
        cause = cause_of(event, not any(near_other[:1]), backward=backward)
    return NonFinite(
        cause.id,
        "backward" if backward else "forward",
        cause.operation,
        cause.what,
        cause.advice,
        place,
        nearest_inputs(program, params).of(event.equation),
        operands_of(event),
        float(np.real(event.output[index])),
        index,
        int(event.born.sum()),
        int(event.born.size),
        event.turns,
        rows,
        call.batch_size,
    )


def _of_input(call: Call, number: int, rows: tuple[int, ...]) -> NonFinite:
    path, value = call.paths[number], np.asarray(call.leaves[number])
    wrong = bad(value)
    index = tuple(int(each[0]) for each in np.nonzero(wrong)) if wrong.ndim else ()
    first = float(np.real(value[index]))
    what = f"{path} holds {first} at {list(index)} before anything is computed, and the result depends on it."
    advice = "Leave such rows out, or fill them in; if it is a parameter, look at the step before."
    operand = (Operand(shape_text(value), *range_of(value), first),)
    size, count = int(wrong.size), int(wrong.sum())
    return NonFinite(
        "non-finite-input", "input", "", what, advice, Place(), path, operand, first, index, count, size, (), rows,
        call.batch_size,
    )  # fmt: skip


def _cause_in_forward(forward: ClosedJaxpr, leaves: list[Any], place: Place) -> Cause | None:
    """Returns the cause if the forward pass has, at the same line, an operation without a finite derivative there.

    Whether its result is used is tried: it is not if the outputs stay as they are when other numbers take its place.
    """
    suspects: list[Suspect] = []

    def look(equation: Equation, inputs: Sequence[Any], outputs: Sequence[Any], turns: tuple[int, ...]) -> None:
        here = equation.place
        if here.span == place.span and here.layer == place.layer and (found := suspect_of(equation, inputs)):
            suspects.append(found)

    def change(
        equation: Equation, inputs: Sequence[Any], outputs: Sequence[Any], turns: tuple[int, ...]
    ) -> list[Any] | None:
        found = suspect_of(equation, inputs) if equation.key == suspects[0].key else None
        return [mended(outputs[0], found.places)] if found else None

    before = evaluate(forward, leaves, look)
    if not suspects:
        return None
    after = evaluate(forward, leaves, change)
    left_out = all(np.array_equal(host(a), host(b), equal_nan=True) for a, b in zip(before, after, strict=True))
    return gradient_cause(suspects[0], left_out)


def _rows(call: Call, program: ClosedJaxpr, key: Key) -> tuple[int, ...]:
    """Returns the rows with which alone the same place makes the outputs not finite."""
    if call.batch_size < 1:
        return ()

    def fails(rows: np.ndarray) -> bool:
        chosen = [with_rows(leaf, rows) if number in call.rows else leaf for number, leaf in enumerate(call.leaves)]
        seen = Pass(program, chosen)
        return not seen.is_finite and any(birth[0] == key[0] for birth in seen.births)

    return culprits(fails, call.batch_size)
