"""Lanes made ready to run: data stacked where they differ, states drawn, one program compiled for all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch, Dataset, Examples, check_data
from verax.findings import Finding, raise_errors
from verax.network import Network, as_network
from verax.train._batches import EpochPlan, evaluation_batches, even_batch_size, full_batches
from verax.train._cache import enable_compilation_cache
from verax.train._compile import program_memory
from verax.train._experiment import Experiment
from verax.train._initial import decaying_optimizer, effective_optimizer, first_state, starting_variables, state_from
from verax.train._keys import base_key
from verax.train._lanes_program import Lanes, lane_chunk, lane_evaluation, lane_of, over_lanes, runs_in_turn
from verax.train._objective import Objective
from verax.train._optimizer import OptimizerFacts, probe_optimizer
from verax.train._precision import with_precision
from verax.train._program import ChunkData, Parts, Program
from verax.train._session import NO_END, _check_watched, _plan, traced
from verax.train._state import TrainState
from verax.train._step import StepOptions
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
      in_turn: whether lanes run one after another.
    """

    network: Network
    shapes: Any
    facts: OptimizerFacts
    few: Examples
    findings: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    optimizer: optax.GradientTransformation
    in_turn: bool


def basis(experiment: Experiment, dataset: Dataset) -> Basis:
    """Returns what tracing tells about an experiment.

    Raises:
      InputError: for anything wrong with data, network, objective or optimizer.
    """
    network = as_network(experiment.network)
    shapes, findings = traced(experiment, network, dataset)
    _check_watched(experiment, dataset)
    few = jax.tree.map(lambda leaf: leaf[: experiment.batch_size], dataset.examples("train"))
    with explained("the optimizer", {"params": shapes.params}):
        facts = jax.jit(lambda: probe_optimizer(effective_optimizer(experiment), shapes.params))()
    optimizer, remarks = decaying_optimizer(experiment, facts)
    in_turn = runs_in_turn(network, shapes, few.inputs)
    return Basis(network, shapes, facts, few, findings, remarks, optimizer, in_turn)


def make_parts(
    experiment: Experiment, network: Network, objective: Objective, optimizer: optax.GradientTransformation
) -> Parts:
    """Returns the parts of an experiment's training step."""
    options = StepOptions(experiment.accumulate, experiment.augment, tuple(experiment.freeze), experiment.ema)
    return Parts(with_precision(network, experiment.precision), objective, optimizer, options)


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
        return _rows(self.plans, [each.seed for each in self.experiments], epoch, self.span)


def _rows(plans: Sequence[EpochPlan], seeds: Sequence[int], epoch: int, span: int) -> tuple[Any, Any]:
    known: dict[tuple[EpochPlan, int], tuple[np.ndarray, np.ndarray]] = {}
    for each in zip(plans, seeds, strict=True):
        if each not in known:
            plan, seed = each
            drawn = [plan.rows(seed, number) for number in range(epoch, epoch + span)]
            known[each] = np.concatenate([rows for rows, _, _ in drawn]), drawn[-1][2][None]
    lanes = [known[each] for each in zip(plans, seeds, strict=True)]
    return np.stack([rows for rows, _ in lanes]), np.stack([rest for _, rest in lanes]) if plans[0].rest else None


def lane_plan(experiment: Experiment, base: Basis, size: int) -> EpochPlan:
    """Returns how an epoch of a lane with this many examples is cut into steps."""
    return _plan(experiment, base.network, base.shapes, base.few, size, base_key(experiment.seed))


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
    objectives = [fitted(first.objective, each) for each in (datasets if separate else datasets[:1])]
    hyperparameters = _fitted_numbers(objectives) if separate else {}

    def make(given: Mapping[str, Any]) -> Parts:
        objective = objectives[0].with_target_scale(given["target_scale"]) if given else objectives[0]
        return make_parts(first, base.network, objective, base.optimizer)

    span = 1 if plan.rest or "validation" in datasets[0].splits else max(1, first.chunk_steps // plan.equal_steps)
    chunk_steps = span * plan.equal_steps if span > 1 else min(first.chunk_steps, plan.equal_steps)
    program = Program(make, chunk_steps, bool(base.facts.hides_nonfinite))
    shared, own, rest = _data(experiments, datasets, plans, span, separate)
    validation = tuple(_validation(first, datasets if separate else datasets[:1]))
    keys = jax.random.wrap_key_data(
        np.stack([jax.random.key_data(base_key(each.seed)) for each in experiments]), impl="threefry2x32"
    )

    def drawn(key: Any, inputs: Tree) -> TrainState:
        return first_state(first, base.network, key, inputs)

    start = jax.jit(over_lanes(drawn, one_after_another=True))  # side by side it takes three times as long to compile
    states = jax.eval_shape(start, keys, base.few.inputs)
    with explained("a step of training or evaluation", {"inputs": base.few.inputs, "targets": base.few.targets}):
        lowered = [
            start.lower(keys, base.few.inputs),
            jax.jit(lane_chunk(program, base.in_turn)).lower(
                Lanes(states, own, hyperparameters), shared, np.int32(0)
            ),
            None
            if rest is None
            else jax.jit(lane_chunk(replace(program, chunk_steps=1), base.in_turn)).lower(
                Lanes(states, own._replace(rows=rest), hyperparameters), shared, np.int32(0)
            ),
            None
            if not validation
            else jax.jit(lane_evaluation(program, base.network, first.ema, base.in_turn)).lower(
                *_evaluated(states, hyperparameters, validation[0], separate)
            ),
        ]
    with ThreadPoolExecutor(len(lowered)) as pool:
        begin, chunk, last, evaluate = pool.map(lambda each: None if each is None else each.compile(), lowered)
    states = begin(keys, base.few.inputs)
    if initial is not None:
        variables = starting_variables(initial, lane_of(states.variables, 0))
        states = jax.jit(jax.vmap(lambda key: state_from(first, variables, key)))(keys)
    facts = {
        "parameters": count(base.shapes.params),
        "steps_per_epoch": plan.steps,
        "padded": plan.padded,
        "gradients_watched": program.watch_gradients,
        "programs": {"train": 1 + (last is not None), "evaluate": int(evaluate is not None)},
        "lanes": len(experiments),
        "lanes_run": "one after another" if base.in_turn else "side by side",
        "compile_seconds": time.perf_counter() - clock,
        "memory": program_memory(chunk),
    }
    total = first.steps or (first.epochs or 0) * plan.steps or NO_END
    return LaneSession(
        tuple(replace(each, objective=one) for each, one in zip(experiments, objectives, strict=True))
        if separate
        else tuple(replace(each, objective=objectives[0]) for each in experiments),
        tuple(datasets), base.network, states, tuple(plans), span, shared, own._replace(rows=None), hyperparameters,
        validation, chunk, last, evaluate, chunk_steps, total, _findings(first, datasets, base, separate), facts,
    )  # fmt: skip


def fitted(objective: Objective, dataset: Dataset) -> Objective:
    """Returns an objective with what it learns from the training split."""
    fit = getattr(objective, "fitted", None)
    return objective if fit is None else fit(dataset.examples("train"))


def _fitted_numbers(objectives: Sequence[Objective]) -> dict[str, Any]:
    """Returns the fitted numbers that differ from lane to lane, stacked."""
    scales = [getattr(each, "target_scale", None) for each in objectives]
    if scales[0] is None:
        return {}
    return {"target_scale": jax.tree.map(lambda *leaves: np.stack([np.asarray(each) for each in leaves]), *scales)}


def _evaluated(states: TrainState, hyperparameters: Mapping[str, Any], batch: Batch, separate: bool) -> tuple[Any, Any]:
    """Returns the arguments of the evaluation program."""
    return (states, batch if separate else None, hyperparameters), None if separate else batch


def _data(
    experiments: Sequence[Experiment],
    datasets: Sequence[Dataset],
    plans: Sequence[EpochPlan],
    span: int,
    separate: bool,
) -> tuple[ChunkData, ChunkData, Any]:
    """Returns the data that all lanes share, those that each has of its own, and the rows of a rest or None."""
    rows, rest = _rows(plans, [each.seed for each in experiments], 0, span)
    weights = [plan.rows(0, 0)[1] for plan in plans]
    own_weight = shared_weight = None
    if any(each is not None for each in weights):
        full = [np.ones(rows.shape[1:], np.float32) if each is None else np.tile(each, (span, 1)) for each in weights]
        alike = all((each == full[0]).all() for each in full)
        own_weight, shared_weight = (None, jnp.asarray(full[0])) if alike else (jnp.asarray(np.stack(full)), None)
    start = np.int32(0)
    if not separate:
        train = jax.tree.map(jnp.asarray, datasets[0].examples("train"))
        return ChunkData(*train, None, shared_weight, start), ChunkData(None, None, rows, own_weight, None), rest
    stacked = stacked_examples([each.examples("train") for each in datasets])
    return ChunkData(None, None, None, shared_weight, start), ChunkData(*stacked, rows, own_weight, None), rest


def stacked_examples(splits: Sequence[Examples]) -> Examples:
    """Returns splits of several data sets on the device with a leading axis of lanes; shorter ones are filled up with
    their first row, which no step takes."""
    longest = max(split.size for split in splits)

    def whole(*leaves: np.ndarray) -> Any:
        rows = [np.concatenate([leaf, np.repeat(leaf[:1], longest - len(leaf), axis=0)]) for leaf in leaves]
        return jnp.asarray(np.stack(rows))

    return Examples(*jax.tree.map(whole, *(tuple(split) for split in splits)))


def _validation(experiment: Experiment, datasets: Sequence[Dataset]) -> list[Batch]:
    """Returns the validation split as batches on the device, with an axis of lanes where there are several data sets."""
    if "validation" not in datasets[0].splits:
        return []
    splits = [each.examples("validation") for each in datasets]
    size = even_batch_size(max(split.size for split in splits))
    if experiment.objective.per_example:
        cut = [list(evaluation_batches(split, size)) for split in splits]
    else:
        cut = [list(full_batches(split, experiment.batch_size)) for split in splits]
    longest = max(len(batches) for batches in cut)
    for batches in cut:  # a lane with fewer rows has batches of weight 0 at the end
        batches += [batches[0]._replace(weight=np.zeros_like(batches[0].weight))] * (longest - len(batches))
    if len(datasets) == 1:
        return [jax.tree.map(jnp.asarray, batch) for batch in cut[0]]
    return [jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *batch) for batch in zip(*cut, strict=True)]


def _findings(
    experiment: Experiment, datasets: Sequence[Dataset], base: Basis, separate: bool
) -> tuple[tuple[Finding, ...], ...]:
    """Returns the remarks on each lane; data that differ are checked lane by lane."""
    if not separate:
        return (base.findings + base.remarks,) * len(datasets)
    inputs = base.few.inputs
    outputs = jax.eval_shape(lambda v, x: base.network.apply(v, x)[0], base.shapes, inputs)
    task, size = experiment.objective.task, experiment.batch_size
    return tuple(
        raise_errors(check_data(each, task=task, outputs_shape=outputs, batch_size=size)) + base.remarks
        for each in datasets
    )
