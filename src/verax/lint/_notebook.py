"""Jupyter notebooks: all cells of code are one module, so that names are known from cell to cell."""

from __future__ import annotations

import ast
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from verax.lint._check import unreadable
from verax.lint._document import CannotRebuild, Document, Position, is_python
from verax.lint._report import Report

BETWEEN = "# %% verax: cell {}"  # a line between cells; edits never touch a comment
HIDDEN = "verax: line {}"
MAGIC = re.compile(r"(?P<indent>[ \t]*)(?P<rest>%{1,2}\w.*|!.*|\?{1,2}\w.*|[\w.]+\?{1,2}|,\w.*|;\w.*|/\w.*)$")
ASSIGNED = re.compile(r"(?P<indent>[ \t]*)(?P<names>[\w., ()\[\]]+?)[ \t]*=[ \t]*[%!]\S.*$")
TIMED = re.compile(r"%%(?:time|timeit|capture|prun|memit|mprun|snakeviz|scalene)\b")  # what follows them is Python
SKIP = json.decoder.WHITESPACE  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Cell:
    """A cell of code.

    Attributes:
      number: among all cells, the first is 1.
      source: as it is.
      text: as Python; lines that are not are hidden.
      span: of its source in the file.
      start: its first line in the module, from 0.
    """

    number: int
    source: str
    text: str
    span: tuple[int, int]
    start: int

    @property
    def lines(self) -> list[str]:
        """The lines of its source."""
        return self.source.split("\n")


@dataclass(frozen=True)
class Notebook(Document):
    """A notebook.

    Attributes:
      raw: the text of the file.
      cells: of code.
    """

    raw: str = ""
    cells: tuple[Cell, ...] = ()

    def moved(self, part: int, line: int, column: int) -> Position:
        """Returns the cell, and where in it a line and column of the module are."""
        place = max(bisect_right([each.start for each in self.cells], line - 1) - 1, 0)
        cell = self.cells[place]
        return cell.number, line - cell.start, column

    def line_at(self, report: Report) -> str:
        """Returns the source line of a report."""
        cell = next((each for each in self.cells if each.number == report.cell), None)
        return cell.lines[report.line - 1] if cell is not None and report.line <= len(cell.lines) else ""

    def rebuilt(self, texts: Sequence[str]) -> bytes:
        """Returns the file with other sources of its cells; all else is left as it is written."""
        raw = self.raw
        parts = re.split(r"^# %% verax: cell \d+\n", texts[0], flags=re.MULTILINE)
        if len(parts) != len(self.cells):
            raise CannotRebuild("its cells are no longer apart.")
        for cell, part in reversed(list(zip(self.cells, parts, strict=True))):
            text = part[:-1] if part.endswith("\n") else part
            if text != cell.text:
                start, end = cell.span
                raw = raw[:start] + _written(_shown(text, cell), raw[start:end]) + raw[end:]
        return raw.encode(self.encoding)


def notebook(data: bytes, file: str) -> Document:
    """Returns a notebook; one in another language has no text.

    Raises:
      ValueError: if it is no notebook.
    """
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    raw = data.decode(encoding)
    try:
        content = json.loads(raw)
    except json.JSONDecodeError as error:
        problem = SyntaxError(f"a notebook is JSON, and here: {error.msg}", ("", error.lineno, error.colno, ""))
        return Document((), (unreadable(problem, file),))
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise ValueError("it has no cells, so it is no notebook")
    if not _is_python(content.get("metadata")):
        return Document(())
    cells: list[Cell] = []
    problems: list[Report] = []
    texts: list[str] = []
    start = 0
    for number, (source, span) in enumerate(_sources(raw, content["cells"]), 1):
        if source is None:
            continue
        text, problem = _as_python(source)
        if problem is not None:
            problems.append(replace(unreadable(problem, file), cell=number))
        if cells:
            texts.append(f"{BETWEEN.format(number)}\n")
            start += 1
        cells.append(Cell(number, source, text, span, start))
        texts.append(f"{text}\n")
        start += text.count("\n") + 1
    whole = ("".join(texts),) if cells else ()
    problems = [replace(each, message=each.message.replace("this file", "this cell")) for each in problems]
    return Notebook(whole, tuple(problems), encoding, raw=raw, cells=tuple(cells))


def _is_python(metadata: Any) -> bool:
    about = metadata if isinstance(metadata, dict) else {}
    names: list[str] = [
        str(part[key])
        for part, key in ((about.get("language_info"), "name"), (about.get("kernelspec"), "language"))
        if isinstance(part, dict) and part.get(key)
    ]
    return not names or names[0].lower() in ("python", "ipython", "python3")


def _as_python(source: str) -> tuple[str, Exception | None]:
    """Returns a cell as Python of as many lines, and what is wrong where it is none; then all of it is hidden."""
    lines = source.split("\n")
    first = next((place for place, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        if not TIMED.match(lines[first]):
            return _hidden(lines, range(len(lines))), None
        lines[first] = _without(lines[first], first)
    text = "\n".join(lines)
    if is_python(text):
        return text, None
    hidden = "\n".join(_without(line, place) for place, line in enumerate(lines))
    if is_python(hidden):
        return hidden, None
    wrong = _error(text)
    for _ in lines:  # a line that looks like a command to IPython may be part of an expression: one by one
        place = getattr(wrong, "lineno", None)
        if not place or place > len(lines) or (shown := _without(lines[place - 1], place - 1)) == lines[place - 1]:
            break
        lines[place - 1] = shown
        wrong = _error("\n".join(lines))
        if wrong is None:
            return "\n".join(lines), None
    return _hidden(lines, range(len(lines))), wrong


def _error(text: str) -> Exception | None:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error
    return None


def _without(line: str, place: int) -> str:
    """Returns a line with what only IPython reads hidden."""
    found = ASSIGNED.match(line)
    if found is not None:
        return f"{found['indent']}{found['names']} = None  # {HIDDEN.format(place)}"
    found = MAGIC.match(line)
    return line if found is None else f"{found['indent']}pass  # {HIDDEN.format(place)}"


def _hidden(lines: Sequence[str], places: Iterator[int] | range) -> str:
    return "\n".join(f"# {HIDDEN.format(place)}" for place in places)


def _shown(text: str, cell: Cell) -> str:
    """Returns a text with the lines that were hidden."""
    hidden = re.compile(r"^.*# verax: line (\d+)$", re.MULTILINE)
    before, after = hidden.findall(cell.text), hidden.findall(text)
    if before != after:
        raise CannotRebuild(f"lines of cell {cell.number} for IPython were edited.")
    return hidden.sub(lambda found: cell.lines[int(found[1])], text)


def _written(source: str, before: str) -> str:
    """Returns a source as JSON, in the way in which it was written before."""
    is_ascii = before.isascii() and "\\u" in before
    if not before.startswith("["):
        return json.dumps(source, ensure_ascii=is_ascii)
    lines = [json.dumps(each, ensure_ascii=is_ascii) for each in re.findall(r"[^\n]*\n|[^\n]+\Z", source)]
    first = re.match(r"\[\s*", before)
    last = re.search(r"\s*\]\Z", before)
    between = re.search(r"\"(,\s*)\"", before)
    head = first[0] if first else "["
    comma = between[1] if between and json.loads(before)[1:] else f",{head[1:] or ' '}"
    return head + comma.join(lines) + (last[0] if last else "]")


def _sources(raw: str, cells: Sequence[Any]) -> Iterator[tuple[str | None, tuple[int, int]]]:
    """Yields the source of each cell, None where it is no code, and its span in the text of the file."""
    spans = _spans(raw)
    for cell in cells:
        span = next(spans, None)
        source = cell.get("source") if isinstance(cell, dict) and cell.get("cell_type") == "code" else None
        if isinstance(source, list):
            source = "".join(each for each in source if isinstance(each, str))
        yield (source, span) if isinstance(source, str) and span is not None else (None, (0, 0))


def _spans(raw: str) -> Iterator[tuple[int, int] | None]:
    """Yields for each cell where the text of the file has its source."""
    decode = json.JSONDecoder().raw_decode
    for name, start in _members(raw, _skip(raw, 0)):
        if name != "cells":
            continue
        place = _skip(raw, start + 1)
        while raw[place] != "]":
            span = None
            for key, at in _members(raw, place):
                if key == "source":
                    span = (at, decode(raw, at)[1])
            yield span
            _, place = decode(raw, place)
            place = _skip(raw, place)
            place = _skip(raw, place + 1) if raw[place] == "," else place
        return


def _members(raw: str, place: int) -> Iterator[tuple[str, int]]:
    """Yields the names of a JSON object that begins at a place, and where their values begin."""
    if raw[place] != "{":
        return
    decode = json.JSONDecoder().raw_decode
    place = _skip(raw, place + 1)
    while raw[place] != "}":
        name, place = decode(raw, place)
        place = _skip(raw, _skip(raw, place) + 1)
        yield name, place
        _, place = decode(raw, place)
        place = _skip(raw, place)
        place = _skip(raw, place + 1) if raw[place] == "," else place


def _skip(raw: str, place: int) -> int:
    found = SKIP.match(raw, place)
    return found.end() if found else place
