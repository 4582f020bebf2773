"""A measured number with its 95 % interval, and the two ways of getting one: a proportion and a mean."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

Z = 1.959963984540054  # the 97.5 % quantile of the normal law: two-sided 95 %


class Estimate(NamedTuple):
    """A measured value and its 95 % interval. An end that the data do not bound is infinite."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def to_json(self) -> dict[str, float | None]:
        """Returns `value`, `low` and `high`; None stands for an end that is not finite."""
        return plain(self._asdict())


def proportion_estimate(successes: float | int, trials: float | int) -> Estimate:
    """Returns a proportion with its Wilson score interval.

    Args:
      successes: how often it happened; a weighted count may be fractional.
      trials: out of how many; for unequal weights or dependent trials the effective number.

    Raises:
      ValueError: if there are no trials, or successes lie outside `[0, trials]`.

    Example:
      >>> print(proportion_estimate(97, 100))
      0.9700 [0.9155, 0.9897]

    References:
      Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference". Its coverage stays near
      95 % at proportions near 0 and 1, where the normal interval has none: Brown, Cai and DasGupta (2001).
    """
    if trials <= 0 or not 0 <= successes <= trials * (1 + 1e-12):
        raise ValueError(f"successes must lie in [0, trials] with trials above 0, got {successes} of {trials}.")
    value = min(successes / trials, 1.0)
    low, high = wilson_limits(np.array([value]), np.array([trials], float))
    return Estimate(value, float(low[0]), float(high[0]))


def wilson_limits(
    share: Float[np.ndarray, " cases"], trials: Float[np.ndarray, " cases"]
) -> tuple[Float[np.ndarray, " cases"], Float[np.ndarray, " cases"]]:
    """Returns where the Wilson intervals of observed shares begin and end."""
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z / (1 + Z**2 / trials) * np.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    return np.where(share == 0, 0.0, np.maximum(centre - half, 0)), np.where(
        share == 1, 1.0, np.minimum(centre + half, 1)
    )


def score_estimate(value: float, variance: float, most_trials: float) -> Estimate:
    """Returns a score in `[0, 1]` with the Wilson interval of as many trials as would give a proportion its variance.

    Unlike the normal interval it stays inside `[0, 1]` and keeps a width for a perfect score.

    Args:
      value: the score.
      variance: of the score, by the delta method; 0 is believed only up to `most_trials`.
      most_trials: an upper limit of the effective number of trials.

    References:
      Dean and Pagano (2015), "Evaluating Confidence Interval Methods for Binomial Proportions in Clustered Surveys".
    """
    value = min(max(value, 0.0), 1.0)
    spread = value * (1 - value)
    trials = most_trials if variance * most_trials <= spread else spread / variance
    trials = max(trials, 1.0)
    return proportion_estimate(value * trials, trials)._replace(value=value)


def mean_estimate(
    values: Float[np.ndarray, " examples"], weight: Float[np.ndarray, " examples"] | None = None
) -> Estimate:
    """Returns a mean with an interval that follows the skewness of the values.

    Losses have long right tails, where the interval of Student is too short above and too long below; Hall's
    transformation corrects it to second order, as the BCa bootstrap does, without resampling. One value alone says
    nothing about its spread: its interval has no end. Values that are never negative have a mean that is not either.

    Args:
      values: one number an example.
      weight: the share of each example, not negative; None means equal shares.

    References:
      Hall (1992), "On the Removal of Skewness by Transformation", with quantiles of Student's t.
    """
    from scipy.special import stdtrit

    weight = np.ones(len(values)) if weight is None else weight
    share = weight / weight.sum()
    mean = float(share @ values)
    trials = effective_size(weight)
    least = 0.0 if values.min() >= 0 else -math.inf
    if trials <= 1 + 1e-9:
        return Estimate(mean, least, math.inf)
    centred = values - mean
    variance = float(share @ centred**2)
    if variance <= (1e-15 * abs(mean)) ** 2:
        return Estimate(mean, mean, mean)
    skewness = float(share @ centred**3) / variance**1.5 / math.sqrt(trials)
    error = math.sqrt(variance / (trials - 1))
    t = float(stdtrit(trials - 1, 0.975))
    return Estimate(mean, max(least, mean - error * _unskewed(t, skewness)), mean - error * _unskewed(-t, skewness))


def _unskewed(t: float, skewness: float) -> float:
    """Returns the inverse of Hall's cubic at a quantile; `skewness` is over the root of the sample size."""
    if abs(skewness) < 1e-8:
        return t
    return 3 / skewness * (float(np.cbrt(1 + skewness * (t - skewness / 6))) - 1)


def effective_size(weight: Float[np.ndarray, " examples"]) -> float:
    """Returns how many examples of equal weight would give an average of the same precision (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def plain(value: Any) -> Any:
    """Returns a value as JSON knows it: lists, dicts, strings, numbers, and None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
