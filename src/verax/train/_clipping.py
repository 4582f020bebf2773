"""Gradient clipping that tells how often and how hard it clipped."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from verax.findings import InputError
from verax.trees import Tree


class ClipState(NamedTuple):
    """What clipping has done so far, on the device.

    Attributes:
      steps: updates seen, int32 scalar.
      clipped: how many of them were clipped, int32 scalar.
      log_factor: the sum over the clipped ones of log(norm / limit), float32 scalar.
      largest: the largest norm that was seen, float32 scalar.
      limit: the norm to which it clips, float32 scalar.
    """

    steps: Any
    clipped: Any
    log_factor: Any
    largest: Any
    limit: Any


def clip_by_global_norm(max_norm: Any) -> optax.GradientTransformation:
    """Returns `optax.clip_by_global_norm`, which also counts; read the counts with `read_clipping(opt_state)`.

    Args:
      max_norm: the limit, above 0; may be traced.

    Raises:
      InputError: if the limit is not above 0.

    Example:
      >>> import optax
      >>> optimizer = optax.chain(clip_by_global_norm(1.0), optax.sgd(0.1))
      >>> params = {"w": jnp.zeros(2)}
      >>> updates, state = optimizer.update({"w": jnp.array([3.0, 4.0])}, optimizer.init(params), params)
      >>> read_clipping(state)["share"], round(read_clipping(state)["factor"], 3)
      (1.0, 5.0)
    """
    if isinstance(max_norm, str) or (isinstance(max_norm, int | float) and not 0 < max_norm < float("inf")):
        raise InputError(f"max_norm must be a number above 0, got {max_norm!r}.")
    clip = optax.clip_by_global_norm(max_norm)

    def init(params: Tree) -> ClipState:
        del params
        zero, none = jnp.int32(0), jnp.float32(0)
        return ClipState(zero, zero, none, none, jnp.asarray(max_norm, jnp.float32))

    def update(updates: Tree, state: ClipState, params: Tree = None) -> tuple[Tree, ClipState]:
        norm = jnp.asarray(optax.tree.norm(updates), jnp.float32)
        over = norm >= state.limit
        state = state._replace(
            steps=state.steps + 1,
            clipped=state.clipped + over.astype(jnp.int32),
            log_factor=state.log_factor + jnp.where(over & jnp.isfinite(norm), jnp.log(norm / state.limit), 0.0),
            largest=jnp.fmax(state.largest, norm),
        )
        return clip.update(updates, optax.EmptyState(), params)[0], state

    return optax.GradientTransformation(init, update)


def read_clipping(opt_state: Tree) -> dict[str, float] | None:
    """Returns what clipping did, or None where no `vx.clip_by_global_norm` is in the optimizer.

    Returns:
      `limit`, `steps`, `share` (of steps that were clipped), `factor` (by how much the clipped ones were shortened:
      the geometric mean of norm / limit, 1 where none was) and `largest` (norm). Of several, the first.
    """
    states = [each for each in jax.tree.leaves(opt_state, is_leaf=_is_state) if _is_state(each)]
    if not states:
        return None
    steps, clipped, log_factor, largest, limit = (float(each) for each in jax.device_get(states[0]))
    return {
        "limit": limit,
        "steps": steps,
        "share": clipped / max(steps, 1),
        "factor": float(jnp.exp(log_factor / max(clipped, 1))),
        "largest": largest,
    }


def _is_state(tree: Tree) -> bool:
    return isinstance(tree, ClipState)
