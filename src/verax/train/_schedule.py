"""The size of an optimizer's steps along a run, found by running it: is its schedule made for a run of this length?"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int
from numpy.typing import NDArray

from verax.findings import Finding, InputError
from verax.train._optimizer import with_standard_promotion
from verax.train._schedule_check import Fault, faults_of
from verax.trees import Tree, is_floating, leaves_by_path

BLOCK = 500  # steps in one call of the compiled program
EXACT = 2 * BLOCK  # steps that are taken one by one; from then on the optimizer's counters are moved on between them
STRIDED = 600  # of the steps after those that are probed within the run
BEYOND = 400  # steps probed after the run's end, at distances that grow by a constant factor
SLOWEST = 0.999  # what is left of an average's way after a block; closer to 1 it is none, but a sum
FASTEST = 50.0  # its logarithm, when nothing is
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
    numbers = _steps_probed(steps)
    sizes = _measured(optimizer, params_shapes, numbers)
    inside = numbers <= steps
    curve = np.sqrt(np.square(sizes[inside, 0]).mean(axis=-1)).astype(np.float32)
    faults = faults_of(numbers, sizes, steps, paths)
    return ScheduleProbe(ScheduleCurve(numbers[inside], curve), faults, tuple(fault.finding(steps) for fault in faults))


def _steps_probed(steps: int) -> NDArray[np.int32]:
    """Returns the numbers of the steps that are probed, from 1: those of the run and some after it."""
    inside = np.linspace(EXACT, max(steps, EXACT), STRIDED + 1)[1:]
    first = max(steps, EXACT)
    beyond = np.geomspace(first, max(min(float(steps) * HORIZON, LAST_STEP), first + 1.0), BEYOND + 1)[1:]
    numbers = np.concatenate([np.arange(1, EXACT + 1), inside, beyond]).round().astype(np.int64)
    return np.unique(numbers).astype(np.int32)


def _measured(
    optimizer: optax.GradientTransformation, params_shapes: Tree, numbers: NDArray[np.int32]
) -> Float[np.ndarray, "points lanes leaves"]:
    """Returns the sizes of the updates of the optimizer as it runs, for each kind of gradient, and of a fresh one."""
    begin, advance = _programs(optimizer, params_shapes)
    start = jax.device_get(jax.jit(begin)())
    run = jax.jit(advance)
    carry, snapshots, found, counters, last = start, [start], [], [], 0
    padded = np.pad(numbers, (0, -numbers.size % BLOCK), mode="edge")
    for block in padded.reshape(-1, BLOCK):
        targets = np.tile(_counters(start.fresh), (BLOCK, 1))
        jumps = np.zeros(targets.shape[1], bool)
        if block[0] > EXACT:
            seen = np.concatenate(counters)
            rate = (seen[-1] - seen[0]) / (len(seen) - 1)  # of each counter, a step
            targets = (seen[-1] + np.round(rate * (block[:, None] - EXACT))).astype(np.int32)
            jumps = (np.diff(seen, axis=0) >= 0).all(axis=0) & (rate > 0)
            if len(snapshots) == 3:
                carry = _with_limits(*snapshots)
        left_out = np.diff(block, prepend=last).clip(1) - 1
        last = block[-1]
        carry, sizes, passed = jax.device_get(run(carry, block, left_out.astype(np.float32), targets, jumps))
        found.append(sizes)
        if block[-1] <= EXACT:
            counters.append(passed)
        snapshots.append(carry)
    return np.concatenate(found)[: numbers.size].astype(np.float64)


class _Carry(NamedTuple):
    """An optimizer on its way.

    Attributes:
      state: for each kind of gradient; so the next two.
      limit: where the averages in it are going.
      pace: the logarithm of what is left of their way after a block; 0 for what is no average.
      shown: the parameters that are shown to it.
      fresh: its first state.
      keeps_params: whether its state depends on them (schedule-free): then they follow its updates.
    """

    state: Tree
    limit: Tree
    pace: Tree
    shown: Tree
    fresh: Tree
    keeps_params: Any


def _programs(optimizer: optax.GradientTransformation, params_shapes: Tree) -> tuple[Any, Any]:
    """Returns the beginning of a probe, and a block of its steps; both pure."""
    inner = with_standard_promotion(optimizer)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct([min(1, size) for size in leaf.shape], leaf.dtype), params_shapes
    )

    def full(number: Any) -> Tree:
        return jax.tree.map(lambda leaf: jnp.full_like(leaf, number), shapes)

    def update(gradient: Any, state: Tree, shown: Tree, loss: Any) -> tuple[Tree, Tree, Any]:
        grads = full(gradient)
        updates, state = inner.update(grads, state, shown, value=loss, grad=grads, value_fn=lambda _: loss)
        sizes = [jnp.sqrt(jnp.mean(jnp.square(leaf.astype(jnp.float32)))) for leaf in jax.tree.leaves(updates)]
        return updates, state, jnp.stack(sizes)

    def begin() -> _Carry:
        def for_each(leaf: Any) -> Any:
            return jnp.broadcast_to(leaf, (len(GRADIENTS), *leaf.shape))

        fresh = jax.tree.map(jnp.asarray, inner.init(full(0.0)))
        state, shown = jax.tree.map(for_each, fresh), jax.tree.map(for_each, full(0.0))
        still = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), state)
        return _Carry(state, still, still, shown, fresh, _differ(fresh, inner.init(full(0.5))))

    def advance(carry: _Carry, numbers: Any, left_out: Any, targets: Any, jumps: Any) -> tuple[_Carry, Any, Any]:
        def lane(state: Tree, shown: Tree, limit: Tree, pace: Tree, gradient: Any, point: Any) -> Any:
            target, left_out, loss = point
            state = jax.tree.map(lambda *leaf: _arriving(*leaf, left_out), state, limit, pace)
            counters = jnp.where(jumps, target, _counters(state))
            updates, state, sizes = update(gradient, _with_counters(state, counters), shown, loss)
            followed = optax.apply_updates(shown, updates)
            shown = jax.tree.map(lambda new, old: jnp.where(carry.keeps_params, new, old), followed, shown)
            return state, shown, sizes, counters

        def step(lanes: Any, point: Any) -> Any:
            number, target, swing, left_out = point
            gradients = GRADIENTS[:, 0] + swing * GRADIENTS[:, 1]
            loss = -number.astype(jnp.float32)  # better at every step: a rate that waits for a plateau is not cut
            each = jax.vmap(lane, in_axes=(0, 0, 0, 0, 0, None))
            state, shown, sizes, counters = each(
                lanes[0], lanes[1], carry.limit, carry.pace, gradients, (target, left_out, loss)
            )
            return (state, shown), (sizes, counters[0])

        def afresh(counters: Any) -> Any:
            return update(jnp.float32(1), _with_counters(carry.fresh, counters), full(0.0), jnp.float32(1))[2]

        swings = (1 - 2 * (jnp.arange(BLOCK) % 2)).astype(jnp.float32)
        points = (numbers, targets, swings, left_out / BLOCK)
        lanes, (sizes, counters) = jax.lax.scan(step, (carry.state, carry.shown), points)
        both = jnp.concatenate([sizes, jax.vmap(afresh)(counters)[:, None]], axis=1)
        return carry._replace(state=lanes[0], shown=lanes[1]), both, counters

    return begin, advance


def _with_limits(begun: _Carry, middle: _Carry, carry: _Carry) -> _Carry:
    """Returns the last of three equally distant moments, with where the averages are going as the three show it.

    An average approaches its limit by a constant factor: Aitken's delta-squared process. Without this a counter that
    jumps ahead would correct for a bias that is still there.
    """

    def seen(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not jnp.issubdtype(third.dtype, jnp.floating):
            return np.zeros(third.shape, np.float32), np.zeros(third.shape, np.float32)
        before, after = (np.asarray(late, np.float64) - early for early, late in ((first, second), (second, third)))
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = after / before
            limit, pace = third + after * factor / (1 - factor), np.log(np.maximum(factor, np.exp(-FASTEST)))
        known = (factor >= 0) & (factor < SLOWEST) & np.isfinite(limit)
        return np.where(known, limit, 0).astype(np.float32), np.where(known, pace, 0).astype(np.float32)

    pairs = jax.tree.map(seen, begun.state, middle.state, carry.state)
    limit, pace = jax.tree.transpose(jax.tree.structure(carry.state), jax.tree.structure((0, 0)), pairs)
    return carry._replace(limit=limit, pace=pace)


def _arriving(leaf: Any, limit: Any, pace: Any, blocks: Any) -> Any:
    """Returns a leaf of the state after some blocks of steps that are left out."""
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf
    wide = leaf.astype(jnp.float32)
    return (wide + (limit - wide) * -jnp.expm1(pace * blocks)).astype(leaf.dtype)


# What the gradients are made of, steady and swinging: one that never changes, one that swings about a mean, and one
# that swings about 0, in which rates that adapt to progress see none.
GRADIENTS = np.array([(1.0, 0.0), (1.0, 1.5), (0.0, 1.0)], np.float32)


def _differ(one: Tree, other: Tree) -> Any:
    """Returns whether floating-point leaves of two trees differ; traceable."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return jnp.array([jnp.any(a != b) for a, b in pairs if is_floating(a)] or [False]).any()


def _is_counter(leaf: Any) -> bool:
    return jnp.ndim(leaf) == 0 and jnp.issubdtype(jnp.result_type(leaf), jnp.signedinteger)


def _counters(state: Tree) -> Any:
    found = [jnp.asarray(leaf, jnp.int32) for leaf in jax.tree.leaves(state) if _is_counter(leaf)]
    return jnp.stack(found) if found else jnp.zeros(0, jnp.int32)


def _with_counters(state: Tree, counters: Any) -> Tree:
    values = iter(counters)
    return jax.tree.map(
        lambda leaf: next(values).astype(jnp.result_type(leaf)) if _is_counter(leaf) else leaf, state
    )  # fmt: skip
