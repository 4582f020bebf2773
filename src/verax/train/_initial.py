"""The state before the first step: weights drawn or given, and the optimizer as the run will use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from verax.findings import Finding, InputError
from verax.network import Network, Variables
from verax.train._average import EMA, first_average
from verax.train._experiment import Experiment
from verax.train._freeze import frozen_optimizer
from verax.train._keys import init_key
from verax.train._objective import Objective
from verax.train._optimizer import OptimizerFacts, decay_weights_only, with_standard_promotion
from verax.train._precision import LOSS_SCALE, first_loss_scale, with_precision
from verax.train._program import Parts
from verax.train._state import TrainState
from verax.train._step import StepOptions
from verax.trees import Tree, differences, leaves_by_path


def first_state(experiment: Experiment, network: Network, key: Any, inputs: Tree) -> TrainState:
    """Returns the state before the first step; pure, to be compiled as one program."""
    return state_from(experiment, network.init(init_key(key), inputs), key)


def state_from(experiment: Experiment, variables: Variables, key: Any) -> TrainState:
    """Returns the state before the first step for given weights."""
    opt_state = with_standard_promotion(effective_optimizer(experiment)).init(variables.params)
    extras: dict[str, Any] = {}
    if experiment.ema is not None:
        extras[EMA] = first_average(variables.params)
    if experiment.precision == "float16":
        extras[LOSS_SCALE] = first_loss_scale()
    return TrainState(jnp.int32(0), key, variables, opt_state, extras)


def effective_optimizer(experiment: Experiment) -> optax.GradientTransformation:
    """Returns the optimizer of the parameters that train: those frozen have no state in it."""
    return frozen_optimizer(experiment.optimizer, experiment.freeze)


def run_parts(
    experiment: Experiment, network: Network, objective: Objective, optimizer: optax.GradientTransformation
) -> Parts:
    """Returns the parts of a step of the run, with what the experiment says about it.

    Args:
      experiment: precision, accumulation, augmentation, frozen parameters, average.
      network: the model in float32.
      objective: fitted to the training split.
      optimizer: as the steps use it.
    """
    options = StepOptions(experiment.accumulate, experiment.augment, tuple(experiment.freeze), experiment.ema)
    return Parts(with_precision(network, experiment.precision), objective, optimizer, options)


def starting_variables(initial: Any, drawn: Variables) -> Variables:
    """Returns the weights to start from, in the place of those that were drawn.

    Args:
      initial: parameters alone, `Variables`, or anything with `.variables`.
      drawn: what the network's own `init` gave.

    Raises:
      InputError: naming every leaf that is missing, unexpected, or of another shape or dtype.
    """
    if isinstance(initial, str | Path):
        said = f"initial must hold weights, got the path {str(initial)!r}."
        raise InputError(f"{said} Read it first, with vx.transfer(path, ...).")
    given = initial if isinstance(initial, Variables) else getattr(initial, "variables", None)
    found = given if given is not None else Variables(initial, drawn.model_state)
    lines = differences(drawn._asdict(), found._asdict())
    if lines:
        raise InputError("initial weights do not fit the network:\n" + "\n".join(f"  {line}" for line in lines))
    leaves = leaves_by_path(found._asdict())  # by path: a tree of other containers with the same leaves fits too
    expected = drawn._asdict()
    copied = [jnp.array(leaves[path]) for path in leaves_by_path(expected)]
    return Variables(**jax.tree.unflatten(jax.tree.structure(expected), copied))


def decaying_optimizer(
    experiment: Experiment, facts: OptimizerFacts
) -> tuple[optax.GradientTransformation, tuple[Finding, ...]]:
    """Returns the optimizer with its decay kept from biases and scales, and what there is to say about that."""
    optimizer = effective_optimizer(experiment)
    if experiment.decay == "all" or not bool(facts.decays_all):
        return optimizer, ()
    if bool(facts.decay_is_additive):
        said = "biases and normalisation scales were left out of the optimizer's weight decay."
        return decay_weights_only(optimizer), (
            Finding("weight-decay-masked", "info", said, "Pass decay='all' to decay every leaf."),
        )
    said = "the optimizer decays biases and normalisation scales, and uses parameters in other ways too."
    advice = "Give its weight decay mask=vx.decay_mask, or pass decay='all' if this is meant."
    return optimizer, (Finding("decay-on-norm-and-bias", "warning", said, advice),)
