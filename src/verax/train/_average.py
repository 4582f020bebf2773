"""The average of the weights along training (EMA): often better than the last weights, and never worse to have."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from verax.network import Variables
from verax.train._state import TrainState
from verax.trees import Tree

EMA = "ema"  # its place in TrainState.extras


class Average(NamedTuple):
    """The average of the weights so far.

    Attributes:
      count: steps that are in it, int32 scalar.
      params: the average; before the first step the weights themselves.
    """

    count: Any
    params: Tree


def first_average(params: Tree) -> Average:
    """Returns an average that has seen no weights yet."""
    return Average(jnp.int32(0), params)


def next_average(average: Average, params: Tree, decay: Any) -> Average:
    """Returns the average after one more step's weights.

    After step T the weights of step t count with `(1 - decay) * decay ** (T - t)`, divided by the sum of these, so that
    the first steps are not drawn to anything (Kingma and Ba 2015, section 3). The average itself is kept, not the
    biased sum: a weight that does not change is its own average, to the bit, whatever the decay.

    Args:
      average: so far.
      params: the weights after the step.
      decay: in (0, 1); may be traced.
    """
    known = isinstance(decay, float)
    log, share = (math.log(decay), 1 - decay) if known else (jnp.log(decay), 1 - decay)
    count = average.count + 1
    step = share / -jnp.expm1(count.astype(jnp.float32) * log)

    def moved(mean: Any, leaf: Any) -> Any:
        return mean + step.astype(mean.dtype) * (leaf - mean)

    return Average(count, jax.tree.map(moved, average.params, params))


def averaged_variables(state: TrainState) -> Variables:
    """Returns the averaged weights of a state of an experiment with `ema`, with its model state as it is."""
    return Variables(state.extras[EMA].params, state.variables.model_state)
