"""The size of an optimizer's steps along a run, found by running it: is its schedule made for a run of this length?"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from verax.findings import Finding, Leaf
from verax.train._optimizer import with_standard_promotion
from verax.trees import Tree, leaves_by_path

EXACT = 1000  # steps that are taken one by one; from then on the optimizer's counters are moved on between them
STRIDED = 1000  # of the steps after those that are probed within the run
BEYOND = 300  # steps probed after the run's end, at distances that grow by a constant factor
HORIZON = 1000  # run lengths: how far after its end is looked
LAST_STEP = 2**31 - 2**20  # counters are int32
POINTS = 400  # kept in a run's facts

UNFINISHED = 0.9  # a warm-up ends where this share of the largest step is reached
FAR = 0.5  # a warm-up that brought less than this is an error, and a decay that left more than this has hardly begun
FALLEN = 0.125  # what a decay must fall below after the run
TINY = 0.01  # of the largest step: nothing is learnt any more
IDLE = 0.5  # share of a run that may pass like that


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
        groups = np.array_split(np.arange(self.steps.size), min(points, self.steps.size))
        kept = [int(group[self.sizes[group].argmax()]) for group in groups if group.size]
        return {"steps": self.steps[kept].tolist(), "sizes": [float(size) for size in self.sizes[kept]]}


class ScheduleProbe(NamedTuple):
    """What a probe of a schedule found.

    Attributes:
      curve: the steps' sizes along the run.
      findings: what does not fit the run's length.
    """

    curve: ScheduleCurve
    findings: tuple[Finding, ...]


def schedule_curve(optimizer: optax.GradientTransformation, params_shapes: Tree, steps: int) -> ScheduleCurve:
    """Returns the size of an optimizer's updates along a run, for a gradient that never changes.

    Measured by running the optimizer on a tree of the same paths with every axis shortened to 1, so that masks, groups
    and schedules act as in training. For Adam and its like the size is the learning rate; for others it is
    proportional to it, once their averages are filled.

    Args:
      optimizer: any Optax transformation.
      params_shapes: the parameters, or their shapes and dtypes.
      steps: length of the run. Of a run longer than 1,000 steps up to 1,000 further ones are probed, with the counters
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
    """Returns the curve of a schedule and what does not fit the run's length, from one compiled program.

    Args:
      optimizer: any Optax transformation.
      params_shapes: the parameters, or their shapes and dtypes.
      steps: length of the run, at least 1.
    """
    if not jax.tree.leaves(params_shapes):
        return ScheduleProbe(ScheduleCurve(np.array([], np.int32), np.array([], np.float32)), ())
    numbers, exact = _steps_probed(steps)
    running, fresh = jax.device_get(jax.jit(lambda: _sizes(optimizer, params_shapes, numbers, exact))())
    inside = numbers <= steps
    with np.errstate(over="ignore"):
        size = np.sqrt(np.square(running[inside, 0].astype(np.float64)).mean(axis=1)).astype(np.float32)
    lanes = np.stack([*np.moveaxis(running, 1, 0), fresh])  # lanes points leaves
    return ScheduleProbe(ScheduleCurve(numbers[inside], size), _judge(lanes, numbers, steps, list(leaves_by_path(params_shapes))))


def _steps_probed(steps: int) -> tuple[NDArray[np.int32], int]:
    """Returns the numbers of the steps that are probed, from 1, and how many of them follow one another."""
    exact = min(steps, EXACT)
    inside = np.linspace(exact, steps, min(steps - exact, STRIDED) + 1)[1:]
    last = min(float(steps) * HORIZON, LAST_STEP)
    beyond = np.geomspace(steps, max(last, steps + BEYOND), BEYOND + 1)[1:]
    numbers = np.concatenate([np.arange(1, exact + 1), inside.round(), beyond.round()]).astype(np.int64)
    return np.unique(numbers).astype(np.int32), exact


# A gradient that never changes; one that swings about a mean; one that swings about 0, so that rates which adapt to
# progress see none.
GRADIENTS = np.array([(1.0, 0.0), (1.0, 1.5), (0.0, 1.0)], np.float32)


def _sizes(
    optimizer: optax.GradientTransformation, params: Tree, numbers: NDArray[np.int32], exact: int
) -> tuple[Float[Array, "points lanes leaves"], Float[Array, "points leaves"]]:
    """Returns the sizes of the updates of a running optimizer for each kind of gradient, and of fresh ones; traceable."""
    inner = with_standard_promotion(optimizer)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct([min(1, size) for size in leaf.shape], leaf.dtype), params)

    def full(number: Any) -> Tree:
        return jax.tree.map(lambda leaf: jnp.full_like(leaf, number), shapes)

    def update(gradient: Any, state: Tree, shown: Tree, loss: Any) -> tuple[Tree, Tree, Any]:
        grads = full(gradient)
        updates, state = inner.update(grads, state, shown, value=loss, grad=grads, value_fn=lambda _: loss)
        sizes = [jnp.sqrt(jnp.mean(jnp.square(leaf.astype(jnp.float32)))) for leaf in jax.tree.leaves(updates)]
        return updates, state, jnp.stack(sizes)

    begun = inner.init(full(0.0))
    keeps_params = _differ(begun, inner.init(full(0.5)))  # schedule-free: its updates follow the parameters it is shown

    def step(carry: Any, point: Any) -> Any:
        state, shown, counted = carry
        number, jump, swing = point
        before = _counters(state)
        rate = counted / exact
        moved = [jnp.round(rate_of * jump).astype(count.dtype) + count for rate_of, count in zip(rate, before, strict=True)]
        state = _with_counters(state, moved)
        gradient = GRADIENTS[:, 0] + swing * GRADIENTS[:, 1]
        loss = -number.astype(jnp.float32)  # it improves at every step: a rate that waits for a plateau is not cut

        def lane(gradient: Any, state: Tree, shown: Tree) -> Any:
            updates, state, sizes = update(gradient, state, shown, loss)
            followed = optax.apply_updates(shown, updates)
            return state, jax.tree.map(lambda new, old: jnp.where(keeps_params, new, old), followed, shown), sizes

        return gradient, state, shown, lane, moved

    raise NotImplementedError
