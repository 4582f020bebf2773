"""Where a bias is subtracted again with a mean: each bias followed through a program, as a term of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

from verax.doctor.probes._points import number_of
from verax.jaxpr import Equation, flow

SUMS = ("reduce_sum", "psum", "psum_invariant")  # the others are what `vmap` makes of a mean over the batch's name
KEPT = ("convert_element_type", "copy", "stop_gradient", "reduce_precision")
EXACT = 1e-6  # relative: the count of a mean is a float32 literal


@dataclass(frozen=True)
class Term:
    """A value that holds a bias: `factor * bias + what does not depend on it`.

    Attributes:
      shape: of the value.
      axis: along which the bias varies; None where it is one number.
      factor: of the bias.
      value: tells the value from others.
      mean_of: the value whose sum this is a multiple of, with the axes (none where it is a sum of sums) and that
        value's factor; None if it is none.
    """

    shape: tuple[int, ...]
    axis: int | None
    factor: float
    value: Any
    mean_of: tuple[Any, tuple[int, ...], float] | None = None

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of that value: the sum over n examples holds the bias n times, the mean once."""
        return self.mean_of is not None and _equal(self.factor, self.mean_of[2])


@dataclass(frozen=True)
class Square:
    """The square of a value that holds a bias, or the mean of such squares over some axes: two parts of a variance."""

    of: Term
    axes: tuple[int, ...] = ()
    scale: float = 1.0


LOST = "lost"  # it depends on the bias in another way
State = Term | Square | str | None


class Facts(NamedTuple):
    """What is known of a value: the biases within it that can be told, and those that cannot."""

    terms: Mapping[int, Term | Square]
    lost: frozenset[int]


class Subtraction(NamedTuple):
    """A mean that is subtracted, and with it a bias: where, and over which axes it was taken."""

    equation: Equation
    axes: tuple[int, ...]


def subtracted(closed: Any, biases: Mapping[int, tuple[int, ...]], outputs: int) -> dict[int, Subtraction]:
    """Returns the biases that means take out of a program's first outputs again, wholly, with the first such mean.

    It is a proof in exact arithmetic: none of those outputs depends on them.

    Args:
      closed: what `jax.make_jaxpr` gave.
      biases: the shapes of those inputs of the program that are followed, by position; each has at most one axis longer
        than 1.
      outputs: how many of the program's outputs count.
    """
    found: dict[int, Subtraction] = {}

    def rule(equation: Equation, known: Sequence[Any]) -> Any:
        facts = [each for each in known if isinstance(each, Facts)]
        if not facts:
            return _folded(equation, known)
        lost = frozenset().union(*(each.lost for each in facts))
        terms: dict[int, Term | Square] = {}
        for index in sorted({index for each in facts for index in each.terms} - lost):
            operands = [each.terms.get(index) if isinstance(each, Facts) else None for each in known]
            after, mean = _after(equation, operands, known)
            if mean is not None:
                found.setdefault(index, Subtraction(equation, mean))
            if isinstance(after, Term | Square):
                terms[index] = after
            elif after == LOST:
                lost |= {index}
        return Facts(terms, lost) if terms or lost else None

    given: list[Any] = [None] * len(closed.jaxpr.invars)
    for index, shape in biases.items():
        long = [axis for axis, size in enumerate(shape) if size > 1]
        given[index] = Facts({index: Term(shape, long[0] if long else None, 1.0, ("bias", index))}, frozenset())
    known = flow(closed, given, rule, _either, literal=number_of)[:outputs]
    left = {index for each in known if isinstance(each, Facts) for index in {*each.terms, *each.lost}}
    return {index: where for index, where in found.items() if index not in left}


def _either(one: Any, other: Any) -> Any:
    """Returns what holds whichever branch is taken."""
    if one == other:
        return one
    facts = [each for each in (one, other) if isinstance(each, Facts)]
    return Facts({}, frozenset().union(*({*each.terms, *each.lost} for each in facts))) if facts else None


def _after(equation: Equation, states: Sequence[State], known: Sequence[Any]) -> tuple[State, tuple[int, ...] | None]:
    """Returns what becomes of one bias in an equation, and the axes of the mean that takes it out there, if any."""
    eqn: Any = equation.eqn
    name, held = eqn.primitive.name, [each for each in states if each is not None]
    fits = all(
        not isinstance(each, Term) or each.shape == tuple(var.aval.shape)
        for each, var in zip(states, eqn.invars, strict=True)
    )
    if not fits or len(eqn.outvars) != 1:  # a loop cut an axis off
        return LOST, None
    if name in ("add", "add_any", "sub"):
        return _summed(equation, states, -1.0 if name == "sub" else 1.0)
    if name in ("square", "integer_pow", "mul") and all(isinstance(each, Term) for each in held):
        same = len(held) == len(states) and len({each.value for each in held if isinstance(each, Term)}) == 1
        if same and (name != "integer_pow" or eqn.params["y"] == 2):
            return Square(_term(held[0])), None
    if len(held) != 1:
        return LOST, None
    (state,) = held
    if name in ("mul", "div") and len(known) == 2:
        return _scaled(equation, state, known, name), None
    if name == "neg":
        return (_times(state, -1.0, equation) if isinstance(state, Term) else LOST), None
    if name in SUMS:
        return _reduced(equation, state), None
    if isinstance(state, Square):  # its axes do not matter, since the squares are never read
        return (state if name in (*KEPT, *LAYOUT) else LOST), None
    if name in KEPT:
        return state, None
    return (LAYOUT[name](eqn, _term(state)) if name in LAYOUT else LOST), None


def _term(state: Any) -> Term:
    assert isinstance(state, Term)
    return state


def _summed(equation: Equation, states: Sequence[State], sign: float) -> tuple[State, tuple[int, ...] | None]:
    """A sum or difference: factors add up, and where nothing is left the bias is gone."""
    first, second = states
    shape = tuple(equation.eqn.outvars[0].aval.shape)  # type: ignore[attr-defined]
    if isinstance(first, Square) and isinstance(second, Square):
        return (None if sign < 0 and _is_variance(first, second) else LOST), None
    if not all(each is None or isinstance(each, Term) for each in states):
        return LOST, None
    if first is None or second is None:
        factor, term = (1.0, first) if first is not None else (sign, second)
        return _spread(replace(_term(term), value=(equation.key, "sum"), mean_of=None), shape, factor), None
    one, other = _term(first), _term(second)
    if len(one.shape) != len(other.shape) or one.axis != other.axis:
        return LOST, None
    factor = one.factor + sign * other.factor
    if abs(factor) > EXACT * abs(one.factor):
        return _spread(replace(one, factor=factor, value=(equation.key, "sum"), mean_of=None), shape, 1.0), None
    for value, mean in ((one, other), (other, one)):
        if mean.mean_of is not None and mean.mean_of[0] == value.value:
            return None, mean.mean_of[1]
    return None, None


def _is_variance(squares: Square, mean: Square) -> bool:
    """Returns whether a difference is that of the mean of squares and the square of the mean, over the same axes."""
    exact = _equal(squares.scale, 1.0) and _equal(mean.scale, 1.0) and not mean.axes and mean.of.is_mean
    return exact and bool(squares.axes) and mean.of.mean_of == (squares.of.value, squares.axes, squares.of.factor)


def _spread(term: Term, shape: tuple[int, ...], factor: float) -> State:
    """Returns a term in the shape of a result: operands may have axes of length 1 in their place."""
    fits = len(term.shape) == len(shape) and (term.axis is None or term.shape[term.axis] == shape[term.axis])
    return replace(term, shape=shape, factor=factor * term.factor) if fits else LOST


def _scaled(equation: Equation, state: State, known: Sequence[Any], name: str) -> State:
    """A multiple by a number that stands in the program, as of a sum that becomes a mean."""
    number = next((each for each in known if isinstance(each, float)), None)
    if number is None or (name == "div" and not isinstance(known[1], float)) or number == 0:
        return LOST
    factor = number if name == "mul" else 1 / number
    if factor == 1:
        return state
    if isinstance(state, Square):
        return replace(state, scale=state.scale * factor)
    return _times(_term(state), factor, equation)


def _times(term: Term, factor: float, equation: Equation) -> Term:
    return replace(term, factor=term.factor * factor, value=(equation.key, "multiple"))


def _reduced(equation: Equation, state: State) -> State:
    """A sum over axes along which the bias does not vary holds it as often as there are examples."""
    eqn: Any = equation.eqn
    axes, shape = tuple(eqn.params["axes"]), tuple(eqn.invars[0].aval.shape)
    if not axes:
        return state
    if not all(isinstance(axis, int) for axis in axes) or eqn.params.get("axis_index_groups") is not None:
        return LOST
    number = prod(shape[axis] for axis in axes)
    if isinstance(state, Square):
        whole = not state.axes and state.of.shape == shape and state.of.axis not in axes
        return replace(state, axes=axes, scale=state.scale * number) if whole else LOST
    term = _term(state)
    if term.axis in axes:
        return LOST
    left = [axis for axis in range(len(shape)) if axis not in axes]
    axis = None if term.axis is None else left.index(term.axis)
    source = (term.value, axes, term.factor) if term.mean_of is None else (term.mean_of[0], (), term.mean_of[2])
    return Term(tuple(shape[each] for each in left), axis, term.factor * number, (equation.key, "sum of"), source)


# Rules of what moves axes: (equation, term) -> what becomes of it.


def _broadcast(eqn: Any, term: Term) -> State:
    axis = None if term.axis is None else int(eqn.params["broadcast_dimensions"][term.axis])
    return _moved(eqn, term, axis)


def _transposed(eqn: Any, term: Term) -> State:
    return _moved(eqn, term, None if term.axis is None else tuple(eqn.params["permutation"]).index(term.axis))


def _reshaped(eqn: Any, term: Term) -> State:
    """Looks for the axis of the bias in the new shape: the one of its length with as many numbers after it."""
    if term.axis is None:
        return _moved(eqn, term, None)
    new, size = tuple(eqn.outvars[0].aval.shape), term.shape[term.axis]
    after = prod(term.shape[term.axis + 1 :])
    places = [axis for axis, length in enumerate(new) if length == size and prod(new[axis + 1 :]) == after]
    return _moved(eqn, term, places[0]) if places else LOST


def _moved(eqn: Any, term: Term, axis: int | None) -> State:
    shape = tuple(eqn.outvars[0].aval.shape)
    if axis is not None and shape[axis] != term.shape[term.axis or 0]:
        return LOST
    return replace(term, shape=shape, axis=axis)


LAYOUT: Mapping[str, Callable[[Any, Term], State]] = {
    "broadcast_in_dim": _broadcast,
    "transpose": _transposed,
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), _reshaped),
}


# Numbers that stand in the program: known as floats.


def _folded(equation: Equation, known: Sequence[Any]) -> float | None:
    keeps = equation.eqn.primitive.name in (*KEPT, *LAYOUT)
    return known[0] if keeps and isinstance(known[0], float) else None


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= EXACT * abs(other)
