"""Reports as text, JSON, SARIF, annotations of GitHub and JUnit XML."""

from __future__ import annotations

import functools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from verax.lint._document import Document, document
from verax.lint._engine import Result
from verax.lint._report import Report
from verax.lint._rule import all_rules

SARIF_LEVELS = {"error": "error", "warning": "warning", "note": "note"}
GITHUB_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
COLORS = {"error": "31", "warning": "33", "note": "36"}
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
WIDTH = 200  # of a source line that is shown


class Sources:
    """Contents of the files that reports are on, read when they are asked for.

    Args:
      result: with the texts that are on no disk.
      markdown: whether blocks of Markdown were checked.
    """

    def __init__(self, result: Result, markdown: bool = False):
        self.texts, self.markdown = result.texts, markdown
        self._of = functools.lru_cache(maxsize=8)(self._read)

    def of(self, file: str) -> Document:
        """Returns a file as it was checked; an empty one where it cannot be read any more."""
        return self._of(file)

    def _read(self, file: str) -> Document:
        try:
            data = self.texts[file] if file in self.texts else Path(file).read_bytes()
        except OSError:
            data = b""
        return document(data, file, markdown=self.markdown)

    def line(self, report: Report) -> str:
        """Returns the source line of a report; empty where it has none."""
        found = self.of(report.file)
        return found.line_at(report) if found.texts else ""

    def edits(self, report: Report) -> list[dict[str, Any]]:
        """Returns the edits of a report's fix, by lines and columns."""
        if report.fix is None:
            return []
        found = self.of(report.file)
        part = found.part_of(report)
        return [self._edit(found, part, each) for each in report.fix.edits if part < len(found.texts)]

    def _edit(self, found: Document, part: int, edit: Any) -> dict[str, Any]:
        cell, line, column = found.position(part, edit.start)
        _, end_line, end_column = found.position(part, edit.end)
        place = {"line": line, "column": column, "end_line": end_line, "end_column": end_column, "text": edit.text}
        return place if cell is None else {"cell": cell, **place}


def text(result: Result, sources: Sources, *, rich: bool = False, color: bool = False) -> str:
    """Returns a line for each report.

    Args:
      result: of a run.
      sources: for the lines that are shown.
      rich: whether the source line follows, with an underline.
      color: whether escape sequences colour it.
    """

    def painted(content: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{content}\x1b[0m" if color else content

    lines = []
    for each in result.reports:
        place, hue = printable(each.place), COLORS[each.level]
        fixable = "" if each.fix is None or not rich else painted(" [*]" if each.fix.safe else " [unsafe fix]", "36")
        lines.append(f"{painted(place, '1')}: {painted(each.code, '1', hue)}{fixable} {printable(each.message)}")
        if rich and (source := sources.line(each)).strip():
            shown, under = _underlined(source, each)
            lines += [f"    {shown}", f"    {painted(under, hue)}"]
    return "\n".join(lines)


def _underlined(source: str, report: Report) -> tuple[str, str]:
    """Returns a source line without its indentation, and the marks below it; of a long line the part around them."""
    start = min(report.column - 1, len(source))
    end = report.end_column - 1 if report.end_line == report.line else len(source.rstrip())
    end = min(max(end, start + 1), max(len(source), start + 1))
    cut = len(source) - len(source.lstrip())
    if len(source) - cut > WIDTH:
        cut = max(cut, start - WIDTH // 2)
    cut = min(cut, start)
    shown = printable(source[cut : cut + WIDTH].replace("\t", " "))
    before = _cells(printable(source[cut:start]))
    marks = max(_cells(printable(source[start : min(end, cut + WIDTH)])), 1)
    return shown.rstrip(), " " * before + "^" * marks


def _cells(content: str) -> int:
    """Returns how wide a text is on a terminal."""
    if content.isascii():
        return len(content)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in content)
    return len(content) + wide - sum(unicodedata.combining(each) > 0 for each in content)


def printable(content: str) -> str:
    """Returns a text without what moves a terminal's cursor or its colours."""
    return "".join(each if each.isprintable() or each == " " else ascii(each)[1:-1] for each in content)


def json_text(result: Result, sources: Sources) -> str:
    """Returns the reports as a JSON list."""
    return json.dumps([_plain(each, sources) for each in result.reports], indent=1)


def _plain(report: Report, sources: Sources) -> dict[str, Any]:
    fix = report.fix
    found: dict[str, Any] = {
        "file": _valid(report.file),
        "line": report.line,
        "column": report.column,
        "end_line": report.end_line,
        "end_column": report.end_column,
        "code": report.code,
        "name": report.name,
        "level": report.level,
        "message": _valid(report.message),
        "fix": None if fix is None else {"title": fix.title, "safe": fix.safe, "edits": sources.edits(report)},
    }
    return found if report.cell is None else {**found, "cell": report.cell}


def _valid(content: str) -> str:
    """Returns a text that UTF-8 can hold: names of files need not be one."""
    return content.encode(errors="replace").decode()


def sarif(result: Result, sources: Sources) -> str:
    """Returns the reports as SARIF 2.1.0."""
    from verax import __version__

    names = {each.code: each.name for each in result.reports}
    rules = [_sarif_rule(code, names[code]) for code in sorted(names)]
    index = {each["id"]: place for place, each in enumerate(rules)}
    broken = [
        {"level": "error", "message": {"text": f"{place} raised {said}"}} for place, said in result.broken.items()
    ]
    run = {
        "tool": {
            "driver": {"name": "verax lint", "version": __version__, "semanticVersion": __version__, "rules": rules}
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not broken, "toolExecutionNotifications": broken}],
        "results": [_sarif_result(each, index[each.code], sources) for each in result.reports],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _sarif_rule(code: str, name: str) -> dict[str, Any]:
    rule = all_rules().get(code)
    page = rule.page if rule else "The file cannot be read as Python."
    return {
        "id": code,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": page.partition("\n")[0]},
        "fullDescription": {"text": page.partition("\n")[0]},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": SARIF_LEVELS[rule.level if rule else "error"]},
    }


def _sarif_result(report: Report, index: int, sources: Sources) -> dict[str, Any]:
    artifact = _artifact(report.file)
    cell = "" if report.cell is None else f"in cell {report.cell}: "
    found: dict[str, Any] = {
        "ruleId": report.code,
        "ruleIndex": index,
        "level": SARIF_LEVELS[report.level],
        "message": {"text": f"{cell}{_valid(report.message)}"},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": _region(report)}}],
    }
    edits = sources.edits(report)
    if report.fix is not None and report.cell is None and edits:  # regions are of the file, and a cell has none
        replacements = [
            {
                "deletedRegion": {
                    "startLine": each["line"], "startColumn": each["column"],
                    "endLine": each["end_line"], "endColumn": each["end_column"],
                },
                "insertedContent": {"text": each["text"]},
            }
            for each in edits
        ]  # fmt: skip
        changes = [{"artifactLocation": artifact, "replacements": replacements}]
        found["fixes"] = [{"description": {"text": report.fix.title}, "artifactChanges": changes}]
    return found


def _region(report: Report) -> dict[str, int]:
    return {
        "startLine": report.line, "startColumn": report.column,
        "endLine": report.end_line, "endColumn": report.end_column,
    }  # fmt: skip


def _artifact(file: str) -> dict[str, str]:
    path = Path(file)
    if path.is_absolute():
        if not path.is_relative_to(Path.cwd()):
            return {"uri": path.as_uri()}
        path = path.relative_to(Path.cwd())
    return {"uri": quote(os.fsencode(path.as_posix())), "uriBaseId": "%SRCROOT%"}


def github(result: Result, sources: Sources) -> str:
    """Returns the reports as annotations of GitHub Actions."""

    def data(content: str) -> str:
        return _valid(content).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def value(content: Any) -> str:
        return data(str(content)).replace(":", "%3A").replace(",", "%2C")

    lines = []
    for each in result.reports:
        about = {
            "file": each.file, "line": each.line, "col": each.column,
            "endLine": each.end_line, "endColumn": each.end_column, "title": f"{each.code} {each.name}",
        }  # fmt: skip
        if each.cell is not None:  # lines of a cell are not those of the file
            about = {"file": each.file, "title": about["title"]}
        place = ",".join(f"{name}={value(content)}" for name, content in about.items())
        lines.append(f"::{GITHUB_LEVELS[each.level]} {place}::{data(f'{each.place}: {each.code} {each.message}')}")
    return "\n".join(lines)


def junit(result: Result, sources: Sources) -> str:
    """Returns the reports as JUnit XML: a suite for each file, a failed case for each report."""
    from xml.etree import ElementTree as xml

    root = xml.Element("testsuites", name="verax lint", tests=str(max(len(result.reports), 1)))
    root.set("failures", str(len(result.reports)))
    by_file: dict[str, list[Report]] = {}
    for each in result.reports:
        by_file.setdefault(each.file, []).append(each)
    for file, reports in by_file.items():
        count = str(len(reports))
        suite = xml.SubElement(root, "testsuite", name=_xml(file), tests=count, failures=count, errors="0")
        for each in reports:
            place = each.place.removeprefix(each.file).lstrip(":")
            name = f"{each.code} {each.name} at {place}"
            case = xml.SubElement(
                suite, "testcase", classname=_xml(file), name=name, file=_xml(file), line=str(each.line)
            )
            failure = xml.SubElement(case, "failure", message=_xml(each.message), type=each.level)
            failure.text = _xml(str(each))
    if not by_file:
        suite = xml.SubElement(root, "testsuite", name="verax lint", tests="1", failures="0", errors="0")
        xml.SubElement(suite, "testcase", classname="verax lint", name=f"{result.files} files")
    xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml.tostring(root, encoding="unicode")}'


def _xml(content: str) -> str:
    """Returns a text with the characters that XML can hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", _valid(content))


def statistics(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Returns how often each rule was met, the most frequent first, and how many of its reports can be mended."""
    counts = Counter((each.code, each.name, each.level) for each in reports)
    fixable = Counter(each.code for each in reports if each.fix is not None)
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [
        {"count": count, "code": code, "name": name, "level": level, "fixable": fixable[code]}
        for (code, name, level), count in ordered
    ]


FORMATS: dict[str, Callable[[Result, Sources], str]] = {
    "text": text,
    "json": json_text,
    "sarif": sarif,
    "github": github,
    "junit": junit,
}
