"""What is differentiated: a sum of losses with its weight, so that every average is exact."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from verax.data import Batch, Examples
from verax.findings import InputError
from verax.network import Network, Variables
from verax.train._optimizer import decay_mask
from verax.train._task import Task, align, wide
from verax.train._tasks import TASKS
from verax.trees import Tree

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


@dataclass(frozen=True, eq=False)
class Objective:
    """A task with its penalty: what is differentiated, and how outputs become predictions.

    Make one with `vx.classification()`, `vx.regression()` and so on, or of a loss of your own with
    `vx.objective_from_loss(fn)`.

    Attributes:
      meaning: the task with its options: its loss, metrics, baseline and so on.
      own_losses: `(outputs, batch) -> losses` in place of the task's, or None.
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` over weights (not biases or normalisation scales).
      per_example: False if the loss is of a whole batch, as in contrastive learning: then no row is ever padding.
      floor: the lowest mean loss of a loss of one's own; the tasks know theirs.
    """

    meaning: Task
    own_losses: Callable[[Tree, Batch], Any] | None = None
    l2: Coefficient = 0.0
    per_example: bool = True
    floor: float = 0.0

    @property
    def task(self) -> str:
        """The name of the task: decides metrics, baseline and calibration."""
        return self.meaning.name

    @property
    def losses(self) -> Callable[[Tree, Batch], Any]:
        """`(outputs, batch) -> losses` with leading axes of examples (and tokens), or a scalar for a whole batch."""
        return self.meaning.losses if self.own_losses is None else self.own_losses

    def weights(self, batch: Batch) -> Any:
        """Returns what each loss counts in the mean: `batch.weight`, times what the task adds for classes or tokens.

        The mean loss is `sum(losses * weights) / sum(weights)`, so with class weights it divides by the sum of the
        weights of the examples in the batch, as PyTorch and scikit-learn do.
        """
        return self.meaning.weights(batch) if self.own_losses is None else batch.weight

    def fitted(self, train: Examples) -> Objective:
        """Returns the objective with what it takes from the training split: the mean and deviation of the targets
        (`standardise=True`), the frequencies of the classes (`balanced`). Itself where that is nothing, or is there.

        Example:
          >>> from verax.data import Examples
          >>> train = Examples(np.zeros((3, 1)), np.array([1.0, 3.0, 5.0]))
          >>> print(*vx.regression(standardise=True).fitted(train).target_scale)
          3.0 1.6329932
        """
        meaning = self.meaning.fitted(train)
        return self if meaning is self.meaning else replace(self, meaning=meaning)

    @property
    def target_scale(self) -> tuple[Any, Any] | None:
        """Mean and deviation by which targets are standardised; None before `fitted`, or where they are not."""
        return getattr(self.meaning, "target_scale", None)

    def with_target_scale(self, scale: tuple[Any, Any]) -> Objective:
        """Returns the objective with another mean and standard deviation of the targets; they may be traced.

        Raises:
          InputError: if it does not standardise targets.
        """
        if not getattr(self.meaning, "standardise", False):
            raise InputError("only regression(standardise=True) has a target scale.")
        return replace(self, meaning=replace(self.meaning, target_scale=tuple(scale)))  # type: ignore[call-arg]

    def bind(self, network: Network, *, penalty: bool = True) -> Loss:
        """Returns `loss(variables, batch, key=None, training=None) -> LossValue` for a network.

        The mode follows `Network.apply`: a key means training. With `penalty=False` the L2 term is left out.
        """

        def loss(variables: Variables, batch: Batch, key: Any = None, training: bool | None = None) -> LossValue:
            outputs, model_state = network.apply(variables, batch.inputs, key=key, training=training)
            losses = self.losses(outputs, batch)
            check_losses(losses, jnp.shape(batch.weight)[0], self.per_example)
            losses = wide(jnp.asarray(losses))
            if self.per_example:
                weight = jnp.broadcast_to(align(self.weights(batch), losses), losses.shape).astype(losses.dtype)
                total, weight_sum = jnp.sum(losses * weight), jnp.sum(weight)
            else:
                weight_sum = jnp.sum(jnp.asarray(batch.weight, losses.dtype))
                total = losses * weight_sum
            if penalty and not (isinstance(self.l2, int | float) and self.l2 == 0):  # it may be traced
                total = total + weight_sum * (0.5 * self.l2) * squared_weights(variables.params)
            return LossValue(total, weight_sum, outputs, model_state, {})

        return loss

    def predictions(self, outputs: Tree) -> Any:
        """Returns what is scored, in the targets' own units: class probabilities (examples, classes), probabilities of
        labels (examples, labels) or of tokens (examples, tokens, vocabulary), values, reconstructions; of a custom task
        the outputs as they are."""
        return self.meaning.predictions(outputs)

    def wanted(self, examples: Any) -> Any:
        """Returns what predictions are scored against, of `Examples` or a `Batch`: labels, though they be given as
        distributions; the inputs of an autoencoder; else the targets."""
        return self.meaning.wanted(examples)

    def spread(self, outputs: Tree) -> Any:
        """Returns the standard deviation that a Gaussian regressor states, in the targets' own units; else None."""
        return self.meaning.spread(outputs)

    @property
    def recalibrates(self) -> bool:
        """Whether the outputs are logits that a temperature may divide, to make the probabilities truer."""
        return self.meaning.recalibrates

    @property
    def padding(self) -> int | None:
        """Of a language model, the target that marks a place without a token; else None."""
        return getattr(self.meaning, "padding", None)

    def heads(self, outputs: Tree) -> dict[str, Any]:
        """Returns what an exported model gives besides its raw outputs, by name: `probabilities`, `predictions` and
        `std`, or `reconstruction`."""
        return self.meaning.heads(outputs)

    def floor_on(self, outputs: Tree, batch: Batch) -> Any:
        """Returns the lowest mean loss that a network which knows every target of a batch can have.

        Example:
          >>> from verax.data import Batch
          >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([0, 1]), jnp.ones(2))
          >>> smoothed = vx.classification(label_smoothing=0.1)  # labels of 0.95 and 0.05
          >>> print(f"{smoothed.floor_on(jnp.zeros((2, 2)), batch):.4f}")
          0.1985
        """
        return self.meaning.floor(outputs, batch) if self.own_losses is None else self.floor

    def by_heart(self) -> Objective:
        """Returns the objective whose loss is to fall when rows are learnt by heart: that of a Gaussian regressor with
        its width held, since the likelihood of known rows grows without end; else itself."""
        meaning = self.meaning.by_heart()
        return self if meaning is self.meaning or self.own_losses is not None else replace(self, meaning=meaning)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured on a validation split, by name: the loss and the task's own."""
        return ("loss", *self.meaning.metrics)

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        """Returns the weighted sums of the task's own metrics on a batch; traceable. `mean_metrics` divides them.

        A loss of one's own may count in other units than the metrics do (outputs, not examples), so each metric then
        brings its weight.
        """
        sums = self.meaning.metric_sums(outputs, batch)
        if self.own_losses is None:
            return sums
        counted = self.meaning.weights(batch) if self.meaning.counts_tokens else batch.weight
        own = [name for name in sums if not name.endswith("/weight") and f"{name}/weight" not in sums]
        return {**sums, **{f"{name}/weight": jnp.sum(jnp.asarray(counted)) for name in own}}


def objective_from_loss(
    losses: Callable[[Tree, Batch], Any],
    *,
    task: str = "custom",
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
    if task not in TASKS:
        raise InputError(f"task must be one of {', '.join(TASKS)}, got {task!r}.")
    if not callable(losses):
        raise InputError(f"the loss must be a function of (outputs, batch), got {type(losses).__name__} {losses!r}.")
    try:
        inspect.signature(losses).bind(None, None)
    except TypeError as error:
        raise InputError(f"the loss must take (outputs, batch), got {inspect.signature(losses)}: {error}.") from None
    except ValueError:
        pass  # a function in C does not tell
    return Objective(TASKS[task], losses, checked_penalty(l2), per_example, float(floor))


def squared_weights(params: Tree) -> Any:
    """Returns the sum of squares of all weights that decay (see `decay_mask`)."""
    decays = jax.tree.leaves(decay_mask(params))
    squares = [
        jnp.sum(jnp.square(wide(leaf))) for leaf, decay in zip(jax.tree.leaves(params), decays, strict=True) if decay
    ]
    return sum(squares) if squares else 0.0


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


def checked_penalty(l2: Any) -> Any:
    """Returns the coefficient of a penalty.

    Raises:
      InputError: if it is negative or not finite.
    """
    if isinstance(l2, jax.Array | np.generic | np.ndarray):
        return l2  # it may be traced
    if isinstance(l2, bool) or not isinstance(l2, int | float) or not 0 <= l2 < float("inf"):
        raise InputError(f"l2 must be a number of at least 0, got {l2!r}.")
    return l2
