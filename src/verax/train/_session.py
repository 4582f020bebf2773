"""An experiment made ready to run: data checked, weights drawn, programs compiled. Everything before the first step."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch, Dataset, Examples, check_data, load
from verax.findings import Finding, InputError, raise_errors
from verax.jaxpr import rows_are_independent
from verax.network import Network, as_network
from verax.train._augmented import check_augmented
from verax.train._batches import EpochPlan, evaluation_batches, even_batch_size, full_batches
from verax.train._cache import enable_compilation_cache
from verax.train._compile import Compiled, compile_programs, program_memory
from verax.train._experiment import Experiment
from verax.train._freeze import check_frozen
from verax.train._initial import (
    decaying_optimizer,
    effective_optimizer,
    first_state,
    run_parts,
    starting_variables,
    state_from,
)
from verax.train._keys import base_key
from verax.train._objective import check_losses
from verax.train._optimizer import keeps_its_rate, probe_optimizer
from verax.train._precision import check_precision
from verax.train._program import ChunkData, Program
from verax.train._schedule import probe_schedule
from verax.train._state import TrainState
from verax.train._tracing_errors import explained, tree_text
from verax.trees import Tree, count, leaves_by_path

NO_END = 2**31 - 1  # steps: for a run that only the clock ends


@dataclass(frozen=True, eq=False)
class Session:
    """What `prepare` makes of an experiment.

    Attributes:
      experiment: the experiment.
      network: its model as a network.
      dataset: its data, loaded.
      state: before the first step.
      plan: how an epoch is cut into steps.
      program: what a chunk of steps is.
      compiled: the compiled programs.
      train_data: the training split on the device.
      validation: the validation split as batches on the device.
      total_steps: how many steps the run is to take.
      findings: remarks on data and optimizer; no errors, or there would be no session.
      facts: what was measured while preparing.
    """

    experiment: Experiment
    network: Network
    dataset: Dataset
    state: TrainState
    plan: EpochPlan
    program: Program
    compiled: Compiled
    train_data: Examples
    validation: tuple[Batch, ...]
    total_steps: int
    findings: tuple[Finding, ...]
    facts: dict[str, Any]

    def epoch_data(self, epoch: int) -> tuple[ChunkData, ChunkData | None]:
        """Returns the data of an epoch (the first is 0) for equal steps, and for the rest."""
        return epoch_data(self.train_data, self.plan, self.experiment.seed, epoch, self.state.variables.params)


def epoch_data(
    train: Examples, plan: EpochPlan, seed: int, epoch: int, begun: Tree
) -> tuple[ChunkData, ChunkData | None]:
    """Returns the data of an epoch (the first is 0): of steps of one shape, and of a last batch in its own, if any."""
    rows, weight, rest = plan.rows(seed, epoch)
    start = np.int32(0)
    equal = ChunkData(*train, jnp.asarray(rows), None if weight is None else jnp.asarray(weight), start, begun)
    return equal, ChunkData(*train, jnp.asarray(rest[None]), None, start) if plan.rest else None


def prepare(experiment: Experiment, initial: Any = None) -> Session:
    """Returns an experiment made ready to run.

    Args:
      experiment: what to run.
      initial: parameters, `Variables` or a `TrainState`-like value to start from instead of random weights.

    Raises:
      InputError: for anything wrong with data, network, objective or initial weights, before any compute.
    """
    enable_compilation_cache()
    clock = time.perf_counter()
    network = as_network(experiment.network)
    dataset = load(experiment.data)
    train = dataset.examples("train")
    few = jax.tree.map(lambda leaf: leaf[: experiment.batch_size], train)
    key = base_key(experiment.seed)

    shapes, findings = traced(experiment, network, dataset)
    experiment = replace(experiment, objective=experiment.objective.fitted(train))
    check_watched(experiment, dataset)
    loaded_seconds = time.perf_counter() - clock

    clock = time.perf_counter()
    with explained("the optimizer", {"params": shapes.params}):
        state = jax.jit(lambda key, inputs: first_state(experiment, network, key, inputs))(key, few.inputs)
        optimizer_facts = jax.jit(lambda: probe_optimizer(effective_optimizer(experiment), shapes.params))()
    if initial is not None:
        state = state_from(experiment, starting_variables(initial, state.variables), key)
    optimizer, remarks = decaying_optimizer(experiment, optimizer_facts)

    plan = epoch_plan(experiment, network, shapes, few, train.size, key)
    program = Program(
        make=lambda _: run_parts(experiment, network, experiment.objective, optimizer),
        chunk_steps=min(experiment.chunk_steps, plan.equal_steps),
        watch_gradients=bool(optimizer_facts.hides_nonfinite),
        leaf_statistics=experiment.watch,
    )
    device_data = jax.tree.map(jnp.asarray, train)
    validation = tuple(jax.tree.map(jnp.asarray, batch) for batch in validation_batches(experiment, dataset))
    first_epoch = epoch_data(device_data, plan, experiment.seed, 0, state.variables.params)
    total_steps = experiment.steps or (experiment.epochs or 0) * plan.steps or NO_END
    one_batch = validation[0] if validation else None
    with ThreadPoolExecutor(1) as beside:  # the probe compiles a small program of its own
        probed = beside.submit(schedule_facts, optimizer, shapes.params, state.opt_state, total_steps)
        with explained("a step of training or evaluation", {"inputs": few.inputs, "targets": few.targets}):
            compiled = compile_programs(program, state, *first_epoch, network, experiment.objective, one_batch)
    schedule, misfits = probed.result()
    facts = {
        **schedule,
        "parameters": count(state.variables.params),
        "initial_weights": "drawn" if initial is None else "given",
        "steps_per_epoch": plan.steps,
        "padded": plan.padded,
        "gradients_watched": program.watch_gradients,
        "programs": {"train": 1 + (compiled.rest is not None), "evaluate": int(compiled.evaluate is not None)},
        "load_seconds": loaded_seconds,
        "compile_seconds": time.perf_counter() - clock,
        "memory": program_memory(compiled.chunk),
    }
    return Session(
        experiment, network, dataset, state, plan, program, compiled, device_data, validation, total_steps,
        findings + remarks + misfits, facts,
    )  # fmt: skip


def schedule_facts(
    optimizer: optax.GradientTransformation, params: Tree, opt_state: Tree, total_steps: int
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Returns the size of the optimizer's steps along the run, for the report, and what does not fit its length.

    Nothing where the optimizer is known to have no schedule, or the run has no known length.

    Raises:
      InputError: if the run would end in the middle of the warm-up.
    """
    if total_steps == NO_END or keeps_its_rate(opt_state):
        return {}, ()
    probe = probe_schedule(optimizer, params, total_steps)
    curve = {name: tuple(values) for name, values in probe.curve.to_json().items()}  # as it is read back from disk
    return {"schedule": curve}, raise_errors(probe.findings)


def traced(experiment: Experiment, network: Network, dataset: Dataset) -> tuple[Any, tuple[Finding, ...]]:
    """Returns the shapes of the variables and remarks on the data; computes nothing.

    Raises:
      InputError: if the data are wrong, or network or loss cannot take them.
    """
    examples = dataset.examples("train")
    few = jax.tree.map(lambda leaf: leaf[: experiment.batch_size], examples)
    key, task = base_key(experiment.seed), experiment.objective.task
    shapes: Any = None
    outputs: Any = None
    failed = None
    try:
        with explained(f"the network {network.name}", {"inputs": few.inputs}):
            shapes = jax.eval_shape(network.init, key, few.inputs)
            outputs = jax.eval_shape(lambda v, x, k: network.apply(v, x, key=k)[0], shapes, few.inputs, key)
    except InputError as error:
        failed = error
    rules = experiment.objective.meaning.data_rules
    checked = check_data(dataset, task=task, outputs_shape=outputs, batch_size=experiment.batch_size, **rules)
    findings = raise_errors(checked)  # first: bad data may be why the network failed
    if failed is not None:
        raise failed
    empty = [path for path, leaf in leaves_by_path(shapes.params).items() if 0 in leaf.shape]
    if empty:
        raise InputError(f"every parameter must hold numbers, but {', '.join(empty)} has size 0. Is a width 0?")
    if task != "custom" and not jax.tree_util.all_leaves([outputs]):
        raise InputError(
            f"the network must give one array for {task}, got {tree_text(outputs)}. "
            "Let it give the logits or numbers alone, or take a loss of your own: vx.objective_from_loss(fn)."
        )
    with explained("the loss", {"outputs": outputs, "targets": few.targets}):
        batch = Batch(few.inputs, few.targets, np.ones(few.size, np.float32))
        losses = jax.eval_shape(experiment.objective.fitted(examples).losses, outputs, batch)
    check_losses(losses, few.size, experiment.objective.per_example)
    if experiment.augment is not None:
        check_augmented(experiment.augment, network, experiment.objective.fitted(examples), shapes, batch, key)
    check_frozen(shapes.params, experiment.freeze)
    check_precision(network, experiment.precision, shapes, few.inputs, key)
    return shapes, findings


def check_watched(experiment: Experiment, dataset: Dataset) -> None:
    """Refuses to watch a metric that the run will not have."""
    if experiment.stopping is None:
        return
    kinds = ("validation",) if experiment.ema is None else ("validation", "ema_validation")
    known = [f"{kind}/{name}" for kind in kinds for name in experiment.objective.metrics]
    known = known if "validation" in dataset.splits else []
    experiment.stopping.check_metric(known)


def validation_batches(experiment: Experiment, dataset: Dataset) -> Iterable[Batch]:
    """Returns the validation split in the batches that it is evaluated in, on the host; none without one."""
    if "validation" not in dataset.splits:
        return ()
    validation = dataset.examples("validation")
    if not experiment.objective.per_example:
        return full_batches(validation, experiment.batch_size)
    return evaluation_batches(validation, even_batch_size(validation.size))


def epoch_plan(experiment: Experiment, network: Network, shapes: Any, few: Examples, size: int, key: Any) -> EpochPlan:
    """Returns the plan of an epoch; a partial batch is padded where rows are known not to touch one another."""

    def losses(few: Examples, variables: Any, key: Any) -> Any:
        outputs, _ = network.apply(variables, few.inputs, key=key)
        return experiment.objective.losses(outputs, Batch(*few, jnp.ones(few.size, jnp.float32)))

    padded = experiment.objective.per_example and not jax.tree.leaves(shapes.model_state)
    if experiment.remainder == "partial" and size % experiment.batch_size and padded:
        padded = rows_are_independent(losses, few, shapes, key)
    return EpochPlan(size, experiment.batch_size, experiment.remainder, padded and experiment.remainder == "partial")
