"""The first operation whose operands are finite and whose result is not, in a function or in its gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from verax.debug._nonfinite_births import Key, Pass, bad, first_that_matters, mended, seen_closely
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
from verax.debug._nonfinite_rows import batch_size_of, culprits, with_rows
from verax.findings import InputError
from verax.jaxpr import Equation, Place, evaluate, nearest_inputs
from verax.trees import host, is_floating, path_text, shape_text


def find_nonfinite(
    fn: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] = 0,
    batch: int | Sequence[int] | None = None,
) -> NonFinite | None:
    """Returns the first operation that makes the result of `fn(*args)`, or its gradient, NaN or Inf; None if all is finite.

    The function is compiled and run; if something is not finite, its program is evaluated operation by operation, in its
    own types, on the values given. Of all places where numbers
    stop being finite it is the first that matters: the -Inf of a mask that softmax turns into zeros is passed over, a
    NaN that `where` leaves out is reported if it comes back in the gradient. Where a parameter or input is not finite
    to begin with and reaches the result, that leaf is reported.

    Goes into `jit`, `scan`, `while`, `cond`, `remat` and functions with derivatives of their own. Costs some tens of
    training steps and the compilation of each operation by itself: a second or two for a small network.

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
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    call = _call(fn, args, numbers, batch)
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


class _Call(NamedTuple):
    """A call as a function of its arrays alone.

    Attributes:
      flat: the function, from arrays to whatever it returns.
      leaves: the arrays.
      paths: the name of each.
      by: numbers of the arrays that a gradient is by.
      rows: numbers of the arrays that hold examples.
      batch_size: how many examples; 0 if there are none.
    """

    flat: Callable[..., Any]
    leaves: list[Any]
    paths: list[str]
    by: list[int]
    rows: list[int]
    batch_size: int


def _call(fn: Callable[..., Any], args: tuple[Any, ...], argnums: tuple[int, ...], batch: Any) -> _Call:
    named = [*argnums, *(() if batch is None else (batch,) if isinstance(batch, int) else batch)]
    for number in named:
        if not 0 <= number < len(args):
            raise InputError(f"argnums and batch must be numbers of the {len(args)} arguments, got {number}.")
    flat, structure = jax.tree.flatten(args)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in flat):
        raise InputError("find_nonfinite needs values, got a traced array. Call it outside of jit, grad and vmap.")
    with_paths = [
        (number, path_text(path)) for number, arg in enumerate(args) for path, _ in jax.tree.leaves_with_path(arg)
    ]
    names = _names(fn, len(args))
    traced = [
        place
        for place, leaf in enumerate(flat)
        if hasattr(leaf, "dtype") or (isinstance(leaf, float | complex) and with_paths[place][0] in argnums)
    ]
    leaves = [jnp.asarray(flat[place]) for place in traced]
    paths = ["/".join(filter(None, (names[number], path))) for number, path in (with_paths[place] for place in traced)]
    owner = [with_paths[place][0] for place in traced]
    examples = set(named[len(argnums) :]) if batch is not None else set(range(len(args))) - set(argnums)
    if batch is None and not any(np.ndim(leaf) for leaf, number in zip(leaves, owner, strict=True) if number in examples):
        examples = set(range(len(args)))
    rows = [place for place, number in enumerate(owner) if number in examples]

    def of_arrays(*arrays: Any) -> Any:
        everything = list(flat)
        for place, array in zip(traced, arrays, strict=True):
            everything[place] = array
        return fn(*jax.tree.unflatten(structure, everything))

    by = [place for place, number in enumerate(owner) if number in argnums and is_floating(leaves[place])]
    return _Call(of_arrays, leaves, paths, by, rows, batch_size_of([leaves[place] for place in rows]))


def _names(fn: Callable[..., Any], count: int) -> list[str]:
    """Returns a name for each argument: as the function calls it, else its number."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # a function in C does not tell
        parameters = ()
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return [named[number] if number < len(named) else f"argument {number}" for number in range(count)]


def _is_loss(shapes: Any) -> bool:
    """Returns whether an output can be differentiated: a scalar, or a tuple that begins with one."""
    first = shapes[0] if type(shapes) is tuple and shapes else shapes
    return hasattr(first, "shape") and first.shape == () and is_floating(first)


def _with_gradient(call: _Call) -> ClosedJaxpr:
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


def _described(call: _Call, program: ClosedJaxpr, key: Key, forward: ClosedJaxpr | None = None) -> NonFinite:
    """Returns what is known of a place; `forward` is given where `program` is that of the gradient."""
    rows = _rows(call, program, key)
    if key[0] == "input":
        return _of_input(call, key[1], rows)
    event = seen_closely(program, call.leaves, key)
    place, index = event.equation.place, first_index(event)
    nearest, data = (
        nearest_inputs(program, [path if (number in call.by) == of_params else None for number, path in enumerate(call.paths)])
        for of_params in (True, False)
    )
    backward = forward is not None or place.is_backward
    cause = None if forward is None else _cause_in_forward(forward, call.leaves, place)
    if cause is None:
        cause = cause_of(event, not any(data.of_operands(event.equation)[:1]), backward=backward)
    return NonFinite(
        cause.id,
        "backward" if backward else "forward",
        cause.operation,
        cause.what,
        cause.advice,
        place,
        nearest.of(event.equation),
        operands_of(event),
        float(np.real(event.output[index])),
        index,
        int(event.born.sum()),
        int(event.born.size),
        event.turns,
        rows,
        call.batch_size,
    )


def _of_input(call: _Call, number: int, rows: tuple[int, ...]) -> NonFinite:
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


def _rows(call: _Call, program: ClosedJaxpr, key: Key) -> tuple[int, ...]:
    """Returns the rows with which alone the same place makes the outputs not finite."""
    if call.batch_size < 1:
        return ()

    def fails(rows: np.ndarray) -> bool:
        chosen = [with_rows(leaf, rows) if number in call.rows else leaf for number, leaf in enumerate(call.leaves)]
        seen = Pass(program, chosen)
        return not seen.is_finite and any(birth[0] == key[0] for birth in seen.births)

    return culprits(fails, call.batch_size)
