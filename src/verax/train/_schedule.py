"""The size of an optimizer's steps along a run, found by running it: is its schedule made for a run of this length?"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from verax.findings import Finding, InputError
from verax.train._optimizer import with_standard_promotion
from verax.train._schedule_check import check_sizes
from verax.trees import Tree, is_floating, leaves_by_path

EXACT = 1000  # steps that are taken one by one; from then on the optimizer's counters are moved on between them
STRIDED = 1000  # of the steps after those that are probed within the run
BEYOND = 300  # steps probed after the run's end, at distances that grow by a constant factor
HORIZON = 1000  # run lengths: how far after its end is looked
LAST_STEP = 2**31 - 2**20  # counters are int32
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

    Raises:
      InputError: if `steps` is below 1.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}.")
    paths = list(leaves_by_path(params_shapes))
    if not paths:
        return ScheduleProbe(ScheduleCurve(np.zeros(0, np.int32), np.zeros(0, np.float32)), ())
    numbers, exact = _steps_probed(steps)
    padded = np.pad(numbers, (0, EXACT + STRIDED + BEYOND - numbers.size), mode="edge")  # one program for all lengths
    probe = jax.jit(lambda numbers, exact: _sizes(optimizer, params_shapes, numbers, exact))
    running, fresh = jax.device_get(probe(padded, np.int32(exact)))
    lanes = np.concatenate([running, fresh[:, None]], axis=1)[: numbers.size].astype(np.float64)
    inside = numbers <= steps
    sizes = np.sqrt(np.square(lanes[inside, 0]).mean(axis=-1)).astype(np.float32)
    findings = check_sizes(numbers, lanes, steps, paths)
    return ScheduleProbe(ScheduleCurve(numbers[inside], sizes), findings)


def _steps_probed(steps: int) -> tuple[NDArray[np.int32], int]:
    """Returns the numbers of the steps that are probed, from 1, and how many of them follow one another."""
    exact = min(steps, EXACT)
    inside = np.linspace(exact, steps, min(steps - exact, STRIDED) + 1)[1:]
    last = min(float(steps) * HORIZON, LAST_STEP)
    beyond = np.geomspace(steps, max(last, steps + 1.0), BEYOND + 1)[1:]
    numbers = np.concatenate([np.arange(1, exact + 1), inside, beyond]).round().astype(np.int64)
    return np.unique(numbers).astype(np.int32), exact


def _sizes(
    optimizer: optax.GradientTransformation, params: Tree, numbers: Int[Array, "points"], exact: Int[Array, ""]
) -> tuple[Float[Array, "points lanes leaves"], Float[Array, "points leaves"]]:
    """Returns the sizes of the updates of a running optimizer for each kind of gradient, and of a fresh one."""
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

    def lane(gradient: Any, state: Tree, shown: Tree, loss: Any, jumps: Any, targets: Any) -> Any:
        state = _with_counters(state, jnp.where(jumps, targets, _counters(state)))
        before = _counters(state)
        updates, state, sizes = update(gradient, state, shown, loss)
        followed = optax.apply_updates(shown, updates)
        shown = jax.tree.map(lambda new, old: jnp.where(keeps_params, new, old), followed, shown)
        return state, shown, sizes, before, _counters(state)

    lanes = jax.vmap(lane, in_axes=(0, 0, 0, None, None, None))

    def step(carry: Any, point: Any) -> Any:
        state, shown, last, only_grows = carry
        number, swing = point
        is_exact = number <= exact
        rate = (last - first).astype(jnp.float32) / exact.astype(jnp.float32)  # of each counter, a step
        targets = last + jnp.round(rate * (number - 1 - exact).astype(jnp.float32)).astype(jnp.int32)
        jumps = ~is_exact & only_grows & (last > first)
        gradient = GRADIENTS[:, 0] + swing * GRADIENTS[:, 1]
        loss = -number.astype(jnp.float32)  # it improves at every step: a rate that waits for a plateau is not cut
        state, shown, sizes, before, after = lanes(gradient, state, shown, loss, jumps, targets)
        before, after = before[0], after[0]
        only_grows = jnp.where(is_exact, only_grows & (after >= before), only_grows)
        return (state, shown, jnp.where(is_exact, after, last), only_grows), (sizes, before)

    first = _counters(begun)
    each = len(GRADIENTS)
    start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (each, *jnp.shape(leaf))), (begun, full(0.0)))
    swings = (1 - 2 * (jnp.arange(numbers.size) % 2)).astype(jnp.float32)
    _, (running, counters) = jax.lax.scan(step, (*start, first, jnp.ones(first.shape, bool)), (numbers, swings))

    def afresh(counters: Any) -> Any:
        return update(jnp.float32(1), _with_counters(begun, counters), full(0.0), jnp.float32(1))[2]

    return running, jax.vmap(afresh)(counters)


# What the gradients are made of, steady and swinging: one that never changes, one that swings about a mean, and one
# that swings about 0, in which rates that adapt to progress see none.
GRADIENTS = np.array([(1.0, 0.0), (1.0, 1.5), (0.0, 1.0)], np.float32)


def _differ(one: Tree, other: Tree) -> Any:
    """Whether floating-point leaves of two trees differ; traceable."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return jnp.array([jnp.any(a != b) for a, b in pairs if is_floating(a)] or [False]).any()


def _is_counter(leaf: Any) -> bool:
    return jnp.ndim(leaf) == 0 and jnp.issubdtype(jnp.result_type(leaf), jnp.signedinteger)


def _counters(state: Tree) -> Int[Array, "counters"]:
    found = [jnp.asarray(leaf, jnp.int32) for leaf in jax.tree.leaves(state) if _is_counter(leaf)]
    return jnp.stack(found) if found else jnp.zeros(0, jnp.int32)


def _with_counters(state: Tree, counters: Int[Array, "counters"]) -> Tree:
    values = iter(counters)
    return jax.tree.map(
        lambda leaf: next(values).astype(jnp.result_type(leaf)) if _is_counter(leaf) else leaf, state
    )  # fmt: skip
