"""What is differentiated: a sum of losses with its weight, so that every average is exact."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from verax.data import Batch
from verax.findings import InputError
from verax.network import Network, Variables
from verax.train._optimizer import decay_mask
from verax.trees import Tree

Task = Literal["classification", "binary", "regression", "custom"]
Coefficient = float | int | Array  # traced where it is a lane of a batched trial


class LossValue(NamedTuple):
    """What a loss gives back: sums, so that averages over any grouping of batches are exact.

    Attributes:
      total: the sum of weighted per-example losses, the penalty included once per unit of weight.
      weight: the sum of the weights; the mean loss is `total / weight`.
      outputs: what the network gave.
      model_state: the next model state.
      aux: sums of other measured quantities by name.
    """

    total: Any
    weight: Any
    outputs: Tree
    model_state: Tree
    aux: Tree


Loss = Callable[..., LossValue]


@dataclass(frozen=True)
class Objective:
    """A task: its loss, and how outputs become predictions.

    Attributes:
      task: decides metrics, baseline and calibration.
      losses: `(outputs, batch) -> losses` with a leading axis of examples, or a scalar for a whole batch.
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` over weights (not biases or normalisation scales).
      per_example: False if the loss is of a whole batch, as in contrastive learning: then no row is ever padding.
      floor: the lowest mean loss that a network which knows every target can have; overfitting one batch is held
        against it.
    """

    task: Task
    losses: Callable[[Tree, Batch], Any]
    l2: Coefficient = 0.0
    per_example: bool = True
    floor: float = 0.0

    def bind(self, network: Network, *, penalty: bool = True) -> Loss:
        """Returns `loss(variables, batch, key=None, training=None) -> LossValue` for a network.

        The mode follows `Network.apply`: a key means training. With `penalty=False` the L2 term is left out.
        """

        def loss(variables: Variables, batch: Batch, key: Any = None, training: bool | None = None) -> LossValue:
            outputs, model_state = network.apply(variables, batch.inputs, key=key, training=training)
            losses = self.losses(outputs, batch)
            check_losses(losses, jnp.shape(batch.weight)[0], self.per_example)
            losses = _wide(jnp.asarray(losses))
            if self.per_example:
                weight = jnp.broadcast_to(_align(batch.weight, losses), losses.shape).astype(losses.dtype)
                total, weight_sum = jnp.sum(losses * weight), jnp.sum(weight)
            else:
                weight_sum = jnp.sum(jnp.asarray(batch.weight, losses.dtype))
                total = losses * weight_sum
            if penalty and not (isinstance(self.l2, int | float) and self.l2 == 0):  # it may be traced
                total = total + weight_sum * (0.5 * self.l2) * squared_weights(variables.params)
            return LossValue(total, weight_sum, outputs, model_state, {})

        return loss

    def predictions(self, outputs: Tree) -> Any:
        """Returns what is scored: class probabilities (examples, classes); for other tasks the outputs as they are."""
        if self.task == "classification":
            return jax.nn.softmax(outputs, axis=-1)
        if self.task == "binary":
            positive = jax.nn.sigmoid(_flat(outputs))
            return jnp.stack([1 - positive, positive], axis=-1)
        return outputs

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured on a validation split, by name: the loss and the task's own."""
        own = {"classification": ("accuracy",), "binary": ("accuracy",), "regression": ("rmse",)}
        return ("loss", *own.get(self.task, ()))

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        """Returns the weighted sums of the task's own metrics on a batch; traceable.

        `accuracy` is a sum of hits; `squared_error` a sum of squared errors, averaged over the outputs of an example.
        """

        def weighted_sum(values: Any) -> Any:
            return jnp.sum(values.astype(jnp.float32) * _align(batch.weight, values).astype(jnp.float32))

        if self.task == "classification":
            return {"accuracy": weighted_sum(outputs.argmax(axis=-1) == batch.targets.astype(jnp.int32))}
        if self.task == "binary":
            return {"accuracy": weighted_sum((_flat(outputs) > 0) == (batch.targets > 0))}
        if self.task == "regression":
            return {"squared_error": weighted_sum(squared_errors(outputs, batch.targets))}
        return {}


def classification(*, l2: Coefficient = 0.0) -> Objective:
    """Returns the objective of a classifier: the cross-entropy of logits and integer labels.

    Logits are (examples, classes), labels (examples,); further axes between them, such as tokens, are averaged over.

    Args:
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.

    Raises:
      InputError: if `l2` is negative.

    Example:
      >>> import optax
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([0, 1]), jnp.ones(2))
      >>> classification().losses(jnp.zeros((2, 4)), batch).tolist() == [np.log(np.float32(4))] * 2
      True
    """

    def losses(outputs: Any, batch: Batch) -> Any:
        _require_shape("outputs of a classifier", outputs, batch.targets.shape, trailing=1)
        return optax.softmax_cross_entropy_with_integer_labels(_wide(outputs), batch.targets)

    return Objective("classification", losses, _penalty(l2))


def binary(*, l2: Coefficient = 0.0) -> Objective:
    """Returns the objective of a binary classifier: the cross-entropy of one logit an example and targets 0 or 1.

    Logits are (examples,) or (examples, 1); a positive one means class 1.

    Args:
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.

    Raises:
      InputError: if `l2` is negative.

    Example:
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([0, 1]), jnp.ones(2))
      >>> binary().losses(jnp.zeros((2, 1)), batch).tolist() == [np.log(np.float32(2))] * 2
      True
    """

    def losses(outputs: Any, batch: Batch) -> Any:
        logits = _wide(_flat(outputs))
        _require_shape("outputs of a binary classifier", logits, batch.targets.shape)
        return optax.sigmoid_binary_cross_entropy(logits, batch.targets.astype(logits.dtype))

    return Objective("binary", losses, _penalty(l2))


def regression(*, l2: Coefficient = 0.0) -> Objective:
    """Returns the objective of a regressor: the squared error, averaged over the outputs of an example.

    Outputs and targets are both (examples,) or both (examples, outputs); a single trailing output fits flat targets.

    Args:
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.

    Raises:
      InputError: if `l2` is negative.

    Example:
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([0.0, 1.0]), jnp.ones(2))
      >>> regression().losses(jnp.array([[2.0], [1.0]]), batch).tolist()
      [4.0, 0.0]
    """
    return Objective("regression", lambda outputs, batch: squared_errors(outputs, batch.targets), _penalty(l2))


def objective_from_loss(
    losses: Callable[[Tree, Batch], Any],
    *,
    task: Task = "custom",
    per_example: bool = True,
    l2: Coefficient = 0.0,
    floor: float = 0.0,
) -> Objective:
    """Returns an objective from any loss.

    Args:
      losses: `(outputs, batch) -> losses`, with a leading axis of examples; a scalar when `per_example` is False.
        `batch.inputs` is there for losses that need it.
      task: which metrics fit; `custom` has the loss alone.
      per_example: False for a loss of a whole batch (contrastive learning). It is never computed on padded rows:
        validation takes full batches and leaves the remaining rows out.
      l2: coefficient of the penalty on weights.
      floor: the lowest mean loss that is possible, where it is not 0 (a contrastive loss, a likelihood).

    Raises:
      InputError: if `losses` is no function of two arguments, the task is unknown, or `l2` is negative.

    Example:
      >>> objective = objective_from_loss(lambda outputs, batch: jnp.abs(outputs - batch.targets))
      >>> objective.task
      'custom'
    """
    if task not in typing.get_args(Task):
        raise InputError(f"task must be one of {', '.join(typing.get_args(Task))}, got {task!r}.")
    if not callable(losses):
        raise InputError(f"the loss must be a function of (outputs, batch), got {type(losses).__name__} {losses!r}.")
    try:
        inspect.signature(losses).bind(None, None)
    except TypeError as error:
        raise InputError(f"the loss must take (outputs, batch), got {inspect.signature(losses)}: {error}.") from None
    except ValueError:
        pass  # a function in C does not tell
    return Objective(task, losses, _penalty(l2), per_example, float(floor))


def squared_errors(outputs: Any, targets: Any) -> Any:
    """Returns the squared error of each example, averaged over its outputs.

    Raises:
      InputError: if the shapes differ, other than by one trailing output against flat targets.
    """
    if outputs.ndim == targets.ndim + 1 and outputs.shape[-1] == 1:
        outputs = outputs[..., 0]
    _require_shape("outputs of a regressor", outputs, targets.shape)
    outputs = _wide(outputs)
    errors = optax.squared_error(outputs, targets.astype(outputs.dtype))
    return errors.reshape((errors.shape[0], -1)).mean(axis=1)


def squared_weights(params: Tree) -> Any:
    """Returns the sum of squares of all weights that decay (see `decay_mask`)."""
    decays = jax.tree.leaves(decay_mask(params))
    squares = [
        jnp.sum(jnp.square(_wide(leaf))) for leaf, decay in zip(jax.tree.leaves(params), decays, strict=True) if decay
    ]
    return sum(squares) if squares else 0.0


def _flat(outputs: Any) -> Any:
    """Returns logits (examples,) from (examples,) or (examples, 1)."""
    return outputs[..., 0] if outputs.ndim == 2 and outputs.shape[-1] == 1 else outputs


def _wide(values: Any) -> Any:
    """Returns half-precision numbers as float32, in which sums over a batch are exact enough; others as they are."""
    narrow = jnp.issubdtype(values.dtype, jnp.floating) and values.dtype.itemsize < 4
    return values.astype(jnp.float32) if narrow else values


def check_losses(losses: Any, examples: int, per_example: bool) -> None:
    """Raises an InputError if what a loss function gave back is no loss; looks at shape and dtype alone."""
    if not jax.tree_util.all_leaves([losses]):
        raise InputError(f"the loss must be one array, got {type(losses).__name__}. Does its function return it?")
    shape, dtype = np.shape(losses), jnp.result_type(losses)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputError(f"the loss must be floating-point, got {dtype}, which has no gradient.")
    if per_example and not shape:
        raise InputError(
            "the loss must have one value for each example, got a scalar. Leave out the mean, or say "
            "vx.objective_from_loss(fn, per_example=False) if it is a loss of the whole batch."
        )
    if per_example and shape[0] != examples:
        raise InputError(
            f"the loss must have one value for each of the {examples} examples, got shape {shape}. "
            "Does the network or the loss mix the rows of a batch?"
        )
    if not per_example and shape:
        raise InputError(
            f"a loss of the whole batch must be a scalar, got shape {shape}. Take the mean, or leave out "
            "per_example=False if it has one value for each example."
        )


def _align(weight: Any, losses: Any) -> Any:
    """Returns weights (examples, ...) with trailing axes added, so that they broadcast against the losses by name."""
    weight = jnp.asarray(weight)
    return weight.reshape(weight.shape + (1,) * (losses.ndim - weight.ndim))


def _require_shape(what: str, outputs: Any, targets_shape: tuple[int, ...], trailing: int = 0) -> None:
    if outputs.shape[: outputs.ndim - trailing] != targets_shape:
        classes = " and a last axis of classes" if trailing else ""
        raise InputError(
            f"{what} must have the shape of the targets, {targets_shape}{classes}, got {outputs.shape}. "
            "Check the network's last layer and the shape of the targets."
        )


def _penalty(l2: Any) -> Any:
    if isinstance(l2, jax.Array | np.generic | np.ndarray):
        return l2  # it may be traced
    if isinstance(l2, bool) or not isinstance(l2, int | float) or not 0 <= l2 < float("inf"):
        raise InputError(f"l2 must be a number of at least 0, got {l2!r}.")
    return l2
