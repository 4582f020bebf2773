"""Metrics of parts of a split, and how far the worst part falls behind the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Shaped

from verax.evaluate._estimate import Estimate, Z, plain
from verax.evaluate._inputs import Values
from verax.evaluate._score import Names, Thresholds, score_without_calibration
from verax.evaluate._tokens import TokenScores
from verax.findings import Finding, raise_errors

MAIN = {
    "classification": ("accuracy", "macro_f1", "loss"),
    "binary": ("accuracy", "f1", "recall", "precision", "roc_auc", "average_precision", "loss"),
    "multilabel": ("micro_f1", "subset_accuracy", "hamming_loss", "loss"),
    "regression": ("rmse", "mae", "r2"),
    "language_model": ("perplexity", "accuracy", "loss"),
    "autoencoder": ("rmse", "mae", "loss"),
}
LOWER_IS_BETTER = {"loss", "log_loss", "hamming_loss", "brier", "rmse", "mae", "perplexity", "bits_per_token", "nll"}
MANY, FEW = 20, 30

Groups = Shaped[Array | np.ndarray, " examples"] | list[str] | list[int] | tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True)
class Slice:
    """The metrics of one part of a split.

    Attributes:
      attribute: what the examples were grouped by.
      value: what those of this part have in common.
      examples: how many there are.
      metrics: the task's main numbers by name, each with a 95 % interval.
    """

    attribute: str
    value: str
    examples: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class Gap:
    """How far the worst part falls behind the rest.

    Attributes:
      attribute: what the examples were grouped by.
      metric: by which the parts are compared.
      worst: the part with the worst value.
      gap: how much worse it is than all other examples together. Its interval takes into account that it was picked as
        the worst of so many: where it excludes 0, the part is worse by more than chance.
      groups: how many parts were compared.
      smallest: the number of examples of the smallest.
    """

    attribute: str
    metric: str
    worst: str
    gap: Estimate
    groups: int
    smallest: int


@dataclass(frozen=True)
class Slices:
    """The metrics of the parts of a split.

    Attributes:
      task: whose metrics they are.
      rows: the parts, attribute by attribute, in the order of their values.
      gaps: for each attribute and metric, how far the worst part falls behind.
      findings: where to read with care: small parts, many of them.
    """

    task: str
    rows: tuple[Slice, ...]
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns everything as lists, dicts, strings and numbers; None stands for what is not finite."""
        rows = [
            {
                "attribute": row.attribute,
                "value": row.value,
                "examples": row.examples,
                "metrics": {name: estimate.to_json() for name, estimate in row.metrics.items()},
            }
            for row in self.rows
        ]
        gaps = [
            plain({**{name: getattr(each, name) for name in Gap.__dataclass_fields__}, "gap": each.gap._asdict()})
            for each in self.gaps
        ]
        return {"task": self.task, "rows": rows, "gaps": gaps, "findings": [str(each) for each in self.findings]}

    def __str__(self) -> str:
        lines = [f"{self.task} (95 % intervals)"]
        for row in self.rows:
            numbers = ", ".join(f"{name} {estimate}" for name, estimate in row.metrics.items())
            lines.append(f"  {row.attribute}={row.value} ({row.examples}): {numbers}")
        lines += [
            f"  {each.attribute}={each.worst} is worst by {each.metric}: behind the rest by {each.gap}, "
            f"picked from {each.groups}, the smallest of {each.smallest}"
            for each in self.gaps
        ]
        return "\n".join([*lines, *map(str, self.findings)])


def slices(
    task: str,
    predictions: Values | TokenScores,
    targets: Values,
    groups: Groups | Mapping[str, Groups],
    *,
    metrics: tuple[str, ...] | None = None,
    classes: Names | None = None,
    weight: Values | None = None,
    spread: Values | None = None,
    threshold: Thresholds | None = None,
    padding: int | None = None,
) -> Slices:
    """Returns the main metrics of each group of examples, and the gap between the worst group and the rest.

    Among many groups one is bad by chance. The interval of a gap is widened for that: each of its sides is as many
    standard errors wide as makes the intervals of all groups hold together in 95 % (Bonferroni), so the worst one's
    holds, whichever it turns out to be. Metrics that a group does not have (a ROC area with one class) are left out.

    Args:
      task: as in `score`; likewise predictions, targets, and the arguments that are not described here.
      predictions: as in `score`.
      targets: as in `score`.
      groups: for each example what it belongs to, strings or whole numbers; or several such arrays by name. Cut numbers
        into ranges first: `np.digitize(age, [30, 50])`.
      metrics: which to compare; the task's main ones if not given.
      classes: as in `score`.
      weight: as in `score`; groups in which nothing counts are left out.
      spread: as in `score`.
      threshold: as in `score`.
      padding: as in `score`.

    Raises:
      InputError: if groups are not one value an example, there is only one, or every example is one of its own; or for
        the reasons of `score`.
      ValueError: if a metric is unknown.

    Example:
      >>> random = np.random.default_rng(0)
      >>> labels, site = random.integers(0, 2, 2000), np.array(["here", "there"])[random.integers(0, 2, 2000)]
      >>> wrong = random.random(2000) < np.where(site == "there", 0.3, 0.1)
      >>> found = slices("binary", np.eye(2)[np.where(wrong, 1 - labels, labels)], labels, {"site": site})
      >>> found.gaps[0].worst, found.gaps[0].gap.low > 0.1
      ('there', True)

    References:
      Zou and Donner (2008), "Construction of confidence limits about effect measures: a general approach", for the
      interval of a difference from those of its terms.
    """
    whole = score_without_calibration(task, predictions, targets, classes, weight, spread, threshold, padding)
    names = metrics or tuple(name for name in MAIN[task] if name in whole.metrics)
    for name in names:
        if name not in whole.metrics:
            raise ValueError(f"metrics must be among {', '.join(whole.metrics)}, got {name!r}.")
    threshold = getattr(threshold, "values", threshold)  # a part of the examples it was chosen on was refused above
    share = None if weight is None else np.asarray(weight)

    def part(rows: Bool[np.ndarray, " examples"]) -> tuple[int, dict[str, Estimate]]:
        given: Any = _rows(predictions, rows)
        chosen = (_rows(targets, rows), classes, _rows(weight, rows), _rows(spread, rows), threshold, padding)
        found = score_without_calibration(task, given, *chosen)
        return found.examples, {name: found.metrics[name] for name in names if name in found.metrics}

    table: list[Slice] = []
    gaps: list[Gap] = []
    findings: list[Finding] = []
    for attribute, values in _named(groups).items():
        labels = _group_labels(attribute, values, len(np.asarray(targets)))
        present = _present(labels, share)
        rows = {value: labels == value for value in present}
        own = {value: part(chosen) for value, chosen in rows.items()}
        rest = {value: part(~chosen)[1] for value, chosen in rows.items()}
        table += [Slice(attribute, str(value), *found) for value, found in own.items()]
        for name in names:
            compared = [value for value in own if name in own[value][1] and name in rest[value]]
            if compared:
                gaps.append(_gap(attribute, name, {value: own[value] for value in compared}, rest))
        findings += _cautions(attribute, {str(value): found[0] for value, found in own.items()})
    return Slices(task, tuple(table), tuple(gaps), tuple(findings))


def difference(first: Estimate, second: Estimate, widening: float = 1.0) -> Estimate:
    """Returns the first less the second of two independent estimates, with the interval that theirs imply.

    Args:
      first: an estimate.
      second: another, of other examples.
      widening: by how much each side of the interval is to be longer.
    """
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - widening * below, value + widening * above)


def _gap(
    attribute: str,
    metric: str,
    own: Mapping[Any, tuple[int, Mapping[str, Estimate]]],
    rest: Mapping[Any, Mapping[str, Estimate]],
) -> Gap:
    from scipy.special import ndtri

    widening = float(ndtri(1 - 0.025 / len(own))) / Z
    behind = {}
    for value in own:
        better, worse = rest[value][metric], own[value][1][metric]
        pair = (worse, better) if metric in LOWER_IS_BETTER else (better, worse)
        behind[value] = difference(*pair, widening)
    worst = max(own, key=lambda value: behind[value].value)
    return Gap(attribute, metric, str(worst), behind[worst], len(own), min(size for size, _ in own.values()))


def _rows(values: Any, rows: Bool[np.ndarray, " examples"]) -> Any:
    """Returns some rows of an array, of each part of token scores, or None of None."""
    if isinstance(values, TokenScores):
        return TokenScores(*(_rows(part, rows) for part in values))
    return None if values is None else np.asarray(values)[rows]


def _named(groups: Groups | Mapping[str, Groups]) -> dict[str, Any]:
    return dict(groups) if isinstance(groups, Mapping) else {"group": groups}


def _group_labels(attribute: str, values: Any, examples: int) -> Shaped[np.ndarray, " examples"]:
    labels = np.asarray(values)
    labels = labels.astype(str) if labels.dtype.kind == "O" else labels
    problems = []
    if labels.shape != (examples,) or labels.dtype.kind not in "iubUS":
        found = f"{labels.dtype} of shape {labels.shape}"
        advice = "Cut numbers into ranges: np.digitize(values, edges)." if labels.dtype.kind == "f" else ""
        problem = (
            f"groups[{attribute!r}] must be a string or whole number for each of {examples} examples, got {found}."
        )
        problems.append(Finding("wrong-groups", "error", problem, advice))
    else:
        count = len(np.unique(labels))
        if count < 2:
            problem = f"groups[{attribute!r}] must have at least two values, got {count}."
            problems.append(Finding("wrong-groups", "error", problem, "There is nothing to compare."))
        elif count == examples > 2:
            problem = f"groups[{attribute!r}] must put examples together, got {count} values for {count} examples."
            problems.append(Finding("wrong-groups", "error", problem, "Is it an identifier?"))
    raise_errors(problems)
    return labels


def _present(labels: Shaped[np.ndarray, " examples"], share: Shaped[np.ndarray, "..."] | None) -> list[Any]:
    """Returns the values of those examples that count, in order."""
    counted = labels if share is None else labels[(share > 0).reshape(len(share), -1).any(axis=1)]
    return list(np.unique(counted))


def _cautions(attribute: str, sizes: Mapping[str, int]) -> list[Finding]:
    found = []
    small = {value: size for value, size in sizes.items() if size < FEW}
    if small:
        least = min(small, key=lambda value: small[value])
        which = f"{len(small)} of {len(sizes)} groups of {attribute}"
        message = f"{which} have fewer than {FEW} examples, the smallest ({least}) {small[least]}."
        found.append(Finding("small-slice", "warning", message, "Their intervals are wide; put small groups together."))
    if len(sizes) > MANY:
        message = f"{attribute} has {len(sizes)} groups: some look bad by chance alone."
        found.append(Finding("many-slices", "warning", message, "Trust a gap only where its interval excludes 0."))
    return found
