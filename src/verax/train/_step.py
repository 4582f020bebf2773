"""One training step and one evaluation step, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from verax.data import Batch
from verax.network import Network, Variables
from verax.train._keys import noise_key
from verax.train._objective import Objective
from verax.train._optimizer import with_standard_promotion
from verax.train._state import TrainState
from verax.trees import Tree, all_finite


class StepRecord(NamedTuple):
    """What a step measured, on the device.

    Attributes:
      total: the sum of weighted losses, the penalty included.
      weight: the sum of the weights.
      grads_finite: whether all gradients were finite; True where nobody watches.
    """

    total: Any
    weight: Any
    grads_finite: Any


def make_train_step(
    network: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    watch_gradients: bool = False,
) -> Callable[[TrainState, Batch], tuple[TrainState, StepRecord]]:
    """Returns `step(state, batch) -> (state, record)`, pure and not yet compiled.

    The step derives its key from (state.key, "noise", state.step), so any step can be replayed alone.

    Args:
      network: the model.
      objective: the task.
      optimizer: any Optax transformation; it may ask for `value`, `grad` and `value_fn`.
      watch_gradients: whether the record says if the gradients were finite; needed where the optimizer hides it.

    Example:
      >>> import optax
      >>> from verax.network import as_network
      >>> network = as_network((lambda key, x: jnp.zeros(x.shape[1:]), lambda params, x: x @ params))
      >>> step = make_train_step(network, vx.regression(), optax.sgd(0.5))
      >>> key, variables = jax.random.key(0), network.init(jax.random.key(0), jnp.ones((4, 1)))
      >>> state = vx.TrainState(jnp.int32(0), key, variables, optax.sgd(0.5).init(variables.params))
      >>> state, record = step(state, vx.data.Batch(jnp.ones((4, 1)), jnp.full(4, 2.0), jnp.ones(4)))
      >>> float(record.total / record.weight), state.variables.params.tolist()
      (4.0, [2.0])
    """
    loss = objective.bind(network)
    update = with_standard_promotion(optimizer).update

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepRecord]:
        key = noise_key(state.key, state.step)
        model_state = state.variables.model_state

        def mean_loss(params: Tree) -> tuple[Any, tuple[Any, Any, Tree]]:
            value = loss(Variables(params, model_state), batch, key, True)
            return value.total / value.weight, (value.total, value.weight, value.model_state)

        params = state.variables.params
        (mean, (total, weight, next_model_state)), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        extra = {"value": mean, "grad": grads, "value_fn": lambda at: mean_loss(at)[0]}
        updates, opt_state = update(grads, state.opt_state, params, **extra)
        params = optax.apply_updates(params, updates)
        finite = all_finite(grads) if watch_gradients else jnp.array(True)
        state = state.replace(step=state.step + 1, variables=Variables(params, next_model_state), opt_state=opt_state)
        return state, StepRecord(total.astype(jnp.float32), weight.astype(jnp.float32), finite)

    return step


def make_eval_step(network: Network, objective: Objective) -> Callable[[Variables, Batch], dict[str, Any]]:
    """Returns `step(variables, batch) -> sums`, pure: the sums of loss, weight and the task's metrics on one batch.

    The penalty is left out, so that losses of different runs compare. Divide by `weight` at the end of a split.
    """
    loss = objective.bind(network, penalty=False)

    def step(variables: Variables, batch: Batch) -> dict[str, Any]:
        value = loss(variables, batch)
        return {"loss": value.total, "weight": value.weight, **objective.metric_sums(value.outputs, batch)}

    return step


def mean_metrics(sums: dict[str, Any]) -> dict[str, float]:
    """Returns averages from the summed results of evaluation steps; a root mean square for squared errors.

    Example:
      >>> mean_metrics({"loss": 6.0, "weight": 4.0, "accuracy": 3.0})
      {'loss': 1.5, 'accuracy': 0.75}
    """
    weight = float(sums["weight"])
    means = {name: float(total) / weight for name, total in sums.items() if name != "weight"}
    if "squared_error" in means:
        means["rmse"] = means.pop("squared_error") ** 0.5
    return means
