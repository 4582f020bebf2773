"""A decision threshold chosen on one split, to be judged on another."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from verax.evaluate._estimate import plain
from verax.evaluate._inputs import Values, class_names, example_weight, label_table, positive_probabilities
from verax.findings import Finding, InputError

METRICS = ("f1", "accuracy", "balanced_accuracy", "youden", "cost", "precision>=SHARE", "recall>=SHARE")
FLOOR = re.compile(r"(precision|recall)\s*>=\s*([0-9.]+)")


@dataclass(frozen=True)
class Threshold:
    """From which probability on an example is called positive, and what that was worth where it was chosen.

    What it was worth there is too good: the threshold is the best of many on those examples. Judge it on others, with
    `score(..., threshold=threshold)`, which refuses the examples it was chosen on.

    Attributes:
      values: a threshold; for several labels one each. A probability of at least this is positive.
      metric: what was made as good as possible.
      worth: the metric at the threshold, on the examples it was chosen on; a cost is per example.
      at_half: the metric at 0.5, on the same examples.
      examples: how many there were.
      chosen_on: a digest of those probabilities and labels.
      labels: names of the labels; "1" for a binary task.
      multilabel: whether the task has labels, though it be a single one.
      kept: names of labels that had only positives or only negatives there and so keep 0.5.
    """

    values: tuple[float, ...]
    metric: str
    worth: tuple[float, ...]
    at_half: tuple[float, ...]
    examples: int
    chosen_on: str
    labels: tuple[str, ...]
    multilabel: bool = False
    kept: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The threshold of a binary task.

        Raises:
          ValueError: if there are several labels.
        """
        if len(self.values) != 1:
            raise ValueError(f"there is a threshold for each of {len(self.values)} labels: see values.")
        return self.values[0]

    def decide(self, probabilities: Values) -> Shaped[np.ndarray, "examples *labels"]:
        """Returns 1 where a probability reaches the threshold, else 0: (examples,), or (examples, labels).

        Args:
          probabilities: of being positive (examples,) or of both classes (examples, 2); or (examples, labels).

        Raises:
          InputError: if there are not as many columns as thresholds.
        """
        if self.multilabel:
            table = label_table("probabilities", probabilities)
            return (table >= thresholds(self, table.shape[1])).astype(np.int64)
        return (positive_probabilities(probabilities)[:, 0] >= self.values[0]).astype(np.int64)

    def refuse(self, probabilities: Values, targets: Values) -> None:
        """Raises an InputError if these are the examples that the threshold was chosen on."""
        if digest_of(probabilities, targets) == self.chosen_on:
            problem = f"the threshold must be judged on other examples than the {self.examples} it was chosen on."
            advice = "Choose on validation, judge on test. To see what it was worth where it was chosen, see its worth."
            raise InputError([Finding("judged-where-chosen", "error", problem, advice)])

    def to_json(self) -> dict[str, Any]:
        """Returns everything as lists, dicts, strings and numbers."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        lines = [f"{self.metric} on the {self.examples} examples it was chosen on"]
        rows = zip(self.labels, self.values, self.worth, self.at_half, strict=True)
        lines += [
            f"  {name:<16} {value:.4f}: {worth:.4f}, at 0.5 {at_half:.4f}{' (kept)' if name in self.kept else ''}"
            for name, value, worth, at_half in rows
        ]
        return "\n".join(lines)


def choose_threshold(
    probabilities: Values,
    labels: Values,
    metric: str = "f1",
    *,
    costs: tuple[float | int, float | int] | None = None,
    classes: tuple[str, ...] | list[str] | None = None,
    weight: Values | None = None,
) -> Threshold:
    """Returns the threshold that makes a metric best on these examples: those of a validation split.

    All thresholds that lead to different decisions are tried, each halfway between two probabilities; of equally good
    ones, the nearest to 0.5 is taken. For several labels, each gets its own.

    Args:
      probabilities: of being positive (examples,), of both classes (examples, 2), or with labels of two dimensions of
        each label (examples, labels).
      labels: 0 or 1, (examples,) or (examples, labels).
      metric: `f1`, `accuracy`, `balanced_accuracy` (the mean of both classes' recall), `youden` (recall less the share
        of negatives called positive), `cost` (as low as possible), `precision>=0.9` (the largest recall at a precision
        of at least that), `recall>=0.9` (the largest precision at a recall of at least that).
      costs: with `cost`, what a false positive and a false negative cost: `(1, 5)`.
      classes: the names of the labels of a multilabel task.
      weight: the share of each example.

    Raises:
      InputError: if the arguments are not probabilities and labels of the same examples, a binary task has one class
        only, or no threshold reaches the share that is asked for.
      ValueError: if the metric is unknown, or costs are missing or not positive.

    Example:
      >>> chosen = choose_threshold(np.array([0.125, 0.25, 0.375, 0.75]), np.array([0, 0, 1, 1]))
      >>> chosen.value, chosen.worth, chosen.at_half
      (0.3125, (1.0,), (0.6666666666666666,))
    """
    _require_metric(metric, costs)
    truth = label_table("labels", labels, truth=True)
    multilabel = np.ndim(labels) == 2
    table = label_table("probabilities", probabilities) if multilabel else positive_probabilities(probabilities)
    if table.shape != truth.shape:
        problem = f"probabilities and labels must be of the same examples, got {table.shape} and {truth.shape}."
        raise InputError([Finding("length-mismatch", "error", problem, "Are both of the validation split?")])
    share = example_weight(weight, len(truth))
    names = class_names(classes, truth.shape[1]) if multilabel else ("1",)
    chosen, kept = [], []
    for name, scores, positive in zip(names, table.T, truth.T == 1, strict=True):
        some = share > 0
        one_sided = positive[some].all() or not positive[some].any()
        if one_sided and not multilabel:
            problem = f"labels must be of both classes to choose a threshold, got only {int(positive[some][0])}."
            raise InputError([Finding("one-class", "error", problem, "Is the validation split large enough?")])
        decisions = _decisions(scores[some], positive[some], share[some])
        if one_sided:
            kept.append(name)
        chosen.append(_best(decisions, metric, costs, name if multilabel else None, one_sided))
    return Threshold(
        values=tuple(value for value, _, _ in chosen),
        metric=metric if costs is None else f"cost {costs[0]:g}:{costs[1]:g}",
        worth=tuple(worth for _, worth, _ in chosen),
        at_half=tuple(at_half for _, _, at_half in chosen),
        examples=len(truth),
        chosen_on=digest_of(probabilities, labels),
        labels=names,
        multilabel=multilabel,
        kept=tuple(kept),
    )


def thresholds(threshold: Any, labels: int) -> Float[np.ndarray, " labels"]:
    """Returns a threshold for each label, from one for all, one each, or a `Threshold`.

    Raises:
      InputError: if there are neither one nor as many as labels, or one is no number.
    """
    values = np.atleast_1d(np.asarray(threshold.values if isinstance(threshold, Threshold) else threshold, np.float64))
    if values.shape not in ((1,), (labels,)) or not np.isfinite(values).all():
        wanted = "one number" if labels == 1 else f"one number, or one for each of {labels} labels"
        problem = f"threshold must be {wanted}, got {values.tolist() if values.size < 9 else values.shape}."
        raise InputError([Finding("bad-threshold", "error", problem, "choose_threshold gives it from validation.")])
    return np.broadcast_to(values, (labels,))


def digest_of(probabilities: Values, targets: Values) -> str:
    """Returns a digest of probabilities and labels, the same whether a binary task's come in one column or two."""
    table, truth = np.asarray(probabilities), np.asarray(targets)
    if table.ndim == 2 and table.shape[1] == 2 and truth.ndim == 1:
        table = table[:, 1]
    content = np.ascontiguousarray(table, np.float64).tobytes() + np.ascontiguousarray(truth, np.int64).tobytes()
    return hashlib.sha256(content).hexdigest()


class _Decisions(NamedTuple):
    """What each threshold leads to, from calling all examples positive to calling none.

    Attributes:
      thresholds: in rising order, one for each way to decide.
      hits: the weight of true positives at each.
      false: the weight of false positives at each.
      half: the place of the decisions that 0.5 leads to.
    """

    thresholds: Float[np.ndarray, " thresholds"]
    hits: Float[np.ndarray, " thresholds"]
    false: Float[np.ndarray, " thresholds"]
    half: int

    def rates(self) -> dict[str, Float[np.ndarray, " thresholds"]]:
        """Returns every metric at each threshold, by name; costs apart."""
        positives, negatives = self.hits[0], self.false[0]
        called, left = self.hits + self.false, negatives - self.false
        recall, false_rate = _ratio(self.hits, positives), _ratio(self.false, negatives)
        return {
            "precision": _ratio(self.hits, called),
            "recall": recall,
            "f1": _ratio(2 * self.hits, called + positives),
            "accuracy": (self.hits + left) / (positives + negatives),
            "balanced_accuracy": (recall + 1 - false_rate) / 2,
            "youden": recall - false_rate,
        }


def _decisions(
    scores: Float[np.ndarray, " examples"],
    positive: Bool[np.ndarray, " examples"],
    share: Float[np.ndarray, " examples"],
) -> _Decisions:
    levels, place = np.unique(scores, return_inverse=True)
    hits = np.bincount(place, share * positive, len(levels))[::-1].cumsum()[::-1]
    false = np.bincount(place, share * ~positive, len(levels))[::-1].cumsum()[::-1]
    between = levels[:-1] + np.diff(levels) / 2
    between = np.where(between > levels[:-1], between, levels[1:])  # two neighbours among the floats
    none = (levels[-1] + 1) / 2 if levels[-1] < 1 else math.nextafter(1.0, 2.0)
    places = np.concatenate([[levels[0] / 2], between, [none]])
    return _Decisions(places, np.append(hits, 0.0), np.append(false, 0.0), int(np.searchsorted(levels, 0.5)))


def _best(
    decisions: _Decisions,
    metric: str,
    costs: tuple[float | int, float | int] | None,
    name: str | None,
    stay: bool,
) -> tuple[float, float, float]:
    """Returns the best threshold, or 0.5 where it is to `stay`; the metric there; and the metric at 0.5."""
    rates = decisions.rates()
    floor = FLOOR.fullmatch(metric)
    allowed = np.ones(len(decisions.thresholds), bool)
    if floor:
        allowed = rates[floor[1]] >= float(floor[2]) - 1e-12
        if not allowed.any() and not stay:
            of = f" of label {name!r}" if name is not None else ""
            problem = f"{metric} must be reachable, but the largest {floor[1]}{of} is {rates[floor[1]].max():.4f}."
            raise InputError([Finding("unreachable-share", "error", problem, "Ask for less, or train a better model.")])
        values = rates["recall" if floor[1] == "precision" else "precision"]
    elif costs is not None:
        missed = decisions.hits[0] - decisions.hits
        values = (costs[0] * decisions.false + costs[1] * missed) / (decisions.hits[0] + decisions.false[0])
    else:
        values = rates[metric]
    better = np.where(allowed, -values if costs is not None else values, -np.inf)
    among = np.flatnonzero(better >= better.max() - 1e-12)
    at_half = float(values[decisions.half])
    if stay or decisions.half in among:  # 0.5 itself is as good as any
        return 0.5, at_half, at_half
    index = int(among[np.argmin(np.abs(decisions.thresholds[among] - 0.5))])
    return float(decisions.thresholds[index]), float(values[index]), at_half


def _ratio(numerator: Float[np.ndarray, " thresholds"], denominator: Any) -> Float[np.ndarray, " thresholds"]:
    denominator = np.broadcast_to(denominator, numerator.shape)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _require_metric(metric: str, costs: tuple[float | int, float | int] | None) -> None:
    floor = FLOOR.fullmatch(metric)
    if not (metric in METRICS[:5] or (floor and 0 < float(floor[2]) <= 1)):
        raise ValueError(f"metric must be one of {', '.join(METRICS)} with a share in (0, 1], got {metric!r}.")
    if (metric == "cost") != (costs is not None):
        raise ValueError(
            "costs=(of a false positive, of a false negative) must be given with metric='cost', and only then."
        )
    if costs is not None and not all(0 < cost < math.inf for cost in costs):
        raise ValueError(f"costs must be positive and finite, got {costs}.")
