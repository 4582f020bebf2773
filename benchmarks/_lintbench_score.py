"""Judges a linter by sources whose comments say what it must report: `# expect: VX101` and `# allow: VX101`.

A report belongs to a mark when it lies in the innermost simple statement, or in the header of the compound one, that
the marked line is part of. The arithmetic is that of the format's own scorer.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

MARK = re.compile(r"# (expect|allow): ((?:VX\d{3}(?:, *)?)+)")
Place = tuple[int, str]  # a line and a code


def spans(tree: ast.AST) -> dict[int, tuple[int, int]]:
    """Returns for each line the innermost simple statement, or header of a compound one, that it is part of."""
    found: dict[int, tuple[int, int]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        start = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        end = node.end_lineno or node.lineno
        body = getattr(node, "body", None)
        if isinstance(body, list) and body:
            first = min([body[0].lineno, *(each.lineno for each in getattr(body[0], "decorator_list", []))])
            end = max(node.lineno, first - 1)
        for line in range(start, end + 1):
            if line not in found or end - start < found[line][1] - found[line][0]:
                found[line] = (start, end)
    return found


def marks(text: str, kind: str) -> list[Place]:
    """Returns lines and codes of the marks of a kind."""
    return [
        (line, code)
        for line, content in enumerate(text.splitlines(), 1)
        for found, codes in MARK.findall(content)
        if found == kind
        for code in re.findall(r"VX\d{3}", codes)
    ]


def expected(text: str, code: str) -> list[int]:
    """Returns the lines that must be reported with a code."""
    return [line for line, each in marks(text, "expect") if each == code]


@dataclass(frozen=True)
class Judged:
    """What the reports of one source are worth.

    Attributes:
      found: marks that were reported.
      missed: marks that were not.
      right: reports that a mark asks for or allows.
      wrong: the others.
    """

    found: tuple[Place, ...]
    missed: tuple[Place, ...]
    right: tuple[Place, ...]
    wrong: tuple[Place, ...]


def judged(text: str, reports: Iterable[Place]) -> Judged:
    """Returns what reports, as lines and codes, are worth."""
    places = spans(ast.parse(text))
    reported, allowed = list(reports), defaultdict(set)
    hits: dict[bool, list[Place]] = {True: [], False: []}
    for kind in ("expect", "allow"):
        for line, code in marks(text, kind):
            start, end = places.get(line, (line, line))
            for each in range(start, end + 1):
                allowed[each].add(code)
            if kind == "expect":
                hits[any(one == code and start <= at <= end for at, one in reported)].append((line, code))
    right = [each for each in reported if each[1] in allowed[each[0]]]
    wrong = [each for each in reported if each[1] not in allowed[each[0]]]
    return Judged(tuple(hits[True]), tuple(hits[False]), tuple(right), tuple(wrong))


@dataclass
class Total:
    """The figures of one rule, or of all.

    Attributes:
      expected: marks.
      found: of them, those reported.
      right: reports of the rule, over all files, that are right.
      wrong: those that are not.
    """

    expected: int = 0
    found: int = 0
    right: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        """Of the marks, the share that was reported."""
        return self.found / self.expected if self.expected else 1.0

    @property
    def precision(self) -> float:
        """Of the reports, the share that is right."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0


@dataclass
class Score:
    """The figures of a folder.

    Attributes:
      rules: by code.
      cross: reports of other rules than the file's own on lines that no mark allows, by code.
      files: by name, whether the file passed: its own rule found every mark and reported no other line.
    """

    rules: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    cross: Counter[str] = field(default_factory=Counter)
    files: dict[str, bool] = field(default_factory=dict)

    def add(self, name: str, own: str | None, result: Judged) -> None:
        """Counts one file, whose own rule is `own`; None where it is about several."""
        for _, code in (*result.found, *result.missed):
            self.rules[code].expected += 1
        for _, code in result.found:
            self.rules[code].found += 1
        for _, code in result.right:
            self.rules[code].right += 1
        for _, code in result.wrong:
            self.rules[code].wrong += 1
            if code != own:
                self.cross[code] += 1
        self.files[name] = not result.missed and all(own not in (code, None) for _, code in result.wrong)

    @property
    def total(self) -> Total:
        """All rules together."""
        every = list(self.rules.values())
        return Total(*(sum(getattr(each, name) for each in every) for name in ("expected", "found", "right", "wrong")))
