"""How a model spells "training": found in a signature, turned into keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Each name, and what it is while noise and batch statistics are (noise, statistics) on: True where it means "training".
MEANS_TRAINING = ("training", "train", "is_training")
MEANS_NO_NOISE = "deterministic"
MEANS_NO_STATISTICS = "use_running_average"
MODE_NAMES = (*MEANS_TRAINING, MEANS_NO_NOISE, MEANS_NO_STATISTICS)


@dataclass(frozen=True)
class Mode:
    """The mode arguments of a model, by name, each with the value that it takes in training.

    Attributes:
      arguments: pairs of a name and its value in training; in evaluation it takes the opposite.
    """

    arguments: tuple[tuple[str, bool], ...] = ()

    def values(self, *, noise: bool, statistics: bool) -> dict[str, bool]:
        """Returns the keyword arguments for a pass with or without noise and with batch or running statistics.

        A model with one flag cannot tell the two apart: it is in training when either is on.

        Example:
          >>> Mode((("deterministic", False), ("use_running_average", False))).values(noise=True, statistics=False)
          {'deterministic': False, 'use_running_average': True}
        """
        both = {name for name, _ in self.arguments} >= {MEANS_NO_NOISE, MEANS_NO_STATISTICS}
        on = {}
        for name, in_training in self.arguments:
            if both and name == MEANS_NO_NOISE:
                active = noise
            elif both and name == MEANS_NO_STATISTICS:
                active = statistics
            else:
                active = noise or statistics
            on[name] = in_training if active else not in_training
        return on


def mode_of(names: Iterable[str]) -> Mode:
    """Returns the mode found among argument names; empty if there is none."""
    return Mode(tuple((name, name in MEANS_TRAINING) for name in names if name in MODE_NAMES))


def mode_from(choice: Mapping[str, bool]) -> Mode:
    """Returns the mode that a user stated: each argument with its value in training.

    Raises:
      TypeError: if a value is not a bool.
    """
    for name, value in choice.items():
        if not isinstance(value, bool):
            raise TypeError(
                f"mode must give each argument its value in training, True or False; {name!r} got {value!r}."
            )
    return Mode(tuple(choice.items()))


def argument_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Returns the names of the arguments a function takes by keyword."""
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(name for name, each in inspect.signature(function).parameters.items() if each.kind in by_keyword)


def required_beyond_inputs(function: Callable[..., Any], mode: Mode) -> list[str]:
    """Returns the arguments that must be given besides one positional input and the mode."""
    known = {name for name, _ in mode.arguments}
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    required = [
        each.name
        for each in parameters
        if each.default is inspect.Parameter.empty
        and each.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        and each.name not in known
    ]
    return required[1:]
