"""A certificate as Markdown, for a pull request or a model card."""

from __future__ import annotations

import re

from verax.certify import Certificate, Outcome
from verax.report._elements import printable
from verax.report._quantities import label, quantity, rows
from verax.report._status import NAMES, WORDS, advice, sentence

SPECIAL = re.compile(r"([\\`*_\[\]|~])")  # what else Markdown knows counts only where a line begins
SIGNS = {"passed": "✔", "failed": "✘", "waived": "◆", "not_run": "○"}


def markdown(certificate: Certificate) -> str:
    """Returns the verdict, the ten items with their numbers and limits, and the scores on the test split."""
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
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


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
