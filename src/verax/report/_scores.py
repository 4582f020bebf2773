"""Numbers as tables: scores of the test split with intervals, of each class, of each bin of confidence; parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verax.certify import Certificate
from verax.debug import DeadUnits
from verax.evaluate import Calibration, Estimate, Evaluation, Reliability, Slices
from verax.report._elements import Content, Markup, tag
from verax.report._quantities import label, quantity
from verax.train import Health

OPEN = 12  # classes shown at once
CLASSES = 100  # listed at most, those with the lowest F1
LEAVES = 200  # listed at most


def scores(certificate: Certificate, evaluation: Evaluation | None) -> Content:
    """Returns the section of scores on the test split, each with its 95 % interval."""
    test: Mapping[str, Estimate] = certificate.test or (evaluation.metrics if evaluation else {})
    if not test:
        return None
    lines = [
        (label(name), quantity(name, e.value), f"{quantity(name, e.low)} to {quantity(name, e.high)}")
        for name, e in test.items()
    ]
    examples = f" ({evaluation.examples:,} examples)" if evaluation else ""
    return tag(
        "section",
        tag("h2", "Scores on the test split", id="scores"),
        table(("metric", "value", "95 % interval"), lines, f"Scores{examples}. The intervals are about the examples."),
        class_="card",
        aria_labelledby="scores",
    )


def class_table(per_class: Sequence[Mapping[str, Any]] | None) -> Content:
    """Returns precision, recall, F1 and support of each class, to be unfolded where there are many."""
    if not per_class:
        return None
    shown = list(per_class)
    if len(shown) > CLASSES:
        shown = sorted(shown, key=lambda scores: scores["f1"])[:CLASSES]
    names = ("class", "precision", "recall", "f1", "support")
    lines = [[str(scores["class"]), *(quantity(name, scores[name]) for name in names[1:])] for scores in shown]
    caption = f"The {CLASSES} classes with the lowest F1, of {len(per_class)}." if len(per_class) > CLASSES else None
    scores = table([label(name) for name in names], lines, caption)
    return scores if len(lines) <= OPEN else folded("Scores by class", scores)


def slice_table(found: Slices) -> Content:
    """Returns the metrics of each group, to be unfolded."""
    names = list(dict.fromkeys(name for row in found.rows for name in row.metrics))
    lines = [
        [f"{row.attribute}: {row.value}", quantity("count", row.examples)]
        + [quantity(name, row.metrics[name]) if name in row.metrics else "" for name in names]
        for row in found.rows[:CLASSES]
    ]
    return folded("The numbers", table(["group", "examples", *map(label, names)], lines))


def calibration_table(before: Calibration, after: Calibration | None) -> Markup:
    """Returns the calibration error and its companions, before and after recalibration."""
    each = [before] if after is None else [before, after]
    lines = [
        ("calibration error", *(f"{one.ece:.3f}" for one in each)),
        ("expected by chance", *(f"{one.expected:.3f}" for one in each)),
        ("debiased", *(f"{one.debiased:.3f}" for one in each)),
        ("95 % interval", *(f"{one.low:.3f} to {one.high:.3f}" for one in each)),
        ("p-value", *(f"{one.p_value:.3f}" for one in each)),
        ("Brier score", *(f"{one.brier:.3f}" for one in each)),
        ("NLL", *(f"{one.nll:.3f}" for one in each)),
    ]
    return table(("", "as trained", "recalibrated")[: 1 + len(each)], lines)


def bin_table(reliability: Reliability) -> Content:
    """Returns confidence against accuracy by bin, to be unfolded."""
    lines = []
    for index, count in enumerate(reliability.count.tolist()):
        if count:
            numbers = [float(values[index]) for values in reliability[1:5]]
            confidence, accuracy, low, high = (quantity("share", number) for number in numbers)
            lines.append((confidence, accuracy, f"{low} to {high}", quantity("count", count)))
    return folded("The numbers", table(("confidence", "accuracy", "95 % interval", "examples"), lines))


def leaf_table(found: Health) -> Markup:
    """Returns what was measured of each parameter at the end of a run."""
    names = {"norm": "gradient norm", "zeros": "zeros in it", "update_ratio": "update / weight", "drift": "drift"}

    def cell(name: str, value: float) -> str:
        return "" if np.isnan(value) else quantity("share", value) if name == "zeros" else f"{value:.2g}"

    lines = [
        (path, *(cell(name, float(found.values[name][-1, place])) for name in names))
        for place, path in list(enumerate(found.paths))[:LEAVES]
    ]
    left = len(found.paths) - LEAVES
    caption = f"At step {int(found.steps[-1]):,}" + (
        f"; {left} more parameters are in history.jsonl" if left > 0 else ""
    )
    return table(("parameter", *names.values()), lines, caption)


def unit_table(found: DeadUnits) -> Markup:
    """Returns how many units of each layer are dead at each moment."""
    lines, left = found.table()[:LEAVES], len(found) - LEAVES
    caption = f"Dead units, on {found.rows} rows" + (
        f"; {left} more layers are in certificate.json" if left > 0 else ""
    )
    return table(("layer", "activation", "units", *found.heads), lines, caption)


def table(head: Sequence[str], lines: Sequence[Sequence[str]], caption: str | None = None) -> Markup:
    """Returns a table whose first column names its rows; a narrow screen scrolls it inside its own box."""
    body = [tag("tr", tag("th", line[0], scope="row"), [_cell(text) for text in line[1:]]) for line in lines]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption) if caption else None,
            tag("thead", tag("tr", [tag("th", name, scope="col") for name in head])),
            tag("tbody", body),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption or ", ".join(filter(None, head)),
    )


def _cell(text: str) -> Markup:
    """Returns a cell in which no line ends between a number and its unit."""
    return tag(
        "td", re.sub(r"(?<=\d) (?=\D)", "\N{NO-BREAK SPACE}", text), class_="number" if len(text) <= 24 else None
    )


def folded(summary: str, *content: Content) -> Markup:
    """Returns content that is unfolded by its summary; on paper it shows if it was."""
    return tag("details", tag("summary", summary), content)
