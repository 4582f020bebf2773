"""An interval for the true calibration error that neither excludes zero by chance nor promises too much."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from verax.evaluate._estimate import Z, wilson_limits

HALF_NORMAL = math.sqrt(2 / math.pi)  # the mean of |N(0, 1)|

# Mean and variance of |N(s, 1)| for each s; further out they are s and 1 to nine and seven digits.
# Fine enough that lookups err by 0.001 in s.
APART = np.linspace(0, 6, 6001)
FOLDED_MEANS = np.array([s * math.erf(s / math.sqrt(2)) + HALF_NORMAL * math.exp(-(s**2) / 2) for s in APART])
FOLDED_VARIANCES = 1 + APART**2 - FOLDED_MEANS**2


def debiased_error(ece: float, expected: float) -> float:
    """Returns the true error under which a plain error is the expected one, if the bins are off evenly.

    Evenly means each by as many standard errors. Chance adds most to bins that are right and least to bins that are far
    off, so subtracting the error that chance alone gives would take too much from a miscalibrated model. The mean of
    `|N(s, 1)|`, solved for `s`, takes all of it when `ece` is `expected`, and nothing in the end when it is far above.

    Args:
      ece: the plain error.
      expected: its mean under perfect calibration.
    """
    if expected == 0:
        return ece
    scale = expected / HALF_NORMAL  # the mean standard error of a bin
    mean = ece / scale
    return ece if mean > APART[-1] else scale * float(np.interp(mean, FOLDED_MEANS, APART))


def error_interval(
    ece: float,
    by_chance: Float[np.ndarray, " resamples"],
    count: Int[np.ndarray, " bins"],
    hits: Float[np.ndarray, " bins"],
    stated: Float[np.ndarray, " bins"],
) -> tuple[float, float]:
    """Returns a 95 % interval for the true calibration error, whichever bins it sits in.

    How much chance adds to the plain error depends on where the true error sits, which is not known. Each end takes the
    case that is worst for it:

    - the lower end subtracts all that chance adds to a perfect model and the upper quantile of its scatter, so it is
      above zero for one perfect model in forty at most;
    - the upper end adds the scatter, then subtracts what chance adds if the error is spread evenly, where it adds
      least.

    The scatter is put together from the bins' Wilson limits (the method of variance estimates recovery), so a bin whose
    examples are all right still has some.

    References:
      Zou and Donner (2008), "Construction of confidence limits about effect measures: a general approach".
    """
    from scipy.optimize import brentq

    scatter = _standard_error(count, hits, stated)
    expected, upper_quantile = float(by_chance.mean()), float(np.quantile(by_chance, 0.975))
    nothing = float(FOLDED_VARIANCES[0])
    margin = max(upper_quantile - expected, Z * scatter * math.sqrt(nothing))

    def excess(error: float) -> float:
        return error + expected + margin * math.sqrt(_folded_variance(error / scatter) / nothing) - ece

    low = 0.0 if excess(0.0) >= 0 else float(brentq(excess, 0.0, ece, xtol=1e-9))
    high = debiased_error(ece + Z * scatter, expected)
    bin_error = expected / HALF_NORMAL
    for _ in range(8):  # bins that are nearly right scatter less; from above, so that a stop is never too early
        apart = high / bin_error if bin_error else math.inf
        high = debiased_error(ece + Z * scatter * math.sqrt(_folded_variance(apart)), expected)
    return low, min(1.0, high)


def _folded_variance(apart: float) -> float:
    return float(np.interp(apart, APART, FOLDED_VARIANCES))


def _standard_error(
    count: Int[np.ndarray, " bins"], hits: Float[np.ndarray, " bins"], stated: Float[np.ndarray, " bins"]
) -> float:
    """Returns the standard error of the plain error: within the bins, and of how many examples fall into which."""
    filled, examples = count > 0, count.sum()
    size = count[filled].astype(np.float64)
    accuracy, share = hits[filled] / size, size / examples
    low, high = wilson_limits(accuracy, size)
    within = float(((share * np.maximum(high - accuracy, accuracy - low) / Z) ** 2).sum())
    gap = np.abs(accuracy - stated[filled] / size)
    between = float(share @ (gap - share @ gap) ** 2) / examples
    return math.sqrt(within + between)
