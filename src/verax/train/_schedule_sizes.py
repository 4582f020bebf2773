"""The sizes of an optimizer's updates, measured by running it on a tiny tree and by moving its counters on."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float
from numpy.typing import NDArray

from verax.train._optimizer import with_standard_promotion
from verax.trees import Tree, is_floating

BLOCK = 500  # steps in one call of the compiled program
EXACT = 2 * BLOCK  # steps that are taken one by one; from then on the optimizer's counters are moved on between them
STRIDED = 600  # of the steps after those that are probed within the run
BEYOND = 400  # steps probed after the run's end, at distances that grow by a constant factor
SLOWEST = 0.999  # what is left of an average's way after a block; closer to 1 it is none, but a sum
FASTEST = 50.0  # its logarithm, when nothing is
HORIZON = 1000  # run lengths: how far after its end is looked
LAST_STEP = 2**31 - 2**20  # counters are int32


def steps_probed(steps: int) -> NDArray[np.int32]:
    """Returns the numbers of the steps that are probed, from 1: those of the run and some after it."""
    inside = np.linspace(EXACT, max(steps, EXACT), STRIDED + 1)[1:]
    first = max(steps, EXACT)
    beyond = np.geomspace(first, max(min(float(steps) * HORIZON, LAST_STEP), first + 1.0), BEYOND + 1)[1:]
    numbers = np.concatenate([np.arange(1, EXACT + 1), inside, beyond]).round().astype(np.int64)
    return np.unique(numbers).astype(np.int32)


def measured_sizes(
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
            state = jax.tree.map(lambda leaf, end, rate: _arriving(leaf, end, rate, left_out), state, limit, pace)
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

    moments = (jax.tree.leaves(each.state) for each in (begun, middle, carry))
    pairs = [seen(*leaves) for leaves in zip(*moments, strict=True)]
    structure = jax.tree.structure(carry.state)
    limit, pace = (jax.tree.unflatten(structure, [pair[which] for pair in pairs]) for which in (0, 1))
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
