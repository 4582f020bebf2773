"""What a healthy program of the calibration set is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from _faultbench import ADAPTERS

from calibration import _losses as losses
from verax.doctor import TrainingProgram
from verax.doctor._program import Kind

Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Healthy:
    """A program that trains as it should and that looks as if it had a fault.

    Attributes:
      name: of the function that makes it.
      make: returns the program, the same each time.
      tempting: the ids that a hasty tool would report.
      scores: what held-out rows must reach: `acc`, `bal_acc` and `r2` at least, `loss` at most.
    """

    name: str
    make: Callable[[], TrainingProgram]
    tempting: tuple[str, ...]
    scores: Mapping[str, float]


FOUND: list[Healthy] = []  # in the order of the files and of the functions in them


def healthy(
    *tempting: str, **scores: float
) -> Callable[[Callable[[], TrainingProgram]], Callable[[], TrainingProgram]]:
    """Enters a function into the set, with the ids that it tempts to and the scores that it must reach."""

    def enter(make: Callable[[], TrainingProgram]) -> Callable[[], TrainingProgram]:
        FOUND.append(Healthy(make.__name__, make, tempting, scores))
        return make

    return enter


def classification(
    library: str, model: Any, optimizer: Any, splits: Any, loss: Loss = losses.cross_entropy, **more: Any
) -> TrainingProgram:
    """Returns a program of a classifier."""
    return _program(library, model, loss, optimizer, splits, "classification", more)


def binary(
    library: str, model: Any, optimizer: Any, splits: Any, loss: Loss = losses.binary, **more: Any
) -> TrainingProgram:
    """Returns a program of a classifier with one logit."""
    return _program(library, model, loss, optimizer, splits, "binary", more)


def regression(
    library: str, model: Any, optimizer: Any, splits: Any, loss: Loss = losses.squared, **more: Any
) -> TrainingProgram:
    """Returns a program of a regression."""
    return _program(library, model, loss, optimizer, splits, "regression", more)


def sequence(
    library: str, model: Any, optimizer: Any, splits: Any, loss: Loss = losses.tokens, **more: Any
) -> TrainingProgram:
    """Returns a program that classifies every position."""
    return _program(library, model, loss, optimizer, splits, "sequence", more)


def custom(library: str, model: Any, optimizer: Any, splits: Any, loss: Loss, **more: Any) -> TrainingProgram:
    """Returns a program of which outputs and targets say nothing."""
    return _program(library, model, loss, optimizer, splits, "custom", more)


def _program(
    library: str, model: Any, loss: Loss, optimizer: Any, splits: Any, task: Kind, more: Mapping[str, Any]
) -> TrainingProgram:
    """Returns a program of a model of any library, asked as the benchmark asks: with a key, in evaluation mode."""
    network, evaluate = ADAPTERS[library](model)
    given = {"batch_size": 64, "epochs": 12, "evaluate": evaluate, **more}
    return TrainingProgram(network, loss, optimizer, *splits, task=task, **given)
