"""A certificate as Markdown, for a pull request or a model card."""

from __future__ import annotations

import re
from collections.abc import Iterable

from verax.certify import Certificate, Outcome
from verax.debug import DeadUnits
from verax.findings import Finding
from verax.plot import find_marks
from verax.report._elements import printable
from verax.report._quantities import label, quantity, rows
from verax.report._status import NAMES, WORDS, advice, sentence

SPECIAL = re.compile(r"([\\`*_\[\]|~])")  # what else Markdown knows counts only where a line begins
SIGNS = {"passed": "✔", "failed": "✘", "waived": "◆", "not_run": "○"}


def markdown(certificate: Certificate, *, findings: Iterable[Finding] = ()) -> str:
    """Returns the verdict, the ten items with their numbers and limits, and the scores on the test split; then at which
    steps something was found, and the dead units by layer, where there are any.

    Args:
      certificate: the ten items.
      findings: about the run, beside those of the items; those that have a step are listed.
    """
    lines = [f"# {_plain(certificate.name)}: {WORDS[certificate.verdict].lower()}", "", sentence(certificate), ""]
    for item in [*_of(certificate, "failed"), *_of(certificate, "not_run")]:
        words = " ".join(text for text in (item.reason, advice(item)) if text)
        lines += [f"- **{NAMES[item.id]}** ({WORDS[item.status].lower()}): {_plain(words)}"]
    lines += ["", "| Item | Status | Measured | Limit | Reason |", "|---|---|---|---|---|"]
    lines += [_line(item) for item in certificate.items]
    if certificate.test:
        lines += ["", "| On the test split | Value | 95 % interval |", "|---|---|---|"]
        for name, estimate in certificate.test.items():
            value, low, high = (quantity(name, number) for number in estimate)
            lines += [f"| {_plain(label(name))} | {value} | {low} to {high} |"]
    lines += _moments([*findings, *(finding for item in certificate.items for finding in item.findings)])
    lines += _units(certificate.units)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _moments(findings: list[Finding]) -> list[str]:
    marks = find_marks(findings)
    if not marks:
        return []
    each = [(mark.step, finding) for mark in marks for finding in mark.findings]
    lines = [f"| {step:,} | {_plain(one.id)} ({one.severity}) | {_plain(one.message)} |" for step, one in each]
    return ["", "| At step | Found | What |", "|---|---|---|", *lines]


def _units(found: DeadUnits | str | None) -> list[str]:
    if isinstance(found, str):
        return ["", f"Dead units: not measured: {_plain(found)}."]
    if found is None or not found.layers:
        return []
    heads = ["Dead units of layer", "Activation", "Units", *(_plain(each) for each in found.heads)]
    lines = [f"| {' | '.join(map(_plain, line))} |" for line in found.table()]
    counted = f"On {found.rows} rows of the training split; dead is a slope below 0.001 on each of them."
    return ["", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines, "", counted]


def _of(certificate: Certificate, status: str) -> list[Outcome]:
    return [item for item in certificate.items if item.status == status]


def _line(item: Outcome) -> str:
    numbers = ["; ".join(f"{name} {text}" for _, name, text in rows(values)) for values in (item.measured, item.limit)]
    cells = [
        NAMES[item.id],
        f"{SIGNS[item.status]} {WORDS[item.status].lower()}",
        *map(_plain, [*numbers, item.reason]),
    ]
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Returns a text that Markdown shows as it is: one line, no markup of Markdown or HTML."""
    text = SPECIAL.sub(r"\\\1", " ".join(printable(text).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
