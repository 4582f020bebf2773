"""What a page is made from besides the certificate: what the caller passed, else what certify measured on its way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from verax.certify import Certificate
from verax.evaluate import Calibration, Evaluation, PredictiveCalibration
from verax.plot import Mistakes, find_mistakes
from verax.train import History

AnyCalibration = Calibration | PredictiveCalibration


class Material(NamedTuple):
    """What can be drawn; None for what is not known.

    Attributes:
      history: of the training.
      evaluation: on the test split.
      before: the calibration on it: of a classifier's confidence or a regressor's intervals.
      after: the same after recalibration.
      predictions: on the test split: probabilities or values.
      targets: what should have been predicted.
      mistakes: of a classifier of images.
    """

    history: History | None = None
    evaluation: Evaluation | None = None
    before: AnyCalibration | None = None
    after: AnyCalibration | None = None
    predictions: Any = None
    targets: Any = None
    mistakes: Mistakes | None = None


def gather(certificate: Certificate, given: Material) -> Material:
    """Returns what was given, with gaps filled from the certificate's details (one read from a file has none)."""
    details = getattr(certificate, "details", None)
    if details is not None:
        known = {
            "history": details.history,
            "evaluation": details.evaluation,
            "before": details.calibration_before,
            "after": details.calibration_after,
            "predictions": details.predictions,
            "targets": details.targets,
        }
        given = given._replace(**{name: value for name, value in known.items() if getattr(given, name) is None})
        if given.mistakes is None:
            given = given._replace(mistakes=_mistakes(details))
    if given.before is None and given.evaluation is not None:
        given = given._replace(before=given.evaluation.calibration)
    return given


def _mistakes(details: Any) -> Mistakes | None:
    """Returns the worst mistakes of a classifier of images; None for any other network."""
    schema, images = details.dataset.schema, details.inputs
    is_picture = isinstance(images, np.ndarray) and (
        images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3, 4))
    )
    if schema.kind != "image" or details.evaluation.confusion is None or not is_picture:
        return None
    probabilities = np.asarray(details.predictions)
    labels = np.asarray(details.targets).reshape(-1)
    return find_mistakes(images, labels, probabilities.argmax(axis=1), probabilities, details.evaluation.classes)
