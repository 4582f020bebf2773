"""A certificate as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from verax import __version__
from verax.certify import Certificate
from verax.evaluate import Evaluation, Slices
from verax.findings import Finding
from verax.plot import Mistakes
from verax.report import _facts, _figures
from verax.report._drawings import drawings
from verax.report._elements import Markup, tag
from verax.report._items import items
from verax.report._material import DRAWN_FACTS, AnyCalibration, Material, gather
from verax.report._scores import scores
from verax.report._status import WORDS
from verax.report._verdict import to_do, verdict
from verax.train import History

# The page may load nothing at all, whatever a name or a reason holds.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


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
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="generator", content=f"Verax {__version__}"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{heading}: {WORDS[certificate.verdict].lower()}"),
        tag("style", Markup(files("verax.report").joinpath("style.css").read_text(encoding="utf-8"))),
    )
    main = tag(
        "main",
        verdict(certificate, heading),
        to_do(certificate),
        items(certificate),
        scores(certificate, material.evaluation),
        _figures.mistakes_and_residuals(material, drawn),
        _figures.groups(material, drawn),
        _figures.calibration(material, drawn),
        _figures.curves(material, drawn),
        _figures.health_of_run(material, drawn),
        _facts.run(listed, findings),
        _facts.environment(certificate),
        _facts.fingerprints(certificate),
    )
    footer = tag("footer", tag("p", f"Written by Verax {__version__}. This page loads nothing from anywhere."))
    return f'<!DOCTYPE html>\n<html lang="en">{head}{tag("body", main, footer)}</html>\n'
