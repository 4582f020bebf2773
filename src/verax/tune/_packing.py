"""Which trainings of a group run side by side in one call of its program, and which in calls after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from verax.train._state import TrainState

CACHE = 24e6  # bytes of the states of lanes side by side; `benchmarks/tuning.py --steps` shows what more would cost
ENOUGH = 1e6  # bytes of the states of lanes for which a call is worth its fixed cost in each step

OfOne = Callable[..., tuple[TrainState, Any]]


def calls(seeds: Sequence[int], state: TrainState, most: int, in_turn: bool = False) -> list[tuple[int, ...]]:
    """Returns the lanes of each call, by their places. All calls but perhaps the last have as many.

    On a CPU, weights and what the optimizer keeps are read and written by several loops in each step: of too many lanes
    they fall out of its caches from one loop to the next. Lanes with one seed are put together: their random bits are
    the same, and drawn once.

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
    wide = 1 if in_turn else _side_by_side(len(together[0]), int(CACHE // own) if on_cpu else len(lanes), most)
    return [tuple(each[at : at + wide]) for each in together for at in range(0, len(each), wide)]


def _side_by_side(lanes: int, cached: int, most: int) -> int:
    """Returns how many of some lanes run side by side: equal parts, where there are any of more than half the size.

    Args:
      lanes: how many there are.
      cached: how many the caches hold.
      most: how many fit into memory.
    """

    def equal(size: int, otherwise: int) -> int:
        parts = [part for part in range(1, size + 1) if lanes % part == 0 and 2 * part > size]
        return max(parts, default=otherwise)

    wide = equal(min(cached, lanes), otherwise=lanes)
    return wide if wide <= most else equal(most, otherwise=most)


class Lanes(NamedTuple):
    """Lanes of one call: their states and what each has of its own have an axis of lanes in front.

    Attributes:
      count: how many.
      one_seed: whether all have the same key: then they share it and their step, so that bits are drawn once.
    """

    count: int
    one_seed: bool

    def entered(self, states: TrainState, own: Any) -> tuple[TrainState, Any]:
        """Returns states and what each lane has of its own as `each` takes them: a single lane without an axis."""
        if self.count == 1:
            return jax.tree.map(lambda leaf: leaf[0], (states, own))
        return (states.replace(step=states.step[0], key=states.key[0]) if self.one_seed else states), own

    def left(self, state: TrainState, begun: TrainState) -> TrainState:
        """Returns states as they were before they `entered`, when they were `begun`."""
        if self.count == 1:
            return jax.tree.map(lambda leaf: leaf[None], state)
        if not self.one_seed:
            return state
        return state.replace(step=jnp.broadcast_to(state.step, begun.step.shape), key=begun.key)

    def each(self, function: OfOne) -> OfOne:
        """Returns `function(state, own, *shared) -> (state, result)` for all lanes; results have an axis of lanes.

        Args:
          function: for one lane. Its step and key are what they would be alone, whatever other lanes do.
        """

        def alone(state: TrainState, own: Any, *shared: Any) -> tuple[TrainState, Any]:
            state, result = function(state, own, *shared)
            return state, jax.tree.map(lambda leaf: leaf[None], result)

        def apart(state: TrainState, own: Any, *shared: Any) -> tuple[TrainState, Any]:
            return jax.vmap(lambda state, own: function(state, own, *shared))(state, own)

        def together(state: TrainState, own: Any, *shared: Any) -> tuple[TrainState, Any]:
            def lane(varying: Any, own: Any) -> tuple[Any, Any, Any]:
                after, result = function(TrainState(state.step, state.key, *varying), own, *shared)
                return after.step, (after.variables, after.opt_state, after.extras), result

            varying = (state.variables, state.opt_state, state.extras)
            step, varying, result = jax.vmap(lane, out_axes=(None, 0, 0))(varying, own)
            return TrainState(step, state.key, *varying), result

        if self.count == 1:
            return alone
        return together if self.one_seed else apart
