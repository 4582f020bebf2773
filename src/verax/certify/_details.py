"""What was measured on the way to a certificate, for the report: too large for `certificate.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from verax.certify._subject import Subject, in_shape_of_targets
from verax.data import Dataset
from verax.evaluate import Evaluation
from verax.train import History


@dataclass(frozen=True, eq=False)
class Details:
    """What the report draws.

    Attributes:
      evaluation: the scores on the test split.
      predictions: class probabilities or values on the test split.
      targets: what was wanted there.
      inputs: the raw test inputs.
      dataset: the data, with the names of classes.
      history: of the training, or None.
      study: the search, or None.
      calibration_before: before recalibration, or None where it could not be measured.
      calibration_after: after it, or None.
    """

    evaluation: Evaluation
    predictions: Any
    targets: Any
    inputs: Any
    dataset: Dataset
    history: History | None
    study: Any
    calibration_before: Any
    calibration_after: Any


def details_of(subject: Subject) -> Details | None:
    """Returns what was measured on a subject, None if its predictions could not be scored."""
    if subject.scores is None:
        return None
    try:
        before, after = subject.calibrations
    except Exception:  # a regressor without a calibration split, a task without probabilities
        before, after = None, None
    predictions = subject.predictions
    if subject.task == "regression":
        predictions = in_shape_of_targets(predictions, subject.test.targets)
    return Details(
        subject.scores,
        predictions,
        subject.test.targets,
        subject.dataset.raw("test").inputs,
        subject.dataset,
        subject.history,
        subject.evidence.study,
        before,
        after,
    )
