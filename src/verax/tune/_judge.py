"""What the curves of a trial are worth: its value as a single run would report it, and why it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from verax.train import EarlyStopping
from verax.train._state import LoopState
from verax.train._stopping import HIGHER_IS_BETTER
from verax.tune._task import Curves, LaneResult


class Judged(NamedTuple):
    """One training of a trial.

    Attributes:
      value: of the objective, at the best epoch where training stops early, else at the last; NaN if it did not stay
        finite.
      reason: why it ended.
      epochs: that count.
    """

    value: float
    reason: str
    epochs: int


def joined(earlier: LaneResult | None, later: LaneResult) -> LaneResult:
    """Returns the result of a trial over all of its tasks."""
    if earlier is None or not earlier.curves:
        return later
    curves = {
        name: tuple(one + two for one, two in zip(earlier.curves[name], later.curves[name], strict=True))
        for name in later.curves
    }
    broken = tuple(one if one is not None else two for one, two in zip(earlier.broken, later.broken, strict=True))
    return LaneResult(
        later.number, curves, broken, later.parameters, earlier.seconds + later.seconds, earlier.error or later.error
    )


def judged(curves: Curves, broken: int | None, seed: int, objective: str, stopping: Mapping[str, Any] | None) -> Judged:
    """Returns what one training of a trial is worth.

    Args:
      curves: by metric and seed.
      broken: the step by which it was no longer finite, or None.
      seed: which of the seeds, by its place.
      objective: what chooses.
      stopping: the experiment's early stopping, which a trial is judged by as if it had stopped.
    """
    values = [math.nan if value is None else value for value in curves[objective][seed]]
    if broken is not None:
        return Judged(math.nan, f"not finite by step {broken}", len(values))
    if stopping is None:
        return Judged(values[-1], f"all {len(values)} epochs were trained", len(values))
    watch, loop = EarlyStopping(**stopping), LoopState()
    watched = curves[watch.metric][seed]
    for epoch, value in enumerate(watched, start=1):
        loop = watch.update(loop, math.nan if value is None else value, epoch)
        reason = watch.reason(loop)
        if reason is not None:
            return Judged(values[max(loop.best_step, 1) - 1], reason.replace("at step", "at epoch"), epoch)
    return Judged(values[max(loop.best_step, 1) - 1], f"all {len(values)} epochs were trained", len(values))


def is_higher_better(objective: str) -> bool:
    """Returns whether more of an objective is better."""
    return objective.rsplit("/", 1)[-1] in HIGHER_IS_BETTER


def cost(value: float, objective: str) -> float:
    """Returns a value so that less is better, infinity for NaN."""
    if math.isnan(value):
        return math.inf
    return -value if is_higher_better(objective) else value


def best_first(values: Sequence[float], objective: str) -> list[int]:
    """Returns the places of values, the best first; of equal ones the earlier."""
    return sorted(range(len(values)), key=lambda at: (cost(values[at], objective), at))
