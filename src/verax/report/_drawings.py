"""The pictures of a certificate by name: in its page, or as files of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from verax import plot
from verax.certify import Certificate
from verax.debug import DeadUnits
from verax.evaluate import Calibration, Evaluation, PredictiveCalibration, Slices
from verax.findings import Finding
from verax.plot import Mistakes, find_marks
from verax.report._material import AnyCalibration, Material, gather, is_picture
from verax.train import History, health

METRICS = 4  # curves of at most so many metrics


def figures(
    certificate: Certificate,
    *,
    history: History | None = None,
    calibration_after: AnyCalibration | None = None,
    mistakes: Mistakes | None = None,
    slices: Slices | None = None,
    run_facts: Mapping[str, Any] | None = None,
    findings: Iterable[Finding] = (),
) -> dict[str, Any]:
    """Returns the pictures of a certificate by name, axes or figures, ready for `plot.save_figures`.

    Args:
      certificate: as `certify` returned it; read from a file it lacks what most pictures need.
      history: for the training curves, if the certificate does not hold it.
      calibration_after: likewise, after recalibration.
      mistakes: likewise, from `plot.find_mistakes`.
      slices: of the test split, from `evaluate.slices`.
      run_facts: of the run: `schedule` and `augmented` are drawn.
      findings: about the run: those that have a step are marked in its loss, beside those of the certificate.
    """
    given = Material(
        history=history, after=calibration_after, mistakes=mistakes, slices=slices, findings=tuple(findings)
    )
    return drawings(gather(certificate, given.told(run_facts)))


def drawings(material: Material) -> dict[str, Any]:
    """Returns a picture for all that the material allows."""
    history = material.history or History()
    drawn = {f"curve-{metric}": plot.training_curves(history, metric) for metric in metrics(history)}
    evaluation, before, after = material.evaluation, material.before, material.after
    if evaluation is not None and evaluation.confusion is not None:
        drawn["confusion"] = plot.confusion_matrix(evaluation.confusion, evaluation.classes)
    if isinstance(before, Calibration):
        drawn["reliability"] = plot.reliability_diagram(before, after if isinstance(after, Calibration) else None)
    if isinstance(before, PredictiveCalibration):
        drawn["coverage"] = plot.coverage(before, after if isinstance(after, PredictiveCalibration) else None)
    if _are_values(material):
        drawn["predicted"] = plot.predicted_against_true(material.predictions, material.targets)
        drawn["residuals"] = plot.residuals(material.predictions, material.targets)
    if material.mistakes is not None:
        drawn["mistakes"] = plot.draw_mistakes(material.mistakes)
    if material.slices is not None and material.slices.rows:
        drawn["slices"] = plot.slices(material.slices)
    return {**drawn, **_of_training(material), **_of_task(material)}


def _of_training(material: Material) -> dict[str, Any]:
    """Returns the pictures of how the network was trained, beside the curves."""
    drawn = {}
    found = health(material.history or History())
    is_watched = len(found) > 1 and bool(found.paths)
    if "loss" in metrics(material.history) and (is_watched or find_marks(material.findings)):
        drawn["moments"] = plot.loss_and_moments(material.history or History(), material.findings)
    if isinstance(material.units, DeadUnits) and len(material.units) and material.units.moments:
        drawn["dead-units"] = plot.dead_units(material.units)
    if is_watched:
        drawn["gradient-norms"], drawn["update-ratios"] = plot.gradient_norms(found), plot.update_ratios(found)
    if material.schedule is not None:
        drawn["schedule"] = plot.schedule(
            np.asarray(material.schedule["steps"]), np.asarray(material.schedule["sizes"])
        )
    if material.augmented is not None:
        before, after = (np.asarray(material.augmented[name]) for name in ("before", "after"))
        drawn["augmented"] = plot.augmentation_grid(before, after)
    return drawn


def _of_task(material: Material) -> dict[str, Any]:
    """Returns the pictures that only one task has."""
    evaluation, drawn = material.evaluation, {}
    if evaluation is None:
        return drawn
    if evaluation.task == "multilabel" and evaluation.per_class:
        drawn["labels"] = plot.label_bars(evaluation.per_class)
    if evaluation.per_output:
        drawn["outputs"] = plot.label_bars(evaluation.per_output, "r2")
    if evaluation.task == "language_model" and material.history is not None and "loss" in metrics(material.history):
        drawn["perplexity"] = plot.perplexity_curve(material.history)
    if material.predictions is None or material.targets is None or np.ndim(material.predictions) == 0:
        return drawn
    return drawn | _of_predictions(evaluation, np.asarray(material.predictions), np.asarray(material.targets))


def _of_predictions(evaluation: Evaluation, given: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    """Returns the pictures that show every prediction on the test split."""
    alike = given.shape == wanted.shape
    if evaluation.task == "binary" and "roc_auc" in evaluation.metrics and len(given) == len(wanted):
        cut = evaluation.threshold[0] if evaluation.threshold else None
        return {
            "roc": plot.roc_curve(given, wanted, threshold=cut),
            "precision-recall": plot.precision_recall_curve(given, wanted, threshold=cut),
        }
    if evaluation.task == "multilabel" and alike and given.ndim == 2:
        return {"reliability-by-label": plot.reliability_by_label(given, wanted, evaluation.classes)}
    if evaluation.task == "autoencoder" and alike and is_picture(wanted):
        return {"reconstructions": plot.reconstructions(wanted, given)}
    return {}


def metrics(history: History | None) -> list[str]:
    """Returns the metrics that a history has of the training or the validation split, the loss first."""
    splits = {"epoch": ("train/", "validation/"), "chunk": ("train/",), "event": ()}  # as `plot.training_curves` reads
    found = [
        name.partition("/")[2]
        for record in history or ()
        for name in record.values
        if name.startswith(splits[record.kind])
    ]
    return sorted(dict.fromkeys(found), key=lambda metric: metric != "loss")[:METRICS]


def _are_values(material: Material) -> bool:
    """Returns whether predictions and targets are numbers to be compared: those of a regressor."""
    if material.predictions is None or material.targets is None:
        return False
    if material.evaluation is not None and material.evaluation.task != "regression":
        return False
    return np.shape(material.predictions) == np.shape(material.targets) and np.ndim(material.predictions) in (1, 2)
