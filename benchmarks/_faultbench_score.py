"""Judges findings by what the author of a faultbench case knows, which is read without running the case.

The figures are those of the format: detected, first, exact, placed, wrong diagnosis, right or fair, false alarm.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ALARMS = ("error", "warning")


class Known(NamedTuple):
    """What the author of a case knows about it.

    Attributes:
      faulty: whether the program has a fault.
      faults: ids of which a right diagnosis names at least one, the most specific first.
      acceptable: ids that are also true of the program.
      never: ids that would send the user the wrong way.
      where: the parts at fault.
    """

    faulty: bool
    faults: tuple[str, ...]
    acceptable: frozenset[str]
    never: frozenset[str]
    where: frozenset[str]


class Judged(NamedTuple):
    """What a tool's findings about a case are worth; the fields are those of the figures.

    `false` holds the ids of alarms on a healthy program, `other` those on a faulty one that are in none of its lists.
    """

    faulty: bool
    alarms: int
    detected: bool = False
    first: bool = False
    exact: bool = False
    placed: bool = False
    fair: int = 0
    wrong: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    false: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One word: found, MISSED, quiet or FALSE."""
        if self.faulty:
            return "found" if self.detected else "MISSED"
        return "FALSE" if self.false else "quiet"


class Share(NamedTuple):
    """Hits among a total, with Wilson's interval of 95 %."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        return self.hits / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson (1927): the rates that the hits do not contradict; all of them where there is no case."""
        if self.total == 0:
            return 0.0, 1.0
        z = 1.959964
        spread = 1 + z * z / self.total
        centre = (self.value + z * z / (2 * self.total)) / spread
        variance = self.value * (1 - self.value) / self.total + z * z / (4 * self.total**2)
        half = z * math.sqrt(variance) / spread
        return max(0.0, centre - half), min(1.0, centre + half)


def known(path: Path) -> Known:
    """Returns the `CASE` of a file, read from its text.

    Raises:
      ValueError: if the file has none.
    """
    for node in ast.parse(path.read_text()).body:
        named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "CASE"
        if named and isinstance(node.value, ast.Call):
            case = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.value.keywords}
            sets = (frozenset(case.get(name, ())) for name in ("acceptable", "never", "where"))
            return Known(case["faulty"], tuple(case["faults"]), *sets)
    raise ValueError(f"{path.name} has no `CASE = dict(...)`: it is not in the faultbench format.")


def judged(case: Known, findings: Iterable[Mapping[str, Any]]) -> Judged:
    """Returns what findings about a case are worth, the most certain first."""
    alarms = [finding for finding in findings if finding.get("severity", "warning") in ALARMS]
    ids = [alarm["id"] for alarm in alarms]
    if not case.faulty:
        return Judged(False, len(ids), false=tuple(sorted(set(ids))))
    right = [alarm for alarm in alarms if alarm["id"] in case.faults]
    fair = case.acceptable.union(case.faults)
    return Judged(
        True,
        len(ids),
        detected=bool(right),
        first=bool(ids) and ids[0] in case.faults,
        exact=case.faults[0] in ids,
        placed=any(alarm.get("where") in case.where for alarm in right),
        fair=sum(each in fair for each in ids),
        wrong=tuple(sorted(case.never.intersection(ids))),
        other=tuple(sorted(set(ids) - fair - case.never)),
    )


def figures(rows: Sequence[Judged]) -> dict[str, Share]:
    """Returns the figures of the format over all cases."""
    faulty = [row for row in rows if row.faulty]
    healthy = [row for row in rows if not row.faulty]
    return {
        "detected": Share(sum(row.detected for row in faulty), len(faulty)),
        "first": Share(sum(row.first for row in faulty), len(faulty)),
        "exact": Share(sum(row.exact for row in faulty), len(faulty)),
        "placed": Share(sum(row.placed for row in faulty), len(faulty)),
        "wrong diagnosis": Share(sum(bool(row.wrong) for row in faulty), len(faulty)),
        "right or fair": Share(sum(row.fair for row in faulty), sum(row.alarms for row in faulty)),
        "false alarm": Share(sum(bool(row.false) for row in healthy), len(healthy)),
    }
