"""The calibration of answers that hang together: the labels of an example, the tokens of a text."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Int, Num

from verax.evaluate import Calibration, calibration


def calibration_by_cluster(
    probabilities: Num[np.ndarray, "answers classes"],
    labels: Int[np.ndarray, " answers"],
    cluster: Int[np.ndarray, " answers"],
) -> Calibration:
    """Returns the calibration of answers, its interval widened for those that hang together.

    The error is a mean over the answers, of the gap between hit and confidence with the sign that it has in its bin.
    How much more such a mean varies when answers come in clusters is its design effect (Kish 1965), and the interval is
    wider by the root of it. What chance adds to a perfect model is left as it is: given the text so far, the hits of a
    perfect model of the next token do not hang together.

    Args:
      probabilities: of each class.
      labels: the true classes.
      cluster: which cluster each answer is of, from 0.

    Example:
      >>> random = np.random.default_rng(0)
      >>> share, cluster = random.uniform(0.55, 0.9, 400), np.arange(400) // 20
      >>> hit = (random.uniform(size=20) < 0.7)[cluster]  # all answers of a cluster are right, or none
      >>> table, labels = np.stack([1 - share, share], axis=1), hit.astype(int)
      >>> calibration_by_cluster(table, labels, cluster).high > vx.calibration(table, labels).high
      True
    """
    single = calibration(probabilities, labels)
    effect = math.sqrt(_design_effect(probabilities, labels, cluster, single))
    low = max(0.0, single.debiased - (single.debiased - single.low) * effect) if single.low > 0 else 0.0
    high = min(1.0, single.debiased + (single.high - single.debiased) * effect)
    return replace(single, low=low, high=high)


def _design_effect(probabilities: np.ndarray, labels: np.ndarray, cluster: np.ndarray, found: Calibration) -> float:
    """Returns the variance of the mean gap with clusters, over that without; at least 1."""
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == labels
    bins = len(found.reliability.count)
    group = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = hits - confidence
    sign = np.sign(np.bincount(group, gaps, bins))[group]
    gaps = sign * gaps - np.mean(sign * gaps)
    alone = float(gaps @ gaps)
    together = np.bincount(cluster, gaps)
    clusters = len(np.unique(cluster))
    if alone == 0 or clusters < 2:
        return 1.0
    return max(1.0, float(together @ together) / alone * clusters / (clusters - 1))
