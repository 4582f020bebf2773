"""A regressor's uncertainty before and after recalibration, with what chance explains of its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from verax.evaluate._estimate import Estimate, plain
from verax.evaluate._inputs import Values, predictions_and_targets
from verax.evaluate._predictive import (
    LEVELS,
    Offsets,
    Pit,
    Ranks,
    conformal_offsets,
    conformal_ranks,
    covered,
    gaussian_offsets,
    gaussian_ranks,
    histogram,
    require_levels,
    residual_scale,
    standard_errors,
)
from verax.findings import Finding, InputError


@dataclass(frozen=True, eq=False)
class PredictiveCalibration:
    """How far predicted distributions are from what happens.

    Attributes:
      method: `gaussian` or `conformal`.
      levels: the central intervals that were tried.
      offsets: where each interval begins and ends, relative to the prediction: (levels, 2, outputs). Infinite where the
        calibration split is too small for the level.
      coverage: the share of targets inside each interval.
      error: the largest distance between a coverage and its level.
      low: where the 95 % interval of the true largest distance begins; 0 unless chance is ruled out.
      high: where it ends.
      expected: the mean of `error` if the distributions were right.
      p_value: how often `error` would be as large as it is, if they were.
      pit: how the targets fall within their distributions.
      examples: how many there were.
    """

    method: str
    levels: tuple[float, ...]
    offsets: Offsets
    coverage: tuple[Estimate, ...]
    error: float
    low: float
    high: float
    expected: float
    p_value: float
    pit: Pit
    examples: int

    def to_json(self) -> dict[str, Any]:
        """Returns everything as lists, dicts and numbers; None stands for what is not finite."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values |= {"coverage": [estimate._asdict() for estimate in self.coverage], "pit": self.pit._asdict()}
        return plain(values)  # type: ignore[return-value]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PredictiveCalibration) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        shares = ", ".join(
            f"{100 * level:g} %: {e.value:.3f}" for level, e in zip(self.levels, self.coverage, strict=True)
        )
        return (
            f"{self.method} intervals off by {self.error:.4f} [{self.low:.4f}, {self.high:.4f}]; "
            f"{self.expected:.4f} expected by chance (p = {self.p_value:.3f})\n"
            f"coverage {shares}; KS {self.pit.ks:.4f} (p = {self.pit.p_value:.3f}), {self.examples} examples"
        )


@dataclass(frozen=True)
class RegressionCalibration:
    """The uncertainty of a regressor before and after recalibration.

    Attributes:
      scale: the standard deviation of the Gaussian, of each output.
      before: with a Gaussian around each prediction.
      after: with the calibration split's own errors around each prediction (split conformal).
    """

    scale: tuple[float, ...]
    before: PredictiveCalibration
    after: PredictiveCalibration

    def to_json(self) -> dict[str, Any]:
        """Returns everything as lists, dicts and numbers; None stands for what is not finite."""
        return {"scale": plain(self.scale), "before": self.before.to_json(), "after": self.after.to_json()}

    def __str__(self) -> str:
        return f"before: {self.before}\nafter: {self.after}"


def regression_calibration(
    calibration_predictions: Values,
    calibration_targets: Values,
    predictions: Values,
    targets: Values,
    *,
    levels: tuple[float, ...] = LEVELS,
    resamples: int = 1000,
    seed: int = 0,
) -> RegressionCalibration:
    """Returns how well a regressor's errors on one split tell its errors on another.

    Before: each target is taken as `N(prediction, scale)`, with the root mean square error of the calibration split.
    After: as the prediction plus an error drawn from those of the calibration split, whatever their shape and centre.

    Args:
      calibration_predictions: (examples,) or (examples, outputs), on a split neither trained on nor tested on.
      calibration_targets: of the same shape.
      predictions: on the split that is judged.
      targets: of the same shape.
      levels: of the central intervals whose coverage is measured, each between 0 and 1.
      resamples: how often chance is simulated.
      seed: of that simulation.

    Raises:
      InputError: if shapes differ, a number is not finite, or there are fewer than two calibration examples.
      ValueError: if a level is outside (0, 1), or `resamples` is not positive.

    References:
      Gneiting, Balabdaoui and Raftery (2007), "Probabilistic forecasts, calibration and sharpness".
      Papadopoulos et al. (2002), "Inductive Confidence Machines for Regression"; Lei et al. (2018).
    """
    known, wanted = predictions_and_targets(calibration_predictions, calibration_targets)
    given, truth = predictions_and_targets(predictions, targets)
    _require(known.shape, given.shape, levels, resamples)
    errors, new_errors = wanted - known, truth - given
    scale = residual_scale(known, wanted)
    chance = coverage_errors_by_chance(len(truth), levels, resamples, seed)
    return RegressionCalibration(
        tuple(float(value) for value in scale),
        _judge(
            "gaussian", new_errors, gaussian_ranks(new_errors, scale), gaussian_offsets(scale, levels), levels, chance
        ),
        _judge(
            "conformal",
            new_errors,
            conformal_ranks(new_errors, errors),
            conformal_offsets(errors, levels),
            levels,
            chance,
        ),
    )


def predictive_calibration(
    predictions: Values,
    targets: Values,
    spread: Values,
    *,
    levels: tuple[float, ...] = LEVELS,
    resamples: int = 1000,
    seed: int = 0,
) -> PredictiveCalibration:
    """Returns whether the distributions `N(prediction, spread)` that a network gives for each example are right.

    Args:
      predictions: (examples,) or (examples, outputs).
      targets: of the same shape.
      spread: the standard deviations, of the same shape, positive.
      levels: of the central intervals whose coverage is measured, each between 0 and 1.
      resamples: how often chance is simulated.
      seed: of that simulation.

    Returns:
      A calibration whose `offsets` are in units of each example's spread.

    Raises:
      InputError: if shapes differ, a number is not finite or a spread is not positive.
      ValueError: if a level is outside (0, 1), or `resamples` is not positive.

    Example:
      >>> errors = np.random.default_rng(0).normal(size=1000)
      >>> found = predictive_calibration(np.zeros(1000), 3 * errors, np.full(1000, 3.0), resamples=100)
      >>> found.p_value > 0.05
      True
    """
    standard = standard_errors(*predictions_and_targets(predictions, targets), spread)
    require_levels(levels)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}.")
    ones = np.ones(standard.shape[1])
    chance = coverage_errors_by_chance(len(standard), levels, resamples, seed)
    return _judge("gaussian", standard, gaussian_ranks(standard, ones), gaussian_offsets(ones, levels), levels, chance)


def coverage_errors_by_chance(
    examples: int, levels: tuple[float, ...], resamples: int, seed: int
) -> Float[np.ndarray, " resamples"]:
    """Returns largest distances between coverage and level that right distributions would show."""
    order = np.argsort(levels)
    steps = np.diff(np.array(levels)[order], prepend=0.0, append=1.0)
    rings = np.random.default_rng(seed).multinomial(examples, steps, size=resamples)[:, :-1]  # between nested intervals
    return np.abs(rings.cumsum(axis=1) / examples - np.array(levels)[order]).max(axis=1)


def _judge(
    method: str,
    errors: Float[np.ndarray, "examples outputs"],
    ranks: Ranks,
    offsets: Offsets,
    levels: tuple[float, ...],
    by_chance: Float[np.ndarray, " resamples"],
) -> PredictiveCalibration:
    """Returns the calibration of predicted distributions, given by their intervals and by the ranks of errors in them.

    The interval's lower end subtracts the upper quantile of chance, and is 0 unless that is exceeded. Its upper end is
    the farthest that the interval of any one coverage reaches, that of the true largest distance among them.
    """
    coverage = tuple(covered(errors, *ends) for ends in offsets)
    error = max(abs(estimate.value - level) for estimate, level in zip(coverage, levels, strict=True))
    reach = max(max(e.high - level, level - e.low) for e, level in zip(coverage, levels, strict=True))
    offsets.flags.writeable = False
    return PredictiveCalibration(
        method=method,
        levels=levels,
        offsets=offsets,
        coverage=coverage,
        error=error,
        low=max(0.0, error - float(np.quantile(by_chance, 0.975))),
        high=reach,
        expected=float(by_chance.mean()),
        p_value=float((1 + (by_chance >= error - 1e-12).sum()) / (len(by_chance) + 1)),
        pit=histogram(ranks),
        examples=len(ranks),
    )


def _require(known: tuple[int, ...], given: tuple[int, ...], levels: tuple[float, ...], resamples: int) -> None:
    require_levels(levels)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}.")
    if known[1] != given[1]:
        problem = f"both splits must have the same outputs, got {known[1]} and {given[1]}."
        raise InputError([Finding("length-mismatch", "error", problem, "Are both of the same network?")])
    if known[0] < 2:
        problem = f"a calibration split must have at least two examples, got {known[0]}."
        raise InputError([Finding("empty-split", "error", problem, "Keep a tenth of the training data for it.")])
