"""What a rule says about a place in a source file, and the edits that mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from verax.findings import Finding, Severity, Span

Level = Literal["error", "warning", "note"]
SEVERITY: dict[Level, Severity] = {"error": "error", "warning": "warning", "note": "info"}


@dataclass(frozen=True, order=True)
class Edit:
    """Characters of a text that are replaced.

    Attributes:
      start: offset of the first character.
      end: offset after the last one; as `start` where text is only inserted.
      text: what comes in their place.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Fix:
    """Edits that mend one report.

    Attributes:
      title: what they do, as an editor shows it: `Replace by jax.tree.map`.
      edits: none overlaps another.
      safe: whether the program means the same after them. Those that change random numbers, the type of a result, or
        what is needed elsewhere are not safe.
    """

    title: str
    edits: tuple[Edit, ...]
    safe: bool


@dataclass(frozen=True, order=True)
class Report:
    """One mistake at one place.

    Attributes:
      file: as it was given.
      line: the first is 1.
      column: in characters, the first is 1.
      end_line: of its end.
      end_column: after its last character.
      code: `VX101`.
      name: of the rule: `key-reuse`.
      level: how sure and how bad: an error is wrong or will raise, a warning very likely wrong, a note advice.
      message: what is wrong, and what to do.
      fix: what mends it, or None.
      cell: of a notebook, in which the line is; the first is 1.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    code: str
    name: str
    level: Level
    message: str
    fix: Fix | None = None
    cell: int | None = None

    @property
    def place(self) -> str:
        """Where it is: `train.py:3:5`, `notes.ipynb:cell 2:3:5`."""
        cell = "" if self.cell is None else f"cell {self.cell}:"
        return f"{self.file}:{cell}{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.place}: {self.code} {self.message}"

    @property
    def finding(self) -> Finding:
        """The same as the type that diagnoses and checks have."""
        where = Span(self.file, self.line, self.column)
        return Finding(self.code, SEVERITY[self.level], self.message, where=where)
