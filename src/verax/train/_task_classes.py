"""Classification and binary classification: cross-entropies of logits, with smoothed labels and weights of classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import xlogy

from verax.data import Batch, Examples
from verax.evaluate import Estimate, apply_temperature, baseline, calibration, fit_temperature
from verax.findings import InputError
from verax.train._task import (
    Answers,
    Confidence,
    Rate,
    Task,
    align,
    is_none,
    require_shape,
    weighted_mean,
    weighted_sum,
    wide,
)
from verax.trees import Tree


@dataclass(frozen=True, eq=False)
class Classification(Task):
    """One class an example, as an integer or as a distribution over the classes.

    Attributes:
      label_smoothing: share of each label that is spread evenly over all classes.
      class_weights: a number for each class, `balanced`, or None.
      balance: the weights that `balanced` came to on the training split.
    """

    label_smoothing: Rate = 0.0
    class_weights: Any = None
    balance: Any = None

    name = "classification"
    headline = "accuracy"
    higher_is_better = True
    simplest = "the most frequent class"
    recalibrates = True
    known_by = "accuracy"

    def losses(self, outputs: Tree, batch: Batch) -> Any:
        logits = wide(outputs)
        mixed = _are_distributions(batch.targets, logits.ndim)
        require_shape("outputs of a classifier", logits, batch.targets.shape[:-1] if mixed else batch.targets.shape, 1)
        if mixed and batch.targets.shape != logits.shape:
            raise InputError(
                f"targets that are distributions must have a column for each of {logits.shape[-1]} classes, "
                f"got shape {batch.targets.shape}."
            )
        if not mixed and is_none(self.label_smoothing) and self.class_weights is None:
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets)
        goal, share = self._goal(batch.targets, logits.shape[-1], logits.dtype)
        return optax.softmax_cross_entropy(logits, goal) / share

    def _goal(self, targets: Any, classes: int, dtype: Any) -> tuple[Any, Any]:
        """Returns the weighted distributions that the outputs are compared with, and the weight of each example."""
        mixed = jnp.issubdtype(targets.dtype, jnp.floating)
        given = targets.astype(dtype) if mixed else jax.nn.one_hot(targets, classes, dtype=dtype)
        smoothed = given if is_none(self.label_smoothing) else optax.smooth_labels(given, self.label_smoothing)
        if self.class_weights is None:
            return smoothed, jnp.ones(given.shape[:-1], dtype)
        weights = self._weights(classes).astype(dtype)
        return smoothed * weights.reshape((1,) * (given.ndim - 1) + (-1,)), given @ weights

    def _weights(self, classes: int) -> Any:
        """Returns the weight of each class; of those that the training split lacks, 1."""
        if isinstance(self.class_weights, str):
            if self.balance is None:
                raise InputError(
                    "class_weights='balanced' are counted on the training split, and this objective has seen none. "
                    "Take objective.fitted(train)."
                )
            known = jnp.asarray(self.balance, jnp.float32)
            return jnp.concatenate([known[:classes], jnp.ones(max(0, classes - known.shape[0]), jnp.float32)])
        if len(self.class_weights) != classes:
            raise InputError(
                f"class_weights must hold a number for each of the {classes} classes, got {len(self.class_weights)}."
            )
        return jnp.asarray(self.class_weights, jnp.float32)

    def weights(self, batch: Batch) -> Any:
        if self.class_weights is None:
            return batch.weight
        if jnp.issubdtype(batch.targets.dtype, jnp.floating):
            share = batch.targets @ self._weights(batch.targets.shape[-1]).astype(batch.targets.dtype)
        else:
            known = self._weights(len(self.class_weights)) if self.balance is None else jnp.asarray(self.balance)
            share = known.at[batch.targets].get(mode="fill", fill_value=1.0)
        weight = align(batch.weight, share)
        return weight * share.astype(weight.dtype)

    def fitted(self, train: Examples) -> Classification:
        if not isinstance(self.class_weights, str) or self.balance is not None:
            return self
        return replace(self, balance=balanced_weights(self.wanted(train)))

    def predictions(self, outputs: Tree) -> Any:
        return jax.nn.softmax(outputs, axis=-1)

    def wanted(self, examples: Any) -> Any:
        targets = examples.targets
        return targets.argmax(axis=-1) if jnp.issubdtype(targets.dtype, jnp.floating) else targets

    def heads(self, outputs: Tree) -> dict[str, Any]:
        return {"probabilities": self.predictions(outputs)}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy",)

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        hits = outputs.argmax(axis=-1) == self.wanted(batch).astype(jnp.int32)
        return sum_of_hits("accuracy", hits, batch, apart=self.class_weights is not None)

    def floor(self, outputs: Tree, batch: Batch) -> Any:
        """Returns what is left where each answer is the smoothed label itself: its entropy."""
        if is_none(self.label_smoothing) and not jnp.issubdtype(batch.targets.dtype, jnp.floating):
            return 0.0
        goal, share = self._goal(batch.targets, outputs.shape[-1], jnp.float32)
        whole = goal.sum(axis=-1, keepdims=True)
        left = (xlogy(goal, whole) - xlogy(goal, goal)).sum(axis=-1)
        return weighted_mean(left / share, self.weights(batch))

    def known_share(self, outputs: Tree, batch: Batch) -> Any:
        hits = self.predictions(outputs).argmax(axis=-1) == self.wanted(batch)
        return weighted_mean(hits.astype(jnp.float32), batch.weight)

    def baseline(self, train: Examples, test: Examples) -> dict[str, Estimate]:
        return baseline(self.name, np.asarray(self.wanted(train)), np.asarray(self.wanted(test)))

    def temperature(self, calibration: Answers) -> float | None:
        return temperature_of_classes(self, calibration)

    def confidence(self, test: Answers, calibration: Answers | None, names: tuple[str, ...] | None) -> Confidence | str:
        return confidence_of_classes(self, test, calibration)


@dataclass(frozen=True, eq=False)
class Binary(Task):
    """One logit an example: the log-odds of class 1.

    Attributes:
      label_smoothing: how far targets are drawn from 0 and 1: half of it.
      positive_weight: what an example of class 1 counts, where one of class 0 counts 1; `balanced`, or None.
      balance: the weight that `balanced` came to on the training split.
    """

    label_smoothing: Rate = 0.0
    positive_weight: Any = None
    balance: Any = None

    name = "binary"
    headline = "accuracy"
    higher_is_better = True
    simplest = "the most frequent class"
    recalibrates = True
    known_by = "accuracy"

    def losses(self, outputs: Tree, batch: Batch) -> Any:
        logits = wide(flat(outputs))
        require_shape("outputs of a binary classifier", logits, batch.targets.shape)
        goal = smoothed_bits(batch.targets, self.label_smoothing, logits.dtype)
        return optax.sigmoid_binary_cross_entropy(logits, goal)

    def weights(self, batch: Batch) -> Any:
        if self.positive_weight is None:
            return batch.weight
        weight = jnp.asarray(batch.weight)
        return weight * weights_of_bits(batch.targets, self._positive(), weight.dtype)

    def _positive(self) -> Any:
        if not isinstance(self.positive_weight, str):
            return self.positive_weight
        if self.balance is None:
            raise InputError(
                "positive_weight='balanced' is counted on the training split, and this objective has seen none. "
                "Take objective.fitted(train)."
            )
        return self.balance

    def fitted(self, train: Examples) -> Binary:
        if not isinstance(self.positive_weight, str) or self.balance is not None:
            return self
        return replace(self, balance=balanced_positive_weight(train.targets))

    def predictions(self, outputs: Tree) -> Any:
        positive = jax.nn.sigmoid(flat(outputs))
        return jnp.stack([1 - positive, positive], axis=-1)

    def heads(self, outputs: Tree) -> dict[str, Any]:
        return {"probabilities": self.predictions(outputs)}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy",)

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        hits = (flat(outputs) > 0) == (batch.targets > 0)
        return sum_of_hits("accuracy", hits, batch, apart=self.positive_weight is not None)

    def floor(self, outputs: Tree, batch: Batch) -> Any:
        return floor_of_bits(batch, self.label_smoothing, self.weights(batch))

    def known_share(self, outputs: Tree, batch: Batch) -> Any:
        hits = self.predictions(outputs).argmax(axis=-1) == batch.targets
        return weighted_mean(hits.astype(jnp.float32), batch.weight)

    def baseline(self, train: Examples, test: Examples) -> dict[str, Estimate]:
        return baseline(self.name, train.targets, test.targets)

    def temperature(self, calibration: Answers) -> float | None:
        return temperature_of_classes(self, calibration)

    def confidence(self, test: Answers, calibration: Answers | None, names: tuple[str, ...] | None) -> Confidence | str:
        return confidence_of_classes(self, test, calibration)


def confidence_of_classes(task: Task, test: Answers, known: Answers | None) -> Confidence:
    """Returns the calibration of class probabilities, before and after division of the logits by a temperature."""
    labels = np.asarray(task.wanted(test.examples))
    before = calibration(np.asarray(task.predictions(test.outputs)), labels)
    if known is None:
        return Confidence(before)
    temperature = temperature_of_classes(task, known)
    return Confidence(before, calibration(apply_temperature(test.outputs, temperature), labels), temperature)


def temperature_of_classes(task: Task, known: Answers) -> float:
    """Returns the temperature that makes class probabilities truest on known examples."""
    return fit_temperature(known.outputs, np.asarray(task.wanted(known.examples)))


def balanced_weights(labels: Any) -> np.ndarray:
    """Returns the weight of each class by which all classes count alike and the mean over examples is 1.

    That is `examples / (classes * examples of the class)` over the classes that occur, as scikit-learn has it; of a
    class that does not occur, 1.
    """
    counts = np.bincount(np.asarray(labels).reshape(-1))
    occurs = counts > 0
    weights = np.ones(len(counts), np.float32)
    weights[occurs] = counts.sum() / (occurs.sum() * counts[occurs])
    return weights


def balanced_positive_weight(targets: Any) -> np.ndarray:
    """Returns how many 0 there are for each 1, by column; 1 where one of the two is missing."""
    ones = np.asarray(targets, np.float64).sum(axis=0)
    zeros = len(targets) - ones
    return np.where((ones > 0) & (zeros > 0), zeros / np.maximum(ones, 1), 1.0).astype(np.float32)


def smoothed_bits(targets: Any, rate: Rate, dtype: Any) -> Any:
    """Returns targets 0 and 1 drawn towards a half, as `optax.smooth_labels` does for two classes."""
    bits = jnp.asarray(targets).astype(dtype)
    return bits if is_none(rate) else (1 - rate) * bits + rate / 2


def weights_of_bits(targets: Any, positive: Any, dtype: Any) -> Any:
    """Returns 1 for targets that are 0 and a weight, one number or one a column, for those that are 1."""
    bits, positive = jnp.asarray(targets).astype(dtype), jnp.asarray(positive, dtype)
    return 1 + (positive.reshape((1,) * (bits.ndim - positive.ndim) + positive.shape) - 1) * bits


def floor_of_bits(batch: Batch, rate: Rate, weight: Any) -> Any:
    """Returns the mean entropy of smoothed bits."""
    if is_none(rate):
        return 0.0
    goal = smoothed_bits(batch.targets, rate, jnp.float32)
    return weighted_mean(-xlogy(goal, goal) - xlogy(1 - goal, 1 - goal), weight)


def sum_of_hits(name: str, hits: Any, batch: Batch, *, apart: bool) -> dict[str, Any]:
    """Returns the weighted sum of hits, with a weight of its own where that of the loss counts classes too."""
    sums = {name: weighted_sum(hits, batch.weight)}
    return {**sums, f"{name}/weight": weighted_sum(jnp.ones_like(hits), batch.weight)} if apart else sums


def flat(outputs: Any) -> Any:
    """Returns logits (examples,) from (examples,) or (examples, 1)."""
    return outputs[..., 0] if outputs.ndim == 2 and outputs.shape[-1] == 1 else outputs


def _are_distributions(targets: Any, axes: int) -> bool:
    return bool(jnp.issubdtype(targets.dtype, jnp.floating)) and targets.ndim == axes
