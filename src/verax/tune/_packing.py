"""Which trainings of a group run side by side in one call of its program, and which in calls after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from verax.train._state import TrainState
from verax.trees import Tree

CACHE = 24e6  # bytes of the states of lanes side by side; `benchmarks/tuning.py --steps` shows what more would cost
ENOUGH = 1e6  # bytes of the states of lanes for which a call is worth its fixed cost in each step

Run = Callable[[tuple[TrainState, Any], Any], tuple[TrainState, Tree]]


def calls(seeds: Sequence[int], state: TrainState, most: int, in_turn: bool = False) -> list[tuple[int, ...]]:
    """Returns the lanes of each call, by their places. All calls but perhaps the last have as many.

    On a CPU, weights and what the optimizer keeps are read and written by several loops in each step: of too many lanes
    they fall out of its caches from one loop to the next. Lanes with one seed are put together: they share the rows of
    their batches and their random bits, which are then drawn once.

    Args:
      seeds: of the lanes.
      state: of one lane, or its shapes.
      most: lanes that fit into memory.
      in_turn: whether lanes are faster one after another.
    """
    on_cpu, lanes = jax.default_backend() == "cpu", range(len(seeds))
    own = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    together: list[Sequence[int]] = [lanes]
    of_seed: dict[int, list[int]] = {}
    for lane, seed in enumerate(seeds):
        of_seed.setdefault(seed, []).append(lane)
    count = len(of_seed[seeds[0]])
    if on_cpu and count > 1 and count * own >= ENOUGH and all(len(each) == count for each in of_seed.values()):
        together = list(of_seed.values())
    wide = 1 if in_turn else min(_side_by_side(len(together[0]), own) if on_cpu else len(lanes), most)
    return [tuple(each[at : at + wide]) for each in together for at in range(0, len(each), wide)]


def _side_by_side(lanes: int, own: int) -> int:
    """Returns how many of some lanes run side by side on a CPU: as many as the caches hold, of equal parts."""
    fit = int(CACHE // own)
    if lanes <= fit:
        return lanes
    parts = [part for part in range(1, fit + 1) if lanes % part == 0 and 2 * part > fit]
    return max(parts, default=lanes)


def side_by_side(run: Run, lanes: int, one_seed: bool = False) -> Run:
    """Returns `run((states, own), common)` for some lanes: all leaves but those of `common` get an axis of lanes.

    Args:
      run: for one lane. Its step and key are what they would be alone, whatever other lanes do.
      lanes: how many.
      one_seed: whether all have the same key.
    """

    def alone(each: tuple[TrainState, Any], common: Any) -> tuple[TrainState, Tree]:
        return jax.tree.map(lambda leaf: leaf[None], run(jax.tree.map(lambda leaf: leaf[0], each), common))

    def apart(each: tuple[TrainState, Any], common: Any) -> tuple[TrainState, Tree]:
        return jax.vmap(lambda one: run(one, common))(each)

    def together(each: tuple[TrainState, Any], common: Any) -> tuple[TrainState, Tree]:
        states, own = each
        step, key = states.step[0], states.key[0]

        def lane(varying: Any, own: Any) -> tuple[Any, Any, Tree]:
            state, record = run((TrainState(step, key, *varying), own), common)
            return state.step, (state.variables, state.opt_state, state.extras), record

        varying = (states.variables, states.opt_state, states.extras)
        after, varying, records = jax.vmap(lane, out_axes=(None, 0, 0))(varying, own)
        return TrainState(jnp.broadcast_to(after, states.step.shape), states.key, *varying), records

    if lanes == 1:
        return alone
    return together if one_seed else apart
