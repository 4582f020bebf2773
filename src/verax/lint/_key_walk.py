"""One pass over the body of a function, along the ways that a run can take, with the keys it meets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from verax.lint._key_expressions import Expressions, item_of
from verax.lint._key_values import Group, Guard, State, Token, Value, exclusive, guards_of, tokens
from verax.lint._traced import traced


class Walk(Expressions):
    """A pass that walks statements."""

    def run(self) -> None:
        """Walks the body."""
        if isinstance(self.body, ast.Lambda):
            self.leave(self.body.body, self.returned(self.body.body))
            return
        self.block(self.body.body)
        if self.state is not None:
            self.exits.append(self.state)
            self.results.append(None)

    def block(self, statements: Iterable[ast.stmt]) -> None:
        """Walks statements until no run goes on."""
        for each in statements:
            if self.state is None:
                return
            STATEMENTS.get(type(each), Walk.other)(self, each)

    def other(self, node: ast.AST) -> None:
        """Walks what has no way of its own: its expressions."""
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.expr):
                self.value(each)

    def nothing(self, node: ast.AST) -> None:
        """Walks what draws from no key."""

    def define(self, node: Any) -> None:
        """Walks a function or class: what is evaluated where it stands."""
        for each in node.decorator_list:
            self.value(each)
        if not isinstance(node, ast.ClassDef):
            for each in (*node.args.defaults, *node.args.kw_defaults):
                if each is not None:
                    self.value(each)
        if self.state is not None:
            self.state.env[node.name] = Token(node.name, "unknown")

    def assign(self, node: ast.Assign) -> None:
        """Walks an assignment."""
        value = self.value(node.value)
        for target in node.targets:
            self.bind(target, value)

    def assign_one(self, node: Any) -> None:
        """Walks an assignment with an annotation, or one that adds."""
        value = self.value(node.value) if node.value is not None else None
        if node.value is not None:
            self.bind(node.target, None if isinstance(node, ast.AugAssign) else value)

    def delete(self, node: ast.Delete) -> None:
        """Walks a deletion."""
        for target in node.targets:
            self.bind(target, None)

    def give(self, node: ast.Return) -> None:
        """Walks a return."""
        value = None if node.value is None else self.returned(node.value)
        self.leave(node, value)

    def returned(self, node: ast.expr) -> Value:
        """Returns the value of an expression that goes back to the caller."""
        self.returning = True
        try:
            if isinstance(node, ast.Tuple | ast.List):
                return Group(tuple(self.returned(each) for each in node.elts))
            return self.value(node)
        finally:
            self.returning = False

    def leave(self, node: ast.AST, value: Value) -> None:
        """Ends a way with a result."""
        state = self.state
        if state is None:
            return
        seen: set[Token] = set()
        for token in tokens(self.carried(value)):
            for each in (token, *_parts(token, state)):
                use = state.used.get(each)
                back = each.kind in ("param", "carry") and use is not None and use.strength == "strong"
                if back and use is not None and each not in seen and not exclusive(use.guards, state.guards):
                    seen.add(each)
                    self.flow.given_back(self, node, each, use)
        self.exits.append(state)
        self.results.append(value)
        self.state = None

    def carried(self, value: Value) -> Value:
        """Returns what of a result goes on: of a body of `scan` the carry, the other half is stacked."""
        transforms = traced(self.module).of.get(self.body, ()) if not isinstance(self.body, ast.Module) else ()
        is_scanned = any(each.name == "jax.lax.scan" for each in transforms)
        return value.values[0] if is_scanned and isinstance(value, Group) and value.values else value

    def stop(self, node: ast.AST) -> None:
        """Ends a way without a result."""
        self.other(node)
        self.state = None

    def go_on(self, node: ast.AST) -> None:
        """Walks `break` and `continue`."""
        if self.loops and self.state is not None:
            loop = self.loops[-1]
            (loop.breaks if isinstance(node, ast.Break) else loop.continues).append(self.state)
        self.state = None

    def branch(self, node: ast.If) -> None:
        """Walks both ways of a test."""
        self.value(node.test)
        self.ways(
            (guards_of(node.test, True), lambda: self.block(node.body)),
            (guards_of(node.test, False), lambda: self.block(node.orelse)),
        )

    def loop_over(self, node: ast.For | ast.AsyncFor) -> None:
        """Walks a `for`."""
        items = self.value(node.iter)

        def once() -> None:
            self.bind(node.target, item_of(items))
            self.block(node.body)

        if isinstance(node.iter, ast.Tuple | ast.List) and len(node.iter.elts) == 1:
            with self.looped() as loop:
                once()
            self.state = self.join([self.state, *loop.continues, *loop.breaks])
        else:
            self.state = self.twice(once)
        self.block(node.orelse)

    def loop_while(self, node: ast.While) -> None:
        """Walks a `while`."""
        forever = isinstance(node.test, ast.Constant) and bool(node.test.value)

        def once() -> None:
            self.value(node.test)
            self.block(node.body)

        self.state = self.twice(once, ends=not forever)
        self.block(node.orelse)

    def attempt(self, node: Any) -> None:
        """Walks a `try`: what handles an error starts from where the body did."""
        start = self.state
        assert start is not None
        begun = start.copy()
        self.block(node.body)
        if self.state is not None:
            self.block(node.orelse)
        after = [self.state]
        for handler in node.handlers:
            self.state = begun.copy()
            self.block(handler.body)
            after.append(self.state)
        self.state = self.join(after)
        if node.finalbody:
            ended = self.state is None
            self.state = self.state or begun.copy()
            self.block(node.finalbody)
            self.state = None if ended else self.state

    def within(self, node: ast.With | ast.AsyncWith) -> None:
        """Walks a `with`."""
        for item in node.items:
            self.value(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, None)
        self.block(node.body)

    def match(self, node: ast.Match) -> None:
        """Walks the cases of a `match`, of which one is taken."""
        self.value(node.subject)
        text = ast.unparse(node.subject)

        def case(each: ast.match_case) -> Callable[[], None]:
            def way() -> None:
                for name in _captures(each.pattern):
                    if self.state is not None:
                        self.state.env[name] = Token(name, "unknown")
                if each.guard is not None:
                    self.value(each.guard)
                self.block(each.body)

            return way

        ways: list[tuple[tuple[Guard, ...], Callable[[], object]]] = []
        for each in node.cases:
            value = each.pattern.value if isinstance(each.pattern, ast.MatchValue) else None
            same = isinstance(value, ast.Constant)
            guards = ((text, repr(value.value), True),) if same and isinstance(value, ast.Constant) else ()
            ways.append((guards, case(each)))
        last = node.cases[-1]
        if not (last.guard is None and isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None):
            ways.append(((), lambda: None))
        self.ways(*ways)


STATEMENTS: dict[type[ast.AST], Callable[[Walk, Any], None]] = {
    ast.FunctionDef: Walk.define,
    ast.AsyncFunctionDef: Walk.define,
    ast.ClassDef: Walk.define,
    ast.Assign: Walk.assign,
    ast.AnnAssign: Walk.assign_one,
    ast.AugAssign: Walk.assign_one,
    ast.Delete: Walk.delete,
    ast.Return: Walk.give,
    ast.Raise: Walk.stop,
    ast.Break: Walk.go_on,
    ast.Continue: Walk.go_on,
    ast.If: Walk.branch,
    ast.For: Walk.loop_over,
    ast.AsyncFor: Walk.loop_over,
    ast.While: Walk.loop_while,
    ast.Try: Walk.attempt,
    ast.TryStar: Walk.attempt,
    ast.With: Walk.within,
    ast.AsyncWith: Walk.within,
    ast.Match: Walk.match,
    ast.Import: Walk.nothing,
    ast.ImportFrom: Walk.nothing,
    ast.Global: Walk.nothing,
    ast.Nonlocal: Walk.nothing,
    ast.Pass: Walk.nothing,
}


def _parts(token: Token, state: State) -> list[Token]:
    """Returns the parts of a value that were drawn from and are still its parts."""
    found = []
    for accessor, child in token.children.items():
        if state.fields.get((token, accessor), child) is child:
            found += [child, *_parts(child, state)]
    for (owner, _), value in state.fields.items():
        if owner is token:
            found += list(tokens(value))
    return found


def _captures(pattern: ast.pattern) -> Iterator[str]:
    for each in ast.walk(pattern):
        name = getattr(each, "name", None) or getattr(each, "rest", None)
        if isinstance(name, str):
            yield name
