"""The pictures of a page, each with what is to be seen in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from verax import plot
from verax.debug import DeadUnits
from verax.evaluate import Calibration, PredictiveCalibration
from verax.plot import Mark, Mistakes, find_marks
from verax.report._drawings import metrics
from verax.report._elements import Content, Markup, tag
from verax.report._items import findings_list
from verax.report._material import Material
from verax.report._quantities import label, quantity, sentence_case
from verax.report._scores import bin_table, calibration_table, class_table, folded, leaf_table, slice_table, unit_table
from verax.train import History, health

Drawn = Mapping[str, Any]  # axes by name


def mistakes_and_residuals(material: Material, drawn: Drawn) -> Content:
    """Returns where a classifier is right and wrong, or how a regressor's predictions lie about the truth."""
    evaluation, figures = material.evaluation, []
    if "confusion" in drawn and evaluation is not None and evaluation.confusion is not None:
        counts = evaluation.confusion
        words = f"{np.trace(counts):,.6g} of {counts.sum():,.6g} are right. Rows are the true classes."
        figures.append(figure(drawn, "confusion", "Confusion matrix", words, class_table(evaluation.per_class)))
    if "predicted" in drawn:
        figures.append(figure(drawn, "predicted", "Predicted against true", "On the dashed line they are equal."))
        words = "A slope or a funnel is something the model has not learned."
        figures.append(figure(drawn, "residuals", "Residuals", words))
    figures += [figure(drawn, name, *words) for name, words in OF_TASK.items() if name in drawn]
    if "labels" in drawn and evaluation is not None:
        words = "The lowest at the bottom. Bars are 95 % intervals."
        figures.append(figure(drawn, "labels", "F1 by label", words, class_table(evaluation.per_class)))
    return _section("Where it is right and wrong", "right-and-wrong", figures, worst(material.mistakes))


OF_TASK = {
    "roc": ("ROC curve", "On the dashed line it ranks no better than chance."),
    "precision-recall": ("Precision-recall curve", "The dashed line is the share of positives: what chance gives."),
    "outputs": ("R² by output", "1 is perfect, 0 no better than the mean. Bars are 95 % intervals."),
    "reconstructions": ("Reconstructions", "The first test images above what the network makes of them."),
}


def groups(material: Material, drawn: Drawn) -> Content:
    """Returns the metrics of groups of examples, and which falls behind."""
    found = material.slices
    if found is None or "slices" not in drawn:
        return None
    metric = next(iter(found.rows[0].metrics))
    behind = [gap for gap in found.gaps if gap.metric == metric]
    words = " ".join(
        f"By {gap.attribute}, {gap.worst} is worst of {gap.groups}: "
        f"{_apart(metric, gap.gap.value)} behind the rest ({_apart(metric, gap.gap.low)} to "
        f"{_apart(metric, gap.gap.high)}), {'more than' if gap.gap.low > 0 else 'no more than'} chance explains."
        for gap in behind
    )
    notes = findings_list(found.findings)
    picture = figure(drawn, "slices", f"{sentence_case(label(metric))} by group", words, slice_table(found), notes)
    return _section("Groups of examples", "groups", [picture])


def _apart(metric: str, value: float) -> str:
    """Returns a difference in the unit of its metric; a share's may be negative."""
    return quantity(metric, value) if value >= 0 else f"−{quantity(metric, -value)}"


def calibration(material: Material, drawn: Drawn) -> Content:
    """Returns whether stated confidence is met, before and after recalibration."""
    before, after, figures = material.before, material.after, []
    if "reliability" in drawn and isinstance(before, Calibration):
        recalibrated = after if isinstance(after, Calibration) else None
        words = "On the dashed line, confidence is met. Bars are 95 % intervals."
        numbers = [calibration_table(before, recalibrated), bin_table(before.reliability)]
        figures.append(figure(drawn, "reliability", "Reliability diagram", words, numbers))
    if "coverage" in drawn and isinstance(before, PredictiveCalibration):
        words = f"Stated and measured differ by at most {quantity('share', before.error)}"
        if isinstance(after, PredictiveCalibration):
            words += f", after recalibration by at most {quantity('share', after.error)}"
        figures.append(figure(drawn, "coverage", "Coverage of predicted intervals", f"{words}."))
    if "reliability-by-label" in drawn:
        words = "On the dashed line, what is said of a label is met. Bars are 95 % intervals."
        figures.append(figure(drawn, "reliability-by-label", "Reliability by label", words))
    return _section("Is its confidence true?", "calibration", figures)


def curves(material: Material, drawn: Drawn) -> Content:
    """Returns the training curves of each metric, the schedule and what augmentation does."""
    figures = [
        figure(drawn, f"curve-{metric}", f"{sentence_case(label(metric))} in training", _last(material.history, metric))
        for metric in metrics(material.history)
    ]
    if "perplexity" in drawn:
        figures.append(figure(drawn, "perplexity", "Perplexity in training", "The exponential of the loss a token."))
    if "schedule" in drawn:
        sizes = np.asarray(material.schedule["sizes"] if material.schedule else [], float)
        words = f"From {quantity('size', float(sizes[0]))} to {quantity('size', float(sizes[-1]))}"
        figures.append(figure(drawn, "schedule", "Learning rate", f"{words}, {quantity('size', sizes.max())} at most."))
    if "augmented" in drawn:
        words = "The first training images above what a training step may see of them."
        figures.append(figure(drawn, "augmented", "Augmentation", words))
    return _section("Training", "training", figures)


def health_of_run(material: Material, drawn: Drawn) -> Content:
    """Returns how the run went: the loss with what was found when, gradients and updates by leaf, dead units."""
    moments, leaves = _moments(material, drawn), _leaves(material, drawn)
    if not moments and not leaves and material.units is None:
        return None
    numbers = folded("The numbers by parameter", leaf_table(health(material.history or History()))) if leaves else None
    below = [_what_was_found(material) if moments else None, numbers, _units_below(material)]
    return _section("Health", "health", [*moments, *leaves, *_units(material, drawn)], below)


def _moments(material: Material, drawn: Drawn) -> list[Markup]:
    """Returns the loss with the moments of findings."""
    if "moments" not in drawn:
        return []
    marks = find_marks(material.findings)
    title = "Loss and what was found when"
    if not marks:
        return [figure(drawn, "moments", title, "No finding has a moment in this run.")]
    every = len(find_marks(material.findings, most=len(material.findings)))
    words = "A number stands at each moment that a finding has; what it is stands below."
    words += f" Of {every} moments, the worst {len(marks)} are marked." if every > len(marks) else ""
    spoken = "; ".join(f"{mark.number} at step {mark.step:,}: {mark.names}" for mark in marks)
    return [figure(drawn, "moments", title, words, spoken=f"Marked are {spoken}.")]


def _what_was_found(material: Material) -> Content:
    """Returns what the numbers in the loss stand for."""
    marks = find_marks(material.findings)
    if not marks:
        return None
    each = tag("ol", [tag("li", _told(mark)) for mark in marks], class_="marks", aria_labelledby="moments")
    return tag("div", tag("h3", "What was found when", id="moments"), each, class_="part")


def _told(mark: Mark) -> Content:
    """Returns what was found at a moment."""
    each = [[tag("strong", one.severity), " ", tag("code", one.id), ": ", one.message, " "] for one in mark.findings]
    return [f"Step {mark.step:,}, ", *each]


def _units(material: Material, drawn: Drawn) -> list[Markup]:
    """Returns which share of each layer is dead at each moment, with what is counted and on which rows."""
    found = material.units
    if "dead-units" not in drawn or not isinstance(found, DeadUnits):
        return []
    counts = [found.at(place) for place in range(len(found.moments))]
    each = (
        f"{name} {dead:,}" + ("" if told == found.units else f" of the {told:,} whose outputs are finite")
        if told
        else f"{name} not known, since outputs are not finite"
        for name, (dead, told) in zip(found.moments, counts, strict=True)
    )
    words = f"Dead of {found.units:,} hidden units: {', '.join(each)}. {COUNTED.format(rows=found.rows)}"
    return [figure(drawn, "dead-units", "Dead units by layer", words)]


COUNTED = (
    "Dead is a unit whose slope is below 0.001 on each of {rows} rows of the training split: a rectifier that is "
    "silent, a tanh or sigmoid that is saturated. No gradient reaches its weights."
)


def _units_below(material: Material) -> Content:
    """Returns the numbers of the dead units, or why there are none."""
    found = material.units
    if isinstance(found, DeadUnits) and found.layers:
        return folded("The numbers by layer", unit_table(found))
    if isinstance(found, DeadUnits):
        return tag("p", "Dead units: there is no hidden layer with an activation.", class_="note")
    reason = f": {found}" if found else ""
    return tag("p", f"Dead units: not measured{reason}.", class_="note")


def _leaves(material: Material, drawn: Drawn) -> list[Markup]:
    """Returns what every parameter leaf did along the run: gradients and the size of updates."""
    if "gradient-norms" not in drawn:
        return []
    found = health(material.history or History())
    bad = (found.values["nan"] + found.values["inf"]).any(axis=0).sum()
    words = "One row a parameter, at the last step of each chunk. Zero is empty, orange is not finite"
    words += f": {bad} of {len(found.paths)} parameters." if bad else "."
    figures = [figure(drawn, "gradient-norms", "Gradient norm by parameter", words)]
    words = (
        "The dashed line is 0.001, a usual value; far above it weights are overwritten, far below nothing is learned."
    )
    figures.append(figure(drawn, "update-ratios", "Update to weight", words))
    return figures


def worst(mistakes: Mistakes | None) -> Content:
    """Returns the most confident mistakes as pictures."""
    if mistakes is None:
        return None
    if not len(mistakes.rows):
        return tag("p", f"There is no mistake among {mistakes.examples:,} examples.")
    words = f"{mistakes.total:,} of {mistakes.examples:,} examples are wrong; those it was most sure of come first."
    each = [_mistake(mistakes, index) for index in range(len(mistakes.rows))]
    return tag(
        "div",
        tag("h3", "Worst mistakes", id="mistakes"),
        tag("p", words, class_="note"),
        tag("ul", each, class_="mistakes", aria_labelledby="mistakes"),
        class_="part",
    )


def figure(drawn: Drawn, name: str, title: str, words: str, *below: Content, spoken: str = "") -> Markup:
    """Returns a picture with its caption; `words` say what is to be seen, `spoken` more to those who cannot see it."""
    picture = Markup(plot.svg(drawn[name], f"{title}. {words} {spoken}".strip(), name=name.replace("/", "-")))
    caption = tag("figcaption", tag("b", title), tag("span", words))
    beside = tag("div", below) if any(below) else None
    return tag("figure", caption, picture, beside, class_="with-numbers" if beside else None)


def _mistake(mistakes: Mistakes, index: int) -> Markup:
    true, said = (mistakes.classes[labels[index]] for labels in (mistakes.labels, mistakes.predictions))
    encoded = base64.b64encode(plot.png(mistakes.images[index])).decode()
    sure = quantity("share", float(mistakes.confidence[index]))
    return tag(
        "li",
        tag("img", src=f"data:image/png;base64,{encoded}", alt=f"An example of {true}, taken for {said}."),
        tag("p", "true ", tag("b", true)),
        tag("p", "said ", tag("b", said)),
        tag("p", f"{sure} sure", class_="note"),
        tag("p", f"row {int(mistakes.rows[index]):,}", class_="note"),
    )


def _section(title: str, name: str, figures: list[Markup], below: Content = None) -> Content:
    if not figures and below is None:
        return None
    head = tag("h2", title, id=name)
    pictures = tag("div", figures, class_="figures") if figures else None
    return tag("section", head, pictures, below, class_="card", aria_labelledby=name)


def _last(history: History | None, metric: str) -> str:
    last = {split: history.last(f"{split}/{metric}") for split in ("train", "validation")} if history else {}
    parts = [f"{split} {quantity(metric, value)}" for split, value in last.items() if value is not None]
    return f"At the end: {', '.join(parts)}." if parts else ""
