"""Rules on one source: what they report, without what comments silence."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from verax.lint._guards import RAISING, is_meant_to_raise
from verax.lint._module import Module
from verax.lint._report import Report
from verax.lint._rule import Rule
from verax.lint._silence import unsilenced

LIBRARIES = re.compile(r"\b(jax|flax|optax|haiku|equinox|orbax|chex|numpyro|distrax|brax|verax|objax|elegy)\b")
DEPTH = 8000  # of nested expressions: Python's own parser ends before
SYNTAX, BROKEN = "VX001", "VX000"


@dataclass(frozen=True)
class Checked:
    """What came of one source.

    Attributes:
      reports: in the order of the text.
      broken: rules that raised, with what; the others went on.
    """

    reports: tuple[Report, ...]
    broken: Mapping[str, str] = field(default_factory=dict)


def check(text: str, rules: Iterable[Rule], file: str = "<text>", name: str = "", **about: Any) -> Checked:
    """Returns what some rules report of a source, without what its comments silence.

    Args:
      text: the source.
      rules: what is asked.
      file: its name, as reports show it.
      name: its dotted name where it is part of a package.
      **about: for `Module`.
    """
    if not LIBRARIES.search(text):
        return Checked(unsilenced(text, _syntax(text, file)))
    limit = sys.getrecursionlimit()
    module = None
    try:
        sys.setrecursionlimit(max(limit, DEPTH))
        project = about.get("known", {}).get("project")
        module = (Module if project is None else project.parsed)(text, file, name, **about)
        checked = check_module(module, rules)
        return Checked(unsilenced(text, checked.reports, module.tree), checked.broken)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Checked(unsilenced(text, (unreadable(error, file),)))
    finally:
        sys.setrecursionlimit(limit)
        if module is not None:
            module.forget()


def check_module(module: Module, rules: Iterable[Rule]) -> Checked:
    """Returns what some rules report of a module."""
    reports: set[Report] = set()
    broken: dict[str, str] = {}
    for each in rules:
        try:
            for found in each.check(module):
                if each.code not in RAISING or not is_meant_to_raise(module, found.node):
                    reports.add(_report(module, each, found))
        except Exception as error:  # a rule of ours that is wrong must not hide what the others say
            broken[each.code] = f"{type(error).__name__}: {error}"
    return Checked(tuple(sorted(reports, key=lambda one: (one.line, one.column, one.code, one.message))), broken)


def _report(module: Module, rule: Rule, found: Any) -> Report:
    node = found.node
    start, end = module.span(node)
    line_start = module._starts[node.lineno - 1]
    end_start = module._starts[node.end_lineno - 1]
    return Report(
        module.file, node.lineno, start - line_start + 1, node.end_lineno, end - end_start + 1,
        rule.code, rule.name, found.level or rule.level, found.message, found.fix,
    )  # fmt: skip


def _syntax(text: str, file: str) -> tuple[Report, ...]:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return (unreadable(error, file),)
    return ()


def unreadable(error: BaseException, file: str) -> Report:
    """Returns the report on a file that is no Python."""
    line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
    said = getattr(error, "msg", None) or str(error) or type(error).__name__
    message = f"this file cannot be read as Python: {said}."
    if isinstance(error, RecursionError | MemoryError):
        message = "this file is nested too deeply to be checked."
    return Report(file, line, max(column, 1), line, max(column, 1), SYNTAX, "syntax-error", "error", message)
