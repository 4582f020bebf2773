"""Expressions as a pass meets them: which keys they stand for, in the order in which they are evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from verax.lint._key_fields import fields
from verax.lint._key_names import key_like
from verax.lint._key_pass import Pass
from verax.lint._key_values import Group, State, Token, Value, guards_of, joined


class Expressions(Pass):
    """A pass that evaluates expressions."""

    def value(self, node: ast.expr | None) -> Value:
        """Returns the value of an expression, as far as it is a key, and notes what it draws from."""
        if node is None or self.state is None:
            return None
        way = EXPRESSIONS.get(type(node))
        if way is not None:
            return way(self, node)
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.expr):
                self.value(each)
        return None

    def name(self, node: ast.Name) -> Value:
        """Returns what a name stands for."""
        return self.lookup(node.id)

    def attribute(self, node: ast.Attribute) -> Value:
        """Returns an attribute; None where it is one of a module, or computed anew."""
        if self.module.dotted(node) is not None:
            return None
        owner = self.value(node.value)
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") and key_like(node.attr):
            around = self.module.class_around(node)
            if around is not None and node.attr not in fields(self.module).of(around):
                return None
        return self.part(owner, (".", node.attr), f".{node.attr}")

    def item(self, node: ast.Subscript) -> Value:
        """Returns an item."""
        owner = self.value(node.value)
        if not isinstance(node.slice, ast.Constant):
            self.value(node.slice)
        if owner is None:
            return None
        accessor = self.accessor(node.slice)
        return None if accessor is None else self.part(owner, accessor, f"[{self.module.source(node.slice)}]")

    def display(self, node: ast.Tuple | ast.List | ast.Set) -> Value:
        """Returns a tuple or list of values."""
        values = tuple(self.value(each) for each in node.elts)
        return None if any(isinstance(each, ast.Starred) for each in node.elts) else Group(values)

    def mapping(self, node: ast.Dict) -> Value:
        """Returns the values of a dict."""
        for each in node.keys:
            self.value(each)
        names = tuple(each.value if isinstance(each, ast.Constant) else None for each in node.keys)
        return Group(tuple(self.value(each) for each in node.values), True, names)

    def starred(self, node: ast.Starred | ast.Await) -> Value:
        """Returns the value below a star or `await`."""
        return self.value(node.value)

    def walrus(self, node: ast.NamedExpr) -> Value:
        """Returns what a name is given within an expression."""
        value = self.value(node.value)
        self.bind(node.target, value)
        return self.lookup(node.target.id)

    def choice(self, node: ast.IfExp) -> Value:
        """Returns either of two values."""
        self.value(node.test)
        found = self.ways(
            (guards_of(node.test, True), lambda: self.value(node.body)),
            (guards_of(node.test, False), lambda: self.value(node.orelse)),
        )
        one, other = found if len(found) == 2 else (None, None)
        if one is other or not isinstance(one, Token) or not isinstance(other, Token):
            return one if one is other and isinstance(one, Token) else None
        return self.merged(one, other)

    def merged(self, one: Token, other: Token) -> Token | None:
        """Returns what stands for either of two keys."""
        state = self.state
        if state is None:
            return None
        left, right = State(used=state.used, env={"": one}), State(used=state.used, env={"": other})
        both = joined(left, right, self.entry)
        assert both is not None
        state.used = both.used
        found = both.env[""]
        if isinstance(found, Token):
            found.name = one.name
            return found
        return None

    def either(self, node: ast.BoolOp) -> Value:
        """Walks `and` and `or`, whose later parts may not be reached."""
        self.value(node.values[0])
        for before, each in zip(node.values, node.values[1:], strict=False):
            outcome = isinstance(node.op, ast.And)
            self.ways((guards_of(before, outcome), lambda each=each: self.value(each)), ((), lambda: None))
        return None

    def comprehension(self, node: Any) -> Value:
        """Walks two passes of a comprehension."""
        generators: list[ast.comprehension] = node.generators
        outer = {name: self.state.env.get(name) for name in _targets(generators)} if self.state is not None else {}
        known = set(self.state.env) if self.state is not None else set()
        first = self.value(generators[0].iter)
        parent = self.module.parents.get(node)
        once = isinstance(parent, ast.Call) and self.module.dotted(parent.func) == "builtins.next"

        self._passes(node, 0, first, once=once)
        if self.state is not None:
            for name, value in outer.items():
                if name in known:
                    self.state.env[name] = value
                else:
                    self.state.env.pop(name, None)
        return None

    def _passes(self, node: Any, place: int, items: Value, *, once: bool) -> None:
        generators: list[ast.comprehension] = node.generators

        def element() -> None:
            self.bind(generators[place].target, item_of(items))
            for condition in generators[place].ifs:
                self.value(condition)
            if place + 1 < len(generators):
                self._passes(node, place + 1, self.value(generators[place + 1].iter), once=once)
                return
            for part in (getattr(node, "key", None), getattr(node, "value", None), getattr(node, "elt", None)):
                self.value(part)

        if once:
            element()
        else:
            self.state = self.twice(element)

    def function(self, node: ast.Lambda) -> Value:
        """Returns nothing: a lambda is walked where it is called."""
        self.flow.summary(node)
        return None

    def call(self, node: ast.Call) -> Value:
        """Returns what a call gives."""
        return self._call(self, node)


EXPRESSIONS: dict[type[ast.AST], Callable[[Expressions, Any], Value]] = {
    ast.Name: Expressions.name,
    ast.Attribute: Expressions.attribute,
    ast.Subscript: Expressions.item,
    ast.Tuple: Expressions.display,
    ast.List: Expressions.display,
    ast.Set: Expressions.display,
    ast.Dict: Expressions.mapping,
    ast.Starred: Expressions.starred,
    ast.Await: Expressions.starred,
    ast.NamedExpr: Expressions.walrus,
    ast.IfExp: Expressions.choice,
    ast.BoolOp: Expressions.either,
    ast.ListComp: Expressions.comprehension,
    ast.SetComp: Expressions.comprehension,
    ast.DictComp: Expressions.comprehension,
    ast.GeneratorExp: Expressions.comprehension,
    ast.Lambda: Expressions.function,
    ast.Call: Expressions.call,
    ast.Constant: lambda walk, node: None,
}


def item_of(items: Value) -> Value:
    """Returns what stands for the item of one pass over a value."""
    if isinstance(items, Token) and items.kind == "keys":
        return Token("", "split", sure=True)
    return None


def _targets(generators: list[ast.comprehension]) -> Iterator[str]:
    for each in generators:
        for node in ast.walk(each.target):
            if isinstance(node, ast.Name):
                yield node.id
