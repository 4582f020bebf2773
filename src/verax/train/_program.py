"""Many training steps as one pure function: the thing that is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from verax.data import Batch
from verax.jaxpr import rewritten_for_cpu
from verax.network import Network
from verax.train._leaf_statistics import StepTrees, leaf_statistics
from verax.train._objective import Objective
from verax.train._state import TrainState
from verax.train._step import StepOptions, make_train_step
from verax.trees import Tree, all_finite


class Parts(NamedTuple):
    """What a step is made of."""

    network: Network
    objective: Objective
    optimizer: optax.GradientTransformation
    options: StepOptions | None = None


@dataclass(frozen=True, eq=False)
class Program:
    """How the steps of a run are compiled.

    Attributes:
      make: from traced hyperparameters to the parts of a step; called inside the trace.
      chunk_steps: the most steps in one call of the compiled program.
      watch_gradients: whether gradients are watched for NaN and Inf at every step.
      leaf_statistics: whether a chunk's record has the statistics of every leaf at its last step.
    """

    make: Callable[[Mapping[str, Any]], Parts]
    chunk_steps: int = 100
    watch_gradients: bool = False
    leaf_statistics: bool = False


class ChunkData(NamedTuple):
    """The data of an epoch and where a chunk starts in it.

    Attributes:
      inputs: the training split's inputs, on the device.
      targets: likewise.
      rows: which examples each step takes, int32 (steps, batch).
      weight: their weights, (steps, batch); None where all are 1.
      start: the chunk's first step in `rows`, an int32 scalar.
      begun: the parameters that the run began with, for how far they have come; None where nobody asks.
    """

    inputs: Tree
    targets: Tree
    rows: Any
    weight: Any
    start: Any
    begun: Tree = None

    def batch(self, step: Any) -> Batch:
        """Returns the batch of a step, gathered on the device."""
        rows = lax.dynamic_index_in_dim(self.rows, step, keepdims=False)

        def take(leaf: Any) -> Any:
            return leaf.at[rows].get(mode="promise_in_bounds")  # rows come from a permutation of the split

        weight = (
            jnp.ones(rows.shape, jnp.float32)
            if self.weight is None
            else lax.dynamic_index_in_dim(self.weight, step, keepdims=False)
        )
        return Batch(jax.tree.map(take, self.inputs), jax.tree.map(take, self.targets), weight)


class ChunkRecord(NamedTuple):
    """What a chunk measured, on the device: per step the sums of losses and weights and whether the gradients were
    finite, whether the parameters are finite at its end (a NaN there stays), and of every leaf the `STATISTICS` of its
    last step, (leaves, statistics), or None."""

    total: Any
    weight: Any
    grads_finite: Any
    params_finite: Any
    leaves: Any = None


def run_chunk(
    program: Program, hyperparameters: Mapping[str, Any], state: TrainState, data: ChunkData, steps: Any
) -> tuple[TrainState, ChunkRecord]:
    """Returns the state after some steps, and what they measured. Pure, and vmappable over any of its arguments.

    Args:
      program: static.
      hyperparameters: traced values for `program.make`; empty for a single run.
      state: where to start.
      data: the epoch's data and position.
      steps: how many steps, at most `program.chunk_steps`; may be traced, so that one compiled program serves chunks of
        any length.
    """
    network, objective, optimizer, options = program.make(hyperparameters)
    watched = {"watch_gradients": program.watch_gradients, "keep_gradients": program.leaf_statistics}
    step = make_train_step(network, objective, optimizer, **watched, options=options)
    if jax.default_backend() == "cpu":
        step = rewritten_for_cpu(step)

    def body(offset: Any, carry: Any) -> Any:
        state, kept, _ = carry
        state, record = step(state, data.batch(data.start + offset))
        numbers = jnp.stack([record.total, record.weight, record.grads_finite.astype(jnp.float32)])
        return state, kept.at[offset].set(numbers), record.grads  # one write a step: each costs microseconds of its own

    empty = jnp.tile(jnp.array([0.0, 0.0, 1.0], jnp.float32), (program.chunk_steps, 1))
    none = jax.tree.map(jnp.zeros_like, state.variables.params) if program.leaf_statistics else None
    if not program.leaf_statistics:
        (state, kept, _), leaves = lax.fori_loop(0, steps, body, (state, empty, none)), None
    else:
        state, kept, leaves = _watching_the_last(body, (state, empty, none), steps, data.begun)
    finite = all_finite(state.variables.params)
    return state, ChunkRecord(kept[:, 0], kept[:, 1], kept[:, 2] > 0, finite, leaves)


def _watching_the_last(
    body: Callable[[Any, Any], Any], carry: Any, steps: Any, begun: Tree
) -> tuple[TrainState, Any, Any]:
    """Returns state and record after the steps, and the statistics of the leaves at the last of them.

    The steps are taken in two goes, all but the last and then the last, so that the parameters between them can be
    kept; as a loop of two turns around the loop over steps, because two loops would be compiled twice. Carrying the
    gradients out costs nothing: each lies in a buffer of its own anyway (docs/decisions/0010).
    """
    but_one = jnp.maximum(steps - 1, 0)

    def go(turn: Any, held: Any) -> Any:
        carry, _ = held
        before = carry[0].variables.params
        first, end = jnp.where(turn == 0, 0, but_one), jnp.where(turn == 0, but_one, steps)
        return lax.fori_loop(first, end, body, carry), before

    (state, kept, grads), before = lax.fori_loop(0, 2, go, (carry, carry[0].variables.params))
    updates = jax.tree.map(jnp.subtract, state.variables.params, before)
    return state, kept, leaf_statistics(StepTrees(grads, updates, before, begun))
