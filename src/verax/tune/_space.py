"""What a hyperparameter may be: lists and intervals, and functions of what was chosen before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verax.findings import InputError
from verax.tune._task import plain_setting


@dataclass(frozen=True)
class Interval:
    """The numbers between two ends, both included; make one with `uniform`, `log_uniform` or `int_uniform`.

    Attributes:
      low: the lower end.
      high: the upper end.
      log: whether the logarithm is uniform.
      whole: whether only whole numbers count.
    """

    low: float | int
    high: float | int
    log: bool = False
    whole: bool = False

    def at(self, share: float | int) -> float | int:
        """Returns the number below which lies a share in [0, 1) of the interval."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        low, high = (math.log(low), math.log(high)) if self.log else (low, high)
        value = low + share * (high - low)
        value = math.exp(value) if self.log else value
        value = min(max(value, self.low), self.high)
        return min(max(round(value), int(self.low)), int(self.high)) if self.whole else value

    def __str__(self) -> str:
        kind = f"{'log_' if self.log and not self.whole else ''}{'int_' if self.whole else ''}uniform"
        return f"{kind}({self.low:g}, {self.high:g}{', log=True' if self.log and self.whole else ''})"


Dimension = Sequence[Any] | np.ndarray | Interval
Space = Mapping[str, Dimension | Callable[[Mapping[str, Any]], Dimension | None]]
Choose = Callable[[str, list[Any] | Interval], Any]


def uniform(low: Any, high: Any) -> Interval:
    """Returns the numbers in [low, high], all as likely.

    Raises:
      InputError: if the ends are not finite numbers in this order.

    Example:
      >>> print(uniform(0.0, 0.5))
      uniform(0, 0.5)
    """
    return _interval("uniform", low, high)


def log_uniform(low: Any, high: Any) -> Interval:
    """Returns the numbers in [low, high], their logarithms all as likely: for rates and decays.

    Raises:
      InputError: if the ends are not finite numbers above 0 in this order.

    Example:
      >>> round(log_uniform(1e-4, 1e-2).at(0.5), 6)
      0.001
    """
    return _interval("log_uniform", low, high, log=True)


def int_uniform(low: Any, high: Any, *, log: bool = False) -> Interval:
    """Returns the whole numbers in [low, high], all as likely; with `log` their logarithms.

    Raises:
      InputError: if the ends are not whole numbers in this order, or with `log` not above 0.

    Example:
      >>> [int_uniform(1, 4).at(share) for share in (0.0, 0.3, 0.6, 0.99)]
      [1, 2, 3, 4]
    """
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | np.integer):
            raise InputError(f"int_uniform needs whole numbers, got {end!r}.")
    return _interval("int_uniform", low, high, log=log, whole=True)


def _interval(name: str, low: Any, high: Any, *, log: bool = False, whole: bool = False) -> Interval:
    numbers = all(isinstance(end, int | float | np.number) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{name} needs two finite numbers, the lower first, got {low!r} and {high!r}.")
    if log and low <= 0:
        raise InputError(f"{name} needs numbers above 0 for their logarithms, got {low!r}.")
    kind = int if whole else float
    return Interval(kind(low), kind(high), log, whole)


def checked_space(space: Any) -> dict[str, Any]:
    """Returns a space with its lists as lists of plain Python values.

    Raises:
      InputError: if it names nothing, or gives a hyperparameter something else than values.
    """
    if not isinstance(space, Mapping) or not space:
        raise InputError("the space must name at least one hyperparameter with its values, got none.")
    return {name: given if callable(given) else dimension(name, given) for name, given in space.items()}


def dimension(name: str, given: Any) -> list[Any] | Interval:
    """Returns what one hyperparameter may be, checked."""
    if isinstance(given, Interval):
        return given
    given = given.tolist() if isinstance(given, np.ndarray) else given
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise InputError(
            f"the space must give {name!r} a list of values to try, vx.uniform(low, high) or its like, got {given!r}."
        )
    values = [value.item() if isinstance(value, np.generic) else value for value in given]
    if len({repr(value) for value in values}) < len(values):
        raise InputError(f"the space gives {name!r} a value twice: {values!r}.")
    return values


def described(space: Space) -> dict[str, Any]:
    """Returns a checked space as JSON has it: `values` of a list, ends of an interval, None for a function.

    Example:
      >>> described({"rate": log_uniform(0.01, 1), "wide": [False, True], "depth": lambda chosen: [1, 2]})["rate"]
      {'low': 0.01, 'high': 1.0, 'log': True, 'whole': False}
    """
    return {name: _described(given) for name, given in space.items()}


def _described(given: Any) -> dict[str, Any] | None:
    if isinstance(given, Interval):
        return {name: getattr(given, name) for name in ("low", "high", "log", "whole")}
    if callable(given):
        return None
    try:
        return {"values": plain_setting({"values": list(given)})["values"]}
    except InputError:  # objects, which only this process can search
        return {"values": [repr(value) for value in given]}


def is_grid(space: Space) -> bool:
    """Returns whether every hyperparameter is a list, in whatever is chosen before."""
    try:
        return next(grid(space), None) is not None
    except InputError:
        return False


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Yields every combination, the last hyperparameter changing fastest.

    Raises:
      InputError: if a hyperparameter is no list.
    """
    yield from _combinations(list(space.items()), {})


def _combinations(left: list[tuple[str, Any]], chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not left:
        yield dict(chosen)
        return
    (name, given), *others = left
    for each in _listed(name, _resolved(name, given, chosen)):
        yield from _combinations(others, {**chosen, **each})


def _listed(name: str, values: list[Any] | Interval | None) -> list[dict[str, Any]]:
    """Returns what a grid tries of one hyperparameter, each as a part of a setting."""
    if isinstance(values, Interval):
        raise InputError(
            f"a grid needs lists, but {name!r} is {values}. Give a list, or another search, such as search='random'."
        )
    return [{}] if values is None else [{name: value} for value in values]


def drawn(space: Space, choose: Choose) -> dict[str, Any]:
    """Returns one setting: every hyperparameter is asked for in turn, those that do not apply are left out.

    Args:
      space: checked.
      choose: `(name, list of values or Interval) -> value`.
    """
    chosen: dict[str, Any] = {}
    for name, given in space.items():
        values = _resolved(name, given, chosen)
        if values is not None:
            chosen[name] = choose(name, values)
    return chosen


def _resolved(name: str, given: Any, chosen: Mapping[str, Any]) -> list[Any] | Interval | None:
    """Returns what a hyperparameter may be after others were chosen; None where it does not apply."""
    given = given(dict(chosen)) if callable(given) else given
    return None if given is None else dimension(name, given)


def one_of_each(space: Space) -> Iterator[tuple[str, list[Any]]]:
    """Yields the hyperparameters that do not depend on others, with all their values or both ends."""
    for name, given in space.items():
        if isinstance(given, Interval):
            yield name, [given.low, given.high]
        elif not callable(given):
            yield name, list(given)


def combinations_of(space: Space, enough: float | int = math.inf) -> int:
    """Returns how many combinations a grid has; where some depend on others, counted until there are enough.

    Raises:
      InputError: if a hyperparameter is no list.
    """
    return _counted(list(space.items()), {}, enough)


def _counted(left: list[tuple[str, Any]], chosen: dict[str, Any], enough: float | int) -> int:
    if not any(callable(given) or isinstance(given, Interval) for _, given in left):
        return math.prod(len(given) for _, given in left)
    (name, given), *others = left
    count = 0
    for each in _listed(name, _resolved(name, given, chosen)):
        count += _counted(others, {**chosen, **each}, enough - count)
        if count >= enough:
            break
    return count
