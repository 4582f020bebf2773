"""Watching every parameter leaf from inside an optimizer: `vx.monitor` around any Optax transformation."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from verax.findings import InputError
from verax.train._leaf_statistics import STATISTICS, StepTrees, leaf_statistics, watched_leaves
from verax.trees import Tree

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
      begun: the parameters at `init`; scalars in their place where no drift is wanted.
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
    begun: Tree


def monitor(
    optimizer: optax.GradientTransformation, *, every: int = 100, window: int = 64, drift: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Returns an optimizer that gives the same updates, to the bit, and keeps statistics of every parameter leaf.

    They are kept in its state, as arrays: nothing leaves the device until `vx.read_monitor(opt_state)` is called, and a
    checkpoint of the state holds them too. Looked at are the first update and every `every`-th after it. Of a
    leaf's gradient there are norm, mean and largest magnitude, share of zeros and counts of NaN and Inf; of its update
    the ratio to the weights, and how far the weights have come from those at `init`.

    For a look the optimizer computes its update a second time, in a branch: that leaves the one that is applied as the
    compiler makes it without a monitor. Under `jax.vmap` all lanes are looked at in every step and most looks thrown
    away, because a branch that lanes may take differently is computed for all.

    Args:
      optimizer: any Optax transformation, with its schedule and clipping; gradients are those that it is given. Leaves
        that it is not to see (`optax.masked`, `optax.partition`, None) are left out.
      every: updates from one look to the next. At 100, the looks themselves are less than 1 % of a step's time on the
        networks of `benchmarks/monitor.py`; docs/guide/monitor.md has the table.
      window: how many of the latest looks are kept in full. Older ones stay in the means and maxima.
      drift: whether to keep a copy of the first parameters in the state, which the drift is measured from.

    Raises:
      InputError: if `optimizer` is no Optax transformation, or a number is not a whole one of at least 1.

    Example:
      >>> import optax
      >>> optimizer = monitor(optax.sgd(0.1), every=1)
      >>> params = {"w": jnp.array([3.0, 4.0])}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update({"w": jnp.array([0.0, 5.0])}, state, params)
      >>> seen = vx.read_monitor(state)
      >>> float(seen.recent["norm"][0, 0]), round(float(seen.recent["update_ratio"][0, 0]), 6)
      (5.0, 0.1)
    """
    if not isinstance(optimizer, optax.GradientTransformation):
        hint = (
            " Of optax.MultiSteps give .gradient_transformation()." if isinstance(optimizer, optax.MultiSteps) else ""
        )
        kind = type(optimizer).__name__
        raise InputError(f"optimizer must be an Optax transformation such as optax.adamw(1e-3), got {kind}.{hint}")
    for name, value in (("every", every), ("window", window)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, got {value!r}.")
    inner = optax.with_extra_args_support(optimizer)
    every, window = int(every), int(window)

    def init(params: Tree) -> MonitorState:
        each = (len(watched_leaves(params)), len(STATISTICS))
        # A copy, for a loop that donates parameters and state must not find one buffer in both.
        begun = jax.tree.map(
            lambda leaf: jnp.array(leaf, copy=True) if drift else jnp.zeros_like(leaf, shape=()), params
        )
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
            begun=begun,
        )

    def update(grads: Tree, state: MonitorState, params: Tree = None, **extra: Any) -> tuple[Tree, MonitorState]:
        def look(seen: dict[str, Any]) -> dict[str, Any]:
            updates, _ = inner.update(grads, state.inner_state, params, **extra)
            trees = StepTrees(grads, updates, params, state.begun)
            return _seen(seen, state.count + 1, leaf_statistics(lax.stop_gradient(trees)))

        seen = {name: getattr(state, name) for name in SEEN}
        seen = lax.cond(state.count % every == 0, look, lambda seen: seen, seen)
        before, given = _after(seen["taken"], (state.inner_state, params))
        updates, inner_state = inner.update(grads, before, given, **extra)
        return updates, state._replace(inner_state=inner_state, count=optax.safe_increment(state.count), **seen)

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


def _after(taken: Any, tree: Tree) -> Tree:
    """Returns the tree as it is, but so that the compiler cannot compute with it before the look is over.

    An optimizer's state and the parameters are overwritten in place. What the branch reads of them would be copied
    first, at every step, as long as the compiler may overwrite them before the branch has run. Nothing that it
    understands orders the two without changing how it fuses the update, and with it the last bit of the result; an
    exclusive or with a zero that it cannot know does (docs/decisions/0010).
    """
    zero = jnp.minimum(taken, 0)

    def same(leaf: Any) -> Any:
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return _same_bits(leaf, zero)

    return jax.tree.map(same, tree)


@jax.custom_jvp
def _same_bits(leaf: Any, zero: Any) -> Any:
    bits = lax.bitcast_convert_type(leaf, jnp.dtype(f"uint{8 * leaf.dtype.itemsize}"))
    return lax.bitcast_convert_type(bits ^ zero.astype(bits.dtype), leaf.dtype)


@_same_bits.defjvp
def _same_bits_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return _same_bits(*primals), tangents[0]
