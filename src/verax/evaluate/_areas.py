"""Areas under the ROC and the precision-recall curve, each with the influence of every example and so a variance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from verax.evaluate._estimate import Estimate, effective_size, score_estimate

Scores = Float[np.ndarray, " examples"]
Positive = Bool[np.ndarray, " examples"]


class Area(NamedTuple):
    """An area, and what is needed for its interval.

    Attributes:
      value: the area.
      influence: by how much each example moves it; they sum to zero, and their squares to its variance.
      most_trials: an upper limit of the number of trials that it is worth.
    """

    value: float
    influence: Float[np.ndarray, " examples"]
    most_trials: float


Measure = Callable[[Scores, Positive, Scores], Area]


def class_columns(
    probabilities: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, " examples"]
) -> Iterable[tuple[Scores, Positive]]:
    """Yields scores and truth of each class against the rest; of two classes, of class 1 alone."""
    for column in [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1]):
        yield probabilities[:, column], labels == column


def macro_area(measure: Measure, columns: Iterable[tuple[Scores, Positive]], weight: Scores) -> Estimate | None:
    """Returns the mean area over the columns that have examples on both sides; None if there is no such column.

    The columns' dependence is in the variance: influences of an example on each are added before they are squared. The
    interval is that of a proportion of the same variance (see `score_estimate`).
    """
    areas = [measure(scores, truth, weight) for scores, truth in columns if truth.any() and not truth.all()]
    if not areas:
        return None
    influence = np.sum([area.influence for area in areas], axis=0)
    variance = float((influence**2).sum()) / len(areas) ** 2
    most_trials = len(areas) ** 2 / sum(1 / area.most_trials for area in areas)
    return score_estimate(float(np.mean([area.value for area in areas])), variance, most_trials)


def roc_area(scores: Scores, positive: Positive, weight: Scores) -> Area:
    """Returns how often a positive example has a higher score than a negative one; equal scores count half.

    The variance is DeLong's. The number of trials is no larger than the exponential model's at a perfect area, where
    DeLong's variance is zero.

    References:
      DeLong, DeLong and Clarke-Pearson (1988), "Comparing the Areas under Two or More Correlated ROC Curves".
      Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney statistic", part 2.
    """
    share = np.where(positive, weight, 0.0)
    above = _placement(scores[positive], scores[~positive], weight[~positive])
    below = 1 - _placement(scores[~positive], scores[positive], weight[positive])
    area = float(share[positive] @ above / share.sum())
    sizes, influence = [], np.zeros(len(scores))
    for side, placement in [(positive, above), (~positive, below)]:
        sizes.append(effective_size(weight[side]))
        influence[side] = _unbiased(sizes[-1]) * weight[side] / weight[side].sum() * (placement - area)
    return Area(area, influence, sizes[0] * sizes[1] / (0.5 + sum(sizes) / 4))


def average_precision(scores: Scores, positive: Positive, weight: Scores) -> Area:
    """Returns the mean, over the positive examples, of the precision among all examples of at least their score.

    This is the area under the precision-recall curve as a step function, without interpolation; a ranking by chance has
    the share of positives. The influence of an example is the derivative by its weight (infinitesimal jackknife). The
    number of trials is no larger than that of positives (Boyd's binomial interval): with few positives or a high area
    the influences understate the variance, and intervals from them alone would hold the truth in 91 % only.

    References:
      Davis and Goadrich (2006), "The Relationship Between Precision-Recall and ROC Curves", on why not to interpolate.
      Boyd, Eng and Page (2013), "Area under the Precision-Recall Curve: Point Estimates and Confidence Intervals".
    """
    order = np.argsort(-scores, kind="stable")
    ordered, share = scores[order], weight[order]
    hits = np.where(positive[order], share, 0.0)
    last = np.searchsorted(-ordered, -ordered, "right") - 1  # the last of each group of equal scores
    first = np.searchsorted(-ordered, -ordered, "left")
    found, called = np.cumsum(hits)[last], np.cumsum(share)[last]
    precision = found / called
    total = hits.sum()
    area = float(hits @ precision / total)
    # An example is among those called at every score up to its own: it adds to what is found there, or only to called.
    gain, loss = (_from_here_on(hits / called)[first], _from_here_on(hits * found / called**2)[first])
    truth = (hits > 0).astype(float)
    influence = np.empty(len(scores))
    influence[order] = share / total * (truth * (precision - area + gain) - loss)
    trials = effective_size(weight[positive])
    return Area(area, influence * _unbiased(trials), trials)


def _from_here_on(values: Scores) -> Scores:
    return np.cumsum(values[::-1])[::-1]


def _unbiased(trials: float) -> float:
    return float(np.sqrt(trials / max(trials - 1, 1.0)))


def _placement(
    scores: Float[np.ndarray, " own"], others: Float[np.ndarray, " others"], weight: Float[np.ndarray, " others"]
) -> Float[np.ndarray, " own"]:
    """Returns for each score the weighted share of the others that lie below it; equal ones count half."""
    order = np.argsort(others, kind="stable")
    ordered, total = others[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    below, up_to = (total[np.searchsorted(ordered, scores, side)] for side in ("left", "right"))
    return (below + up_to) / (2 * total[-1])
