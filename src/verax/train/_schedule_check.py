"""What in the sizes of an optimizer's steps does not fit the length of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from verax.findings import Finding, Leaf

WARM = 0.9  # a warm-up ends where this share of the largest step is reached
HALF = 0.5  # a warm-up that brought less than this is an error; a decay that left more has hardly begun
FALLEN = 0.125  # what such a decay must fall below after the run
TINY = 0.01  # of the largest step: nothing is learnt any more
IDLE = 0.5  # share of a run that may pass like that
TRANSIENT = 0.05  # share of a run in which averages may fill up
SLOWING = 0.85  # an exponential decay takes as long for each halving: it has no end that a run could miss


LONGEST = 1000  # points in which the period of an accumulation must show


class Sizes(NamedTuple):
    """The sizes of the steps of one parameter.

    Attributes:
      numbers: of the steps.
      sizes: for each kind of gradient, and for a fresh optimizer whose counters alone move (the last row).
      inside: whether a step belongs to the run.
    """

    numbers: Int[np.ndarray, "points"]
    sizes: Float[np.ndarray, "lanes points"]
    inside: Bool[np.ndarray, "points"]


class Fault(NamedTuple):
    """What does not fit the length of the run.

    Attributes:
      id: `warmup-too-long`, `schedule-unfinished` or `lr-decayed-early`.
      paths: of the parameters concerned.
      share: for the first of them, of its largest size; for `lr-decayed-early` of the run.
      step: at which the schedule would be done, or was.
      moving: number of parameters that move at all.
    """

    id: str
    paths: tuple[str, ...]
    share: float
    step: int
    moving: int

    def finding(self, steps: int) -> Finding:
        """Returns the fault in words, for a run of this many steps."""
        everywhere = len(self.paths) == self.moving
        of = "" if everywhere else f" (so for {len(self.paths)} of {self.moving} parameters)"
        severity, began = "warning", None
        if self.id == "warmup-too-long":
            said = (
                f"steps still grow when the run ends: after its {steps:,} steps they have {self.share:.0%} of the size "
            )
            said += f"that they would reach by step {self.step:,}{of}."
            advice = (
                "Shorten the warm-up (1 to 10 % of the run is usual) or train longer: it counts updates, not epochs."
            )
            severity = "error" if self.share < HALF else "warning"
        elif self.id == "schedule-unfinished":
            said = f"steps have {self.share:.0%} of their largest size when the run ends after {steps:,} steps: "
            said += f"the schedule was made for about {self.step:,}{of}."
            advice = "Give the schedule the length of the run, in updates of the optimizer."
        else:
            began = self.step + 1
            said = f"steps are below 1 % of the largest for {self.share:.0%} of the run: from step {began:,} of "
            said += f"{steps:,} on{of}."
            advice = "Give the schedule the length of the run: in updates of the optimizer, not in epochs."
        return Finding(self.id, severity, said, advice, None if everywhere else Leaf(self.paths[0]), step=began)


def faults_of(
    numbers: Int[np.ndarray, "points"],
    sizes: Float[np.ndarray, "points lanes leaves"],
    steps: int,
    paths: Sequence[str],
) -> tuple[Fault, ...]:
    """Returns what does not fit the run's length; it needs the word of all lanes.

    Args:
      numbers: of the steps probed, up to `steps` and beyond.
      sizes: of the updates.
      steps: length of the run.
      paths: of the parameters.
    """
    picked = _emitting(sizes[:, 0].sum(axis=-1))
    numbers, sizes = numbers[picked], sizes[picked]
    checks = {"warmup-too-long": _warming, "schedule-unfinished": _unfinished, "lr-decayed-early": _idle}
    found: dict[str, dict[str, tuple[float, int]]] = {name: {} for name in checks}
    moving = 0
    for leaf, path in enumerate(paths):
        one = Sizes(numbers, sizes[:, :, leaf].T, numbers <= steps)
        if not np.isfinite(one.sizes).all() or not one.sizes[[0, -1]].any(axis=1).all() or not one.inside.any():
            continue  # nothing moves it, or a constant gradient is no question for this optimizer
        moving += 1
        informative = one._replace(sizes=one.sizes[one.sizes.any(axis=1)])
        for name, check in checks.items():
            value = check(informative)
            if value is not None:
                found[name][path] = value
                break
    return tuple(
        Fault(name, tuple(each), *next(iter(each.values())), moving) for name, each in found.items() if each
    )  # fmt: skip


def _emitting(sizes: Float[np.ndarray, "points"]) -> Int[np.ndarray, "picked"]:
    """Returns the points to look at: of each group of as many as are accumulated, the one with an update."""
    at = np.flatnonzero(sizes[:LONGEST])
    gaps = np.diff(at)
    period = int(gaps.max()) if gaps.size else 1
    groups = np.array_split(np.arange(sizes.size), max(1, sizes.size // period)) if period > 1 else None
    return np.arange(sizes.size) if groups is None else np.array([group[sizes[group].argmax()] for group in groups])


def _warming(one: Sizes) -> tuple[float, int] | None:
    """Returns the share of the later size that the run reaches, and the step at which a warm-up would end."""
    settled = one.inside & (one.numbers > TRANSIENT * one.numbers[one.inside][-1])
    later = one.sizes[:, ~one.inside].max(axis=1, initial=0.0)
    reached = np.array(
        [lane[one.inside if row in (0, len(one.sizes) - 1) else settled].max() for row, lane in enumerate(one.sizes)]
    )
    if not (reached < WARM * later).all():
        return None
    at = one.numbers[(one.sizes[0] >= WARM * later[0]).argmax()]
    return float(reached[0] / later[0]), int(at)


def _unfinished(one: Sizes) -> tuple[float, int] | None:
    """Returns the share of the largest size that is left at the end of the run, and the step at which little is."""
    end = int(np.flatnonzero(one.inside)[-1])
    near = one.inside & (one.numbers >= 0.9 * one.numbers[end])
    left = np.array([lane[near].max() for lane in one.sizes])
    final = one.sizes[:, -max(1, one.numbers.size // 50) :].max(axis=1)
    if not (final < FALLEN * left).all():
        return None
    lane = one.sizes[0]
    settled = one.inside & (one.numbers > TRANSIENT * one.numbers[end])
    if lane[end] < HALF * lane[settled].max():
        return None
    to_come = np.maximum.accumulate(lane[end:][::-1])[::-1]  # falls, whatever the curve does
    share = (to_come - final[0]) / (lane[end] - final[0])
    half, quarter, eighth = (
        np.interp(-level, -share, one.numbers[end:].astype(np.float64)) for level in (0.5, 0.25, 0.125)
    )
    if eighth - quarter > SLOWING * (quarter - half):
        return None
    return float(lane[end] / lane[settled].max()), int(one.numbers[end:][(share <= 0.02).argmax()])


def _idle(one: Sizes) -> tuple[float, int] | None:
    """Returns the share of the run that passes with next to no steps, and the last step before."""
    numbers = one.numbers[one.inside]
    last = []
    for lane in one.sizes[:, one.inside]:
        last.append(numbers[np.flatnonzero(lane >= TINY * lane.max())[-1]])
    share = 1 - max(last) / numbers[-1]
    return (float(share), int(max(last))) if share > IDLE else None
