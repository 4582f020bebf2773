"""What was found, where, how bad, what to do: the one type of a lint error, a diagnosis and a failed probe.

Standard library only: the linter and the command line import this file without importing JAX.
"""

from __future__ import annotations

import difflib
import sysconfig
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["info", "warning", "error"]
Part = Literal["data", "batches", "model", "loss", "optimizer", "schedule"]


@dataclass(frozen=True)
class Span:
    """A place in a source file; lines and columns count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Leaf:
    """A leaf of a tree, by its path: `params/hidden_0/kernel`."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class Moment:
    """A step of a run (the first is 1), with its epoch where one is known."""

    step: int
    epoch: int | None = None

    def __str__(self) -> str:
        return f"step {self.step}" + ("" if self.epoch is None else f" (epoch {self.epoch})")


@dataclass(frozen=True)
class Split:
    """A split of the data, with the first bad row and column where there is one."""

    name: str
    index: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        row = "" if self.index is None else f" row {self.index}"
        column = "" if self.column is None else f" column {self.column!r}"
        return f"{self.name}{row}{column}"


Place = Span | Leaf | Moment | Split


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
      id: a stable kebab-case name (`label-out-of-range`) or lint code; never reused.
      severity: `error` for what must be mended, `warning` for what does harm, `info` for what asks nothing.
      message: what happened, with the number.
      advice: what to try; empty if there is nothing to do.
      where: the place, or None where the whole program is meant.
      part: the part of a training program that is to be changed; None where no one part is, or it is not known.
      evidence: what was measured, a line each.
      confidence: how sure this is, in (0, 1]; 1 for what was proved, None where nobody said.
      tried: what a repair did that was tried; empty if none was.
      step: of the run at which it happened or began, the first being 1; None where it has no moment. That of a `Moment`
        in `where` unless another is given.

    Example:
      >>> print(Finding("label-out-of-range", "error", "label 12 with 10 outputs.", "Use 13.", Split("train", 7)))
      train row 7: label-out-of-range: label 12 with 10 outputs. Use 13.
    """

    id: str
    severity: Severity
    message: str
    advice: str = ""
    where: Place | None = None
    part: Part | None = None
    evidence: tuple[str, ...] = ()
    confidence: float | None = None
    tried: str = ""
    step: int | None = None

    def __post_init__(self) -> None:
        if self.step is None and isinstance(self.where, Moment):
            object.__setattr__(self, "step", self.where.step)

    @property
    def is_alarm(self) -> bool:
        """Whether it says that something does harm; what is `info` asks nothing."""
        return self.severity != "info"

    @property
    def place(self) -> str:
        """Where and when it is, in words: `params/kernel, step 12`; empty where neither is known."""
        when = "" if self.step is None or isinstance(self.where, Moment) else str(Moment(self.step))
        return ", ".join(text for text in (str(self.where or ""), when) if text)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.id}: {self.message}" + (f" {self.advice}" if self.advice else "")


class InputError(ValueError):
    """Something given to Verax is wrong: data, a hyperparameter, a file. Raised before any compute.

    The message lists every problem that was found, a line each: what was expected, what was found, what to do.

    Attributes:
      findings: the problems; empty where the message says it all.
    """

    def __init__(self, problem: str | Iterable[Finding]):
        self.findings: tuple[Finding, ...] = () if isinstance(problem, str) else tuple(problem)
        super().__init__(problem if isinstance(problem, str) else "\n".join(str(finding) for finding in self.findings))


def raise_errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Returns the findings, if none is an error.

    Raises:
      InputError: with all findings of severity `error`.
    """
    findings = tuple(findings)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise InputError(errors)
    return findings


def suggested(name: object, known: Iterable[str]) -> str:
    """Returns a hint for a name that is unknown: the one that was probably meant, or all there are."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(names)}."


def is_library_file(filename: str) -> bool:
    """Returns whether a file is of Verax, of an installed library, or generated, and not of the user."""
    ours = str(Path(__file__).parent)
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return filename.startswith("<") or str(Path(filename).resolve()).startswith((ours, *libraries))


def user_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Returns the frames of an error's traceback that lie in files of the user, the outermost first.

    Not in Verax, in an installed library, or in generated code.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not is_library_file(frame.filename)]
