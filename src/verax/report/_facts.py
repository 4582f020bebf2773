"""The end of a page: the run, its findings, the environment and the fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verax.certify import Certificate
from verax.findings import Finding
from verax.report._elements import Content, Markup, tag
from verax.report._items import findings_list, pairs
from verax.report._quantities import rows


def run(facts: Mapping[str, Any] | None, findings: Iterable[Finding]) -> Content:
    """Returns what is known about the run, and what was noticed on the way."""
    noticed = findings_list(findings)
    if not facts and noticed is None:
        return None
    return _section(
        "The run",
        "run",
        _pairs(facts) if facts else None,
        [tag("h3", "What was noticed"), noticed] if noticed else None,
    )


def environment(certificate: Certificate) -> Content:
    """Returns where it was measured: versions, device, date."""
    return _section("Environment", "environment", _pairs(certificate.environment)) if certificate.environment else None


def fingerprints(certificate: Certificate) -> Content:
    """Returns digests that tell whether something is what was certified."""
    if not certificate.fingerprints:
        return None
    words = "What was certified, to the bit: another model, data set or source has another fingerprint."
    return _section(
        "Fingerprints", "fingerprints", tag("p", words, class_="note"), _pairs(certificate.fingerprints, code=True)
    )


def _section(title: str, name: str, *content: Content) -> Markup:
    return tag("section", tag("h2", title, id=name), content, class_="card", aria_labelledby=name)


def _pairs(values: Mapping[str, Any], code: bool = False) -> Markup:
    return pairs(((name, text) for _, name, text in rows(values)), code)
