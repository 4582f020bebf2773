"""The size of an optimizer's steps along a run, found by running it: is its schedule made for a run of this length?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import optax
from jaxtyping import Float, Int

from verax.findings import Finding, InputError
from verax.train._schedule_check import Fault, faults_of
from verax.train._schedule_sizes import measured_sizes, steps_probed
from verax.trees import Tree, leaves_by_path

POINTS = 400  # kept in a run's facts


class ScheduleCurve(NamedTuple):
    """The size of an optimizer's updates for a constant gradient.

    Attributes:
      steps: counted from 1, in order; every one of a short run.
      sizes: root mean square of the update over all parameters, in their units.
    """

    steps: Int[np.ndarray, "points"]
    sizes: Float[np.ndarray, "points"]

    def to_json(self, points: int = POINTS) -> dict[str, list]:
        """Returns at most this many points as plain lists: of each group of neighbours the largest."""
        groups = np.array_split(np.arange(self.steps.size), max(1, min(points, self.steps.size)))
        kept = [int(group[self.sizes[group].argmax()]) for group in groups if group.size]
        return {"steps": self.steps[kept].tolist(), "sizes": [float(size) for size in self.sizes[kept]]}


class ScheduleProbe(NamedTuple):
    """What a probe of a schedule found.

    Attributes:
      curve: the steps' sizes along the run.
      faults: what does not fit the run's length, with the parameters concerned.
      findings: the same in words.
    """

    curve: ScheduleCurve
    faults: tuple[Fault, ...] = ()
    findings: tuple[Finding, ...] = ()


def schedule_curve(optimizer: optax.GradientTransformation, params_shapes: Tree, steps: int) -> ScheduleCurve:
    """Returns the size of an optimizer's updates along a run, for a gradient that never changes.

    Measured by running the optimizer on a tree of the same paths with every axis shortened to 1, so that masks, groups
    and schedules act as in training. For Adam and its like the size is the learning rate; for others it is
    proportional to it, once their averages are filled.

    Args:
      optimizer: any Optax transformation.
      params_shapes: the parameters, or their shapes and dtypes.
      steps: length of the run. Of a run longer than 1,000 steps up to 600 further ones are probed, with the counters
        of the optimizer moved on from one to the next as fast as they were seen to move.

    Example:
      >>> import optax
      >>> curve = vx.train.schedule_curve(optax.adam(optax.linear_schedule(1.0, 0.0, 4)), {"w": jnp.ones(3)}, 5)
      >>> curve.sizes.round(3).tolist()
      [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return probe_schedule(optimizer, params_shapes, steps).curve


def check_schedule(
    optimizer: optax.GradientTransformation, params_shapes: Tree, total_steps: int
) -> tuple[Finding, ...]:
    """Returns what in an optimizer's schedule does not fit the length of the run.

    - `warmup-too-long`: steps grow until the run ends, and would grow further. An error if it ends before half of the
      later size is reached (a 1,000-step warm-up on a 300-step run), a warning before nine tenths.
    - `schedule-unfinished`: a warning: at the end steps have at least half of their largest size, though the schedule
      goes on to fall below an eighth of it.
    - `lr-decayed-early`: a warning: for more than half of the run steps are below 1 % of the largest.

    A finding needs two signs: the optimizer as it runs says so, and a fresh one does whose counters alone are moved on.
    So moments that fill up, plateaus, accumulation or adapted rates are not taken for schedules.

    Args:
      optimizer: any Optax transformation.
      params_shapes: the parameters, or their shapes and dtypes.
      total_steps: length of the run.

    Example:
      >>> import optax
      >>> slow = optax.adam(optax.linear_schedule(0.0, 1e-3, 1000))
      >>> [(each.id, each.severity) for each in vx.train.check_schedule(slow, {"w": jnp.ones(3)}, 300)]
      [('warmup-too-long', 'error')]
    """
    return probe_schedule(optimizer, params_shapes, total_steps).findings


def probe_schedule(optimizer: optax.GradientTransformation, params_shapes: Tree, steps: int) -> ScheduleProbe:
    """Returns the curve of a schedule and what does not fit the run's length, from one pass over its steps.

    Args:
      optimizer: any Optax transformation.
      params_shapes: the parameters, or their shapes and dtypes.
      steps: length of the run, at least 1.

    Raises:
      InputError: if `steps` is below 1.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}.")
    paths = list(leaves_by_path(params_shapes))
    if not paths:
        return ScheduleProbe(ScheduleCurve(np.zeros(0, np.int32), np.zeros(0, np.float32)))
    numbers = steps_probed(steps)
    sizes = measured_sizes(optimizer, params_shapes, numbers)
    inside = numbers <= steps
    curve = np.sqrt(np.square(sizes[inside, 0]).mean(axis=-1)).astype(np.float32)
    faults = faults_of(numbers, sizes, steps, paths)
    return ScheduleProbe(ScheduleCurve(numbers[inside], curve), faults, tuple(fault.finding(steps) for fault in faults))
