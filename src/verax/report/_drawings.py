"""The pictures of a certificate by name: in its page, or as files of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from verax import plot
from verax.certify import Certificate
from verax.evaluate import Calibration, PredictiveCalibration
from verax.plot import Mistakes
from verax.report._material import AnyCalibration, Material, gather
from verax.train import History

METRICS = 4  # curves of at most so many metrics


def figures(
    certificate: Certificate,
    *,
    history: History | None = None,
    calibration_after: AnyCalibration | None = None,
    mistakes: Mistakes | None = None,
) -> dict[str, Any]:
    """Returns the pictures of a certificate by name, axes or figures, ready for `plot.save_figures`.

    Args:
      certificate: as `certify` returned it; read from a file it lacks what most pictures need.
      history: for the training curves, if the certificate does not hold it.
      calibration_after: likewise, after recalibration.
      mistakes: likewise, from `plot.find_mistakes`.
    """
    return drawings(gather(certificate, Material(history=history, after=calibration_after, mistakes=mistakes)))


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
    return drawn


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
