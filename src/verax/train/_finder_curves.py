"""The losses of short trainings at many learning rates, all from the same start on the same batches."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Float

from verax.data import load
from verax.findings import InputError
from verax.jaxpr import has_primitive, rewritten_for_cpu
from verax.train._batches import EpochPlan
from verax.train._cache import enable_compilation_cache
from verax.train._experiment import Experiment, resolve
from verax.train._initial import decaying_optimizer, first_state, run_parts, starting_variables
from verax.train._keys import base_key
from verax.train._lanes_program import CONVOLUTION, over_lanes
from verax.train._lanes_session import Basis, basis, fitted
from verax.train._optimizer import with_standard_promotion
from verax.train._program import ChunkData, Program, run_chunk
from verax.train._tracing_errors import explained
from verax.trees import Tree

STATED_RATE = 1e-3  # for a function whose learning_rate has no default


def curves_of_loss(
    loss: Any,
    params: Tree,
    batches: Any,
    optimizer: Any,
    rates: Float[np.ndarray, " lanes"],
    steps: int,
    initial: Any,
    hyperparameters: dict[str, Any],
) -> Float[np.ndarray, "lanes steps"]:
    """Returns the loss at each step of each training, for a loss on plain trees."""
    if params is None or batches is None:
        missing = "params" if params is None else "batches"
        raise InputError(f"a loss needs params and batches, got no {missing}.")
    if initial is not None or hyperparameters:
        raise InputError(
            f"initial and hyperparameters ({', '.join(hyperparameters)}) are for an experiment, not a loss."
        )
    stacked, number = _stacked_batches(batches, steps)
    first = jax.tree.map(lambda leaf: leaf[0], stacked)
    with explained("the loss", {"params": params, "batch": first}):
        program = jax.make_jaxpr(loss)(params, first)
    if [aval.shape for aval in program.out_avals] != [()]:
        raise InputError(f"the loss must return one number, got {program.out_avals}. Take the mean over the batch.")
    on_cpu = jax.default_backend() == "cpu"
    gradient: Callable[..., Any] = jax.value_and_grad(loss)
    gradient = rewritten_for_cpu(gradient) if on_cpu else gradient
    make = optax.adam if optimizer is None else optimizer

    def training(rate: Any, params: Tree, batches: Tree) -> Any:
        inner = with_standard_promotion(make(rate))

        def step(carry: tuple[Tree, Any], at: Any) -> tuple[tuple[Tree, Any], Any]:
            params, state = carry
            batch = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, at, keepdims=False), batches)
            value, grads = gradient(params, batch)
            extra = {"value": value, "grad": grads, "value_fn": lambda params: loss(params, batch)}
            updates, state = inner.update(grads, state, params, **extra)
            return (optax.apply_updates(params, updates), state), value.astype(jnp.float32)

        return lax.scan(step, (params, inner.init(params)), jnp.arange(steps, dtype=jnp.int32) % number)[1]

    params = jax.tree.map(jnp.asarray, params)
    with explained("the optimizer", {"params": params}):
        run = jax.jit(over_lanes(training, on_cpu and has_primitive(program, CONVOLUTION)))
        return np.asarray(run(rates, params, stacked))


def _stacked_batches(batches: Any, steps: int) -> tuple[Tree, int]:
    taken = list(itertools.islice(batches, steps))
    if not taken:
        raise InputError("batches must hold at least one batch, got none. Is the iterator used up?")
    try:
        return jax.tree.map(lambda *leaves: jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves])), *taken), len(
            taken
        )
    except ValueError as error:
        raise InputError(
            f"batches must be trees of one structure and shape: {error}. Leave out a last batch that is smaller."
        ) from error


def curves_of_experiment(
    function: Any, rates: Float[np.ndarray, " lanes"], steps: int, initial: Any, hyperparameters: dict[str, Any]
) -> tuple[Float[np.ndarray, "lanes steps"], str]:
    """Returns the loss at each step of each training of an experiment, and a remark on how the rate was set."""
    made = _with_stated_rate(function, hyperparameters)
    enable_compilation_cache()
    dataset = load(made.data)
    base = basis(made, dataset)
    made = fitted(made, dataset)
    train = dataset.examples("train")
    make, remark = _optimizer_of_rate(function, made, base, hyperparameters)
    key = base_key(made.seed)
    state = jax.jit(lambda key, inputs: first_state(made, base.network, key, inputs))(key, base.few.inputs)
    if initial is not None:
        state = state.replace(variables=starting_variables(initial, state.variables))
    plan = EpochPlan(train.size, min(made.batch_size, train.size), "wrap", False)
    rows = np.concatenate([plan.rows(made.seed, epoch)[0] for epoch in range(-(-steps // plan.steps))])[:steps]
    inputs, targets = jax.tree.map(jnp.asarray, train)
    data = ChunkData(inputs, targets, rows, None, np.int32(0))
    program = Program(lambda given: run_parts(made, base.network, made.objective, make(given["rate"])), steps)

    def training(rate: Any, state: Any, data: ChunkData) -> Any:
        begun = state.replace(opt_state=with_standard_promotion(make(rate)).init(state.variables.params))
        record = run_chunk(program, {"rate": rate}, begun, data, steps)[1]
        return record.total / record.weight

    return np.asarray(jax.jit(over_lanes(training, base.in_turn))(rates, state, data)), remark


def _with_stated_rate(function: Any, hyperparameters: dict[str, Any]) -> Experiment:
    """Returns the experiment at the rate that is given or its own default."""
    if isinstance(function, Experiment) or not callable(function):
        raise InputError(
            "find_learning_rate needs the function that makes the experiment, with a parameter learning_rate, or a "
            f"loss with params and batches; got {type(function).__name__}."
        )
    parameters = inspect.signature(function).parameters
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    if "learning_rate" not in parameters and not takes_any:
        raise InputError(
            f"the experiment must take learning_rate, it takes: {', '.join(parameters) or 'nothing'}. Add the "
            "parameter learning_rate and give it to the optimizer; for a loss of your own pass params and batches too."
        )
    stated = takes_any or parameters["learning_rate"].default is inspect.Parameter.empty
    return resolve(
        cast(Callable[..., Experiment], function),
        {**({"learning_rate": STATED_RATE} if stated else {}), **hyperparameters},
    )


def _optimizer_of_rate(
    function: Callable[..., Experiment], made: Experiment, base: Basis, hyperparameters: dict[str, Any]
) -> tuple[Callable[[Any], optax.GradientTransformation], str]:
    """Returns the optimizer as a function of a traced rate, and a remark if it had to be made by scaling updates."""
    stated = made.hyperparameters["learning_rate"]

    def traced_rate(rate: Any) -> optax.GradientTransformation:
        own = resolve(function, {**hyperparameters, "learning_rate": rate})
        return decaying_optimizer(own, base.facts)[0]

    def scaled(rate: Any) -> optax.GradientTransformation:
        return optax.chain(base.optimizer, optax.scale(rate / stated))

    def update(rate: Any, params: Tree, make: Callable[[Any], optax.GradientTransformation]) -> Tree:
        inner = with_standard_promotion(make(rate))
        value = jnp.float32(1)
        return inner.update(params, inner.init(params), params, value=value, grad=params, value_fn=lambda _: value)[0]

    params = base.shapes.params
    try:
        program = jax.make_jaxpr(lambda rate, params: update(rate, params, traced_rate))(np.float32(stated), params)
    except Exception as error:  # whatever the user's function or Optax has against a traced number
        if not isinstance(stated, int | float) or isinstance(stated, bool) or not stated > 0:
            raise InputError(
                f"learning_rate must be a number above 0 for its updates to be scaled, got {stated!r}. The experiment "
                f"does not take a traced one: {type(error).__name__}."
            ) from error
        return scaled, f"The experiment does not take a traced rate, so its updates at {stated:g} were scaled."
    rate = program.jaxpr.invars[0]
    if not any(each is rate for eqn in program.jaxpr.eqns for each in eqn.invars):
        raise InputError("the experiment's optimizer does not use learning_rate: every rate would train the same.")
    return traced_rate, ""
