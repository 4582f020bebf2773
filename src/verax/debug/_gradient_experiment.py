"""The gradient check of an experiment: its own objective, its first parameters, rows of its training split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from verax.data import Batch, Examples, epoch_order, load
from verax.debug._gradient_report import GradientReport
from verax.debug._gradients import check_gradients
from verax.network import Network, Variables, as_network
from verax.train import Experiment, resolve
from verax.train._initial import first_state
from verax.train._keys import base_key
from verax.train._session import traced

ROWS = 16  # more would cost time and show nothing new
Mode = Literal["training statistics, no noise", "evaluation"]


def check_experiment_gradients(
    experiment: Experiment | Callable[..., Experiment], *, rows: int = ROWS, **hyperparameters: Any
) -> GradientReport:
    """Returns the gradient check of an experiment: its objective with its penalty, at its first parameters.

    The batch is some rows of the training split, drawn with a fixed seed. Layers use the batch's statistics as in
    training, but dropout and other noise are off where the network allows it.

    Args:
      experiment: an experiment, or the function that makes it.
      rows: how many rows; the fewest that show every path through the network are enough.
      hyperparameters: for that function.

    Raises:
      InputError: for anything that is wrong with data, hyperparameters or shapes.
      ValueError: if `rows` is not positive.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}.")
    made = resolve(experiment, hyperparameters)
    network, dataset = as_network(made.network), load(made.data)
    traced(made, network, dataset)
    train = dataset.examples("train")
    objective, batch = made.objective.fitted(train), some_rows(train, rows)
    variables = jax.jit(lambda key, inputs: first_state(made, network, key, inputs).variables)(
        base_key(made.seed), batch.inputs
    )
    loss, _ = mean_loss(network, objective, variables, batch)
    return check_gradients(loss, variables.params, variables.model_state, batch)


def mean_loss(
    network: Network, objective: Any, variables: Variables, batch: Batch
) -> tuple[Callable[[Any, Any, Batch], Any], Mode]:
    """Returns an objective as a deterministic function of parameters, model state and batch, and how it is computed.

    As in training, with the statistics of the batch, but without noise; as in evaluation where the network cannot do
    without its noise in training.
    """
    bound = objective.bind(network)

    def of(training: bool) -> Callable[[Any, Any, Batch], Any]:
        def loss(params: Any, model_state: Any, batch: Batch) -> Any:
            value = bound(Variables(params, model_state), batch, None, training)
            return value.total / value.weight

        return loss

    try:
        jax.eval_shape(of(True), variables.params, variables.model_state, batch)
    except ValueError:
        return of(False), "evaluation"
    return of(True), "training statistics, no noise"


def some_rows(train: Examples, rows: int) -> Batch:
    """Returns some examples, drawn with a fixed seed (a file may be sorted by class), as a batch."""
    chosen = epoch_order(train.size, seed=0, epoch=0)[:rows]
    few = jax.tree.map(lambda leaf: jnp.asarray(leaf[chosen]), train)
    return Batch(few.inputs, few.targets, jnp.ones(len(chosen), jnp.float32))
