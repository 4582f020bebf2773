"""Where numbers first stop being finite in a program, and which of these places matters to its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from verax.jaxpr import Equation, evaluate, run_equation

MENDED = 0.618  # stands in for a number that is not finite: of no special value, so that nothing else breaks at it
_WORDS = "abs acos acosh add add_any asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type copy copy_p cos "
_WORDS += "cosh digamma div erf erf_inv erfc exp exp2 expm1 floor igamma igammac imag integer_pow lgamma log log1p "
_WORDS += "logistic max min mul neg nextafter pow real reduce_precision rem round rsqrt select_n sign sin sinh sqrt "
_WORDS += "square stop_gradient sub tan tanh"
ELEMENTWISE = frozenset(_WORDS.split())
LINEAR = {"dot_general", "conv_general_dilated", "reduce_sum", "reduce_window_sum", "cumsum", "scatter-add", "gather"}
LINEAR |= {"select_and_scatter_add", "reduce_prod", "cumprod"}  # of zeros they are finite, whatever else they get

Key = tuple[Any, ...]  # of an equation and the turns of its loops, or the number of an input


class Event(NamedTuple):
    """An evaluation of an equation, with the numbers of its first result that stop being finite there.

    Attributes:
      equation: what was evaluated.
      inputs: its operands.
      output: the result.
      born: which numbers of the result are not finite though what they are computed from is.
      turns: iterations of the loops around it.
    """

    equation: Equation
    inputs: Sequence[Any]
    output: np.ndarray
    born: np.ndarray
    turns: tuple[int, ...]


class Pass:
    """One evaluation of a program.

    What stops being finite is put right at once (mended) unless its key is to be kept, so that what is not finite in
    the outputs comes from the kept ones alone.

    Attributes:
      outputs: of the program.
      births: keys of everything that stopped being finite, in order.
      event: of the equation that was to be looked at closely.
    """

    def __init__(
        self,
        program: ClosedJaxpr,
        args: Sequence[Any],
        keeps: Callable[[Key], bool] = lambda key: True,
        *,
        closely: Key | None = None,
    ):
        self.births: list[Key] = []
        self.event: Event | None = None
        self._keeps, self._closely = keeps, closely
        given = [self._given(("input", number), value) for number, value in enumerate(args)]
        self.outputs = evaluate(program, given, self._visit, over=self._over)

    @property
    def is_finite(self) -> bool:
        """Whether all outputs are."""
        return not any(bad(output).any() for output in self.outputs)

    def _given(self, key: Key, value: Any) -> Any:
        wrong = bad(value)
        if not wrong.any():
            return value
        self.births.append(key)
        return value if self._keeps(key) else mended(value, wrong)

    def _over(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any] | None:
        """Steps over a loop whose results are finite: what is not within it reaches nothing outside."""
        if equation.eqn.primitive.name not in ("scan", "while") or self._holds_what_is_looked_at(equation):
            return None
        results = run_equation(equation, inputs)
        return None if any(bad(result).any() for result in results) else results

    def _holds_what_is_looked_at(self, equation: Equation) -> bool:
        key = equation.key
        return self._closely is not None and self._closely[0][: len(key)] == key

    def _visit(
        self, equation: Equation, inputs: Sequence[Any], outputs: Sequence[Any], turns: tuple[int, ...]
    ) -> Sequence[Any] | None:
        wrong = [bad(output) for output in outputs]
        if not any(each.any() for each in wrong):
            return None
        born = _born(equation, inputs, wrong)
        first = next((number for number, each in enumerate(born) if each.any()), None)
        if first is None:
            return None
        key = (equation.key, turns)
        self.births.append(key)
        if key == self._closely:
            self.event = Event(equation, inputs, np.asarray(outputs[first]), born[first], turns)
        return None if self._keeps(key) else [mended(each, new) for each, new in zip(outputs, born, strict=True)]


def first_that_matters(program: ClosedJaxpr, args: Sequence[Any]) -> Key | None:
    """Returns the first place where numbers stop being finite and make the outputs so; None if these are finite.

    A place matters if, with everything after it put right, the outputs are not finite, and with it put right too they
    are. Found by bisection over all places: what is meant, such as the -Inf of a mask that softmax turns into zeros,
    makes no difference to the outputs and is passed over.
    """
    seen = Pass(program, args)
    if seen.is_finite or not seen.births:
        return None
    order = list(dict.fromkeys(seen.births))
    low, high = 0, len(order)  # with the first `low` kept the outputs are finite, with the first `high` not
    while high - low > 1:
        middle = (low + high) // 2
        kept = frozenset(order[:middle])
        low, high = (middle, high) if Pass(program, args, kept.__contains__).is_finite else (low, middle)
    return order[high - 1]


def seen_closely(program: ClosedJaxpr, args: Sequence[Any], key: Key) -> Event:
    """Returns the operation at one place, evaluated with all other places put right."""
    event = Pass(program, args, lambda other: other == key, closely=key).event
    assert event is not None, "an operation goes wrong no more once others are put right"
    return event


def bad(value: Any) -> np.ndarray:
    """Returns which numbers of a value are NaN or Inf; all False where it holds no floating-point numbers."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        dtype = jnp.result_type(value)
    if not jnp.issubdtype(dtype, jnp.inexact):
        return np.zeros((), bool)
    return np.asarray(~np.isfinite(np.asarray(value)))


def mended(value: Any, wrong: np.ndarray, by: float = MENDED) -> Any:
    """Returns a value with another number where it is wrong, of the same sign."""
    array = np.array(value)
    wrong = np.broadcast_to(wrong, array.shape)
    if wrong.any():
        array[wrong] = np.where(np.real(array[wrong]) < 0, -by, by).astype(array.dtype)
    return jnp.asarray(array)


def is_constant(value: Any) -> bool:
    """Returns whether an operand is a constant of the program, not given to it or computed."""
    return not isinstance(value, jax.Array)


def _born(equation: Equation, inputs: Sequence[Any], wrong: list[np.ndarray]) -> list[np.ndarray]:
    """Returns which numbers of each result stop being finite here: those computed from finite operands.

    Constants of the program count as finite, so that an Inf among them begins where it is used.
    """
    eqn = equation.eqn
    doubtful = [np.zeros((), bool) if is_constant(value) else bad(value) for value in inputs]
    if not any(each.any() for each in doubtful):
        return wrong
    if eqn.primitive.name in ELEMENTWISE:
        return [np.asarray(result & ~np.any(np.broadcast_arrays(result, *doubtful)[1:], axis=0)) for result in wrong]
    if eqn.primitive.name in LINEAR:
        clean = [
            mended(value, each, 0.0) if each.any() else value for value, each in zip(inputs, doubtful, strict=True)
        ]
        return [bad(result) for result in run_equation(equation, clean)]
    return [np.zeros_like(result) for result in wrong]
