"""An experiment made ready to run: data checked, weights drawn, programs compiled. Everything before the first step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch, Dataset, Examples, check_data, load
from verax.findings import Finding, InputError, raise_errors
from verax.jaxpr import equations, has_primitive, rows_are_independent
from verax.network import Network, Variables, as_network
from verax.train._batches import EpochPlan, evaluation_batches, even_batch_size, full_batches
from verax.train._cache import enable_compilation_cache
from verax.train._experiment import Experiment
from verax.train._keys import base_key, purpose_key
from verax.train._optimizer import OptimizerFacts, decay_weights_only, probe_optimizer, with_standard_promotion
from verax.train._program import ChunkData, Parts, Program, run_chunk
from verax.train._state import TrainState
from verax.train._step import make_eval_step
from verax.train._tracing_errors import explained
from verax.trees import Tree, count, differences, leaves_by_path

SLOW_IN_LOOPS_ON_CPU = ("conv_general_dilated",)
LARGE_ACTIVATIONS = 2**24  # bytes of a forward pass
LONG_RUN = 400  # steps


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
      chunk: the compiled chunk, `chunk(state, data, steps)`; with an unrolled program a few steps, the state donated.
      rest: the compiled last step of an epoch where it has a shape of its own, or None.
      evaluate: the compiled evaluation step, or None without a validation split.
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
    chunk: Any
    rest: Any
    evaluate: Any
    train_data: Examples
    validation: tuple[Batch, ...]
    total_steps: int
    findings: tuple[Finding, ...]
    facts: dict[str, Any]

    @property
    def chunk_steps(self) -> int:
        """Steps between two reads of the device; an unrolled program takes several calls for them."""
        return min(self.experiment.chunk_steps, self.plan.equal_steps)

    def epoch_data(self, epoch: int) -> tuple[ChunkData, ChunkData | None]:
        """Returns the data of an epoch (the first is 0) for equal steps, and for the rest."""
        rows, weight, rest = self.plan.rows(self.experiment.seed, epoch)
        start = np.int32(0)
        equal = ChunkData(*self.train_data, jnp.asarray(rows), None if weight is None else jnp.asarray(weight), start)
        last = ChunkData(*self.train_data, jnp.asarray(rest[None]), None, start) if self.plan.rest else None
        return equal, last


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

    shapes, forward, findings = traced(experiment, network, dataset)
    _check_watched(experiment, dataset)
    loaded_seconds = time.perf_counter() - clock

    clock = time.perf_counter()
    with explained("the optimizer", {"params": shapes.params}):
        start = jax.jit(lambda key, inputs: first_state(experiment, network, key, inputs))
        state, optimizer_facts = start(key, few.inputs)
    if initial is not None:
        variables = starting_variables(initial, state.variables)
        opt_state = with_standard_promotion(experiment.optimizer).init(variables.params)
        state = state.replace(variables=variables, opt_state=opt_state)
    optimizer, remarks = _decaying(experiment, optimizer_facts)

    plan = _plan(experiment, network, shapes, few, train.size, key)
    total_steps = experiment.steps or (experiment.epochs or 0) * plan.steps
    chunk_steps = min(experiment.chunk_steps, plan.equal_steps)
    rolled = jax.default_backend() != "cpu" or not has_primitive(forward, SLOW_IN_LOOPS_ON_CPU)
    program = Program(
        make=lambda _: Parts(network, experiment.objective, optimizer),
        chunk_steps=chunk_steps if rolled else min(chunk_steps, _steps_in_a_row(forward, total_steps)),
        rolled=rolled,
        watch_gradients=bool(optimizer_facts.hides_nonfinite),
    )
    device_data = jax.tree.map(jnp.asarray, train)
    batches = _validation_batches(experiment, dataset)
    session = Session(
        experiment, network, dataset, state, plan, program, None, None, None, device_data,
        tuple(jax.tree.map(jnp.asarray, batch) for batch in batches),
        total_steps, findings + remarks, {},
    )  # fmt: skip
    with explained("a step of training or evaluation", {"inputs": few.inputs, "targets": few.targets}):
        chunk, rest, evaluate = _compile(session)
    facts = {
        "parameters": count(state.variables.params),
        "steps_per_epoch": plan.steps,
        "rolled": program.rolled,
        "padded": plan.padded,
        "gradients_watched": program.watch_gradients,
        "programs": {"train": 1 + (rest is not None), "evaluate": int(evaluate is not None)},
        "load_seconds": loaded_seconds,
        "compile_seconds": time.perf_counter() - clock,
        "memory": _memory(chunk),
    }
    parts = {"chunk": chunk, "rest": rest, "evaluate": evaluate, "facts": facts}
    return Session(**{**session.__dict__, **parts})


def traced(experiment: Experiment, network: Network, dataset: Dataset) -> tuple[Any, Any, tuple[Finding, ...]]:
    """Returns the shapes of the variables, the program of a forward pass and remarks on the data; computes nothing.

    Raises:
      InputError: if the data are wrong, or network or loss cannot take them.
    """
    examples = dataset.examples("train")
    few = jax.tree.map(lambda leaf: leaf[: experiment.batch_size], examples)
    key, task = base_key(experiment.seed), experiment.objective.task
    shapes, forward, outputs, failed = None, None, None, None
    try:
        with explained(f"the network {network.name}", {"inputs": few.inputs}):
            shapes = jax.eval_shape(network.init, key, few.inputs)
            apply = jax.make_jaxpr(lambda v, x, k: network.apply(v, x, key=k)[0], return_shape=True)
            forward, outputs = apply(shapes, few.inputs, key)
    except InputError as error:
        failed = error
    checked = check_data(dataset, task=task, outputs_shape=outputs, batch_size=experiment.batch_size)
    findings = raise_errors(checked)  # first: bad data may be why the network failed
    if failed is not None:
        raise failed
    with explained("the loss", {"outputs": outputs, "targets": few.targets}):
        jax.eval_shape(experiment.objective.losses, outputs, Batch(*few, np.ones(few.size, np.float32)))
    return shapes, forward, findings


def first_state(experiment: Experiment, network: Network, key: Any, inputs: Tree) -> tuple[TrainState, OptimizerFacts]:
    """Returns the state before the first step, and what the optimizer hides; pure, to be compiled as one program."""
    variables = network.init(purpose_key(key, "init"), inputs)
    facts = probe_optimizer(experiment.optimizer, variables.params)
    opt_state = with_standard_promotion(experiment.optimizer).init(variables.params)
    return TrainState(jnp.int32(0), key, variables, opt_state), facts


def starting_variables(initial: Any, drawn: Variables) -> Variables:
    """Returns the weights to start from, in the place of those that were drawn.

    Args:
      initial: parameters alone, `Variables`, or anything with `.variables`.
      drawn: what the network's own `init` gave.

    Raises:
      InputError: naming every leaf that is missing, unexpected, or of another shape or dtype.
    """
    given = initial if isinstance(initial, Variables) else getattr(initial, "variables", None)
    found = given if given is not None else Variables(initial, drawn.model_state)
    lines = differences(drawn._asdict(), found._asdict())
    if lines:
        raise InputError("initial weights do not fit the network:\n" + "\n".join(f"  {line}" for line in lines))
    leaves = leaves_by_path(found._asdict())
    copied = [jnp.array(leaves[path]) for path in leaves_by_path(drawn._asdict())]  # the caller's outlive donation
    return jax.tree.unflatten(jax.tree.structure(drawn), copied)


def _check_watched(experiment: Experiment, dataset: Dataset) -> None:
    """Refuses to watch a metric that the run will not have."""
    if experiment.stopping is None:
        return
    known = [f"validation/{name}" for name in experiment.objective.metrics] if "validation" in dataset.splits else []
    experiment.stopping.check_metric(known)


def _validation_batches(experiment: Experiment, dataset: Dataset) -> Iterable[Batch]:
    if "validation" not in dataset.splits:
        return ()
    validation = dataset.examples("validation")
    if not experiment.objective.per_example:
        return full_batches(validation, experiment.batch_size)
    return evaluation_batches(validation, even_batch_size(validation.size))


def _decaying(experiment: Experiment, facts: OptimizerFacts) -> tuple[Any, tuple[Finding, ...]]:
    """Returns the optimizer with its decay kept from biases and scales, and what there is to say about that."""
    if experiment.decay == "all" or not bool(facts.decays_all):
        return experiment.optimizer, ()
    if bool(facts.decay_is_additive):
        said = "biases and normalisation scales were left out of the optimizer's weight decay."
        return decay_weights_only(experiment.optimizer), (
            Finding("weight-decay-masked", "info", said, "Pass decay='all' to decay every leaf."),
        )
    said = "the optimizer decays biases and normalisation scales, and uses parameters in other ways too."
    advice = "Give its weight decay mask=vx.decay_mask, or pass decay='all' if this is meant."
    return experiment.optimizer, (Finding("decay-on-norm-and-bias", "warning", said, advice),)


def _plan(experiment: Experiment, network: Network, shapes: Any, few: Examples, size: int, key: Any) -> EpochPlan:
    """Returns the plan of an epoch; a partial batch is padded where rows are known not to touch one another."""

    def losses(few: Examples, variables: Any, key: Any) -> Any:
        outputs, _ = network.apply(variables, few.inputs, key=key)
        return experiment.objective.losses(outputs, Batch(*few, jnp.ones(few.size, jnp.float32)))

    padded = experiment.objective.per_example and not jax.tree.leaves(shapes.model_state)
    if experiment.remainder == "partial" and size % experiment.batch_size and padded:
        padded = rows_are_independent(losses, few, shapes, key)
    return EpochPlan(size, experiment.batch_size, experiment.remainder, padded and experiment.remainder == "partial")


def _steps_in_a_row(forward: Any, total_steps: int) -> int:
    """Returns how many steps to unroll into one program where they cannot run in a compiled loop.

    XLA's CPU backend maps the temporaries of each call anew; where they are large that costs a quarter of a step, and
    four steps in one program share it (docs/decisions/0004). It also compiles four times as long, which a short run
    does not earn back.
    """
    shapes = (var.aval for each in equations(forward) for var in each.eqn.outvars)
    activations = sum(math.prod(aval.shape) * aval.dtype.itemsize for aval in shapes if hasattr(aval, "dtype"))
    return 4 if activations > LARGE_ACTIVATIONS and total_steps >= LONG_RUN else 1


def _compile(session: Session) -> tuple[Any, Any, Any]:
    """Returns the compiled chunk, rest and evaluation step; they compile at the same time."""
    program, state = session.program, session.state
    equal, last = session.epoch_data(0)

    def chunk(state: TrainState, data: ChunkData, steps: Any) -> Any:
        return run_chunk(program, {}, state, data, steps)

    def one_step(state: TrainState, data: ChunkData, steps: Any) -> Any:
        return run_chunk(single, {}, state, data, steps)

    single = Program(program.make, 1, rolled=False, watch_gradients=program.watch_gradients)
    donated = () if program.rolled else (0,)  # see `session_chunks`
    lowered = [jax.jit(chunk, donate_argnums=donated).lower(state, equal, jnp.int32(0)), None, None]
    if last is not None:
        lowered[1] = jax.jit(one_step, donate_argnums=0).lower(state, last, jnp.int32(0))
    if session.validation:
        evaluate = make_eval_step(session.network, session.experiment.objective)
        lowered[2] = jax.jit(evaluate).lower(state.variables, session.validation[0])
    with ThreadPoolExecutor(len(lowered)) as pool:
        compiled = list(pool.map(lambda each: None if each is None else each.compile(), lowered))
    return compiled[0], compiled[1], compiled[2]


def _memory(compiled: Any) -> dict[str, int]:
    """Returns the memory that a compiled program needs, in bytes, as the compiler states it."""
    analysis = compiled.memory_analysis()
    parts = {
        "arguments_bytes": analysis.argument_size_in_bytes,
        "outputs_bytes": analysis.output_size_in_bytes,
        "temporary_bytes": analysis.temp_size_in_bytes,
        "aliased_bytes": analysis.alias_size_in_bytes,
    }
    peak = parts["arguments_bytes"] + parts["outputs_bytes"] + parts["temporary_bytes"] - parts["aliased_bytes"]
    return {**{name: int(value) for name, value in parts.items()}, "peak_bytes": int(peak)}
