"""Rules: one function each, from a parsed module to what is wrong in it."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from verax.findings import InputError, suggested
from verax.lint._report import Fix, Level

if TYPE_CHECKING:
    from verax.lint._module import Module


class Found(NamedTuple):
    """What a rule yields.

    Attributes:
      node: the place.
      message: what is wrong, and what to do.
      fix: what mends it, or None.
      level: where it is another than the rule's.
    """

    node: ast.AST
    message: str
    fix: Fix | None = None
    level: Level | None = None


Check = Callable[["Module"], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
      code: `VX101`; never used again for another one.
      name: `key-reuse`.
      level: of its reports, unless they say another.
      check: from a module to what is wrong in it.
      opt_in: whether it is off unless it is asked for.
    """

    code: str
    name: str
    level: Level
    check: Check
    opt_in: bool = False

    @property
    def page(self) -> str:
        """Its documentation: what it flags, why that hurts, bad and good code, what it does not see."""
        return inspect.getdoc(self.check) or ""


_RULES: dict[str, Rule] = {}


def rule(code: str, name: str, level: Level, *, opt_in: bool = False) -> Callable[[Check], Check]:
    """Returns a decorator that makes a function a rule; its docstring is the rule's page."""

    def add(check: Check) -> Check:
        _RULES[code] = Rule(code, name, level, check, opt_in)
        return check

    return add


@functools.cache
def all_rules() -> dict[str, Rule]:
    """Returns the rules by code. Each is a file of the folder `rules`."""
    from verax.lint import rules

    for file in pkgutil.iter_modules(rules.__path__):
        if file.name.startswith("vx"):
            importlib.import_module(f"verax.lint.rules.{file.name}")
    return dict(sorted(_RULES.items()))


def rule_of(code: str) -> Rule:
    """Returns a rule by its code or name.

    Raises:
      InputError: if there is none, with the nearest.
    """
    rules = all_rules()
    found = rules.get(code.upper()) or next((each for each in rules.values() if each.name == code), None)
    if found is None:
        known = [*rules, *(each.name for each in rules.values())]
        raise InputError(f"unknown rule {code!r}.{suggested(code, known)} `verax lint --list` shows every rule.")
    return found
