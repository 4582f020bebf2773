"""Multilabel classification: several labels an example, each there or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch, Examples
from verax.evaluate import Calibration, Estimate, baseline, calibration, fit_temperature
from verax.findings import InputError
from verax.train._clusters import calibration_by_cluster
from verax.train._task import Answers, Confidence, Task, align, require_shape, weighted_mean, weighted_sum, wide
from verax.train._task_classes import balanced_positive_weight, floor_of_bits, smoothed_bits, weights_of_bits
from verax.trees import Tree


@dataclass(frozen=True, eq=False)
class Multilabel(Task):
    """A logit for each label: the log-odds that it is there. Every decision counts alike.

    Attributes:
      label_smoothing: how far targets are drawn from 0 and 1: half of it.
      positive_weight: what a label that is there counts, where one that is not counts 1: a number, one for each label,
        `balanced`, or None.
      balance: the weights that `balanced` came to on the training split.
    """

    label_smoothing: float = 0.0
    positive_weight: Any = None
    balance: Any = None

    name = "multilabel"
    headline = "average_precision"
    higher_is_better = True
    simplest = "how often each label occurs in training"
    recalibrates = True
    known_by = "accuracy"

    def losses(self, outputs: Tree, batch: Batch) -> Any:
        logits = wide(outputs)
        require_shape("outputs of a multilabel classifier", logits, batch.targets.shape)
        goal = smoothed_bits(batch.targets, self.label_smoothing, logits.dtype)
        return optax.sigmoid_binary_cross_entropy(logits, goal)

    def weights(self, batch: Batch) -> Any:
        weight = align(batch.weight, batch.targets)
        if self.positive_weight is None:
            return jnp.broadcast_to(weight, batch.targets.shape)
        return weight * weights_of_bits(batch.targets, self._positive(batch.targets.shape[-1]), weight.dtype)

    def _positive(self, labels: int) -> Any:
        positive = self.balance if isinstance(self.positive_weight, str) else self.positive_weight
        if positive is None:
            raise InputError(
                "positive_weight='balanced' is counted on the training split, and this objective has seen none. "
                "Take objective.fitted(train)."
            )
        if np.ndim(positive) == 1 and len(positive) != labels:
            raise InputError(
                f"positive_weight must be one number or one for each of {labels} labels, got {len(positive)}."
            )
        return positive

    def fitted(self, train: Examples) -> Multilabel:
        if not isinstance(self.positive_weight, str) or self.balance is not None:
            return self
        return replace(self, balance=balanced_positive_weight(train.targets))

    def predictions(self, outputs: Tree) -> Any:
        return jax.nn.sigmoid(outputs)

    def heads(self, outputs: Tree) -> dict[str, Any]:
        return {"probabilities": self.predictions(outputs)}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("hamming_loss", "subset_accuracy")

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        """`hamming_loss` is the share of wrong decisions, `subset_accuracy` that of examples with all of them right."""
        hits = ((outputs > 0) == (batch.targets > 0)).astype(jnp.float32)
        examples = weighted_sum(jnp.ones(hits.shape[0]), batch.weight)
        return {
            "hamming_loss": weighted_sum(1 - hits.mean(axis=-1), batch.weight),
            "hamming_loss/weight": examples,
            "subset_accuracy": weighted_sum(hits.min(axis=-1), batch.weight),
            "subset_accuracy/weight": examples,
        }

    def floor(self, outputs: Tree, batch: Batch) -> Any:
        return floor_of_bits(batch, self.label_smoothing, self.weights(batch))

    def known_share(self, outputs: Tree, batch: Batch) -> Any:
        hits = (outputs > 0) == (batch.targets > 0)
        return weighted_mean(hits.astype(jnp.float32), batch.weight)

    def baseline(self, train: Examples, test: Examples) -> dict[str, Estimate]:
        return baseline(self.name, train.targets, test.targets)

    def temperature(self, calibration: Answers) -> float:
        bits = np.asarray(calibration.examples.targets).reshape(-1).astype(np.int64)
        return fit_temperature(np.asarray(calibration.outputs).reshape(-1), bits)

    def confidence(self, test: Answers, calibration: Answers | None, names: tuple[str, ...] | None) -> Confidence | str:
        """All decisions pooled (those of an example hang together), and each label alone."""
        targets = np.asarray(test.examples.targets)
        logits = np.asarray(test.outputs, np.float64)
        before = _pooled(logits, targets)
        if calibration is None:
            return Confidence(before, parts=_each(logits, targets, names))
        temperature = self.temperature(calibration)
        divided = logits / temperature
        return Confidence(before, _pooled(divided, targets), temperature, _each(divided, targets, names))


def _pooled(logits: np.ndarray, targets: np.ndarray) -> Calibration:
    examples, labels = targets.shape
    two, bits = two_columns(logits.reshape(-1)), targets.reshape(-1).astype(np.int64)
    return calibration_by_cluster(two, bits, np.repeat(np.arange(examples), labels))


def _each(logits: np.ndarray, targets: np.ndarray, names: tuple[str, ...] | None) -> Mapping[str, Calibration]:
    labels = range(targets.shape[1])
    shown = names if names is not None and len(names) == len(labels) else tuple(map(str, labels))
    return {
        shown[label]: calibration(two_columns(logits[:, label]), targets[:, label].astype(np.int64)) for label in labels
    }


def two_columns(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities that a label is not there and that it is."""
    positive = np.exp(-np.logaddexp(0, -logits))
    return np.stack([1 - positive, positive], axis=1)
