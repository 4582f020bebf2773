"""What a faulty program is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from verax.doctor import TrainingProgram


@dataclass(frozen=True, eq=False)
class Faulty:
    """A program with a fault.

    Attributes:
      name: of the function that makes it.
      make: returns the program, the same each time.
      faults: the ids of which a right diagnosis names one, the most specific first.
      parts: the parts of the program that a repair would touch.
    """

    name: str
    make: Callable[[], TrainingProgram]
    faults: tuple[str, ...]
    parts: tuple[str, ...]


FAULTY: list[Faulty] = []


def faulty(*faults: str, part: str) -> Callable[[Callable[[], TrainingProgram]], Callable[[], TrainingProgram]]:
    """Enters a function into the list, with the ids of its fault and the parts of the program at fault."""

    def enter(make: Callable[[], TrainingProgram]) -> Callable[[], TrainingProgram]:
        FAULTY.append(Faulty(make.__name__, make, faults, tuple(part.split())))
        return make

    return enter


def changed(splits: Any, change: Callable[[Any, Any], Any], held: bool = False) -> Any:
    """Returns splits whose training rows (and held-out rows, where asked) went through a change."""
    train, test = splits
    return change(*train), change(*test) if held else test
