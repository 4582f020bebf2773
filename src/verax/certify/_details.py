"""What was measured on the way to a certificate, for the report: too large for `certificate.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from verax.certify._subject import Subject
from verax.data import Dataset
from verax.evaluate import Evaluation
from verax.train import Confidence, History
from verax.train._task_regression import like_targets


@dataclass(frozen=True, eq=False)
class Details:
    """What the report draws.

    Attributes:
      evaluation: the scores on the test split.
      predictions: probabilities, values or reconstructions on the test split; None of a language model, whose
        probabilities are too many.
      targets: what was wanted there: labels, values, tokens, or the inputs of an autoencoder.
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
        stated = subject.confidence
    except Exception:  # probabilities that are none, say: the item tells
        stated = ""
    before, after = (stated.before, stated.after) if isinstance(stated, Confidence) else (None, None)
    predictions, wanted = subject.predictions, subject.objective.wanted(subject.test)
    if predictions is not None and subject.task.name == "regression":
        predictions = like_targets(predictions, wanted)
    return Details(
        subject.scores,
        predictions,
        wanted,
        subject.dataset.raw("test").inputs,
        subject.dataset,
        subject.history,
        subject.evidence.study,
        before,
        after,
    )
