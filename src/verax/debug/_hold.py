"""An optimizer without weight decay and with its schedule held at its peak: what an overfit check trains with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.trees import Tree, is_floating

# States of Optax that count the steps of a schedule. Adam's own count is none: it corrects the bias of its moments.
SCHEDULE_STATES = {
    "ScaleByScheduleState",
    "WrappedScheduleState",
    "InjectHyperparamsState",
    "InjectStatefulHyperparamsState",
}


class Held(NamedTuple):
    """An optimizer for an overfit check.

    Attributes:
      init: `init(params) -> opt_state`.
      update: `update(grads, opt_state, params, loss) -> (updates, opt_state)`.
      peak: the count at which the schedule is held, None where it has none.
      decays: whether weight decay was found.
      decay_is_off: whether it could be left out.
    """

    init: Callable[[Tree], Any]
    update: Callable[[Tree, Any, Tree, Any], tuple[Tree, Any]]
    peak: int | None
    decays: bool
    decay_is_off: bool


def hold(optimizer: optax.GradientTransformation, params: Tree, *, total_steps: int) -> Held:
    """Returns an optimizer with its schedule held at its peak and, where that can be done, without weight decay.

    Both are found by probing, on a tree of the same paths whose axes have length 1: the count of the schedule at which
    the update of a fixed gradient is longest, and whether parameters move where the gradient is zero.
    """
    plain = optax.with_extra_args_support(optimizer)
    tiny = jax.tree.map(
        lambda leaf: jnp.full([min(1, size) for size in jnp.shape(leaf)], 0.5, jnp.result_type(leaf)), params
    )
    grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.25), tiny)
    zeros = jax.tree.map(jnp.zeros_like, tiny)

    def update(grads: Tree, state: Any, params: Tree, loss: Any) -> tuple[Tree, Any]:
        with jax.numpy_dtype_promotion("standard"):  # which Optax is written for
            return plain.update(grads, state, params, value=loss, grad=grads, value_fn=lambda _: loss)

    def init(params: Tree) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return plain.init(params)

    def first_update(grads: Tree, shown: Tree, count: Any) -> Tree:
        return update(grads, pinned(init(tiny), count), shown, jnp.float32(1.0))[0]

    peak = _peak(first_update, grads, tiny, total_steps) if has_schedule(jax.eval_shape(init, tiny)) else None
    count = 0 if peak is None else peak
    rest, rest_unseen, driven, driven_unseen = (
        _flat(first_update(some, shown, count)) for some in (zeros, grads) for shown in (tiny, zeros)
    )
    decays = bool(np.any(rest != 0))
    decay = rest - rest_unseen
    off = (
        decays
        and not rest_unseen.any()
        and np.allclose(driven - driven_unseen, decay, rtol=1e-3, atol=1e-6 * np.abs(driven).max())
    )

    def held_update(grads: Tree, state: Any, params: Tree, loss: Any) -> tuple[Tree, Any]:
        shown = jax.tree.map(jnp.zeros_like, params) if off else params
        updates, state = update(grads, state, shown, loss)
        return updates, state if peak is None else pinned(state, peak)

    def held_init(params: Tree) -> Any:
        return init(params) if peak is None else pinned(init(params), peak)

    return Held(held_init, held_update, peak, decays, bool(off))


def pinned(state: Any, count: Any) -> Any:
    """Returns an optimizer's state with the counters of its schedules, and no others, at a count.

    Example:
      >>> adam, schedule = pinned(optax.adam(optax.cosine_decay_schedule(1e-3, 100)).init(jnp.zeros(2)), 7)
      >>> int(adam.count), int(schedule.count)
      (0, 7)
    """

    def pin(node: Any) -> Any:
        if not _counts_a_schedule(node):
            return node
        fields = {name: pinned(value, count) for name, value in node._asdict().items() if name != "count"}
        return node._replace(count=jnp.asarray(count, jnp.result_type(node.count)), **fields)

    return jax.tree.map(pin, state, is_leaf=_counts_a_schedule)


def has_schedule(state: Any) -> bool:
    """Returns whether an optimizer's state counts the steps of a schedule."""
    return any(map(_counts_a_schedule, jax.tree.leaves(state, is_leaf=_counts_a_schedule)))


def _counts_a_schedule(node: Any) -> bool:
    return type(node).__name__ in SCHEDULE_STATES


def _peak(first_update: Callable[..., Tree], grads: Tree, params: Tree, total_steps: int) -> int:
    """Returns the count with the longest update; where several are equal, the first."""
    counts = np.unique(np.concatenate([np.arange(17), np.linspace(0, total_steps, 257).round()])).astype(np.int32)
    counts = counts[counts <= max(total_steps, 1)]

    def length(count: Any) -> Any:
        leaves = [leaf for leaf in jax.tree.leaves(first_update(grads, params, count)) if is_floating(leaf)]
        return jnp.sqrt(sum(jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in leaves))

    lengths = np.asarray(jax.jit(jax.vmap(length))(counts))
    return int(counts[np.argmax(lengths >= 0.999 * np.nanmax(lengths))])


def _flat(tree: Tree) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.asarray(leaf, np.float64).reshape(-1) for leaf in jax.tree.leaves(tree))])
