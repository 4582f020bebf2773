"""The average of the weights along training (EMA): often better than the last weights, and never worse to have."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from verax.network import Variables
from verax.train._state import TrainState
from verax.trees import Tree

EMA = "ema"  # its place in TrainState.extras


def first_average(params: Tree, decay: Any) -> Any:
    """Returns the state of an average that has seen no weights yet."""
    with jax.numpy_dtype_promotion("standard"):  # which Optax is written for
        return optax.ema(decay).init(params)


def next_average(average: Any, params: Tree, decay: Any) -> Any:
    """Returns the state of the average after one more step's weights."""
    with jax.numpy_dtype_promotion("standard"):
        return optax.ema(decay).update(params, average)[1]


def averaged_variables(state: TrainState, decay: float) -> Variables:
    """Returns the averaged weights of a state, with its model state as it is.

    Weights of step t count with `(1 - decay) * decay ** (T - t)`, divided by the sum of these, so that the first steps
    are not drawn to zero (Kingma and Ba 2015, section 3). Before the first step they are the weights themselves.

    Args:
      state: of an experiment with `ema`.
      decay: the experiment's.
    """
    average = state.extras[EMA]
    with jax.numpy_dtype_promotion("standard"):
        means = optax.tree.bias_correction(average.ema, decay, jnp.maximum(average.count, 1))
    params = jax.tree.map(lambda mean, leaf: jnp.where(average.count > 0, mean, leaf), means, state.variables.params)
    return Variables(params, state.variables.model_state)
