"""Why the result of an operation is not finite, in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from verax.debug._nonfinite_births import ELEMENTWISE, Event, bad, is_constant
from verax.debug._nonfinite_result import Operand
from verax.jaxpr import Equation
from verax.trees import shape_text

WORDS = {
    "add": "addition", "add_any": "sum of gradients", "atan2": "arctan2", "cbrt": "cube root",
    "conv_general_dilated": "convolution", "convert_element_type": "cast", "cumsum": "cumulative sum",
    "div": "division", "dot_general": "matrix product", "erf_inv": "inverse erf", "gather": "indexing",
    "integer_pow": "power", "logistic": "sigmoid", "mul": "multiplication", "pow": "power", "reduce_max": "maximum",
    "reduce_prod": "product", "reduce_sum": "sum", "rsqrt": "1/sqrt", "select_n": "where", "sub": "subtraction",
    "broadcast_in_dim": "constant",
}  # fmt: skip

LOGITS = "Compute it from logits: jax.nn.log_softmax, jax.nn.log_sigmoid, optax losses; or log(jnp.maximum(x, 1e-12))."
SUBTRACT = "Use jax.nn.softmax, jax.nn.logsumexp or jax.nn.softplus, which subtract the maximum first."
DENOMINATOR = "Add a small number to the denominator, or divide by jnp.maximum(x, 1e-6)."
ROOT = "Add a small number under the root: jnp.sqrt(x + 1e-12)."
TWICE = "Use where twice, so that the part left out is given a safe number: jnp.where(ok, f(jnp.where(ok, x, 1)), 0)."
HALF = "Compute in bfloat16, or losses, sums and statistics in float32; scale the loss (precision='float16' does)."
SCALE = "Numbers grow too large: look at the scale of inputs and weights, lower the learning rate, clip gradients."
DOMAIN = "Clip the operand to where the function is defined."
LABELS = "Compare labels with the number of outputs; classes count from 0."
TABLE = "Compare the largest index with the number of rows; indices count from 0."
MASK = "If a mask is meant, leave at least one entry of each row, or use a large negative number instead of -Inf."
AROUND = "Look at the numbers and arrays that the function takes from around it."
CUSTOM = "Look at the operand's range, and at the derivative where it is hand-written."


class Cause(NamedTuple):
    """Why, as the parts of a finding."""

    id: str
    operation: str
    what: str
    advice: str


class Suspect(NamedTuple):
    """An operation at a place where its derivative is not finite.

    Attributes:
      key: of the equation.
      primitive: its name.
      places: where in its result.
      at: the first operand of that kind.
    """

    key: tuple[int, ...]
    primitive: str
    places: np.ndarray
    at: float


def word(primitive: str) -> str:
    """Returns a primitive in the words of a user: `matrix product` for `dot_general`."""
    return WORDS.get(primitive, primitive.replace("_", " "))


def cause_of(event: Event, is_parameter: bool, *, backward: bool) -> Cause:
    """Returns why an operation gives what is not finite.

    Args:
      event: the operation with its operands.
      is_parameter: whether its first operand depends on no data, but on parameters alone.
      backward: whether it belongs to a gradient.
    """
    eqn = event.equation.eqn
    name = eqn.primitive.name
    index = first_index(event)
    value = _text(event.output[index])
    there = [number for number in _there(event, index) if number is not None]
    x, y = (*there, None, None)[:2]
    cause = _special(event, name, x, y, value, is_parameter) or _overflow(event, word(name), value)
    if backward:
        cause = cause._replace(what=f"in the gradient, {cause.what}", operation=f"{cause.operation} in the gradient")
    return cause


def gradient_cause(suspect: Suspect, left_out: bool) -> Cause:
    """Returns why a gradient is not finite, from the operation of the forward pass whose derivative it goes through.

    Args:
      suspect: the operation, at an operand where its derivative is not finite.
      left_out: whether the outputs do not depend on what it gives there.
    """
    name = suspect.primitive
    operation = f"gradient of {word(name)}"
    what = f"the {operation} at {suspect.at:.6g} is not finite"
    if left_out:
        what = f"{what}; a where or a factor of 0 leaves it out, but 0 x Inf is NaN."
        return Cause("where-gradient-nan", operation, what, TWICE)
    what = f"{what}, while its value is."
    if name in ("log", "log1p"):
        return Cause("log-of-zero", operation, what, LOGITS)
    if name in EXPONENTIALS:
        return Cause("exp-overflow", operation, what, SUBTRACT)
    advice = {"sqrt": ROOT, "pow": ROOT, "cbrt": ROOT, "div": DENOMINATOR, "rsqrt": DENOMINATOR}.get(name, DOMAIN)
    return Cause("division-by-zero", operation, what, advice)


EXPONENTIALS = {"exp", "exp2", "expm1", "cosh", "sinh"}
SINGULAR: dict[str, Callable[..., Any]] = {  # where a derivative is not finite, by operands
    "sqrt": lambda x: x <= 0,
    "cbrt": lambda x: x == 0,
    "rsqrt": lambda x: x <= 0,
    "log": lambda x: x <= 0,
    "log1p": lambda x: x <= -1,
    "pow": lambda x, y: (x <= 0) & (y < 1),
    "integer_pow": lambda x: x == 0,
    "div": lambda x, y: y == 0,
    "atan2": lambda x, y: (x == 0) & (y == 0),
    "acos": lambda x: np.abs(x) >= 1,
    "asin": lambda x: np.abs(x) >= 1,
    "atanh": lambda x: np.abs(x) >= 1,
    "acosh": lambda x: x <= 1,
    "erf_inv": lambda x: np.abs(x) >= 1,
    **dict.fromkeys(EXPONENTIALS, lambda x: np.abs(x.astype(np.float64)) > _limit(x.dtype)),
}


def suspect_of(equation: Equation, inputs: Sequence[Any]) -> Suspect | None:
    """Returns where an operation has no finite derivative at what it is given; None if it has one everywhere."""
    name = equation.eqn.primitive.name
    if name not in SINGULAR or (name == "integer_pow" and equation.eqn.params["y"] >= 1):
        return None
    arrays = [np.asarray(value) for value in inputs]
    places = np.asarray(SINGULAR[name](*arrays))
    if not places.any():
        return None
    decides = arrays[1 if name == "div" else 0]
    return Suspect(equation.key, name, places, float(np.broadcast_to(decides, places.shape)[places][0]))


def first_index(event: Event) -> tuple[int, ...]:
    """Returns where the first bad number of a result stands."""
    return tuple(int(each[0]) for each in np.nonzero(event.born)) if event.born.ndim else ()


def operands_of(event: Event) -> tuple[Operand, ...]:
    """Returns what an operation was given, constants left out: range, and the number where the result is first bad."""
    there = _there(event, first_index(event))
    return tuple(
        Operand(shape_text(array), *range_of(array), number)
        for value, array, number in zip(event.inputs, map(_array, event.inputs), there, strict=True)
        if array is not None and not is_constant(value)
    )


def _special(event: Event, name: str, x: Any, y: Any, value: str, is_parameter: bool) -> Cause | None:
    """Returns the cause where an operation is undefined at what it is given, or unbounded."""
    said, dtype = word(name), event.output.dtype
    if any(is_constant(value) and bad(value).any() for value in event.inputs):
        what = f"a constant {value} of the program reaches the result."
        return Cause("non-finite-loss", "constant", what, MASK if event.output[first_index(event)] < 0 else AROUND)
    if name == "gather":
        return _out_of_range(event, is_parameter)
    if x is None:
        return None
    if name in ("log", "log1p") and x <= (0 if name == "log" else -1):
        return Cause("log-of-zero", said, f"{said} of {_text(x)} is {value}.", LOGITS)
    if name in EXPONENTIALS:
        limit = f"{dtype} ends at {said}({_limit(dtype):.3g})"
        return Cause("exp-overflow", said, f"{said} of {_text(x)} is {value}: {limit}.", SUBTRACT)
    if name in ("div", "rem") and y == 0:
        return Cause("division-by-zero", said, f"{_text(x)} divided by 0 is {value}.", DENOMINATOR)
    if x == 0 and (name == "rsqrt" or name in ("pow", "integer_pow")):
        return Cause("division-by-zero", said, f"{said} of 0 is {value}.", DENOMINATOR)
    if name in ("sqrt", "rsqrt", "pow") and x < 0:
        advice = "Rounding may take a variance or a distance below 0: use jnp.maximum(x, 0) before, or compute it anew."
        return Cause("non-finite-loss", said, f"{said} of {_text(x)}, a negative number, is {value}.", advice)
    if name in SINGULAR and name not in ("pow", "integer_pow", "div", "cbrt"):
        return Cause("non-finite-loss", said, f"{said} of {_text(x)} is {value}.", DOMAIN)
    return None


def _overflow(event: Event, said: str, value: str) -> Cause:
    """Returns the cause where an operation is defined and its result too large, or nothing better is known."""
    dtype = event.output.dtype
    if event.equation.eqn.primitive.name not in ELEMENTWISE | LARGE:
        return Cause("non-finite-loss", said, f"the {said} of finite numbers is {value}.", CUSTOM)
    limit = f"{dtype} ends at {float(jnp.finfo(dtype).max):.4g}"
    if dtype == np.float16:
        largest = f"{limit.replace('6.55e+04', '65504')}"
        return Cause("low-precision-overflow", said, f"the {said} gives {value}: {largest}.", HALF)
    return Cause("non-finite-loss", said, f"the {said} gives {value}: {limit}.", SCALE)


LARGE = {"dot_general", "conv_general_dilated", "reduce_sum", "reduce_prod", "cumsum", "cumprod", "reduce_window_sum"}
LARGE |= {"scatter-add", "select_and_scatter_add", "square"}


def _out_of_range(event: Event, is_parameter: bool) -> Cause | None:
    """Returns the cause where an index lies beyond the axis that it is looked up in."""
    wrong = next(_wrong_indices(event), None)
    if wrong is None:
        return None
    index, size = wrong
    if is_parameter:
        what = f"index {index} into a parameter of {size} rows gives NaN."
        return Cause("non-finite-loss", "indexing", what, TABLE)
    return Cause("label-out-of-range", "indexing", f"index {index} into {size} outputs gives NaN.", LABELS)


def _wrong_indices(event: Event) -> Iterator[tuple[int, int]]:
    """Yields indices that lie outside of their axis, each with the length of that axis."""
    params = event.equation.eqn.params
    operand, indices = event.inputs[0], np.asarray(event.inputs[1])
    for component, axis in enumerate(params["dimension_numbers"].start_index_map):
        last = operand.shape[axis] - params["slice_sizes"][axis]
        column = indices[..., component]
        for index in column[(column < 0) | (column > last)].ravel():
            yield int(index), operand.shape[axis]


def _there(event: Event, index: tuple[int, ...]) -> list[Any]:
    """Returns for each operand the number that the first bad one was computed from; None where these are many."""
    elementwise = event.equation.eqn.primitive.name in ELEMENTWISE
    found: list[Any] = []
    for array in map(_array, event.inputs):
        if array is None or not (elementwise or array.ndim == 0):
            found.append(None)
        else:
            found.append(float(np.broadcast_to(array, event.output.shape)[index] if array.ndim else array))
    return found


def _array(value: Any) -> np.ndarray | None:
    """Returns an operand as an array of real numbers; None if it holds others."""
    dtype = jnp.result_type(value) if not hasattr(value, "dtype") else value.dtype
    is_real = (
        jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, np.bool_)
    )
    return np.asarray(value) if is_real else None


def range_of(array: np.ndarray) -> tuple[float | None, float | None]:
    """Returns the smallest and the largest finite number of an array; None where there is none."""
    numbers = np.real(array[~bad(array)]) if jnp.issubdtype(array.dtype, jnp.inexact) else array
    return (float(numbers.min()), float(numbers.max())) if numbers.size else (None, None)


def _limit(dtype: Any) -> float:
    """Returns the largest number whose exponential a type can hold: 88.7 of float32, 11.1 of float16."""
    return float(np.log(float(jnp.finfo(dtype).max)))


def _text(number: Any) -> str:
    return f"{float(np.real(number)):.6g}"
