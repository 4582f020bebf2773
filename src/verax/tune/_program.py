"""One compiled program for a whole group of trials: all epochs, with validation after each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from verax.data import Batch
from verax.jaxpr import rewritten_for_cpu
from verax.network import as_network
from verax.train import Experiment
from verax.train._average import averaged_variables
from verax.train._batches import EpochPlan
from verax.train._initial import decaying_optimizer, run_parts
from verax.train._optimizer import OptimizerFacts
from verax.train._program import ChunkData
from verax.train._state import TrainState
from verax.train._step import StepOptions, make_eval_step, make_train_step
from verax.trees import Tree, is_floating
from verax.tune._packing import Lanes
from verax.tune._record import EpochRecord, ends_of


@dataclass(frozen=True, eq=False)
class GroupProgram:
    """What the trials of a group have in common.

    Attributes:
      make: from hyperparameters, which may be traced, to the experiment, its objective fitted to the training split.
      facts: what the optimizer does, the same for all.
      plan: how an epoch is cut into steps.
      total_steps: of a whole trial.
    """

    make: Callable[[Mapping[str, Any]], Experiment]
    facts: OptimizerFacts
    plan: EpochPlan
    total_steps: int


class Own(NamedTuple):
    """What each trial has of its own; every leaf has a leading axis of trials.

    Attributes:
      given: hyperparameters that are inputs of the program, by name.
      rows: which examples the equal steps of each epoch take, int32 (epochs, steps, batch); None where they are
        shared.
      rest: of the last batch in a shape of its own, int32 (epochs, rows); None likewise, or where there is none.
    """

    given: Mapping[str, Any]
    rows: Any = None
    rest: Any = None


class Common(NamedTuple):
    """What all trials share.

    Attributes:
      inputs: of the training split, on the device.
      targets: likewise.
      weight: of the rows of the equal steps, (steps, batch); None where all are 1.
      rows: as in `Own`, where trials share them; None otherwise, and on a CPU.
      rest: likewise.
      validation: the validation split as stacked batches, (batches, rows, ...).
      begun: epochs that were trained before, an int32 scalar.
    """

    inputs: Tree
    targets: Tree
    weight: Any
    rows: Any
    rest: Any
    validation: Batch
    begun: Any


def group_program(
    program: GroupProgram, epochs: int, lanes: Lanes, updates_last: bool = False
) -> Callable[[tuple[TrainState, Own], Common], tuple[TrainState, EpochRecord]]:
    """Returns `run((states, own), common) -> (states, record)`: some epochs of some lanes, pure and not yet compiled.

    Args:
      program: what the trials share.
      epochs: how many.
      lanes: that run side by side.
      updates_last: whether weights are updated after all gradients are there; faster where they are many.
    """
    plan = program.plan

    def trained(state: TrainState, own: Own, batch: Batch) -> tuple[TrainState, Any]:
        experiment = program.make(own.given)
        network = as_network(experiment.network)
        optimizer, _ = decaying_optimizer(experiment, program.facts)
        parts = run_parts(experiment, network, experiment.objective, optimizer)
        options = replace(parts.options or StepOptions(), draws_once=True, updates_last=updates_last)
        step = make_train_step(*parts[:3], options=options)
        if jax.default_backend() == "cpu":
            step = rewritten_for_cpu(step)
        state, record = step(state, batch)
        return state, jnp.stack([record.total, record.weight]).astype(jnp.float32)

    def equal_step(state: TrainState, own: Own, common: Common, epoch: Any, step: Any) -> tuple[TrainState, Any]:
        rows = lax.dynamic_index_in_dim(own.rows if common.rows is None else common.rows, epoch, keepdims=False)
        data = ChunkData(common.inputs, common.targets, rows, common.weight, jnp.int32(0))
        return trained(state, own, data.batch(step))

    def last_step(state: TrainState, own: Own, common: Common, epoch: Any) -> tuple[TrainState, Any]:
        rows = lax.dynamic_index_in_dim(own.rest if common.rest is None else common.rest, epoch)
        return trained(state, own, ChunkData(common.inputs, common.targets, rows, None, jnp.int32(0)).batch(0))

    def validated(state: TrainState, own: Own, common: Common) -> tuple[TrainState, EpochRecord]:
        experiment = program.make(own.given)
        evaluate = make_eval_step(as_network(experiment.network), experiment.objective)
        sums = lax.map(lambda batch: _sums(evaluate, experiment, state, batch), common.validation)
        return state, ends_of(sums, _all_finite(state.variables.params))

    def run(each: tuple[TrainState, Own], common: Common) -> tuple[TrainState, EpochRecord]:
        begun, (state, own) = each[0], lanes.entered(*each)

        def epoch(carry: tuple[TrainState, Any], at: Any) -> tuple[tuple[TrainState, Any], EpochRecord]:
            left = program.total_steps - (common.begun + at) * plan.steps

            def with_step(step: Any, carry: tuple[TrainState, Any]) -> tuple[TrainState, Any]:
                state, numbers = lanes.each(equal_step)(carry[0], own, common, at, step)
                return state, lax.dynamic_update_slice(carry[1], numbers[None, None], (at, step, 0, 0))

            def with_last(carry: tuple[TrainState, Any]) -> tuple[TrainState, Any]:
                state, numbers = lanes.each(last_step)(carry[0], own, common, at)
                return state, lax.dynamic_update_slice(carry[1], numbers[None, None], (at, plan.equal_steps, 0, 0))

            carry = lax.fori_loop(0, jnp.minimum(plan.equal_steps, left), with_step, carry)
            if plan.rest:
                carry = lax.cond(left >= plan.steps, with_last, lambda carry: carry, carry)
            return carry, lanes.each(validated)(carry[0], own, common)[1]

        kept = jnp.zeros((epochs, plan.steps, lanes.count, 2), jnp.float32)
        (state, kept), record = lax.scan(epoch, (state, kept), jnp.arange(epochs, dtype=jnp.int32))
        return lanes.left(state, begun), replace(record, steps=kept)

    return run


def _all_finite(tree: Tree) -> Any:
    """Returns what `trees.all_finite` does, as one product: a reduction is one for each leaf, of several kernels each,
    and XLA makes that of a reduction of all leaves together."""
    leaves = [leaf.ravel() for leaf in jax.tree.leaves(tree) if is_floating(leaf)]
    if not leaves:
        return jnp.array(True)
    zeros = jnp.concatenate(leaves) * 0  # NaN where a number was NaN or Inf
    return jnp.isfinite(jnp.dot(zeros, zeros))


def _sums(evaluate: Any, experiment: Experiment, state: TrainState, batch: Batch) -> dict[str, Any]:
    sums = {f"validation/{name}": each for name, each in evaluate(state.variables, batch).items()}
    if experiment.ema is not None:
        averaged = evaluate(averaged_variables(state), batch)
        sums |= {f"ema_validation/{name}": each for name, each in averaged.items()}
    return sums
