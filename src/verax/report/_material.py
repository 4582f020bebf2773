"""What a page is made from besides the certificate: what the caller passed, else what certify measured on its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.certify import Certificate
from verax.data import Batch
from verax.debug import DeadUnits
from verax.doctor._history import moments_of
from verax.evaluate import Calibration, Evaluation, PredictiveCalibration, Slices
from verax.findings import Finding
from verax.plot import Mistakes, find_mistakes
from verax.train import History

DRAWN_FACTS = ("schedule", "augmented")  # of a run's facts, what is drawn rather than listed
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
      slices: the metrics of groups of test examples.
      schedule: the learning rate along the run: `steps` and `sizes`.
      augmented: training images as they are (`before`) and as a training step saw them (`after`).
      units: the dead units along the training, or why there are none.
      findings: about the run; those that have a step are marked in it.
    """

    history: History | None = None
    evaluation: Evaluation | None = None
    before: AnyCalibration | None = None
    after: AnyCalibration | None = None
    predictions: Any = None
    targets: Any = None
    mistakes: Mistakes | None = None
    slices: Slices | None = None
    schedule: Mapping[str, Any] | None = None
    augmented: Mapping[str, Any] | None = None
    units: DeadUnits | str | None = None
    findings: tuple[Finding, ...] = ()

    def told(self, facts: Mapping[str, Any] | None) -> Material:
        """Returns the material with what is drawn of a run's facts, `schedule` and `augmented`, where it is lacking."""
        known = {name: (facts or {}).get(name) for name in DRAWN_FACTS}
        return self._replace(**{name: value for name, value in known.items() if value and getattr(self, name) is None})


def gather(certificate: Certificate, given: Material) -> Material:
    """Returns what was given, with gaps filled from the certificate and its details (one read from a file has none)."""
    given = given._replace(
        units=certificate.units if given.units is None else given.units,
        findings=(*given.findings, *(finding for item in certificate.items for finding in item.findings)),
    )
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
    if given.history is not None:
        known = {finding.id for finding in given.findings}
        seen = [finding for finding in moments_of(given.history) if finding.id not in known]
        given = given._replace(findings=(*given.findings, *seen))
    if given.before is None and given.evaluation is not None:
        given = given._replace(before=given.evaluation.calibration or given.evaluation.predictive)
    return given


def augmented_examples(experiment: Any, dataset: Any, *, count: int = 8) -> dict[str, np.ndarray] | None:
    """Returns the first training images as they are and as a training step may see them, for `run.facts["augmented"]`.

    Args:
      experiment: has `augment`, a function of (key, batch), or None.
      dataset: a `Dataset`, whose training split is looked at, preprocessed.
      count: how many images.

    Returns:
      `before` and `after`, or None where nothing is augmented or the inputs are no images. What changes their shape or
      mixes them shows as it is.
    """
    augment, examples = getattr(experiment, "augment", None), dataset.examples("train")
    if augment is None or not is_picture(examples.inputs):
        return None
    before, targets = jax.tree.map(lambda leaf: jnp.asarray(leaf[:count]), (examples.inputs, examples.targets))
    batch = Batch(before, targets, jnp.ones(len(before)))
    after = np.asarray(augment(jax.random.key(experiment.seed), batch).inputs)
    return {"before": np.asarray(before), "after": after} if is_picture(after) and len(after) == len(before) else None


def is_picture(values: Any) -> bool:
    """Returns whether an array is of images: grey, or with 1, 3 or 4 channels at the end."""
    return isinstance(values, np.ndarray) and (
        (values.ndim == 3 and min(values.shape[1:]) > 3) or (values.ndim == 4 and values.shape[3] in (1, 3, 4))
    )


def _mistakes(details: Any) -> Mistakes | None:
    """Returns the worst mistakes of a classifier of images; None for any other network."""
    schema, images = details.dataset.schema, details.inputs
    if schema.kind != "image" or details.evaluation.confusion is None or not is_picture(images):
        return None
    probabilities = np.asarray(details.predictions)
    labels = np.asarray(details.targets).reshape(-1)
    return find_mistakes(images, labels, probabilities.argmax(axis=1), probabilities, details.evaluation.classes)
