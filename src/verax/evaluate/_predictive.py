"""How targets fall within predicted distributions: their ranks, and how many an interval covers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from verax.evaluate._estimate import Estimate, effective_size, mean_estimate, score_estimate
from verax.evaluate._inputs import Values, predictions_and_targets
from verax.findings import Finding, InputError

LEVELS = (0.5, 0.8, 0.9, 0.95)
PIT_BINS = 20

Ranks = Float[np.ndarray, "examples outputs"]
Offsets = Float[np.ndarray, "levels 2 outputs"]


class Pit(NamedTuple):
    """How the targets fall within their predicted distributions: evenly, if the distributions are right.

    Attributes:
      edges: where the histogram's bins begin and end, on `[0, 1]`.
      count: how many targets lie in each.
      ks: the Kolmogorov-Smirnov distance from the uniform distribution.
      p_value: how often chance would make it as large.
    """

    edges: Float[np.ndarray, " edges"]
    count: Int[np.ndarray, " bins"]
    ks: float
    p_value: float


def residual_scale(predictions: Values, targets: Values) -> Float[np.ndarray, " outputs"]:
    """Returns the root mean square error of each output: the scale of the likeliest Gaussian around the predictions.

    Raises:
      InputError: if shapes differ or a number is not finite.
    """
    given, truth = predictions_and_targets(predictions, targets)
    return np.sqrt(((truth - given) ** 2).mean(axis=0))


def pit(predictions: Values, targets: Values, scale: Values | float | int) -> Pit:
    """Returns how targets fall within the distributions `N(prediction, scale)` (probability integral transform).

    Args:
      predictions: (examples,) or (examples, outputs).
      targets: of the same shape.
      scale: the standard deviation, one number or one an output, from another split (see `residual_scale`).

    Raises:
      InputError: if shapes differ, a number is not finite or a scale is negative.
    """
    given, truth = predictions_and_targets(predictions, targets)
    return histogram(gaussian_ranks(truth - given, _scales(scale, given.shape[1])))


def coverage(
    predictions: Values, targets: Values, scale: Values | float | int, *, levels: tuple[float, ...] = LEVELS
) -> dict[float, Estimate]:
    """Returns the share of targets inside each central interval of `N(prediction, scale)`, by level.

    Its 95 % interval is Wilson's; the outputs of one example depend on each other, which is counted in.

    Args:
      predictions: (examples,) or (examples, outputs).
      targets: of the same shape.
      scale: the standard deviation, one number or one an output, from another split (see `residual_scale`).
      levels: of the intervals, each between 0 and 1.

    Raises:
      InputError: if shapes differ, a number is not finite or a scale is negative.
      ValueError: if a level is outside (0, 1).

    Example:
      >>> targets = np.random.default_rng(0).normal(size=1000)
      >>> print(coverage(np.zeros(1000), targets, 1.0)[0.95])
      0.9600 [0.9460, 0.9705]
    """
    given, truth = predictions_and_targets(predictions, targets)
    require_levels(levels)
    offsets = gaussian_offsets(_scales(scale, given.shape[1]), levels)
    return {level: covered(truth - given, *ends) for level, ends in zip(levels, offsets, strict=True)}


def spread_metrics(
    errors: Ranks, spread: Ranks, weight: Float[np.ndarray, " examples"], levels: tuple[float, ...] = LEVELS
) -> dict[str, Estimate]:
    """Returns the negative log-likelihood of a Gaussian of its own spread for each target, and its intervals' coverage.

    `nll` is in nats, averaged over examples and outputs; its value depends on the unit of the targets. `coverage_90` is
    the share of targets inside the central 90 % interval.
    """
    from scipy.special import ndtri

    standard = errors / spread
    nll = 0.5 * standard**2 + np.log(spread) + 0.5 * math.log(2 * math.pi)
    metrics = {"nll": mean_estimate(nll.mean(axis=1), weight)}
    share, trials = weight / weight.sum(), effective_size(weight)
    for level in levels:
        inside = (np.abs(standard) <= ndtri(0.5 + level / 2)).mean(axis=1)
        value = float(share @ inside)
        variance = float((share**2) @ (inside - value) ** 2)
        metrics[f"coverage_{100 * level:g}"] = score_estimate(value, variance, trials * errors.shape[1])
    return metrics


def spread_table(spread: Values, shape: tuple[int, ...]) -> Ranks:
    """Returns standard deviations as float64 in the shape of predictions (examples, outputs).

    Raises:
      InputError: if there is another number of them, or one is not positive and finite.
    """
    table = np.asarray(spread)
    table = table.reshape(len(table), -1) if table.ndim and len(table) else table
    if table.shape != shape:
        problem = f"spread must have the shape of the predictions, {shape}, got {np.shape(spread)}."
        raise InputError([Finding("bad-scale", "error", problem, "It is the standard deviation of each prediction.")])
    table = table.astype(np.float64)
    bad = np.argwhere(~(np.isfinite(table) & (table > 0)))
    if bad.size:
        place = tuple(int(index) for index in bad[0])
        problem = f"spread must be positive and finite, got {table[place]:.4g} at index {place}."
        raise InputError([Finding("bad-scale", "error", problem, "Is it a log-variance? Pass np.exp(0.5 * it).")])
    return table


def standard_errors(predictions: Ranks, targets: Ranks, spread: Values) -> Ranks:
    """Returns how many standard deviations each target lies above its prediction.

    Raises:
      InputError: if the spread has another shape, or is not positive and finite.
    """
    return (targets - predictions) / spread_table(spread, predictions.shape)


def gaussian_ranks(errors: Ranks, scale: Float[np.ndarray, " outputs"]) -> Ranks:
    """Returns the probability of a smaller error under a Gaussian; with scale 0, a half where the error is 0."""
    from scipy.special import ndtr

    infinite = np.copysign(math.inf, errors)
    with np.errstate(invalid="ignore", divide="ignore"):
        standard = np.where(scale > 0, errors / scale, np.where(errors == 0, 0.0, infinite))
    return ndtr(standard)


def gaussian_offsets(scale: Float[np.ndarray, " outputs"], levels: tuple[float, ...]) -> Offsets:
    """Returns where the central intervals of a Gaussian begin and end."""
    from scipy.special import ndtri

    half = ndtri(0.5 + np.array(levels) / 2)[:, None] * scale
    return np.stack([-half, half], axis=1)


def conformal_ranks(errors: Ranks, known: Float[np.ndarray, "known outputs"]) -> Ranks:
    """Returns the share of known errors below each error, as one more among them; equal ones count half."""
    ranks = np.empty_like(errors)
    for output in range(errors.shape[1]):
        order = np.sort(known[:, output])
        below, up_to = (np.searchsorted(order, errors[:, output], side) for side in ("left", "right"))
        ranks[:, output] = (0.5 * (below + up_to) + 0.5) / (len(known) + 1)
    return ranks


def conformal_offsets(known: Float[np.ndarray, "known outputs"], levels: tuple[float, ...]) -> Offsets:
    """Returns where intervals begin and end that hold a new error with at least the probability of their level."""
    order = np.sort(known, axis=0)
    open_ended = np.concatenate([np.full((1, known.shape[1]), -np.inf), order, np.full((1, known.shape[1]), np.inf)])
    first = np.floor((len(known) + 1) * (1 - np.array(levels)) / 2 + 1e-9).astype(int)
    return np.stack([open_ended[first], open_ended[len(known) + 1 - first]], axis=1)


def covered(
    errors: Float[np.ndarray, "examples outputs"],
    low: Float[np.ndarray, " outputs"],
    high: Float[np.ndarray, " outputs"],
) -> Estimate:
    """Returns the share of errors between two offsets.

    Outputs of an example that depend on each other fully count as one trial; independent ones count each.
    """
    inside = ((low <= errors) & (errors <= high)).mean(axis=1)
    return score_estimate(float(inside.mean()), float(inside.var()) / len(inside), float(errors.size))


def histogram(ranks: Ranks) -> Pit:
    """Returns the histogram of ranks and their distance from even."""
    from scipy.special import kolmogorov

    flat, examples = np.sort(ranks.ravel()), len(ranks)
    steps = np.arange(flat.size + 1) / flat.size
    ks = float(max((steps[1:] - flat).max(), (flat - steps[:-1]).max()))
    count, edges = np.histogram(flat, PIT_BINS, (0.0, 1.0))
    root = math.sqrt(examples)  # outputs of one example may move together: they count once
    return Pit(edges, count, ks, float(kolmogorov((root + 0.12 + 0.11 / root) * ks)))  # Stephens (1970)


def _scales(scale: Values | float | int, outputs: int) -> Float[np.ndarray, " outputs"]:
    scales = np.atleast_1d(np.asarray(scale, np.float64))
    if scales.shape not in ((1,), (outputs,)) or not (np.isfinite(scales) & (scales >= 0)).all():
        problem = f"scale must be one finite number or {outputs}, not negative, got {np.asarray(scale)}."
        raise InputError([Finding("bad-scale", "error", problem, "residual_scale gives it from a calibration split.")])
    return np.broadcast_to(scales, (outputs,))


def require_levels(levels: tuple[float, ...]) -> None:
    """Raises ValueError unless each level lies between 0 and 1."""
    if not levels or not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must lie between 0 and 1, got {levels}.")
