"""What came of one file, as a value and as JSON: for the cache, and from one process to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from verax.lint._report import Edit, Fix, Report

PLACE = ("line", "column", "end_line", "end_column", "cell")


@dataclass(frozen=True)
class Outcome:
    """What came of one file.

    Attributes:
      reports: in the order of the file.
      broken: rules that raised, with what.
      reads: other files that were looked at, with their hashes.
    """

    reports: tuple[Report, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)

    def of(self, file: str) -> Outcome:
        """Returns the same of a file by another name."""
        if all(each.file == file for each in self.reports):
            return self
        return replace(self, reports=tuple(replace(each, file=file) for each in self.reports))


def to_plain(outcome: Outcome) -> dict[str, Any]:
    """Returns an outcome as JSON can hold it; without the name of its file."""
    found: dict[str, Any] = {}
    if outcome.reports:
        found["reports"] = [_report_to_plain(each) for each in outcome.reports]
    if outcome.broken:
        found["broken"] = dict(outcome.broken)
    if outcome.reads:
        found["reads"] = dict(outcome.reads)
    return found


def from_plain(content: Mapping[str, Any], file: str) -> Outcome:
    """Returns the outcome that JSON holds.

    Raises:
      KeyError, TypeError, ValueError, AttributeError: if it holds none.
    """
    reports = tuple(_report_from_plain(each, file) for each in content.get("reports", ()))
    broken, reads = dict(content.get("broken", {})), dict(content.get("reads", {}))
    if not all(isinstance(each, str) for one in (broken, reads) for pair in one.items() for each in pair):
        raise TypeError("names and texts are expected")
    return Outcome(reports, broken, reads)


def _report_to_plain(report: Report) -> list[Any]:
    fix = report.fix
    edits = None if fix is None else [fix.title, fix.safe, [[each.start, each.end, each.text] for each in fix.edits]]
    place = [getattr(report, name) for name in PLACE]
    return [place, report.code, report.name, report.level, report.message, edits]


def _report_from_plain(content: Any, file: str) -> Report:
    (line, column, end_line, end_column, cell), code, name, level, message, edits = content
    fix = None
    if edits is not None:
        title, safe, each = edits
        fix = Fix(title, tuple(Edit(start, end, text) for start, end, text in each), safe)
    if not all(isinstance(each, str) for each in (code, name, message)) or level not in ("error", "warning", "note"):
        raise TypeError("a report is expected")
    return Report(file, line, column, end_line, end_column, code, name, level, message, fix, cell)
