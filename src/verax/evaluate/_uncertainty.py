"""Predictions as distributions: from many forward passes, of one network with noise or of several networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Shaped

from verax.evaluate._estimate import Estimate, mean_estimate
from verax.evaluate._inputs import Values, predictions_and_targets, probabilities_and_labels
from verax.evaluate._regression import regression_metrics
from verax.findings import Finding, InputError

CATEGORICAL, LABELS = ("classification", "binary", "language_model"), ("multilabel",)

Draws = Shaped[Array | np.ndarray, "samples examples *outputs"]


@dataclass(frozen=True, eq=False)
class Predictive:
    """A predicted distribution for each example.

    Attributes:
      task: of a classifier the draws are probabilities, of all else values.
      mean: over the draws: the predicted probabilities or values (examples, ...).
      std: over the draws, of the same shape: what the model does not know, with no noise of the data in it.
      samples: the number of draws.
      draws: the draws themselves (samples, examples, ...); None if they were not kept.
      expected_entropy: of a classifier, the mean entropy of the draws, in nats (examples,): doubt that all draws share.
      noise: of a regressor that gives its own spread, that spread by draw, in the shape of the draws.
    """

    task: str
    mean: Float[np.ndarray, "examples *outputs"]
    std: Float[np.ndarray, "examples *outputs"]
    samples: int
    draws: Float[np.ndarray, "samples examples *outputs"] | None = None
    expected_entropy: Float[np.ndarray, "examples *places"] | None = None
    noise: Float[np.ndarray, "samples examples *outputs"] | None = None

    @property
    def predictive_entropy(self) -> Float[np.ndarray, "examples *places"]:
        """The entropy of the mean probabilities, in nats: all of a classifier's doubt.

        Raises:
          ValueError: if the task is no classification.
        """
        self._require_probabilities("predictive_entropy")
        return entropy(self.mean, self.task)

    @property
    def mutual_information(self) -> Float[np.ndarray, "examples *places"]:
        """How much the draws disagree, in nats: the doubt that more training data could remove.

        Raises:
          ValueError: if the task is no classification.

        References:
          Houlsby et al. (2011), "Bayesian Active Learning for Classification and Preference Learning" (BALD).
        """
        self._require_probabilities("mutual_information")
        assert self.expected_entropy is not None
        return np.maximum(self.predictive_entropy - self.expected_entropy, 0.0)  # rounding aside it is not negative

    def spread(self, precision: float | int | None = None) -> Float[np.ndarray, "examples *outputs"]:
        """Returns the standard deviation of new observations: that of the draws, and the data's noise.

        Args:
          precision: one over the variance of the noise; None takes the spread that the network gives, or none.

        Raises:
          ValueError: if the precision is not positive.
        """
        if precision is not None:
            _require_precision(precision)
            variance = 1.0 / precision
        else:
            variance = 0.0 if self.noise is None else np.mean(self.noise.astype(np.float64) ** 2, axis=0)
        return np.sqrt(self.std**2 + variance)

    def log_likelihood(self, targets: Values, *, precision: float | int | None = None) -> Estimate:
        """Returns the mean log-probability (density) of the targets, in nats, with its interval over examples.

        Of a regressor, each draw stands for a Gaussian around it, and the targets are held against their mixture; the
        value depends on the unit of the targets. Of a classifier, it is the logarithm of the mean probability.

        Args:
          targets: values (examples,) or (examples, outputs), in the unit of the predictions; or labels (examples,).
          precision: one over the variance of the noise about each draw, in the targets' unit squared; None takes the
            spread that the network gives itself.

        Raises:
          InputError: if the targets do not fit the predictions.
          ValueError: if a regressor's draws were not kept, or neither a precision nor a spread is known.

        Example:
          >>> one = predictive_from_draws(np.zeros((1, 3)))
          >>> print(one.log_likelihood(np.zeros(3), precision=2 * np.pi).value)
          0.0

        References:
          Gal and Ghahramani (2016), "Dropout as a Bayesian Approximation", eq. 8, as in their published code.
        """
        if self.task in CATEGORICAL:
            probabilities, labels = probabilities_and_labels(self.mean, targets)
            own = probabilities[np.arange(len(labels)), labels]
            return mean_estimate(np.log(np.maximum(own, np.finfo(np.float64).tiny)))
        if self.task in LABELS:
            raise ValueError("log_likelihood is of classes or values, got multilabel: score its mean instead.")
        if self.draws is None:
            raise ValueError("log_likelihood needs the draws: keep them with keep_samples=True.")
        if precision is None and self.noise is None:
            raise ValueError("precision must be given: the network gives no spread of its own.")
        wanted = _in_shape(np.asarray(targets), self.mean)
        if precision is not None:
            _require_precision(precision)
            each = gaussian_log_likelihood(self.draws.astype(np.float64), wanted, float(precision))
        else:
            assert self.noise is not None
            each = gaussian_log_likelihood(self.draws.astype(np.float64), wanted, self.noise.astype(np.float64) ** -2)
        return mean_estimate(np.asarray(each))

    def rmse(self, targets: Values) -> Estimate:
        """Returns the root mean squared error of the mean, with its interval over examples.

        Raises:
          InputError: if the targets do not fit the predictions.
          ValueError: if the task is a classification.
        """
        if self.expected_entropy is not None:
            raise ValueError(f"rmse is of values, got {self.task}.")
        given, wanted = predictions_and_targets(self.mean, _in_shape(np.asarray(targets), self.mean))
        return regression_metrics(given, wanted, np.ones(len(given)))["rmse"]

    def _require_probabilities(self, name: str) -> None:
        if self.expected_entropy is None:
            raise ValueError(f"{name} is of probabilities, got {self.task}.")


def predictive_from_draws(draws: Draws, task: str = "regression", noise: Draws | None = None) -> Predictive:
    """Returns the distributions that draws of the predictions stand for: those of one lane of many, for example.

    Args:
      draws: predictions (samples, examples, ...): probabilities of a classifier, values of all else.
      task: as in `score`.
      noise: of a regressor that gives its own spread, that spread by draw.

    Raises:
      InputError: if there is no draw.
    """
    table = np.asarray(draws)
    if table.ndim < 2 or 0 in table.shape[:2]:
        problem = f"draws must be of shape (samples, examples, ...), got {table.shape}."
        raise InputError([Finding("wrong-rank", "error", problem, "The draws of one example are draws[:, row].")])
    wide = table.astype(np.float64)
    doubt = entropy(wide, task).mean(axis=0) if task in CATEGORICAL + LABELS else None
    spread = None if noise is None else np.asarray(noise)
    return Predictive(task, wide.mean(axis=0), wide.std(axis=0), len(table), table, doubt, spread)


def gaussian_log_likelihood(
    draws: Shaped[Array | np.ndarray, "samples examples *outputs"],
    targets: Shaped[Array | np.ndarray, "examples *outputs"],
    precision: Shaped[Array | np.ndarray, "..."] | float,
) -> Shaped[Array | np.ndarray, " examples"]:
    """Returns the log-density of each example's targets under the mixture of Gaussians around its draws, in nats.

    Pure, on NumPy or JAX arrays, so that it goes into `jax.vmap` over splits and precisions.

    Args:
      draws: predicted values.
      targets: what came, in the same unit.
      precision: one over the variance of each Gaussian: one number, or one of each value in the shape of the draws.

    References:
      Gal and Ghahramani (2016), "Dropout as a Bayesian Approximation", eq. 8.
    """
    xp = draws.__array_namespace__()
    precision = xp.asarray(precision, dtype=draws.dtype)
    terms = 0.5 * (xp.log(precision) - math.log(2 * math.pi) - precision * (targets[None] - draws) ** 2)
    each = terms.reshape((*terms.shape[:2], -1)).sum(axis=2)  # samples examples
    top = each.max(axis=0)
    return top + xp.log(xp.exp(each - top[None]).mean(axis=0))


def entropy(probabilities: Any, task: str) -> Any:
    """Returns the entropy of probabilities in nats: of classes on the last axis; of labels the sum of each one's."""

    def terms(shares: Any) -> Any:
        return -np.where(shares > 0, shares * np.log(np.maximum(shares, np.finfo(np.float64).tiny)), 0.0)

    each = terms(probabilities) + (terms(1 - probabilities) if task in LABELS else 0.0)
    return each.sum(axis=-1)


def _in_shape(targets: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns targets in the shape of the predictions; a trailing axis of one does not count."""
    if targets.size == mean.size and len(targets) == len(mean) and 1 in (*targets.shape[1:], *mean.shape[1:]):
        targets = targets.reshape(mean.shape)
    if targets.shape != mean.shape:
        problem = f"targets must have the shape of the predictions, {mean.shape}, got {targets.shape}."
        raise InputError([Finding("length-mismatch", "error", problem, "Are both of the same split?")])
    return targets.astype(np.float64)


def _require_precision(precision: float | int) -> None:
    if not 0 < precision < math.inf:
        raise ValueError(f"precision must be positive and finite, got {precision}.")
