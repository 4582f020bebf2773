"""Files as the linter sees them: texts of modules, and the way back from them into the file."""

from __future__ import annotations

import ast
import bisect
import functools
import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from verax.lint._check import unreadable
from verax.lint._report import Report

COOKIE = re.compile(rb"coding[:=]")
UTF8_MARK = b"\xef\xbb\xbf"
Position = tuple[int | None, int, int]  # cell, line, column


class CannotRebuild(ValueError):
    """Texts of modules cannot be brought back into their file."""


@dataclass(frozen=True)
class Document:
    """A file of Python, which is one module.

    Attributes:
      texts: of its modules.
      problems: what is found wrong before any rule is asked.
      encoding: of the file.
    """

    texts: tuple[str, ...]
    problems: tuple[Report, ...] = ()
    encoding: str = "utf-8"
    _starts: dict[int, list[int]] = field(default_factory=dict, compare=False, repr=False)

    def position(self, part: int, offset: int) -> Position:
        """Returns where an offset of a module's text is in the file: cell, line and column, all from 1."""
        if part not in self._starts:
            starts = [0]
            for line in io.StringIO(self.texts[part], newline=""):
                starts.append(starts[-1] + len(line))
            self._starts[part] = starts
        starts = self._starts[part]
        line = min(bisect.bisect_right(starts, offset), len(starts))
        return self.moved(part, line, offset - starts[line - 1] + 1)

    def moved(self, part: int, line: int, column: int) -> Position:
        """Returns where a line and column of a module's text are in the file."""
        return None, line, column

    def placed(self, part: int, report: Report) -> Report:
        """Returns a report on a module with its place in the file."""
        cell, line, column = self.moved(part, report.line, report.column)
        _, end_line, end_column = self.moved(part, report.end_line, report.end_column)
        placed = replace(report, cell=cell, line=line, column=column, end_line=end_line, end_column=end_column)
        return report if placed == report else placed

    def part_of(self, report: Report) -> int:
        """Returns which module a placed report is of."""
        return 0

    def line_at(self, report: Report) -> str:
        """Returns the source line of a placed report."""
        lines = _lines(self.texts[0])
        return lines[report.line - 1] if report.line <= len(lines) else ""

    def rebuilt(self, texts: Sequence[str]) -> bytes:
        """Returns the file with other texts of its modules.

        Raises:
          CannotRebuild: if they cannot be put back.
        """
        return encoded(texts[0], self.encoding)


@functools.lru_cache(maxsize=4)
def _lines(text: str) -> list[str]:
    return [line.rstrip("\r\n") for line in io.StringIO(text, newline="")]


def encoded(text: str, encoding: str) -> bytes:
    """Returns the bytes of a text.

    Raises:
      CannotRebuild: if the encoding has no such character.
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise CannotRebuild(f"its encoding, {encoding}, cannot hold the new text.") from error


def decoded(data: bytes) -> tuple[str, str]:
    """Returns the text of a Python file and its encoding, as Python finds it: by the mark or the comment at the start.

    Raises:
      SyntaxError, UnicodeDecodeError, LookupError: if it has none.
    """
    encoding = "utf-8"
    if data.startswith(UTF8_MARK) or COOKIE.search(data, 0, 1000):
        start = re.sub(rb"\r\n?", b"\n", data) if b"\r" in data else data
        encoding, _ = tokenize.detect_encoding(io.BytesIO(start).readline)
    return data.decode(encoding), encoding


def document(data: bytes, file: str, *, markdown: bool = False) -> Document:
    """Returns a file as the linter sees it; one that cannot be read is a problem in it.

    Args:
      data: of the file.
      file: its name, whose end tells its kind.
      markdown: whether the blocks of Markdown are wanted; else its files have no text.
    """
    suffix = file.lower().rpartition(".")[2]
    try:
        if suffix == "ipynb":
            from verax.lint._notebook import notebook

            return notebook(data, file)
        if suffix in ("md", "markdown", "qmd", "rmd"):
            from verax.lint._markdown import blocks

            return blocks(data, file) if markdown else Document(())
        text, encoding = decoded(data)
    except (UnicodeDecodeError, LookupError, SyntaxError, ValueError, RecursionError) as error:
        return Document((), (unreadable(error, file),))
    return Document((text,), encoding=encoding)


def is_python(text: str) -> bool:
    """Returns whether a text parses."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
