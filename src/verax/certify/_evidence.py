"""What certifying needs, from a run or from anyone's own training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from verax.data import Dataset, check_data, load
from verax.debug import Weights
from verax.findings import InputError, raise_errors
from verax.network import Network, Variables, as_network
from verax.train import History, Objective, Record, Run, base_key, starting_variables
from verax.train._keys import init_key
from verax.train._tracing_errors import explained
from verax.trees import differences


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a trained network. Items of the certificate whose evidence is missing are `not_run`.

    Attributes:
      network: the model: a Linen module, a Haiku transform, a pair of functions or a `vx.Network`.
      objective: the task it was trained for.
      variables: the trained weights: `Variables`, or the parameters of a network without state.
      data: a source, or a dict of splits `{"train": (inputs, targets), "test": (inputs, targets), ...}`.
      optimizer: what it was trained with; needed by `converges`.
      history: of the training; needed by `finite`.
      losses: instead of a history, the loss of every step.
      study: the search that chose the setting; needed by `tuned`.
      hyperparameters: the setting itself.
      total_steps: how long the training was, so that a schedule's peak can be found.
      training_peak_bytes: the most memory that training held; needed by `memory`.
      limits: limits where the defaults do not fit.
      code: the source text, for the fingerprint.
      name: for the report.
      weights: at several moments of the training (`vx.debug.Weights`), for the units that died on the way; the weights
        that are certified alone where none are given.
    """

    network: Any
    objective: Objective
    variables: Any
    data: Any
    optimizer: Any = None
    history: History | None = None
    losses: Sequence[Any] | Array | np.ndarray | None = None
    study: Any = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    total_steps: int | None = None
    training_peak_bytes: Mapping[str, int] | int | None = None
    limits: Mapping[str, float | int] = field(default_factory=dict)
    code: str = ""
    name: str = ""
    weights: Sequence[Weights] = ()


def evidence_from_run(run: Run, study: Any = None) -> Evidence:
    """Returns the evidence that a run of `vx.train` holds."""
    facts = run.facts
    peaks = {
        "program_bytes": facts.get("memory", {}).get("peak_bytes"),
        "process_bytes": facts.get("process_peak_bytes"),
    }
    return Evidence(
        network=run.network,
        objective=run.experiment.objective,
        variables=run.variables,
        data=run.dataset,
        optimizer=run.experiment.optimizer,
        history=run.history,
        study=study,
        hyperparameters=run.experiment.hyperparameters,
        total_steps=facts.get("steps"),
        training_peak_bytes={name: peak for name, peak in peaks.items() if peak} or None,
        limits=run.experiment.limits,
        name=run.network.name,
        weights=_weights_along(run),
    )


def _weights_along(run: Run) -> tuple[Weights, ...]:
    """Returns the weights that a run began with, where it drew them, those at its best step, and the last ones."""
    known = [Weights("last", int(run.state.step), run.state.variables)]
    if run.best is not None and int(run.best.step) < int(run.state.step):
        known.insert(0, Weights("best", int(run.best.step), run.best.variables))
    if run.facts.get("initial_weights") == "drawn":  # runs of earlier releases do not say
        few = jax.tree.map(lambda leaf: leaf[: run.experiment.batch_size], run.dataset.examples("train").inputs)
        drawn = jax.jit(lambda key, inputs: run.network.init(init_key(key), inputs))
        known.insert(0, Weights("start", 0, drawn(base_key(run.experiment.seed), few)))
    return tuple(known)


def resolved(evidence: Evidence) -> tuple[Network, Variables, Dataset, History | None]:
    """Returns the network, the weights, the data and the history of some evidence, checked against one another.

    Raises:
      InputError: if the data lack a train or a test split or have an error in them, the weights are not those of the
        network, or the study is none.
    """
    try:
        network = as_network(evidence.network)
    except TypeError as error:
        raise InputError(str(error)) from error
    dataset = load(evidence.data)
    for split in ("train", "test"):
        if split not in dataset.splits:
            raise InputError(f"data must have a {split} split to certify, found {', '.join(dataset.splits) or 'none'}.")
    missing = [name for name in ("trials", "objective", "best") if not hasattr(evidence.study, name)]
    if evidence.study is not None and missing:
        raise InputError(
            f"study must be what vx.tune returns, got {type(evidence.study).__name__} without {', '.join(missing)}."
        )
    few = jax.tree.map(lambda leaf: leaf[:2], dataset.examples("train").inputs)
    with explained(f"the network {network.name}", {"inputs": few}):
        shapes = jax.eval_shape(network.init, jax.random.key(0), few)
    variables = _variables(network, evidence.variables, shapes)
    with explained(f"the network {network.name}", {"inputs": few}):
        outputs = jax.eval_shape(lambda variables, inputs: network.apply(variables, inputs)[0], variables, few)
    task = evidence.objective.meaning
    raise_errors(check_data(dataset, task=task.name, outputs_shape=outputs, **task.data_rules))
    history = evidence.history
    if history is None and evidence.losses is not None:
        losses = tuple(np.asarray(evidence.losses, np.float64).reshape(-1).tolist())
        history = History((Record("chunk", len(losses), 1, {"train/loss": losses}, 0.0),))
    return network, variables, dataset, history


def _variables(network: Network, given: Any, shapes: Variables) -> Variables:
    """Returns the weights that were given as those of the network."""
    given = getattr(given, "variables", given)  # of a state or a run
    if not isinstance(given, Variables) and jax.tree.leaves(shapes.model_state):
        raise InputError(
            f"{network.name} holds state besides its parameters ({', '.join(shapes.model_state)}). "
            "Pass variables=vx.Variables(params, model_state)."
        )
    found = given if isinstance(given, Variables) else Variables(given, shapes.model_state)
    lines = differences(shapes._asdict(), found._asdict())
    if lines:
        text = "\n".join(f"  {line}" for line in lines)
        raise InputError(f"variables must be the trained weights of {network.name}, found others:\n{text}")
    return starting_variables(found, shapes)


def code_fingerprint(evidence: Evidence) -> str:
    """Returns the digest of the source text that was given; empty if there is none."""
    return hashlib.sha256(evidence.code.encode()).hexdigest() if evidence.code else ""
