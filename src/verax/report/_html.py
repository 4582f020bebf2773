"""A certificate as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verax.certify import Certificate
from verax.evaluate import Evaluation, Slices
from verax.findings import Finding
from verax.plot import Mistakes
from verax.report import _facts, _figures, _study
from verax.report._drawings import drawings
from verax.report._items import items
from verax.report._material import DRAWN_FACTS, AnyCalibration, Material, gather
from verax.report._page import page
from verax.report._scores import scores
from verax.report._status import WORDS
from verax.report._verdict import to_do, verdict
from verax.train import History


def html(
    certificate: Certificate,
    *,
    history: History | None = None,
    evaluation: Evaluation | None = None,
    calibration_before: AnyCalibration | None = None,
    calibration_after: AnyCalibration | None = None,
    predictions: Any = None,
    targets: Any = None,
    mistakes: Mistakes | None = None,
    slices: Slices | None = None,
    study: Any = None,
    run_facts: Mapping[str, Any] | None = None,
    findings: Iterable[Finding] = (),
    title: str | None = None,
) -> str:
    """Returns a page with the verdict, the ten items and all that stands behind them.

    The page is one file without scripts that loads nothing; it fits a phone, a wide screen, paper, and light or dark.
    The same arguments give the same page. A certificate that `certify` returned holds what the pictures need; one that
    was read from a file does not, and sections for which nothing was passed either are left out.

    Args:
      certificate: the ten items.
      history: for training curves.
      evaluation: on the test split: confusion matrix, scores by class, reliability diagram.
      calibration_before: on the test split, if `evaluation` does not hold it: of a regressor's intervals.
      calibration_after: likewise, after recalibration.
      predictions: of a regressor on the test split, to be drawn against `targets`.
      targets: what should have been predicted.
      mistakes: of a classifier of images, from `plot.find_mistakes`.
      slices: of the test split, from `evaluate.slices`.
      study: that chose the setting, a `vx.tune.Study` or the content of its study.json; the one that the certificate
        was made with if not given.
      run_facts: anything known about the run, by name; a unit in a name (`train_seconds`) becomes the value's. Drawn
        rather than listed are `schedule`, `{"steps": [...], "sizes": [...]}`, and `augmented`, `{"before": images,
        "after": images}` (see `augmented_examples`).
      findings: what was noticed about data, optimizer and training, such as `vx.diagnose(run).findings`; those that
        have a step are marked in the loss.
      title: the heading; the certificate's name if not given.
    """
    given = Material(history, evaluation, calibration_before, calibration_after, predictions, targets, mistakes, slices)
    findings = tuple(findings)
    given = given._replace(findings=findings)
    material = gather(certificate, given.told(run_facts))
    listed = {name: fact for name, fact in (run_facts or {}).items() if name not in DRAWN_FACTS}
    drawn = drawings(material)
    heading = title or certificate.name
    return page(
        f"{heading}: {WORDS[certificate.verdict].lower()}",
        verdict(certificate, heading),
        to_do(certificate),
        items(certificate),
        scores(certificate, material.evaluation),
        _figures.mistakes_and_residuals(material, drawn),
        _figures.groups(material, drawn),
        _figures.calibration(material, drawn),
        _figures.curves(material, drawn),
        _figures.health_of_run(material, drawn),
        _study.section(_study_of(certificate, study)),
        _facts.run(listed, findings),
        _facts.environment(certificate),
        _facts.fingerprints(certificate),
    )


def _study_of(certificate: Certificate, given: Any) -> Mapping[str, Any] | None:
    """Returns a study as plain values: the one given, else the certificate's, if it can be drawn."""
    study: Any = given if given is not None else getattr(getattr(certificate, "details", None), "study", None)
    content = study.to_json() if hasattr(study, "to_json") else study
    return content if _study.is_study(content) else None
