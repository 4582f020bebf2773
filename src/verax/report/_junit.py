"""A certificate as JUnit XML, which build servers show as ten tests."""

from __future__ import annotations

from xml.etree import ElementTree

from verax.certify import Certificate, Outcome
from verax.report._elements import printable
from verax.report._status import advice

KINDS = {"failed": "failure", "not_run": "error", "waived": "skipped"}  # as the verdict counts them


def junit(certificate: Certificate) -> str:
    """Returns a test suite with a test case for each item.

    A failed item is a failure; one that was not run is an error, since the verdict counts it as failed; a waived one is
    skipped, with its reason.
    """
    counts = {kind: sum(item.status == status for item in certificate.items) for status, kind in KINDS.items()}
    suite = ElementTree.Element(
        "testsuite", name=printable(certificate.name), tests=str(len(certificate.items)),
        failures=str(counts["failure"]), errors=str(counts["error"]), skipped=str(counts["skipped"]),
    )  # fmt: skip
    for item in certificate.items:
        case = ElementTree.SubElement(suite, "testcase", classname="verax.certificate", name=item.id)
        if item.status in KINDS:
            told = ElementTree.SubElement(case, KINDS[item.status], message=printable(item.reason or item.status))
            told.text = printable(_details(item))
    ElementTree.indent(suite)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suite, encoding="unicode")}\n'


def _details(item: Outcome) -> str:
    found = [
        f"{name}: {value}"
        for name, value in {**item.measured, **{f"limit {k}": v for k, v in item.limit.items()}}.items()
    ]
    lines = [*found, *map(str, item.findings), advice(item), f"Measure it again: {item.rerun}" if item.rerun else ""]
    return "\n".join(line for line in lines if line)
