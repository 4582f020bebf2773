"""Regression: squared errors, or a Gaussian whose width the network states; targets standardised where asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch, Examples
from verax.evaluate import Estimate, baseline, predictive_calibration, regression_calibration
from verax.findings import InputError
from verax.train._task import Answers, Confidence, Task, require_shape, weighted_sum, wide
from verax.trees import Tree

FARTHEST = 30.0  # log-variances beyond it are drawn back: exp(30) times a squared error is still a float32


@dataclass(frozen=True, eq=False)
class Regression(Task):
    """One number an example, or several.

    Attributes:
      likelihood: `squared`, or `gaussian`: outputs are means, then as many log-variances.
      standardise: whether the loss is of targets in standard deviations from their mean.
      target_scale: that mean and standard deviation, each of the shape of one target; may be traced.
      held: whether the Gaussian's width is held, which leaves the squared error of its means (see `by_heart`).
    """

    likelihood: str = "squared"
    standardise: bool = False
    target_scale: tuple[Any, Any] | None = None
    held: bool = False

    name = "regression"
    headline = "rmse"
    simplest = "the mean of the training targets"
    known_by = "r2"

    def losses(self, outputs: Tree, batch: Batch) -> Any:
        """Of several outputs the average."""
        if self.likelihood == "squared" or self.held:
            return squared_errors(*self.compared(outputs, batch))
        targets = self._scaled(batch.targets, wide(outputs).dtype)
        return self._gaussian_losses(outputs, targets).reshape((outputs.shape[0], -1)).mean(axis=1)

    def _gaussian_losses(self, outputs: Any, targets: Any) -> Any:
        means, log_variances = halves(outputs)
        means, log_variances = like_targets(means, targets), like_targets(log_variances, targets)
        require_shape("means of a Gaussian regressor", means, targets.shape)
        errors = optax.squared_error(means, targets.astype(means.dtype))
        return 0.5 * (errors * jnp.exp(-log_variances) + log_variances + np.log(2 * np.pi))

    def fitted(self, train: Examples) -> Regression:
        if not self.standardise or self.target_scale is not None:
            return self
        return replace(self, target_scale=target_scale_of(train.targets))

    def _scale(self) -> tuple[Any, Any] | None:
        if not self.standardise:
            return None
        if self.target_scale is None:
            raise InputError(
                "regression(standardise=True) takes mean and standard deviation from the training split, and this "
                "objective has seen none. Take objective.fitted(train)."
            )
        return self.target_scale

    def _scaled(self, targets: Any, dtype: Any = jnp.float32) -> Any:
        """Returns targets as the loss sees them."""
        scale = self._scale()
        if scale is None:
            return targets
        mean, std = (jnp.asarray(each).astype(dtype)[None] for each in scale)
        return (targets.astype(dtype) - mean) / std

    def _in_own_units(self, values: Any, *, spread: bool = False) -> Any:
        scale = self._scale()
        if scale is None:
            return values
        mean, std = (jnp.asarray(each).astype(values.dtype) for each in scale)
        mean, std = (each.reshape((1,) * (values.ndim - each.ndim) + each.shape) for each in (mean, std))
        return values * std if spread else mean + values * std

    def predictions(self, outputs: Tree) -> Any:
        if self.likelihood == "gaussian":
            return self._in_own_units(halves(outputs)[0])
        return self._in_own_units(wide(outputs)) if self.standardise else outputs

    def spread(self, outputs: Tree) -> Any:
        if self.likelihood == "squared":
            return None
        return self._in_own_units(jnp.exp(0.5 * halves(outputs)[1]), spread=True)

    def heads(self, outputs: Tree) -> dict[str, Any]:
        spread = self.spread(outputs)
        return {"predictions": self.predictions(outputs), **({} if spread is None else {"std": spread})}

    @property
    def data_rules(self) -> dict[str, Any]:
        return {"likelihood": self.likelihood}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("rmse", "nll") if self.likelihood == "gaussian" else ("rmse",)

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        """`squared_error` and, of a Gaussian, `nll`: both in the targets' own units, averaged over the outputs."""
        errors = squared_errors(self.predictions(outputs), batch.targets)
        sums = {"squared_error": weighted_sum(errors, batch.weight)}
        if self.likelihood == "gaussian":
            scale = self._scale()
            shift = 0.0 if scale is None else jnp.mean(jnp.log(jnp.asarray(scale[1])))
            losses = self.losses(outputs, batch)
            sums["nll"] = weighted_sum(losses + jnp.asarray(shift, losses.dtype), batch.weight)
        return sums

    def floor(self, outputs: Tree, batch: Batch) -> Any:
        return 0.0  # of the squared error; a likelihood has none, see `by_heart`

    def by_heart(self) -> Regression:
        """The likelihood of known rows grows without end, and rows thought uncertain are hardly learnt; so a Gaussian
        learns them with its width held."""
        return self if self.likelihood == "squared" else replace(self, held=True)

    def constant_loss(self, batch: Batch) -> float:
        """That of the mean of the targets: targets far from zero are not known for knowing their mean."""
        values = np.asarray(self._scaled(jnp.asarray(batch.targets)), np.float64).reshape(len(batch.targets), -1)
        return float(np.mean((values - values.mean(axis=0)) ** 2))

    def compared(self, outputs: Tree, batch: Batch) -> tuple[Any, Any]:
        answers = halves(outputs)[0] if self.likelihood == "gaussian" else outputs
        return answers, self._scaled(batch.targets, wide(answers).dtype)

    def known_share(self, outputs: Tree, batch: Batch) -> Any:
        return r_squared(*self.compared(outputs, batch))

    def baseline(self, train: Examples, test: Examples) -> dict[str, Estimate]:
        return baseline(self.name, train.targets, test.targets)

    def confidence(self, test: Answers, calibration: Answers | None, names: tuple[str, ...] | None) -> Confidence | str:
        """Of squared errors intervals from a calibration split; of a Gaussian its own, as an export gives them."""
        if self.likelihood == "gaussian":
            return Confidence(predictive_calibration(*self._answers(test), self._spread_of(test)))
        if calibration is None:
            return "a regressor's uncertainty is fitted on a calibration split: give the data one"
        both = regression_calibration(*self._answers(calibration), *self._answers(test))
        return Confidence(both.before, both.after)

    def _answers(self, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
        targets = np.asarray(answers.examples.targets)
        return np.asarray(like_targets(self.predictions(answers.outputs), targets)), targets

    def _spread_of(self, answers: Answers) -> np.ndarray:
        return np.asarray(like_targets(self.spread(answers.outputs), np.asarray(answers.examples.targets)))


def target_scale_of(targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of targets over the examples, in float32; a deviation of 0 becomes 1."""
    values = np.asarray(targets, np.float64)
    std = values.std(axis=0)
    return np.asarray(values.mean(axis=0), np.float32), np.asarray(np.where(std > 0, std, 1.0), np.float32)


def halves(outputs: Any) -> tuple[Any, Any]:
    """Returns the means and the log-variances in the outputs of a Gaussian regressor.

    Log-variances are drawn back softly into [-30, 30], where nothing overflows; between -13 and 13 they are as they
    were. A hard limit would have no gradient beyond it.

    Raises:
      InputError: if there is no log-variance for each mean.
    """
    if outputs.ndim < 2 or outputs.shape[-1] % 2:
        raise InputError(
            f"outputs of a Gaussian regressor must be (examples, 2 * outputs), means and then log-variances, "
            f"got {outputs.shape}. Give the last layer twice as many outputs."
        )
    outputs = wide(jnp.asarray(outputs))
    means, log_variances = jnp.split(outputs, 2, axis=-1)
    below = FARTHEST - jax.nn.softplus(FARTHEST - log_variances)
    return means, jax.nn.softplus(below + FARTHEST) - FARTHEST


def like_targets(values: Any, targets: Any) -> Any:
    """Returns values (examples, 1) as (examples,) where the targets have no axis of outputs."""
    return values[..., 0] if values.ndim == targets.ndim + 1 and values.shape[-1] == 1 else values


def squared_errors(outputs: Any, targets: Any) -> Any:
    """Returns the squared error of each example, averaged over its outputs.

    Raises:
      InputError: if the shapes differ, other than by one trailing output against flat targets.
    """
    outputs = like_targets(outputs, targets)
    require_shape("outputs of a regressor", outputs, targets.shape)
    outputs = wide(outputs)
    errors = optax.squared_error(outputs, targets.astype(outputs.dtype))
    return errors.reshape((errors.shape[0], -1)).mean(axis=1)


def r_squared(answers: Any, targets: Any) -> Any:
    """Returns the share of the targets' variance that answers explain, all outputs together."""
    wanted = jnp.asarray(targets, jnp.float32).reshape(targets.shape[0], -1)
    given = jnp.asarray(answers, jnp.float32).reshape(wanted.shape)
    left = jnp.sum(jnp.square(given - wanted))
    return 1 - left / jnp.sum(jnp.square(wanted - wanted.mean(axis=0, keepdims=True)))
