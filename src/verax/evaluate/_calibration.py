"""How far a classifier's confidence is from its accuracy, and what a perfectly calibrated one would show by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from verax.evaluate._calibration_interval import debiased_error, error_interval
from verax.evaluate._classification import brier_losses, negative_log_likelihood
from verax.evaluate._estimate import plain, wilson_limits
from verax.evaluate._inputs import Values, probabilities_and_labels, smallest_positive


class Reliability(NamedTuple):
    """Accuracy against confidence, an entry for each of the bins; of an empty bin NaN, apart from its edges and count.

    Attributes:
      edges: where the bins begin and end; one more than there are bins.
      confidence: the mean confidence.
      accuracy: the share of right answers.
      low: where the accuracy's 95 % interval (Wilson) begins.
      high: where it ends.
      count: the number of examples.
    """

    edges: Float[np.ndarray, " edges"]
    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    low: Float[np.ndarray, " bins"]
    high: Float[np.ndarray, " bins"]
    count: Int[np.ndarray, " bins"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far confidence is from accuracy.

    The error meant is that of the most probable class, within the bins: the mean over examples of the distance between
    a bin's mean confidence and its true accuracy.

    Attributes:
      ece: the expected calibration error as it is usually given; above zero by chance even for a perfect model.
      debiased: the error under which `ece` is what one expects to see; zero if chance alone explains as much.
      low: where the 95 % interval of the true error begins; 0 unless chance is ruled out.
      high: where it ends.
      expected: the mean of `ece` if the stated probabilities were true.
      p_value: how often `ece` would be as large as it is, if they were.
      rms: the root of the mean squared distance, debiased: the l2 error of Kumar et al. (2019), their proposition 4.1.
      brier: the mean squared distance of the probabilities from the truth (`[0, 2]`; with two classes `[0, 1]`).
      nll: the mean of minus the log-probability of the true class.
      examples: how many there were.
      reliability: accuracy against confidence.
    """

    ece: float
    debiased: float
    low: float
    high: float
    expected: float
    p_value: float
    rms: float
    brier: float
    nll: float
    examples: int
    reliability: Reliability

    def to_json(self) -> dict[str, Any]:
        """Returns everything as lists, dicts and numbers; None stands for what an empty bin does not have."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "reliability"}
        return {**values, "reliability": plain(self.reliability._asdict())}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return (
            f"calibration error {self.ece:.4f}, debiased {self.debiased:.4f} [{self.low:.4f}, {self.high:.4f}]; "
            f"{self.expected:.4f} expected by chance (p = {self.p_value:.3f})\n"
            f"Brier {self.brier:.4f}, NLL {self.nll:.4f}, {self.examples} examples"
        )


def calibration(
    probabilities: Values, labels: Values, *, bins: int = 15, resamples: int = 1000, seed: int = 0
) -> Calibration:
    """Returns how far a classifier's confidence is from its accuracy, with what chance explains of it.

    The plain error of a perfectly calibrated model is not zero, and a bootstrap interval of it excludes zero. So labels
    are drawn from the stated probabilities (consistency resampling): that gives the error expected by chance, the
    p-value, and what to subtract. See `error_interval` for the interval.

    Args:
      probabilities: predicted class probabilities (examples, classes), each row summing to one.
      labels: the true classes (examples,), in `[0, classes)`.
      bins: number of intervals of equal width on `[0, 1]`; confidence 1 joins the last. 15 is what most papers use;
        with more of them the error resolves more, and chance adds more.
      resamples: how often labels are drawn; the time is proportional to this times the number of examples.
      seed: of the drawing; the same seed gives the same result.

    Raises:
      InputError: if the arguments are not probabilities and labels of the same examples.
      ValueError: if `bins` or `resamples` is not positive.

    Example:
      >>> sure_and_right = np.tile(np.eye(2), (200, 1))
      >>> calibration(sure_and_right, np.arange(400) % 2).ece
      0.0

    References:
      Guo et al. (2017), "On Calibration of Modern Neural Networks".
      Bröcker and Smith (2007), "Increasing the Reliability of Reliability Diagrams".
      Vaicenavicius et al. (2019), "Evaluating model calibration in classification".
      Kumar, Liang and Ma (2019), "Verified Uncertainty Calibration".
    """
    _require_positive(bins=bins, resamples=resamples)
    table, classes = probabilities_and_labels(probabilities, labels)
    confidence, correct = table.max(axis=1), table.argmax(axis=1) == classes
    group = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(group, minlength=bins)
    hits = np.bincount(group, correct, bins)
    stated = np.bincount(group, confidence, bins)
    by_chance = errors_by_chance(confidence, group, bins, resamples, seed)
    ece = float(np.abs(hits - stated).sum() / len(classes))
    expected = float(by_chance.mean())
    low, high = error_interval(ece, by_chance, count, hits, stated)
    return Calibration(
        ece=ece,
        debiased=debiased_error(ece, expected),
        low=low,
        high=high,
        expected=expected,
        p_value=float((1 + (by_chance >= ece - 1e-12).sum()) / (resamples + 1)),
        rms=_debiased_rms(count, hits, stated),
        brier=float(brier_losses(table, classes).mean()),
        nll=float(negative_log_likelihood(table, classes, smallest_positive(probabilities)).mean()),
        examples=len(classes),
        reliability=_reliability(count, hits, stated),
    )


def expected_calibration_error(
    probabilities: Shaped[Array | np.ndarray, "examples classes"],
    labels: Shaped[Array | np.ndarray, " examples"],
    *,
    bins: int = 15,
) -> Shaped[Array | np.ndarray | np.generic, ""]:
    """Returns the mean gap between a classifier's confidence and its accuracy.

    Examples are grouped by confidence into intervals of equal width; each group contributes the distance between its
    accuracy and its mean confidence, weighted by its share of the examples. Works on NumPy arrays, and on JAX arrays
    inside or outside of `jit`; see `calibration` for what chance adds to it, and for checks of the values.

    Args:
      probabilities: predicted class probabilities, each row summing to one.
      labels: the true classes, in `[0, classes)`.
      bins: number of intervals on `[0, 1]`; an empty one adds nothing.

    Returns:
      A fraction in `[0, 1]`; zero is perfect.

    Raises:
      ValueError: if `bins` is not positive.

    Example:
      >>> sure_and_right = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> float(expected_calibration_error(sure_and_right, jnp.array([0, 1])))
      0.0

    References:
      Guo et al. (2017), "On Calibration of Modern Neural Networks", eq. 3.
    """
    _require_positive(bins=bins)
    xp = probabilities.__array_namespace__()
    confidence = probabilities.max(axis=-1)
    correct = (probabilities.argmax(axis=-1) == labels).astype(confidence.dtype)
    group = xp.minimum((confidence * bins).astype(int), bins - 1)  # confidence 1 joins the last interval
    member = (group[:, None] == xp.arange(bins)[None, :]).astype(confidence.dtype)  # examples bins
    gap = (member * (correct - confidence)[:, None]).sum(axis=0)
    return xp.abs(gap).sum() / labels.shape[0]


def errors_by_chance(
    confidence: Float[np.ndarray, " examples"],
    group: Int[np.ndarray, " examples"],
    bins: int,
    resamples: int,
    seed: int,
) -> Float[np.ndarray, " resamples"]:
    """Returns calibration errors that a model with these confidences would show if they were true.

    Only whether the most probable class is right enters the error, and that happens with the stated confidence.
    """
    order = np.argsort(group, kind="stable")
    chance = confidence[order].astype(np.float32)
    present, starts = np.unique(group[order], return_index=True)
    stated = np.bincount(group, confidence, bins)[present]
    random = np.random.default_rng(seed)
    rows = max(1, 4_000_000 // len(chance))  # at once: a few tens of megabytes
    errors = []
    for first in range(0, resamples, rows):
        right = random.random((min(rows, resamples - first), len(chance)), dtype=np.float32) < chance
        hits = np.add.reduceat(right, starts, axis=1, dtype=np.int32)  # resamples bins
        errors.append(np.abs(hits - stated).sum(axis=1) / len(chance))
    return np.concatenate(errors)


def _debiased_rms(
    count: Int[np.ndarray, " bins"], hits: Float[np.ndarray, " bins"], stated: Float[np.ndarray, " bins"]
) -> float:
    filled = count > 1  # of a single example nothing can be subtracted
    size, accuracy = count[filled], hits[filled] / count[filled]
    squares = (accuracy - stated[filled] / size) ** 2 - accuracy * (1 - accuracy) / (size - 1)
    return float(np.sqrt(max(0.0, float((size * squares).sum() / count.sum()))))


def _reliability(
    count: Int[np.ndarray, " bins"], hits: Float[np.ndarray, " bins"], stated: Float[np.ndarray, " bins"]
) -> Reliability:
    confidence, accuracy, low, high = (np.full(len(count), np.nan) for _ in range(4))
    filled = count > 0
    confidence[filled], accuracy[filled] = stated[filled] / count[filled], hits[filled] / count[filled]
    low[filled], high[filled] = wilson_limits(accuracy[filled], count[filled].astype(np.float64))
    values = Reliability(np.linspace(0, 1, len(count) + 1), confidence, accuracy, low, high, count)
    for array in values:
        array.flags.writeable = False
    return values


def _require_positive(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}.")
