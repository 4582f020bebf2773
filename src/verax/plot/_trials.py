"""A study as pictures need it: where each value lies along the axis of its hyperparameter, and each trial's worth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from verax.tune._judge import cost, is_higher_better

Content = Mapping[str, Any]  # of study.json
PLACES = 8  # values of a list that have places of their own along an axis; longer lists of numbers lie on a scale
DECADES = 100.0  # numbers that span more than this factor lie on a logarithmic scale
BEYOND = 5.0  # times as far from the best as nine in ten trials: what is worse lies on the edge of the picture


class Scale(NamedTuple):
    """What a hyperparameter may be, along an axis from 0 to 1.

    Attributes:
      name: of the hyperparameter.
      values: those of a list, numbers in order; None for an interval.
      low: the lower end; of a list of anything but numbers NaN.
      high: the upper end.
      log: whether equal distances are equal factors.
      whole: whether only whole numbers count.
      is_known: whether the study says so; else it is what was tried.
      is_partial: whether some trials have no such hyperparameter.
    """

    name: str
    values: tuple[Any, ...] | None
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    is_known: bool = True
    is_partial: bool = False

    @property
    def has_places(self) -> bool:
        """Whether each value has a place of its own, rather than one by its size."""
        return self.values is not None and (math.isnan(self.low) or len(self.values) <= PLACES)

    def place(self, value: Any) -> float:
        """Returns where a value lies, from 0 to 1; NaN for what is not on the axis."""
        if self.has_places:
            keys = [repr(each) for each in self.values or ()]
            return (keys.index(repr(value)) + 0.5) / len(keys) if repr(value) in keys else math.nan
        return self.share(value) if is_number(value) else math.nan

    def share(self, number: float | int) -> float:
        """Returns which share of the axis lies below a number."""
        if self.log and number <= 0:
            return math.nan
        low, high, at = (math.log(each) if self.log else each for each in (self.low, self.high, number))
        return 0.5 if high == low else (at - low) / (high - low)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Returns places and texts to write along the axis; with `most` below 3 the ends alone."""
        if self.has_places:
            room = max(3, 24 // len(self.values or (0,)))
            return [(self.place(value), value_text(value, room)) for value in self.values or ()]
        if self.high == self.low:
            return [(0.5, value_text(self.low))]
        if most < 3:
            ends = (self.low, self.high) if self.is_known else (float(f"{end:.3g}") for end in (self.low, self.high))
            return [(place, value_text(end)) for place, end in zip((0.0, 1.0), ends, strict=True)]
        return [(self.share(number), value_text(number)) for number in self._round_numbers(most)]

    def _round_numbers(self, most: int) -> list[float]:
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            every = max(1, -(-len(powers) // most))
            return [10.0**power for power in powers[::every]] if len(powers) > 1 else [self.low, self.high]
        from matplotlib.ticker import MaxNLocator

        found = MaxNLocator(most - 1, integer=self.whole).tick_values(self.low, self.high)
        reach = 1e-9 * (self.high - self.low)
        return [float(number) for number in found if self.low - reach <= number <= self.high + reach]


def content_of(study: Any) -> Content:
    """Returns a study as plain values, whether it is one or was read from study.json."""
    return study if isinstance(study, Mapping) else study.to_json()


def scales(content: Content) -> list[Scale]:
    """Returns the axis of each hyperparameter, in the order of the space."""
    trials = content["trials"]
    space = content.get("facts", {}).get("space") or {}
    names = dict.fromkeys([*space, *(name for trial in trials for name in trial["hyperparameters"])])
    return [_scale(name, space.get(name), trials) for name in names]


def _scale(name: str, told: Mapping[str, Any] | None, trials: Sequence[Mapping[str, Any]]) -> Scale:
    tried = [trial["hyperparameters"][name] for trial in trials if name in trial["hyperparameters"]]
    is_partial = len(tried) < len(trials)
    if told and "low" in told:
        ends = float(told["low"]), float(told["high"])
        return Scale(name, None, *ends, bool(told["log"]), bool(told["whole"]), is_partial=is_partial)
    values = tuple({repr(value): value for value in (told["values"] if told else tried)}.values())
    if not values or not all(map(is_number, values)):
        return Scale(name, values, is_known=bool(told), is_partial=is_partial)
    values = tuple(sorted(values))
    log = values[0] > 0 and values[-1] / values[0] >= DECADES
    whole = all(isinstance(value, int) for value in values)
    listed = values if told or len(values) <= PLACES else None
    return Scale(name, listed, float(values[0]), float(values[-1]), log, whole, bool(told), is_partial)


def objective_scale(content: Content) -> Scale:
    """Returns the axis of the objective over the complete trials, cut where a few far worse ones would squeeze it."""
    name = content["objective"]
    values = [trial["value"] for trial in complete(content)]
    return value_scale(name, values or [0.0, 1.0])


def value_scale(name: str, values: Iterable[float]) -> Scale:
    """Returns an axis for values of an objective; the far worse ones lie beyond its end."""
    numbers = np.array(sorted(values, key=lambda value: cost(value, name)), float)
    log = numbers.min() > 0 and numbers.max() / numbers.min() > 30
    on_axis = np.log(numbers) if log else numbers
    reach = abs(on_axis - on_axis[0])
    usual = reach[int(0.9 * (len(reach) - 1))]
    shown = numbers[reach <= BEYOND * usual] if usual > 0 else numbers
    low, high = float(shown.min()), float(shown.max())
    if low == high:
        room = 0.1 * abs(low) or 0.1
        return Scale(name, None, low - room, high + room, is_known=False)
    if log:
        room = (high / low) ** 0.05
        return Scale(name, None, low / room, high * room, log=True, is_known=False)
    room = 0.05 * (high - low)
    return Scale(name, None, low - room, high + room, is_known=False)


def complete(content: Content) -> list[Mapping[str, Any]]:
    """Returns the trials that were trained to their end and have a value, the best first."""
    found = [trial for trial in content["trials"] if trial["state"] == "complete" and is_finite(trial["value"])]
    return sorted(found, key=lambda trial: (cost(trial["value"], content["objective"]), trial["number"]))


def best_number(content: Content) -> int | None:
    """Returns the number of the trial that won; None where none has a value."""
    best = content.get("best")
    return best["number"] if best and is_finite(best["value"]) else None


def worst_edge(content: Content) -> float:
    """Returns which end of the objective's axis is the bad one, 0 or 1."""
    return 0.0 if is_higher_better(content["objective"]) else 1.0


def curve(trial: Mapping[str, Any], name: str) -> np.ndarray:
    """Returns a metric of a trial after each epoch, the mean over its seeds as far as all of them have it."""
    seeds = [[math.nan if value is None else value for value in seed] for seed in trial["curves"].get(name, ())]
    length = min(map(len, seeds), default=0)
    table = np.array([seed[:length] for seed in seeds], float).reshape(len(seeds), length)
    return table.mean(axis=0) if len(seeds) else np.zeros(0)


def is_number(value: Any) -> bool:
    """Returns whether a hyperparameter is a number that has a place along a line."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_finite(value: Any) -> bool:
    """Returns whether a value is there and finite: JSON has None for what is not."""
    return value is not None and math.isfinite(value)


def value_text(value: Any, most: int = 40) -> str:
    """Returns a hyperparameter as text on one line.

    Example:
      >>> value_text(0.00123456), value_text(1e-5), value_text({"tuple": [64, 64]}), value_text("relu")
      ('0.001235', '1e-5', '(64, 64)', 'relu')
    """
    text = _text(value)
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and "tuple" in value:
        return f"({', '.join(map(_text, value['tuple']))})"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float):
        mantissa, power, exponent = f"{value:.4g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if power else mantissa
    return str(value)
