"""The gradient of a step's mean loss: of the whole batch at once, or summed over parts of it that fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from verax.data import Batch
from verax.jaxpr import rewritten_for_cpu
from verax.network import Variables
from verax.train._objective import Loss
from verax.trees import Tree


class Gradient(NamedTuple):
    """The mean loss of a batch and its gradient.

    Attributes:
      grads: of the mean loss, times the factor that was asked for.
      total: the sum of weighted losses.
      weight: the sum of the weights.
      model_state: after the forward pass.
    """

    grads: Tree
    total: Any
    weight: Any
    model_state: Tree


def whole_gradient(loss: Loss, variables: Variables, batch: Batch, key: Any, factor: Any = 1) -> Gradient:
    """Returns the gradient of the mean loss of a batch, computed at once."""

    def mean_loss(params: Tree) -> tuple[Any, tuple[Any, Any, Tree]]:
        value = loss(Variables(params, variables.model_state), batch, key, True)
        return factor * (value.total / value.weight), (value.total, value.weight, value.model_state)

    (_, (total, weight, state)), grads = jax.value_and_grad(mean_loss, has_aux=True)(variables.params)
    return Gradient(grads, total, weight, state)


def accumulated_gradient(
    loss: Loss, variables: Variables, batch: Batch, key: Any, parts: int, factor: Any = 1
) -> Gradient:
    """Returns the gradient of the mean loss of a batch, computed on one part after another.

    Sums are accumulated, and brought to the batch's whole weight once: the result is that of the whole batch up to
    rounding, whatever the weights in each part, and with a last part that is smaller. What couples the rows of a batch
    (batch statistics) sees the rows of one part; the model state is handed from part to part.

    Args:
      loss: of `Objective.bind`.
      variables: parameters and model state.
      batch: its leading axis is cut into parts.
      key: each part gets one derived from it.
      parts: how many; the last may be smaller.
      factor: what the mean loss is multiplied by.
    """

    size = jnp.shape(batch.weight)[0]

    def total_loss(params: Tree, state: Tree, part: Batch, key: Any) -> tuple[Any, tuple[Any, Any, Tree]]:
        value = loss(Variables(params, state), part, key, True)
        return factor / size * value.total, (value.total, value.weight, value.model_state)

    def add(sums: Gradient, part: Batch, index: Any) -> Gradient:
        part_key = jax.random.fold_in(key, index)
        (_, (total, weight, state)), grads = gradient(variables.params, sums.model_state, part, part_key)
        added = jax.tree.map(jnp.add, sums.grads, grads)
        return Gradient(added, sums.total + total, sums.weight + weight, state)

    gradient: Callable[..., Any] = jax.value_and_grad(total_loss, has_aux=True)
    if jax.default_backend() == "cpu":
        gradient = rewritten_for_cpu(gradient)  # here, because what is inside a loop is not reached from outside
    rows = -(-size // parts)
    whole = size // rows
    shapes = jax.eval_shape(gradient, variables.params, variables.model_state, _rows(batch, 0, rows), key)
    (_, (total, weight, _)), _ = shapes
    none = jax.tree.map(jnp.zeros_like, variables.params)
    sums = Gradient(none, jnp.zeros((), total.dtype), jnp.zeros((), weight.dtype), variables.model_state)
    stacked = jax.tree.map(
        lambda leaf: leaf[: whole * rows].reshape(whole, rows, *leaf.shape[1:]), _rows(batch, 0, whole * rows)
    )

    def body(sums: Gradient, part: tuple[Batch, Any]) -> tuple[Gradient, None]:
        return add(sums, *part), None

    sums, _ = lax.scan(body, sums, (stacked, jnp.arange(whole, dtype=jnp.int32)))
    if whole * rows < size:
        sums = add(sums, _rows(batch, whole * rows, size), jnp.int32(whole))
    return sums._replace(grads=jax.tree.map(lambda leaf: leaf * (size / sums.weight).astype(leaf.dtype), sums.grads))


def _rows(batch: Batch, start: int, stop: int) -> Batch:
    return jax.tree.map(lambda leaf: leaf[start:stop], batch)
