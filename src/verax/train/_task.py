"""What a task means, as one value: its loss, its predictions and metrics, and what these are held against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from verax.data import Batch, Examples
from verax.evaluate import Calibration, Estimate, PredictiveCalibration
from verax.findings import InputError
from verax.trees import Tree

Rate = float | int | Array  # traced where it is a lane of a batched trial
AnyCalibration = Calibration | PredictiveCalibration


class Answers(NamedTuple):
    """What a network gave on a split.

    Attributes:
      outputs: of the network, on the host.
      examples: what it was asked, and what was wanted.
    """

    outputs: Tree
    examples: Examples


class Confidence(NamedTuple):
    """How far stated confidence is from what happens.

    Attributes:
      before: as the network states it.
      after: after recalibration on a calibration split; None without one.
      temperature: what logits are divided by then; None where nothing is divided.
      parts: the same for parts of the answer (each label of several), as it is deployed.
    """

    before: AnyCalibration
    after: AnyCalibration | None = None
    temperature: float | None = None
    parts: Mapping[str, Calibration] = {}

    @property
    def deployed(self) -> AnyCalibration:
        """The calibration of what is deployed: after recalibration where there was one."""
        return self.before if self.after is None else self.after


@dataclass(frozen=True, eq=False)
class Task:
    """What a task means. This one is `custom`: a loss of one's own, with no metrics beside it.

    A task is a small file with a subclass of this one, whose instances hold its options. Everything that asks "which
    task?" asks this value instead: the loss in training, the metrics of an epoch, `converges`, `better_than_chance` and
    `calibrated` of a certificate, the outputs of an export.

    Attributes:
      name: as in `Objective.task`.
      headline: the metric by which it is held against the simplest predictor.
      higher_is_better: whether that metric grows with quality.
      simplest: the predictor without inputs that it is held against, in words.
      recalibrates: whether a temperature makes its probabilities truer.
      known_by: what says that rows are known by heart: `accuracy` (1 is all of it), `r2`, or nothing but the loss.
      rows_by_heart: how many rows a healthy network can learn by heart.
      counts_tokens: whether its metrics are averages over tokens; else over examples.
      most_numbers: of outputs that are held at once to judge confidence; None for those of a whole split.
    """

    name: ClassVar[str] = "custom"
    headline: ClassVar[str] = "loss"
    higher_is_better: ClassVar[bool] = False
    simplest: ClassVar[str] = ""
    recalibrates: ClassVar[bool] = False
    known_by: ClassVar[str | None] = None
    rows_by_heart: ClassVar[int] = 32
    most_numbers: ClassVar[int | None] = None
    counts_tokens: ClassVar[bool] = False

    # The loss

    def losses(self, outputs: Tree, batch: Batch) -> Any:
        """Returns the loss of each example, or of each part of it: leading axes as in the targets."""
        raise NotImplementedError("a custom task has the loss of its objective.")

    def weights(self, batch: Batch) -> Any:
        """Returns what each loss counts: those of the batch, times what the task adds (classes, tokens)."""
        return batch.weight

    def fitted(self, train: Examples) -> Task:
        """Returns the task with what it takes from the training split; itself where that is nothing."""
        return self

    @property
    def data_rules(self) -> dict[str, Any]:
        """What `vx.data.check_data` must know of the task besides its name."""
        return {}

    # Predictions and metrics

    def predictions(self, outputs: Tree) -> Any:
        """Returns what is scored."""
        return outputs

    def spread(self, outputs: Tree) -> Any:
        """Returns the standard deviation that the network states for each prediction, or None."""
        return None

    def wanted(self, examples: Any) -> Any:
        """Returns what predictions are scored against, of `Examples` or a `Batch`."""
        return examples.targets

    def heads(self, outputs: Tree) -> dict[str, Any]:
        """Returns what an exported model gives besides the raw outputs, by name."""
        return {}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what is measured on a validation split, besides the loss."""
        return ()

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        """Returns weighted sums of the metrics on a batch; traceable.

        A sum is divided by the loss's own weight, or by `NAME/weight` where that is given too.
        """
        return {}

    # Rows known by heart

    def floor(self, outputs: Tree, batch: Batch) -> Any:
        """Returns the lowest mean loss that a network which knows every target of the batch can have."""
        return 0.0

    def compared(self, outputs: Tree, batch: Batch) -> tuple[Any, Any]:
        """Returns what the loss compares: answers and what is wanted, in its own units."""
        return outputs, batch.targets

    def constant_loss(self, batch: Batch) -> float:
        """Returns the mean loss of the best constant answer, infinite where it does not matter."""
        return math.inf

    def by_heart(self) -> Task:
        """Returns the task whose loss is to fall when rows are learnt by heart: itself, if its loss has a floor."""
        return self

    def known_share(self, outputs: Tree, batch: Batch) -> Any:
        """Returns how much of a batch is known: accuracy or R² (see `known_by`), NaN where neither fits."""
        return jnp.float32(jnp.nan)

    # What it is held against

    def baseline(self, train: Examples, test: Examples) -> dict[str, Estimate]:
        """Returns the scores on `test` of the best predictor that sees no inputs; empty if there is none."""
        return {}

    def temperature(self, calibration: Answers) -> float | None:
        """Returns what logits are to be divided by to make probabilities truer; None where there are no logits."""
        return None

    def confidence(self, test: Answers, calibration: Answers | None, names: tuple[str, ...] | None) -> Confidence | str:
        """Returns how far the stated confidence is from what happens, or why that cannot be said.

        Args:
          test: on the test split.
          calibration: on the calibration split, or None without one.
          names: of the classes or labels, where they are named.
        """
        return "a custom objective states no probabilities; state its task with objective_from_loss(task=...)"


def align(weight: Any, values: Any) -> Any:
    """Returns weights (examples, ...) with trailing axes added, so that they broadcast against the values by name."""
    weight = jnp.asarray(weight)
    return weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))


def weighted_sum(values: Any, weight: Any) -> Any:
    """Returns the sum of values, each times the weight of its example, in float32."""
    return jnp.sum(values.astype(jnp.float32) * align(weight, values).astype(jnp.float32))


def weighted_mean(values: Any, weight: Any) -> Any:
    """Returns the mean of values, each with the weight of its example."""
    whole = jnp.broadcast_to(align(weight, values), values.shape)
    return weighted_sum(values, whole) / jnp.sum(whole.astype(jnp.float32))


def wide(values: Any) -> Any:
    """Returns half-precision numbers as float32, in which sums over a batch are exact enough; others as they are."""
    narrow = jnp.issubdtype(values.dtype, jnp.floating) and values.dtype.itemsize < 4
    return values.astype(jnp.float32) if narrow else values


def require_shape(what: str, outputs: Any, targets_shape: tuple[int, ...], trailing: int = 0) -> None:
    """Raises an InputError if outputs do not have the shape of the targets, apart from trailing axes."""
    if outputs.shape[: outputs.ndim - trailing] != targets_shape:
        classes = " and a last axis of classes" if trailing else ""
        raise InputError(
            f"{what} must have the shape of the targets, {targets_shape}{classes}, got {outputs.shape}. "
            "Check the network's last layer and the shape of the targets."
        )


def checked_smoothing(value: Any) -> Any:
    """Returns a rate of label smoothing; a traced one as it is.

    Raises:
      InputError: if it is outside [0, 1).
    """
    if isinstance(value, Tracer):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(f"label_smoothing must be a number in [0, 1), got {value!r}.")
    return float(value)


def is_none(rate: Rate) -> bool:
    """Returns whether a rate is known to be 0; of a traced one that is not known."""
    return isinstance(rate, int | float) and rate == 0
