"""Seconds of repeated work: medians with quartiles, tasks taken in turn so that a busy machine slows all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

ROUND_SECONDS = 0.12  # of one measurement: long beside the clock, dispatch and a switch of the scheduler
ROUNDS = 9  # of each task: enough for quartiles
MOST_SECONDS = 6.0  # for all rounds together; slow tasks are measured less often, at least LEAST_ROUNDS times
LEAST_ROUNDS = 3


class Spread(NamedTuple):
    """A repeated measurement: its median and the quartiles around it."""

    median: float
    low: float
    high: float

    def inverse(self, numerator: float | int = 1) -> Spread:
        """Returns the spread of a number divided by the (positive) measurements."""
        return Spread(numerator / self.median, numerator / self.high, numerator / self.low)


def spread(values: Sequence[float] | Float[np.ndarray, "rounds"]) -> Spread:
    """Returns median and quartiles.

    Example:
      >>> spread([1.0, 2.0, 3.0, 4.0, 5.0])
      Spread(median=3.0, low=2.0, high=4.0)
    """
    low, median, high = np.quantile(np.asarray(values, np.float64), [0.25, 0.5, 0.75])
    return Spread(float(median), float(low), float(high))


def seconds_per_step(tasks: Mapping[str, Callable[[int], object]]) -> dict[str, Float[np.ndarray, "rounds"]]:
    """Returns seconds a step of each task, one number a round; a round takes every task once, in turn.

    Args:
      tasks: by name; each takes a number of steps, does them and waits until they are done. They are warmed up here.
    """
    steps = {name: _steps_of_a_round(task) for name, task in tasks.items()}
    once = sum(count * seconds for count, seconds in steps.values())
    rounds = int(np.clip(MOST_SECONDS / max(once, 1e-9), LEAST_ROUNDS, ROUNDS))
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            taken[name].append(_timed(task, steps[name][0]))
    return {name: np.array(values) for name, values in taken.items()}


def _steps_of_a_round(task: Callable[[int], object]) -> tuple[int, float]:
    """Returns how many steps take about ROUND_SECONDS, and the seconds of one.

    The number grows until it is reached: the first steps of a loop may cost more than all others.
    """
    task(1)
    steps = 1
    while (taken := _timed(task, steps) * steps) < ROUND_SECONDS / 2:
        steps = min(16 * steps, math.ceil(steps * ROUND_SECONDS / max(taken, 1e-9)))
    return steps, taken / steps


def _timed(task: Callable[[int], object], steps: int) -> float:
    clock = time.perf_counter()
    task(steps)
    return (time.perf_counter() - clock) / steps
