"""One training step and one evaluation step, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from verax.data import Batch
from verax.network import Network, Variables
from verax.train._accumulate import accumulated_gradient, whole_gradient
from verax.train._after_all import after_all
from verax.train._average import EMA, next_average
from verax.train._freeze import kept_state, with_frozen
from verax.train._keys import augment_key, noise_key
from verax.train._objective import Objective
from verax.train._optimizer import with_standard_promotion
from verax.train._precision import LOSS_SCALE, next_loss_scale, unscaled
from verax.train._state import TrainState
from verax.trees import Tree, all_finite

Augment = Callable[[Any, Batch], Batch]


@dataclass(frozen=True, eq=False)
class StepOptions:
    """What a step does besides gradient and update: all but the last two are fields of `Experiment` of the same names.

    Attributes:
      accumulate: parts of a batch whose gradients are computed one after another.
      augment: `(key, batch) -> batch`, applied to each training batch.
      freeze: patterns of the paths of parameters that stay as they are.
      ema: decay of the average of the weights, or None; may be traced.
      draws_once: whether the compiler keeps random bits, as `straight_threefry` tells.
      updates_last: whether weights are updated after all gradients are there, as `after_all` tells.
    """

    accumulate: int = 1
    augment: Augment | None = None
    freeze: tuple[str, ...] = ()
    ema: Any = None
    draws_once: bool = False
    updates_last: bool = False


class StepRecord(NamedTuple):
    """What a step measured, on the device.

    Attributes:
      total: the sum of weighted losses, the penalty included.
      weight: the sum of the weights.
      grads_finite: whether all gradients were finite; True where nobody watches.
      grads: the gradients, where they are kept; else None.
    """

    total: Any
    weight: Any
    grads_finite: Any
    grads: Tree = None


def make_train_step(
    network: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    watch_gradients: bool = False,
    keep_gradients: bool = False,
    options: StepOptions | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, StepRecord]]:
    """Returns `step(state, batch) -> (state, record)`, pure and not yet compiled.

    The step derives its keys from (state.key, purpose, state.step), so any step can be replayed alone. A state with a
    loss scale among its extras (float16) leaves out a step whose gradients are not finite.

    Args:
      network: the model.
      objective: the task.
      optimizer: any Optax transformation; it may ask for `value`, `grad` and `value_fn`.
      watch_gradients: whether the record says if the gradients were finite; needed where the optimizer hides it.
      keep_gradients: whether the record has the gradients themselves, as the optimizer gets them.
      options: augmentation, accumulation, frozen parameters and the average of the weights; None for none of these.

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
    options = options or StepOptions()
    bound = objective.bind(network)
    update = with_standard_promotion(optimizer).update

    def loss(variables: Variables, batch: Batch, key: Any, training: bool) -> Any:
        return bound(variables._replace(params=with_frozen(variables.params, options.freeze)), batch, key, training)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepRecord]:
        key = noise_key(state.key, state.step, options.draws_once)
        if options.augment is not None:
            batch = options.augment(augment_key(state.key, state.step), batch)
        before = state.variables
        scale = state.extras.get(LOSS_SCALE)
        factor = 1 if scale is None else scale.scale
        if options.accumulate == 1:
            grads, total, weight, model_state = whole_gradient(loss, before, batch, key, factor)
        else:
            grads, total, weight, model_state = accumulated_gradient(
                loss, before, batch, key, options.accumulate, factor
            )
        skipped = jnp.array(False)
        if scale is not None:
            grads, finite = unscaled(grads, scale)
            skipped = ~finite & (scale.scale > 1)  # at 1 it is not the scale that overflows: then the run must see it

        def value_fn(params: Tree) -> Any:
            value = loss(before._replace(params=params), batch, key, True)
            return value.total / value.weight

        extra = {"value": total / weight, "grad": grads, "value_fn": value_fn}
        updates, opt_state = update(grads, state.opt_state, before.params, **extra)
        if options.updates_last:
            updates = after_all(updates, grads)
        params = optax.apply_updates(before.params, updates)
        linen = network.library == "linen"
        model_state = kept_state(before.model_state, model_state, options.freeze, collections=linen)
        after = Variables(params, model_state)
        extras = dict(state.extras)
        if scale is not None:
            after, opt_state = _where(skipped, (before, state.opt_state), (after, opt_state))
            extras[LOSS_SCALE] = next_loss_scale(scale, skipped)
        if options.ema is not None:
            extras[EMA] = next_average(state.extras[EMA], after.params, options.ema)
        watched = all_finite(grads) | skipped if watch_gradients else jnp.array(True)
        state = TrainState(state.step + 1, state.key, after, opt_state, extras)
        kept = grads if keep_gradients else None
        return state, StepRecord(total.astype(jnp.float32), weight.astype(jnp.float32), watched, kept)

    return step


def _where(condition: Any, chosen: Tree, other: Tree) -> Tree:
    return jax.tree.map(lambda one, two: jnp.where(condition, one, two), chosen, other)


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
    """Returns averages from the summed results of evaluation steps.

    A sum is divided by `weight`, or by `NAME/weight` where that is given. Of squared errors the root is taken, of a
    log-perplexity the exponential.

    Example:
      >>> mean_metrics({"loss": 6.0, "weight": 4.0, "accuracy": 3.0})
      {'loss': 1.5, 'accuracy': 0.75}
    """
    own = {name: sums.get(f"{name}/weight", sums["weight"]) for name in sums if not name.endswith("weight")}
    means = {name: float(sums[name]) / float(weight) for name, weight in own.items()}
    if "squared_error" in means:
        means["rmse"] = means.pop("squared_error") ** 0.5
    if "log_perplexity" in means:
        means["perplexity"] = math.exp(min(means.pop("log_perplexity"), 709.0))
    return means
