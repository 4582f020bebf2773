"""Lanes made ready to run: data stacked where they differ, states drawn, one program compiled for all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from verax.data import Batch, Dataset, Examples, check_data
from verax.findings import Finding, InputError, raise_errors
from verax.network import Network, as_network
from verax.train._batches import EpochPlan
from verax.train._cache import enable_compilation_cache
from verax.train._compile import program_memory
from verax.train._experiment import Experiment
from verax.train._initial import (
    decaying_optimizer,
    effective_optimizer,
    first_state,
    run_parts,
    starting_variables,
    state_from,
)
from verax.train._keys import base_key
from verax.train._lanes_data import lane_data, lane_rows, lane_validation
from verax.train._lanes_program import (
    ForwardCost,
    Lanes,
    forward_cost,
    lane_chunk,
    lane_evaluation,
    lane_of,
    over_lanes,
    runs_in_turn,
)
from verax.train._objective import Objective
from verax.train._optimizer import OptimizerFacts, probe_optimizer
from verax.train._precision import with_precision
from verax.train._program import ChunkData, Parts, Program
from verax.train._session import NO_END, check_watched, epoch_plan, schedule_facts, traced
from verax.train._state import TrainState
from verax.train._tracing_errors import explained
from verax.trees import Tree, count


class Basis(NamedTuple):
    """What is found out about an experiment by tracing it; the same for all of its lanes.

    Attributes:
      network: the model as a network.
      shapes: of its variables.
      facts: what the optimizer does.
      few: a batch of training examples.
      findings: remarks on the data.
      remarks: remarks on the optimizer.
      optimizer: as the steps use it.
      cost: of a forward pass on that batch.
    """

    network: Network
    shapes: Any
    facts: OptimizerFacts
    few: Examples
    findings: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    optimizer: optax.GradientTransformation
    cost: ForwardCost

    @property
    def in_turn(self) -> bool:
        """Whether lanes run one after another."""
        return runs_in_turn(self.cost)


def basis(experiment: Experiment, dataset: Dataset) -> Basis:
    """Returns what tracing tells about an experiment.

    Raises:
      InputError: for anything wrong with data, network, objective or optimizer.
    """
    network = as_network(experiment.network)
    shapes, findings = traced(experiment, network, dataset)
    check_watched(experiment, dataset)
    few = jax.tree.map(lambda leaf: leaf[: experiment.batch_size], dataset.examples("train"))
    with explained("the optimizer", {"params": shapes.params}):
        facts = jax.jit(lambda: probe_optimizer(effective_optimizer(experiment), shapes.params))()
    optimizer, remarks = decaying_optimizer(experiment, facts)
    cost = forward_cost(network, shapes, few.inputs)
    return Basis(network, shapes, facts, few, findings, remarks, optimizer, cost)


@dataclass(frozen=True, eq=False)
class LaneSession:
    """Lanes whose batches have the same shapes, ready to run.

    Attributes:
      experiments: one a lane.
      datasets: one a lane; the same one for all where lanes differ in the seed.
      network: the model.
      states: before the first step, stacked.
      plans: how an epoch is cut into steps, one a lane; all have the same number of steps.
      span: epochs in the data of one call.
      shared: of a chunk's data, what all lanes have in common.
      own: what each has of its own, stacked; without rows.
      hyperparameters: fitted numbers that differ from lane to lane, stacked.
      validation: batches, shared or stacked.
      chunk: `chunk(lanes, shared, steps) -> (states, records)`, compiled.
      rest: the same for a last batch in a shape of its own, or None.
      evaluate: `evaluate((states, batch, hyperparameters), batch) -> sums`, or None.
      evaluate_narrow: the same in the precision of training, compiled when it is called; None in float32.
      chunk_steps: the most steps in one call.
      total_steps: of each lane.
      findings: by lane.
      facts: what was measured while preparing.
    """

    experiments: tuple[Experiment, ...]
    datasets: tuple[Dataset, ...]
    network: Network
    states: TrainState
    plans: tuple[EpochPlan, ...]
    span: int
    shared: ChunkData
    own: ChunkData
    hyperparameters: Mapping[str, Any]
    validation: tuple[Batch, ...]
    chunk: Any
    rest: Any
    evaluate: Any
    evaluate_narrow: Any
    chunk_steps: int
    total_steps: int
    findings: tuple[tuple[Finding, ...], ...]
    facts: dict[str, Any]

    @property
    def size(self) -> int:
        """The number of lanes."""
        return len(self.experiments)

    @property
    def has_own_data(self) -> bool:
        """Whether each lane has a data set of its own."""
        return self.own.inputs is not None

    def rows(self, epoch: int) -> tuple[Any, Any]:
        """Returns the rows of `span` epochs (lanes, steps, batch), and of a last batch (lanes, 1, rest) or None."""
        return lane_rows(self.plans, [each.seed for each in self.experiments], epoch, self.span)


def lane_plan(experiment: Experiment, base: Basis, size: int) -> EpochPlan:
    """Returns how an epoch of a lane with this many examples is cut into steps."""
    return epoch_plan(experiment, base.network, base.shapes, base.few, size, base_key(experiment.seed))


def prepare_lanes(
    experiments: Sequence[Experiment],
    datasets: Sequence[Dataset],
    plans: Sequence[EpochPlan],
    base: Basis,
    initial: Any = None,
) -> LaneSession:
    """Returns lanes made ready to run.

    Args:
      experiments: one a lane; they differ in seed and data alone.
      datasets: one a lane.
      plans: one a lane, of the same shapes.
      base: of the first experiment.
      initial: weights that all lanes start from, instead of random ones.

    Raises:
      InputError: for anything wrong with data, network, objective or initial weights, before any compute.
    """
    enable_compilation_cache()
    clock = time.perf_counter()
    first, plan = experiments[0], plans[0]
    separate = any(each is not datasets[0] for each in datasets)
    objective = first.objective
    hyperparameters = _fitted_numbers([each.objective for each in experiments]) if separate else {}

    def make(given: Mapping[str, Any]) -> Parts:
        own = replace(objective, meaning=replace(objective.meaning, **given))
        return run_parts(first, base.network, own, base.optimizer)

    span = 1 if plan.rest or "validation" in datasets[0].splits else max(1, first.chunk_steps // plan.equal_steps)
    chunk_steps = span * plan.equal_steps if span > 1 else min(first.chunk_steps, plan.equal_steps)
    program = Program(make, chunk_steps, bool(base.facts.hides_nonfinite), leaf_statistics=first.watch)
    shared, own, rest = lane_data(experiments, datasets, plans, span, separate)
    validation = jax.device_put(tuple(lane_validation(first, datasets if separate else datasets[:1])))
    words: Any = np.stack([np.asarray(jax.random.key_data(base_key(each.seed))) for each in experiments])
    keys = jax.random.wrap_key_data(words, impl="threefry2x32")

    def drawn(key: Any, inputs: Tree) -> TrainState:
        return first_state(first, base.network, key, inputs)

    start = jax.jit(over_lanes(drawn, one_after_another=True))  # side by side it takes three times as long to compile
    states = jax.eval_shape(start, keys, base.few.inputs)
    own = own._replace(begun=states.variables.params)
    with explained("a step of training or evaluation", {"inputs": base.few.inputs, "targets": base.few.targets}):
        lowered = [
            start.lower(keys, base.few.inputs),
            jax.jit(lane_chunk(program, base.in_turn)).lower(Lanes(states, own, hyperparameters), shared, np.int32(0)),
            None
            if rest is None
            else jax.jit(lane_chunk(replace(program, chunk_steps=1, leaf_statistics=False), base.in_turn)).lower(
                Lanes(states, own._replace(rows=rest), hyperparameters), shared, np.int32(0)
            ),
            None
            if not validation
            else jax.jit(lane_evaluation(program, base.network, first.ema, base.in_turn)).lower(
                *evaluation_arguments(states, hyperparameters, validation[0], separate)
            ),
        ]
    total = first.steps or (first.epochs or 0) * plan.steps or NO_END
    with ThreadPoolExecutor(len(lowered) + 1) as pool:
        probed = pool.submit(schedule_facts, base.optimizer, base.shapes.params, states.opt_state, total)
        compiled: list[Any] = list(pool.map(lambda each: None if each is None else each.compile(), lowered))
    begin, chunk, last, evaluate = compiled
    schedule, misfits = probed.result()
    states = begin(keys, base.few.inputs)
    if initial is not None:
        variables = starting_variables(initial, lane_of(states.variables, 0))
        states = jax.jit(jax.vmap(lambda key: state_from(first, variables, key)))(keys)
    narrow = with_precision(base.network, first.precision)
    evaluate_narrow = jax.jit(lane_evaluation(program, narrow, None, base.in_turn))
    facts = {
        **schedule,
        "parameters": count(base.shapes.params),
        "initial_weights": "drawn" if initial is None else "given",
        "steps_per_epoch": plan.steps,
        "padded": plan.padded,
        "gradients_watched": program.watch_gradients,
        "programs": {"train": 1 + (last is not None), "evaluate": int(evaluate is not None)},
        "lanes": len(experiments),
        "lanes_run": "one after another" if base.in_turn else "side by side",
        "compile_seconds": time.perf_counter() - clock,
        "memory": program_memory(chunk),
    }
    findings = tuple(each + misfits for each in _findings(first, datasets, base, separate))
    return LaneSession(
        tuple(experiments),
        tuple(datasets), base.network, states, tuple(plans), span, shared,
        own._replace(rows=None, begun=states.variables.params), hyperparameters, validation, chunk, last, evaluate,
        evaluate_narrow if validation and first.precision != "float32" else None, chunk_steps, total, findings, facts,
    )  # fmt: skip


def fitted(experiment: Experiment, dataset: Dataset) -> Experiment:
    """Returns an experiment on a data set, its objective with what it takes from the training split."""
    return replace(experiment, objective=experiment.objective.fitted(dataset.examples("train")))


def _fitted_numbers(objectives: Sequence[Objective]) -> dict[str, Any]:
    """Returns the fields of a task that were fitted to each lane's training split, stacked, by name."""
    stacked = {}
    for name in (each.name for each in fields(objectives[0].meaning)):
        values = [getattr(each.meaning, name) for each in objectives]
        if any(each is not values[0] for each in values):
            shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(each)] for each in values]
            if any(each != shapes[0] for each in shapes):
                raise InputError(
                    f"{name} of the task is fitted to the train rows of each fold, but has another shape in some: "
                    f"{shapes[0]} and {next(each for each in shapes if each != shapes[0])}. Is a class missing from "
                    "the train rows of a fold? Stratified folds (folds=5) share the classes out."
                )
            stacked[name] = jax.tree.map(
                lambda *leaves: np.stack([np.asarray(leaf, np.float32) for leaf in leaves]), *values
            )
    return stacked


def evaluation_arguments(
    states: TrainState, hyperparameters: Mapping[str, Any], batch: Batch, separate: bool
) -> tuple[Any, Any]:
    """Returns the arguments of the evaluation program."""
    return (states, batch if separate else None, hyperparameters), None if separate else batch


def _findings(
    experiment: Experiment, datasets: Sequence[Dataset], base: Basis, separate: bool
) -> tuple[tuple[Finding, ...], ...]:
    """Returns the remarks on each lane; data that differ are checked lane by lane."""
    if not separate:
        return (base.findings + base.remarks,) * len(datasets)
    inputs = base.few.inputs
    outputs = jax.eval_shape(lambda v, x: base.network.apply(v, x)[0], base.shapes, inputs)
    task, size, rules = experiment.objective.task, experiment.batch_size, experiment.objective.meaning.data_rules
    return tuple(
        raise_errors(check_data(each, task=task, outputs_shape=outputs, batch_size=size, **rules)) + base.remarks
        for each in datasets
    )
