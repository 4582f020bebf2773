"""The state of a run of a function on levels instead of values: what names hold, and how they are bound."""

from __future__ import annotations

import ast

from verax.lint._module import Module
from verax.lint._scopes import Function
from verax.lint._taint_levels import FLAG, PLAIN, SEQUENCE, TREE, Env, Level, Taint, Value, either, flat, is_array
from verax.lint._taint_syntax import path_of


class Pass:
    """One run of a function.

    Attributes:
      env: what names hold.
      is_staged: whether values are traced without values, else differentiated.
      omni: whether what is made from nothing traced is traced, too.
      depth: of calls that are followed.
      record: whether what is found is noted.
      returned: what is given back.
      nested: functions that are defined on the way, with what their calls give them by place.
      keywords: the same by name.
      loops: how many are around.
      has_modes: whether the function also runs untraced.
    """

    def __init__(
        self, module: Module, found: Taint, env: Env, *, is_staged: bool, omni: bool, depth: int = 0,
        record: bool = True,
    ):  # fmt: skip
        self.module, self.found, self.env, self.depth, self.record = module, found, env, depth, record
        self.is_staged, self.omni = is_staged, omni
        self.returned: list[Value] = []
        self.nested: dict[Function, list[list[Value]]] = {}
        self.keywords: dict[Function, list[dict[str, Value]]] = {}
        self.loops = 0
        self.has_modes = False

    def again(self, env: Env, *, depth: int, record: bool) -> Pass:
        """Returns a run of a function that is met on the way."""
        return type(self)(
            self.module, self.found, env, is_staged=self.is_staged, omni=self.omni, depth=depth, record=record
        )

    def function(self, node: Function, calls: tuple[tuple[list[Value], dict[str, Value]], ...]) -> Value:
        """Runs a function, with the levels of its calls where it is no transform's; returns what it returns."""
        raise NotImplementedError

    def value(self, node: ast.expr) -> Value:
        """Returns what an expression is, and notes it."""
        raise NotImplementedError

    def level(self, node: ast.expr) -> Level:
        """Returns one level for an expression, and notes what it is."""
        return flat(self.value(node))

    def unnoted(self, node: ast.expr) -> None:
        """Runs an expression of which nothing is told."""
        record, self.record = self.record, False
        self.value(node)
        self.record = record

    def inner(self, node: Function, values: tuple[tuple[list[Value], dict[str, Value]], ...]) -> Value:
        """Runs a function that is defined here, on what is known here."""
        return self.again(dict(self.env), depth=self.depth, record=self.record).function(node, values)

    def note(self, node: ast.AST, value: Value) -> None:
        """Keeps what an expression is, of several passes what it is in each."""
        into = self.found.staged if self.is_staged else self.found.eager
        before = into.get(node)
        into[node] = value if before is None else either(before, value)

    # Targets.

    def assign(self, target: ast.expr, value: Value) -> None:
        """Binds a target."""
        if isinstance(target, ast.Name):
            self.env[target.id] = value
            if self.record and flat(value):
                self.note(target, value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, SEQUENCE if flat(value) else PLAIN)
        elif isinstance(target, ast.Tuple | ast.List):
            has_star = any(isinstance(each, ast.Starred) for each in target.elts)
            for place, each in enumerate(target.elts):
                if isinstance(value, tuple) and not has_star and len(value) == len(target.elts):
                    self.assign(each, value[place])
                else:
                    self.assign(each, self.part(value))
        elif isinstance(target, ast.Attribute):
            self.value(target.value)
            path = path_of(target)
            if path is not None:
                self.env[path] = value
        elif isinstance(target, ast.Subscript):
            self.value(target.value)
            self.value(target.slice)

    def part(self, value: Value) -> Value:
        """Returns what an element of an unpacked value is."""
        if isinstance(value, tuple):
            found = [flat(each) for each in value]
            return min(found) if found else PLAIN
        if isinstance(value, ast.ClassDef):
            return PLAIN
        if value in (SEQUENCE, TREE):
            return TREE
        return value if value != FLAG else PLAIN

    def element(self, node: ast.expr) -> Value:
        """Returns what a loop over an expression gives."""
        value = self.value(node)
        if isinstance(node, ast.Call):
            name = self.module.dotted(node.func)
            if name == "builtins.enumerate" and node.args:
                return (PLAIN, self.element(node.args[0]))
            if name == "builtins.zip":
                return tuple(self.element(each) for each in node.args)
            if name in ("builtins.reversed", "builtins.list", "builtins.tuple") and len(node.args) == 1:
                return self.element(node.args[0])
            if isinstance(node.func, ast.Attribute) and not node.args:
                inner = flat(self.value(node.func.value))
                if node.func.attr == "items":
                    return (PLAIN, TREE if inner == TREE else PLAIN)
                if node.func.attr == "values":
                    return TREE if inner == TREE else PLAIN
        if isinstance(value, tuple):
            return self.part(value)
        level = flat(value)
        if level == SEQUENCE:
            return TREE
        return level if is_array(level) else PLAIN  # a dictionary gives its keys
