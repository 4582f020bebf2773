"""Watching every parameter leaf from inside an optimizer: `vx.monitor` around any Optax transformation."""

from __future__ import annotations

import numbers
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from verax.findings import InputError
from verax.train._leaf_statistics import STATISTICS, StepTrees, leaf_statistics, watched_leaves
from verax.train._optimizer import with_standard_promotion
from verax.trees import Tree

SAMPLED = 1024  # entries of a leaf: norms over so many of one kind are right to a few per cent
COUNTED = [STATISTICS.index(name) for name in ("nan", "inf")]


class MonitorState(NamedTuple):
    """What has been seen so far; arrays alone, in shapes that never change. Read it with `read_monitor`.

    Attributes:
      inner_state: of the optimizer that is watched.
      count: updates so far, int32 scalar.
      taken: how many of them were looked at, int32 scalar.
      steps: the updates whose statistics `recent` holds, counted from 1, int32 (window,); 0 marks a free place.
      recent: their statistics, float32 (window, leaves, statistics): a ring, the newest in place of the oldest.
      known: how often each statistic was a number, int32 (leaves, statistics).
      mean: the mean over these times, float32 (leaves, statistics).
      largest: the largest, likewise.
      first_nonfinite: the first update looked at where a gradient had NaN or Inf, int32 (leaves,); 0 for none.
      first: a sample of the parameters at `init`.
      last: the same sample of them at the latest update.
    """

    inner_state: Any
    count: Any
    taken: Any
    steps: Any
    recent: Any
    known: Any
    mean: Any
    largest: Any
    first_nonfinite: Any
    first: Tree
    last: Tree


def monitor(
    optimizer: optax.GradientTransformation | optax.MultiSteps,
    *,
    every: int = 100,
    window: int = 64,
) -> optax.GradientTransformationExtraArgs:
    """Returns an optimizer that gives the same updates, to the bit, and keeps statistics of every parameter leaf.

    They are kept in its state, as arrays: nothing leaves the device until `vx.read_monitor(opt_state)` is called, and a
    checkpoint of the state holds them too. Looked at are the first update and every `every`-th after it. Of a
    leaf's gradient there are norm, mean and largest magnitude, share of zeros and counts of NaN and Inf. Of the leaf
    itself, there is how far it has come from where it was at `init`, and how far the update before this one moved it,
    both relative to its size; of a leaf with more than 1,024 entries for that many of them, at equal distances.

    Under `jax.vmap` all lanes are looked at in every step and most looks thrown away, because a branch that lanes may
    take differently is computed for all.

    Args:
      optimizer: any Optax transformation, with its schedule and clipping; gradients are those that it is given. Leaves
        that it is not to see (`optax.masked`, `optax.partition`, None) are left out.
      every: updates from one look to the next. From 25 on most of the cost is paid at every step, looked at or not;
        docs/guide/monitor.md has the table.
      window: how many of the latest looks are kept in full. Older ones stay in the means and maxima.

    Raises:
      InputError: if `optimizer` is no Optax transformation, or a number is not a whole one of at least 1.

    Example:
      >>> import optax
      >>> optimizer = monitor(optax.sgd(0.1), every=1)
      >>> params = {"w": jnp.array([3.0, 4.0])}
      >>> state = optimizer.init(params)
      >>> for _ in range(2):
      ...     updates, state = optimizer.update({"w": jnp.array([0.0, 5.0])}, state, params)
      ...     params = optax.apply_updates(params, updates)
      >>> seen = vx.read_monitor(state)
      >>> float(seen.recent["norm"][1, 0]), round(float(seen.recent["update_ratio"][1, 0]), 6)
      (5.0, 0.1)
    """
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    if not isinstance(optimizer, optax.GradientTransformation):
        kind = type(optimizer).__name__
        raise InputError(f"optimizer must be an Optax transformation such as optax.adamw(1e-3), got {kind}.")
    for name, value in (("every", every), ("window", window)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, got {value!r}.")
    inner = with_standard_promotion(optimizer)
    every, window = int(every), int(window)

    def init(params: Tree) -> MonitorState:
        each = (len(watched_leaves(params)), len(STATISTICS))
        return MonitorState(
            inner_state=inner.init(params),
            count=jnp.zeros((), jnp.int32),
            taken=jnp.zeros((), jnp.int32),
            steps=jnp.zeros(window, jnp.int32),
            recent=jnp.zeros((window, *each), jnp.float32),
            known=jnp.zeros(each, jnp.int32),
            mean=jnp.zeros(each, jnp.float32),
            largest=jnp.zeros(each, jnp.float32),
            first_nonfinite=jnp.zeros(each[:1], jnp.int32),
            first=sampled(params),
            last=jax.tree.map(jnp.zeros_like, sampled(params)),  # a ratio to zero is not defined: there was no update
        )

    def update(grads: Tree, state: MonitorState, params: Tree = None, **extra: Any) -> tuple[Tree, MonitorState]:
        updates, inner_state = inner.update(grads, state.inner_state, params, **extra)
        count, last = optax.safe_increment(state.count), state.last if params is None else sampled(params)

        def look(seen: dict[str, Any]) -> dict[str, Any]:
            way = None if params is None else jax.tree.map(jnp.subtract, last, state.last)
            trees = StepTrees(grads, way, state.last, state.first)
            return _seen(seen, count, leaf_statistics(lax.stop_gradient(trees)))

        seen = {name: getattr(state, name) for name in SEEN}
        seen = lax.cond(state.count % every == 0, look, lambda seen: seen, seen)
        return updates, state._replace(inner_state=inner_state, count=count, last=last, **seen)

    return optax.GradientTransformationExtraArgs(init, update)


SEEN = ("taken", "steps", "recent", "known", "mean", "largest", "first_nonfinite")


def _seen(before: dict[str, Any], step: Any, rows: Any) -> dict[str, Any]:
    """Returns what has been seen after one more look."""
    place = before["taken"] % before["steps"].shape[0]
    is_known = jnp.isfinite(rows)
    known = before["known"] + is_known.astype(jnp.int32)
    off = jnp.where(is_known, rows - before["mean"], 0) / jnp.maximum(known, 1).astype(jnp.float32)
    is_bad = jnp.sum(rows[:, jnp.array(COUNTED)], axis=1) > 0
    return {
        "taken": before["taken"] + 1,
        "steps": before["steps"].at[place].set(step),
        "recent": before["recent"].at[place].set(rows),
        "known": known,
        "mean": before["mean"] + off,
        "largest": jnp.where(is_known, jnp.maximum(before["largest"], rows), before["largest"]),
        "first_nonfinite": jnp.where((before["first_nonfinite"] == 0) & is_bad, step, before["first_nonfinite"]),
    }


def sampled(params: Tree) -> Tree:
    """Returns at most `SAMPLED` entries of each leaf at equal distances along its axes, in arrays of their own.

    A branch that read the parameters themselves would have them copied at every step, since they are overwritten in
    place (docs/decisions/0010).
    """

    def some(leaf: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            return jnp.zeros((), jnp.int32)
        leaf, steps = jnp.asarray(leaf), [1] * jnp.ndim(leaf)
        while prod(left := [-(-size // step) for size, step in zip(leaf.shape, steps, strict=True)]) > SAMPLED:
            steps[left.index(max(left))] *= 2
        return jnp.copy(leaf[tuple(slice(None, None, step) for step in steps)])

    return jax.tree.map(some, params)
