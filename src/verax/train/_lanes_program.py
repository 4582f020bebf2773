"""One compiled program for many lanes: the same steps, each lane with its own state, rows and fitted numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jax import lax

from verax.data import Batch
from verax.jaxpr import has_primitive
from verax.network import Network, Variables
from verax.train._average import averaged_variables
from verax.train._program import ChunkData, ChunkRecord, Program, run_chunk
from verax.train._state import TrainState
from verax.train._step import make_eval_step
from verax.trees import Tree

CONVOLUTION = "conv_general_dilated"
LARGE = 5e7  # floating-point operations of a forward pass; MLPs 784-256-256 at batch 64 (4e7) were as fast either way


class Lanes(NamedTuple):
    """What each lane has of its own; every leaf has a leading axis of lanes.

    Attributes:
      state: of the training.
      data: those fields of a chunk's data that differ from lane to lane; None in the place of shared ones.
      hyperparameters: traced values for the program, by name.
    """

    state: TrainState
    data: ChunkData
    hyperparameters: Mapping[str, Any]


def over_lanes(function: Callable[..., Tree], one_after_another: bool) -> Callable[..., Tree]:
    """Returns `function(own, *shared)` for many lanes: `own` and the results have a leading axis of lanes.

    Args:
      function: pure.
      one_after_another: whether lanes run in turn (`lax.map`) rather than side by side (`vmap`).
    """

    def in_turn(own: Tree, *shared: Tree) -> Tree:
        return lax.map(lambda one: function(one, *shared), own)

    def side_by_side(own: Tree, *shared: Tree) -> Tree:
        return jax.vmap(lambda one: function(one, *shared))(own)

    return in_turn if one_after_another else side_by_side


class ForwardCost(NamedTuple):
    """What a forward pass on a batch is made of.

    Attributes:
      has_convolution: whether there is a convolution in it.
      operations: floating-point operations.
    """

    has_convolution: bool
    operations: float


def forward_cost(network: Network, variables: Variables, inputs: Tree) -> ForwardCost:
    """Returns what a forward pass on a batch is made of; nothing is compiled.

    Args:
      network: the model.
      variables: its variables, or their shapes.
      inputs: a batch.
    """
    forward = jax.jit(lambda variables, inputs: network.apply(variables, inputs)[0]).trace(variables, inputs)
    operations = (forward.lower().cost_analysis() or {}).get("flops", 0.0)
    return ForwardCost(has_primitive(forward.jaxpr, CONVOLUTION), operations)


def runs_in_turn(cost: ForwardCost) -> bool:
    """Returns whether the lanes of a network run faster one after another than side by side; on CPU some do.

    Convolutions with a kernel of its own for each lane are one convolution in groups, which XLA's CPU backend runs
    slower than as many plain ones. Large networks side by side fall out of the caches, and lanes have nothing to gain
    where a single one keeps the machine busy. Either way it is one program.
    """
    return jax.default_backend() == "cpu" and (cost.has_convolution or cost.operations > LARGE)


def lane_chunk(program: Program, one_after_another: bool) -> Callable[..., tuple[TrainState, ChunkRecord]]:
    """Returns `chunk(lanes, shared, steps) -> (states, records)`: `run_chunk` for all lanes.

    `shared` is the data that all lanes have in common, with None where each has its own.
    """

    def one(lane: Lanes, shared: ChunkData, steps: Any) -> tuple[TrainState, ChunkRecord]:
        return run_chunk(program, lane.hyperparameters, lane.state, merged(lane.data, shared), steps)

    return over_lanes(one, one_after_another)


def merged(own: ChunkData, shared: ChunkData) -> ChunkData:
    """Returns a chunk's data, each field from whichever has it."""
    return ChunkData(*(each if each is not None else other for each, other in zip(own, shared, strict=True)))


def lane_evaluation(
    program: Program, network: Network, ema: Any, one_after_another: bool
) -> Callable[..., dict[str, Any]]:
    """Returns `evaluate(lanes, shared) -> sums`: what a batch gives for the weights of each lane, and their average.

    `lanes` is `(state, batch, hyperparameters)`; one of `batch` and `shared` is None. The names of the sums begin with
    `validation/`, or `ema_validation/` for the averaged weights.
    """

    def one(lane: tuple[TrainState, Batch | None, Mapping[str, Any]], shared: Batch | None) -> dict[str, Any]:
        state, own, hyperparameters = lane
        evaluate = make_eval_step(network, program.make(hyperparameters).objective)
        batch: Any = shared if own is None else own
        sums = {f"validation/{name}": each for name, each in evaluate(state.variables, batch).items()}
        if ema is not None:
            averaged = evaluate(averaged_variables(state), batch)
            sums |= {f"ema_validation/{name}": each for name, each in averaged.items()}
        return sums

    return over_lanes(one, one_after_another)


@jax.jit
def kept(mask: Any, new: Tree, old: Tree) -> Tree:
    """Returns the new values in the lanes of the mask, the old ones in the others."""
    return jax.vmap(lambda take, one, two: jax.tree.map(lambda a, b: jax.numpy.where(take, a, b), one, two))(
        mask, new, old
    )


@jax.jit
def lane_of(tree: Tree, lane: Any) -> Tree:
    """Returns one lane of a tree whose leaves have a leading axis of lanes."""
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, lane, keepdims=False), tree)
