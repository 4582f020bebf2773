"""Levels: what is known of a value while JAX traces, and what that is where ways meet."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from verax.lint._scopes import Function


class Level(IntEnum):
    """What is known of a value.

    Attributes:
      PLAIN: a Python value, or nothing is known.
      FLAG: a traced parameter that is meant as a flag or a mode.
      SEQUENCE: a Python sequence of traced values: its length and truth are known.
      TREE: a traced array, or a tree of them.
      ARRAY: a traced array.
      MASK: a traced array of truth values.
    """

    PLAIN = 0
    FLAG = 1
    SEQUENCE = 2
    TREE = 3
    ARRAY = 4
    MASK = 5


PLAIN, FLAG, SEQUENCE, TREE, ARRAY, MASK = Level
Value = Level | tuple[Any, ...] | ast.ClassDef  # a tuple of values; an object of a class whose fields are traced
Env = dict[str, Value]


@dataclass(eq=False)
class Taint:
    """What is known of the expressions in traced functions.

    Attributes:
      staged: of those evaluated on tracers without values; what is not in it is PLAIN.
      eager: of those under differentiation alone, where Python sees values but NumPy does not.
      functions: what each function was analysed as, `staged` or `eager`.
      left: how many calls may still be followed; it bounds the time.
    """

    staged: dict[ast.AST, Value] = field(default_factory=dict)
    eager: dict[ast.AST, Value] = field(default_factory=dict)
    functions: dict[Function, str] = field(default_factory=dict)
    left: int = 2000

    def of(self, node: ast.AST) -> Level:
        """Returns what an expression is in staged code."""
        return flat(self.staged.get(node, PLAIN))

    def anywhere(self, node: ast.AST) -> Level:
        """Returns what an expression is in staged code or under differentiation."""
        return max(self.of(node), flat(self.eager.get(node, PLAIN)))


def flat(value: Value) -> Level:
    """Returns one level for a value of several parts."""
    if isinstance(value, Level):
        return value
    if isinstance(value, tuple):
        return SEQUENCE if value and all(flat(each) for each in value) else PLAIN
    return PLAIN


def is_array(level: Level) -> bool:
    """Returns whether a value is an array for sure."""
    return level >= ARRAY


def join(one: Value, other: Value) -> Value:
    """Returns what a value is that is one or the other, each traced; PLAIN where only one of them is."""
    return _met(one, other, lambda first, second: min(first, second) if first and second else PLAIN)


def either(one: Value, other: Value) -> Value:
    """Returns what a value is after a loop: what it was before, or what a pass made of it."""
    return _met(one, other, lambda first, second: min(first, second) if first and second else max(first, second))


def _met(one: Value, other: Value, how: Callable[[Level, Level], Level]) -> Value:
    if one == other:
        return one
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return tuple(_met(a, b, how) for a, b in zip(one, other, strict=True))
    return how(flat(one), flat(other))


def merged(one: Env, other: Env, how: Callable[[Value, Value], Value]) -> Env:
    """Returns what names hold where two ways meet; what is bound on one of them only is kept."""
    if one == other:
        return one
    found: Env = {}
    for name in one.keys() | other.keys():
        if name in one and name in other:
            found[name] = how(one[name], other[name])
        else:
            found[name] = one[name] if name in one else other[name]  # bound in one of them only
    return found
