"""Metrics of a classifier of several labels, any of which may be true of an example, each with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from verax.evaluate._areas import average_precision, macro_area, roc_area
from verax.evaluate._classification import ClassCounts, per_class_scores
from verax.evaluate._estimate import Estimate, effective_size, mean_estimate, proportion_estimate, score_estimate

Table = Float[np.ndarray, "examples labels"]
Truth = Bool[np.ndarray, "examples labels"]
Weight = Float[np.ndarray, " examples"]


def multilabel_metrics(
    probabilities: Table, decided: Truth, truth: Truth, weight: Weight, smallest: float
) -> dict[str, Estimate]:
    """Returns the metrics of a multilabel classifier by name. Weights must be positive.

    The labels of an example depend on each other: it counts as one observation in every interval.

    Args:
      probabilities: of each label.
      decided: which labels each example is given.
      truth: which are true of it.
      weight: the share of each example.
      smallest: what a probability of zero counts as in a logarithm.
    """
    effective = effective_size(weight)
    share = weight / weight.sum()
    exact = (decided == truth).all(axis=1).astype(np.float64)
    wrong = (decided != truth).mean(axis=1)
    metrics = {
        "loss": mean_estimate(_losses(probabilities, truth, smallest).mean(axis=1), weight),
        "micro_f1": _micro_f1(decided, truth, weight),
        "macro_f1": _macro_f1(decided, truth, weight),
        "subset_accuracy": proportion_estimate(float(share @ exact) * effective, effective),
        "hamming_loss": _share_estimate(wrong, weight, truth.shape[1]),
    }
    columns = [(probabilities[:, label], truth[:, label]) for label in range(truth.shape[1])]
    for name, measure in (("roc_auc", roc_area), ("average_precision", average_precision)):
        area = macro_area(measure, columns, weight)
        if area is not None:
            metrics[name] = area
    return metrics


def per_label_scores(
    probabilities: Table, decided: Truth, truth: Truth, weight: Weight, names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Returns a dict for each label: precision, recall, F1, support as of a class, its areas, and how often it is true.

    An area is None where the label is true of all examples or of none.
    """
    counts = ClassCounts(weight @ truth, weight @ decided, weight @ (truth & decided))
    rows = per_class_scores(counts, names, effective_size(weight) / float(weight.sum()))
    for label, row in enumerate(rows):
        column = [(probabilities[:, label], truth[:, label])]
        for name, measure in (("roc_auc", roc_area), ("average_precision", average_precision)):
            area = macro_area(measure, column, weight)
            row |= {name: None, f"{name}_low": None, f"{name}_high": None} if area is None else {
                name: area.value, f"{name}_low": area.low, f"{name}_high": area.high
            }  # fmt: skip
        row["base_rate"] = float(counts.actual[label] / weight.sum())
    return rows


def _losses(probabilities: Table, truth: Truth, smallest: float) -> Table:
    """Returns minus the log-probability of each label's truth."""
    return -np.log(np.maximum(np.where(truth, probabilities, 1 - probabilities), smallest))


def _micro_f1(decided: Truth, truth: Truth, weight: Weight) -> Estimate:
    """Returns the F1 of all decisions about labels together; its variance is that of a ratio, by example."""
    hits, sizes = (decided & truth).sum(axis=1), decided.sum(axis=1) + truth.sum(axis=1)
    total = float(weight @ sizes)
    if total == 0:  # no label is true, none is given
        return Estimate(0.0, 0.0, 1.0)
    value = 2 * float(weight @ hits) / total
    influence = weight * (2 * hits - value * sizes) / total
    return _from_influence(value, influence, weight, total / 2 * effective_size(weight) / float(weight.sum()))


def _macro_f1(decided: Truth, truth: Truth, weight: Weight) -> Estimate:
    """Returns the mean F1 of the labels that are true of an example or given to one."""
    hits, sizes = decided & truth, decided.astype(np.float64) + truth
    totals = weight @ sizes
    occurs = totals > 0
    if not occurs.any():
        return Estimate(0.0, 0.0, 1.0)
    values = 2 * (weight @ hits)[occurs] / totals[occurs]
    influence = (weight[:, None] * (2 * hits[:, occurs] - values * sizes[:, occurs]) / totals[occurs]).mean(axis=1)
    most = effective_size(weight) / float(weight.sum()) * occurs.sum() ** 2 / (2 / totals[occurs]).sum()
    return _from_influence(float(values.mean()), influence, weight, float(most))


def _share_estimate(shares: Weight, weight: Weight, labels: int) -> Estimate:
    """Returns a mean of shares; independent labels count as a trial each, dependent ones together as one."""
    part = weight / weight.sum()
    value = float(part @ shares)
    influence = part * (shares - value)
    return _from_influence(value, influence, weight, effective_size(weight) * labels)


def _from_influence(value: float, influence: Weight, weight: Weight, most_trials: float) -> Estimate:
    size = effective_size(weight)
    variance = float((influence**2).sum()) * size / max(size - 1, 1.0)
    return score_estimate(value, variance, most_trials)
