"""Findings as people read them: six lines each, the worst first, with a spark line where a curve is the evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from verax.doctor.catalogue import pages
from verax.findings import Finding

LEVELS = "▁▂▃▄▅▆▇█"
CONSTANT, NOT_FINITE = "▄", "×"
WIDE = 100.0  # largest over smallest value from which a logarithm shows more
EVIDENCE = 2  # lines of each finding

COLOURS = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}
STYLES = {"message": "", "evidence": "dim", "tried": "", "fix": "green"}


class Line(NamedTuple):
    """A line of a finding; `role` is `title`, `message`, `evidence`, `tried` or `fix`."""

    role: str
    text: str


def spark(values: Iterable[Any], width: int = 24) -> str:
    """Returns a curve as a row of small bars.

    A longer curve is cut into parts of equal length, each shown by the median of its values. Where a part holds NaN or
    Inf a cross stands instead. The scale is logarithmic if all values are positive and span more than two decades.

    Args:
      values: numbers in order; arrays of one number are numbers too.
      width: the most letters.

    Raises:
      ValueError: if `width` is not positive.

    Example:
      >>> spark([8, 7, 5, 3, 2, 1, 1, 1])
      '█▇▅▃▂▁▁▁'
      >>> spark([1.0, float("nan")])
      '▄×'
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}.")
    heights = [_height(part) for part in _parts([float(value) for value in values], width)]
    finite = [height for height in heights if height is not None]
    if not finite:
        return NOT_FINITE * len(heights)
    if min(finite) > 0 and max(finite) / min(finite) > WIDE:
        heights = [None if height is None else math.log(height) for height in heights]
        finite = [height for height in heights if height is not None]
    low, high = min(finite) / 2, max(finite) / 2  # halves: a difference of two large numbers may overflow

    def letter(height: float | None) -> str:
        if height is None:
            return NOT_FINITE
        return CONSTANT if low == high else LEVELS[round((height / 2 - low) / (high - low) * (len(LEVELS) - 1))]

    return "".join(map(letter, heights))


def _parts(values: list[float], width: int) -> list[list[float]]:
    count = min(width, len(values))
    edges = [len(values) * part // count for part in range(count + 1)] if count else [0]
    return [values[start:end] for start, end in pairwise(edges)]


def _height(part: list[float]) -> float | None:
    return sorted(part)[len(part) // 2] if all(map(math.isfinite, part)) else None


def curve_text(name: str, values: Iterable[Any]) -> str:
    """Returns a curve with its name, its first and its last value.

    Example:
      >>> curve_text("loss", [2.3, 1.0, 0.5, 0.1])
      'loss █▄▂▁ from 2.3 to 0.1'
    """
    numbers = [float(value) for value in values]
    ends = f" from {numbers[0]:.3g} to {numbers[-1]:.3g}" if numbers else ""
    return f"{printable(name)} {spark(numbers)}{ends}"


def marked_curve_text(name: str, values: Iterable[Any], steps: Iterable[int], width: int = 24) -> str:
    """Returns a curve of one value a step, with a number under the part in which each of some steps lies.

    Args:
      name: of the curve.
      values: that of step 1 first.
      steps: in order; where two fall together, the first is shown.
      width: the most letters.

    Example:
      >>> print(marked_curve_text("loss", [2.3, 1.0, 0.5, float("nan")], [2, 4]))
      loss █▃▁× from 2.3 to nan
            1 2
    """
    numbers = [float(value) for value in values]
    count, under = min(width, len(numbers)), {}
    for number, step in enumerate(steps, 1):
        if numbers:
            under.setdefault(min(count - 1, max(0, step - 1) * count // len(numbers)), str(number))
    line = "".join(under.get(place, " ")[-1] for place in range(count)).rstrip()
    return curve_text(name, numbers) + (f"\n{' ' * len(printable(name))} {line}" if line else "")


def finding_lines(finding: Finding, curve: Iterable[Any] = ()) -> list[Line]:
    """Returns a finding in at most six lines: title, message, two of evidence, what was tried, what to do.

    Args:
      finding: what was found. Its texts may hold anything: control characters are replaced.
      curve: shown as the first line of evidence.
    """
    about = about_text(finding)
    place = f" at {finding.place}" if finding.place else ""
    evidence = [*filter(None, [curve_text("", curve).strip()]), *finding.evidence]
    more = len(evidence) - EVIDENCE
    shown = evidence[:EVIDENCE]
    if more > 0:
        shown[-1] += f" (and {more} more)"
    page = f"See: {page_text(finding)}" if page_text(finding) else ""
    lines = [
        Line("title", f"{finding.severity}: {finding.id}{f' ({about})' if about else ''}{place}"),
        Line("message", finding.message),
        *(Line("evidence", text) for text in shown),
        Line("tried", f"tried: {finding.tried}" if finding.tried else ""),
        Line("fix", f"fix: {' '.join(text for text in (finding.advice, page) if text)}" if finding.advice else page),
    ]
    return [Line(line.role, printable(line.text)) for line in lines if line.text]


_KNOWN = frozenset(page.id for page in pages())


def about_text(finding: Finding) -> str:
    """Returns the part of the program that a finding is about, and how sure it is: `model, proved`."""
    sure = finding.confidence
    told = "" if sure is None else "proved" if sure == 1 else f"{min(sure, 0.99):.0%} sure"  # nearly 1 is no proof
    return ", ".join(text for text in (finding.part or "", told) if text)


def page_text(finding: Finding) -> str:
    """Returns the command that explains a finding; empty where the catalogue has no page of it."""
    return f"verax explain {finding.id}" if finding.id in _KNOWN else ""


def findings_text(findings: Iterable[Finding], curves: Mapping[str, Iterable[Any]] | None = None) -> str:
    """Returns findings as plain text, in their order.

    Args:
      findings: ranked, the worst first.
      curves: that are evidence, by id of finding.

    Example:
      >>> print(findings_text([Finding("double-softmax", "error", "rows of the output sum to 1.", "Return logits.")]))
      error: double-softmax
        rows of the output sum to 1.
        fix: Return logits. See: verax explain double-softmax
    """
    blocks = (finding_lines(finding, (curves or {}).get(finding.id, ())) for finding in findings)
    return "\n".join(
        "\n".join(("" if line.role == "title" else "  ") + line.text for line in lines) for lines in blocks
    )


def findings_table(findings: Iterable[Finding], curves: Mapping[str, Iterable[Any]] | None = None) -> Any:
    """Returns findings for a Rich console: the same lines, coloured by severity, wrapped within their indent."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    drawn: list[Any] = []
    for finding in findings:
        title, *rest = finding_lines(finding, (curves or {}).get(finding.id, ()))
        drawn.append(Text(title.text, COLOURS[finding.severity]))
        drawn += [Padding(Text(line.text, STYLES[line.role]), (0, 0, 0, 2), expand=False) for line in rest]
    return Group(*drawn)


def printable(text: str) -> str:
    """Returns a text on one line without control characters, which could rewrite a terminal.

    Example:
      >>> printable("red\\x1b[31m\\nline")
      'red�[31m line'
    """
    words = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
