"""Which lanes of a program run side by side, and which after one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from verax.train._state import TrainState
from verax.trees import Tree

CACHE = 24e6  # bytes of the states of lanes side by side; `benchmarks/tuning.py --steps` shows what more would cost

Run = Callable[[tuple[TrainState, Any], Any], tuple[TrainState, Tree]]


class Packing(NamedTuple):
    """How the lanes of a program are run.

    Attributes:
      at_once: lanes side by side; others follow in as large parts.
      same_key: whether all have the same key, so that random bits are drawn once for those side by side.
    """

    at_once: int
    same_key: bool = False


def packing(seeds: Sequence[int], state: TrainState) -> Packing:
    """Returns how lanes are best run.

    On a CPU, weights and what the optimizer keeps are read and written by several loops in each step; of too many lanes
    they fall out of its caches from one loop to the next.

    Args:
      seeds: of the lanes.
      state: of one lane, or its shapes.
    """
    lanes, same_key = len(seeds), len(set(seeds)) == 1
    most = int(CACHE // sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)))
    if jax.default_backend() != "cpu" or lanes <= most:
        return Packing(lanes, same_key)
    parts = [part for part in range(1, most + 1) if lanes % part == 0 and 2 * part > most]
    return Packing(max(parts, default=lanes), same_key)


def packed(run: Run, packing: Packing) -> Run:
    """Returns `run((states, own), common)` for many lanes: all leaves but those of `common` get an axis of lanes.

    Args:
      run: for one lane. Its step and key are what they would be alone, whatever other lanes do.
      packing: of the lanes.
    """

    def side_by_side(each: tuple[TrainState, Any], common: Any) -> tuple[TrainState, Tree]:
        if not packing.same_key:
            return jax.vmap(lambda one: run(one, common))(each)
        states, own = each
        step, key = states.step[0], states.key[0]

        def lane(varying: Any, own: Any) -> tuple[Any, Any, Tree]:
            state, record = run((TrainState(step, key, *varying), own), common)
            return state.step, (state.variables, state.opt_state, state.extras), record

        varying = (states.variables, states.opt_state, states.extras)
        after, varying, records = jax.vmap(lane, out_axes=(None, 0, 0))(varying, own)
        return TrainState(jnp.broadcast_to(after, states.step.shape), states.key, *varying), records

    def in_parts(each: tuple[TrainState, Any], common: Any) -> tuple[TrainState, Tree]:
        lanes = each[0].step.shape[0]
        if packing.at_once == lanes:
            return side_by_side(each, common)
        parts = (lanes // packing.at_once, packing.at_once)
        split = jax.tree.map(lambda leaf: leaf.reshape(*parts, *leaf.shape[1:]), each)
        results = lax.map(lambda part: side_by_side(part, common), split)
        return jax.tree.map(lambda leaf: leaf.reshape(lanes, *leaf.shape[2:]), results)

    return in_parts
