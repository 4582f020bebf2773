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
    """

    make: Callable[[Mapping[str, Any]], Parts]
    chunk_steps: int = 100
    watch_gradients: bool = False


class ChunkData(NamedTuple):
    """The data of an epoch and where a chunk starts in it.

    Attributes:
      inputs: the training split's inputs, on the device.
      targets: likewise.
      rows: which examples each step takes, int32 (steps, batch).
      weight: their weights, (steps, batch); None where all are 1.
      start: the chunk's first step in `rows`, an int32 scalar.
    """

    inputs: Tree
    targets: Tree
    rows: Any
    weight: Any
    start: Any

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
    finite, and whether the parameters are finite at its end (a NaN there stays)."""

    total: Any
    weight: Any
    grads_finite: Any
    params_finite: Any


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
    step = make_train_step(network, objective, optimizer, watch_gradients=program.watch_gradients, options=options)
    if jax.default_backend() == "cpu":
        step = rewritten_for_cpu(step)

    def body(offset: Any, carry: Any) -> Any:
        state, kept = carry
        state, record = step(state, data.batch(data.start + offset))
        numbers = jnp.stack([record.total, record.weight, record.grads_finite.astype(jnp.float32)])
        return state, kept.at[offset].set(numbers)  # one write a step: each costs microseconds of its own

    empty = jnp.tile(jnp.array([0.0, 0.0, 1.0], jnp.float32), (program.chunk_steps, 1))
    state, kept = lax.fori_loop(0, steps, body, (state, empty))
    return state, ChunkRecord(kept[:, 0], kept[:, 1], kept[:, 2] > 0, all_finite(state.variables.params))
