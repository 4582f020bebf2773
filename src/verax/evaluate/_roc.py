"""The area under the ROC curve, with DeLong's variance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from verax.evaluate._estimate import Estimate, effective_size, score_estimate


def roc_auc(
    probabilities: Float[np.ndarray, "examples classes"],
    labels: Int[np.ndarray, " examples"],
    weight: Float[np.ndarray, " examples"],
) -> Estimate | None:
    """Returns how often an example of a class gets a higher probability of it than one of another class.

    Equal probabilities count half. With two classes this is the area for class 1; with more, the mean
    over each class against the rest, of those with examples on both sides. None if there is no such class.

    The variance is DeLong's, from each example's influence on the mean area, so the classes' dependence is in it. The
    interval is that of a proportion of the same variance (see `score_estimate`), and no narrower than the exponential
    model's at a perfect area, where DeLong's variance is zero.

    References:
      DeLong, DeLong and Clarke-Pearson (1988), "Comparing the Areas under Two or More Correlated ROC Curves".
      Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney statistic", part 2.
    """
    columns = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas, most, influence = [], [], np.zeros(len(labels))
    for column in columns:
        positive = labels == column
        if positive.all() or not positive.any():
            continue
        scores, share = probabilities[:, column], np.where(positive, weight, 0.0)
        above = _placement(scores[positive], scores[~positive], weight[~positive])
        below = 1 - _placement(scores[~positive], scores[positive], weight[positive])
        area = float(share[positive] @ above / share.sum())
        sizes = []
        for side, placement in [(positive, above), (~positive, below)]:
            sizes.append(effective_size(weight[side]))
            unbiased = np.sqrt(sizes[-1] / max(sizes[-1] - 1, 1.0))
            influence[side] += unbiased * weight[side] / weight[side].sum() * (placement - area)
        areas.append(area)
        most.append(sizes[0] * sizes[1] / (0.5 + sum(sizes) / 4))
    if not areas:
        return None
    variance = float((influence**2).sum()) / len(areas) ** 2
    most_trials = len(areas) ** 2 / sum(1 / trials for trials in most)
    return score_estimate(float(np.mean(areas)), variance, most_trials)


def _placement(
    scores: Float[np.ndarray, " own"], others: Float[np.ndarray, " others"], weight: Float[np.ndarray, " others"]
) -> Float[np.ndarray, " own"]:
    """Returns for each score the weighted share of the others that lie below it; equal ones count half."""
    order = np.argsort(others, kind="stable")
    ordered, total = others[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    below, up_to = (total[np.searchsorted(ordered, scores, side)] for side in ("left", "right"))
    return (below + up_to) / (2 * total[-1])
