"""Metrics of a classifier from its probabilities, each with an interval."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from verax.evaluate._areas import average_precision, class_columns, macro_area, roc_area
from verax.evaluate._estimate import (
    Estimate,
    effective_size,
    mean_estimate,
    proportion_estimate,
    score_estimate,
    wilson_limits,
)

Probabilities = Float[np.ndarray, "examples classes"]
Labels = Int[np.ndarray, " examples"]
Weight = Float[np.ndarray, " examples"]
PerClass = Float[np.ndarray, " classes"]


class ClassCounts(NamedTuple):
    """Weights summed by class: of examples that are it, that are called it, and both."""

    actual: PerClass
    predicted: PerClass
    hits: PerClass

    @property
    def precision(self) -> PerClass:
        """The share of examples called a class that are it; 0 where none is called it."""
        return _ratio(self.hits, self.predicted)

    @property
    def recall(self) -> PerClass:
        """The share of examples of a class that are called it; 0 where there is none."""
        return _ratio(self.hits, self.actual)

    @property
    def f1(self) -> PerClass:
        """The harmonic mean of precision and recall; 0 where both are."""
        return _ratio(2 * self.hits, self.actual + self.predicted)


def classification_metrics(
    probabilities: Probabilities, predicted: Labels, labels: Labels, weight: Weight, smallest: float
) -> dict[str, Estimate]:
    """Returns the metrics of a classifier by name. Weights must be positive.

    Args:
      probabilities: of each class.
      predicted: the classes that were decided for: the most probable ones, or by a threshold.
      labels: the true classes.
      weight: the share of each example.
      smallest: what a probability of zero counts as in a logarithm.
    """
    nll = negative_log_likelihood(probabilities, labels, smallest)
    effective = effective_size(weight)
    share = weight / weight.sum()
    metrics = {"loss": mean_estimate(nll, weight)}
    hits = (predicted == labels).astype(np.float64)
    metrics["accuracy"] = proportion_estimate(float(share @ hits) * effective, effective)
    if probabilities.shape[1] > 5:
        among_five = (rank_of_label(probabilities, labels) < 5).astype(np.float64)
        metrics["top_5_accuracy"] = proportion_estimate(float(share @ among_five) * effective, effective)
    metrics |= macro_scores(predicted, labels, weight, probabilities.shape[1])
    for name, measure in (("roc_auc", roc_area), ("average_precision", average_precision)):
        area = macro_area(measure, class_columns(probabilities, labels), weight)
        if area is not None:
            metrics[name] = area
    brier = mean_estimate(brier_losses(probabilities, labels), weight)
    worst = 1.0 if probabilities.shape[1] == 2 else 2.0
    metrics["log_loss"] = metrics["loss"]
    metrics["brier"] = brier._replace(high=min(worst, brier.high))
    return metrics


def negative_log_likelihood(
    probabilities: Probabilities, labels: Labels, smallest: float
) -> Float[np.ndarray, " examples"]:
    """Returns minus the log-probability of each true class. Probabilities below `smallest` count as `smallest`."""
    return -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], smallest))


def brier_losses(probabilities: Probabilities, labels: Labels) -> Float[np.ndarray, " examples"]:
    """Returns the squared distance of each row from the truth, in `[0, 2]`; with two classes half of it."""
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(labels)), labels] = 1.0
    squares = ((probabilities - truth) ** 2).sum(axis=1)
    return squares / 2 if probabilities.shape[1] == 2 else squares


def rank_of_label(probabilities: Probabilities, labels: Labels) -> Int[np.ndarray, " examples"]:
    """Returns how many classes come before the true one; of equal ones the lower class comes first, as in argmax."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    before = np.arange(probabilities.shape[1])[None, :] < labels[:, None]
    return ((probabilities > own) | ((probabilities == own) & before)).sum(axis=1)


def class_counts(predicted: Labels, labels: Labels, weight: Weight, classes: int) -> ClassCounts:
    """Returns the summed weights of actual, predicted and rightly predicted examples of each class."""
    return ClassCounts(
        np.bincount(labels, weight, classes),
        np.bincount(predicted, weight, classes),
        np.bincount(labels, weight * (predicted == labels), classes),
    )


def confusion_matrix(
    predicted: Labels, labels: Labels, weight: Weight, classes: int
) -> Num[np.ndarray, "classes classes"]:
    """Returns the table of true classes (rows) by predicted ones (columns): whole numbers if every weight is 1."""
    whole = bool((weight == 1).all())
    table = np.bincount(labels * classes + predicted, None if whole else weight, classes * classes)
    return table.reshape(classes, classes)


def macro_scores(predicted: Labels, labels: Labels, weight: Weight, classes: int) -> dict[str, Estimate]:
    """Returns precision, recall and F1, averaged over the classes that occur among labels or predictions.

    Variances follow from the delta method: each example's influence on each average. The interval is that of a
    proportion of the same variance, and no narrower than if the classes were equally hard.

    References:
      Takahashi et al. (2022), "Confidence interval for micro-averaged F1 and macro-averaged F1 scores".
    """
    counts = class_counts(predicted, labels, weight, classes)
    occurs = counts.actual + counts.predicted > 0
    per_weight = effective_size(weight) / weight.sum()
    hit = predicted == labels
    estimates = {}
    for name, scores, actual_share, predicted_share in [
        ("precision", counts.precision, 0.0, 1.0),
        ("recall", counts.recall, 1.0, 0.0),
        ("f1", counts.f1, 0.5, 0.5),
    ]:
        # Each score is hits / size; an example adds its hit, less the score for each time it is in the size.
        size = actual_share * counts.actual + predicted_share * counts.predicted
        one = _ratio(np.ones(classes), size)
        influence = hit * one[labels]
        influence = influence - actual_share * (scores * one)[labels] - predicted_share * (scores * one)[predicted]
        variance = float(((weight * influence) ** 2).sum()) / occurs.sum() ** 2
        most = per_weight * occurs.sum() ** 2 / one[size > 0].sum()
        estimates[f"macro_{name}"] = score_estimate(float(scores[occurs].mean()), variance, float(most))
    return estimates


def positive_scores(counts: ClassCounts, per_weight: float) -> dict[str, Estimate]:
    """Returns precision, recall and F1 of class 1, the positives of a binary task."""
    limits = class_intervals(counts, per_weight)
    values = {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
    return {name: Estimate(float(values[name][1]), *(float(end[1]) for end in limits[name])) for name in values}


def class_intervals(counts: ClassCounts, per_weight: float) -> dict[str, tuple[PerClass, PerClass]]:
    """Returns where the 95 % intervals of precision, recall and F1 of each class begin and end, by name.

    Precision and recall are proportions (Wilson). F1 is `2 j / (1 + j)` of another one, the share `j` of hits among the
    examples that are or are called the class, and so are the ends of its interval. Of a share of nothing, nothing is
    known: its interval is `[0, 1]`.

    Args:
      counts: weights summed by class.
      per_weight: how many examples a unit of weight is worth; 1 where all weights are 1.
    """
    limits = {}
    either = counts.actual + counts.predicted - counts.hits
    for name, size in (("precision", counts.predicted), ("recall", counts.actual), ("f1", either)):
        low, high = np.zeros(len(size)), np.ones(len(size))
        some = size > 0
        share = np.minimum(counts.hits[some] / size[some], 1.0)
        low[some], high[some] = wilson_limits(share, size[some] * per_weight)
        limits[name] = (2 * low / (1 + low), 2 * high / (1 + high)) if name == "f1" else (low, high)
    return limits


def per_class_scores(counts: ClassCounts, classes: tuple[str, ...], per_weight: float) -> list[dict[str, Any]]:
    """Returns a dict for each class: its name, precision, recall and F1 with the ends of their intervals, support."""
    limits = class_intervals(counts, per_weight)
    rows = []
    for index, name in enumerate(classes):
        row: dict[str, Any] = {"class": name}
        for score, values in (("precision", counts.precision), ("recall", counts.recall), ("f1", counts.f1)):
            low, high = limits[score]
            row |= {score: float(values[index]), f"{score}_low": float(low[index]), f"{score}_high": float(high[index])}
        support = float(counts.actual[index])
        rows.append({**row, "support": int(support) if support.is_integer() else support})
    return rows


def _ratio(numerator: PerClass, denominator: PerClass) -> PerClass:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
