"""Scopes of a module and what binds each name, as Python's own rules have it."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "import", "assign", "augmented", "param", "function", "class", "loop", "with", "except", "match", "delete"
]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Place = tuple[int, int]


@dataclass(eq=False, slots=True)
class Binding:
    """One place that gives a name a value.

    Attributes:
      name: the name.
      kind: how.
      node: the statement or expression that binds it; of a parameter its `ast.arg`.
      at: from where in the text it holds, line and column.
      value: the expression that it is bound to, or unpacked or iterated from; None where there is none.
      path: where in the value: `(1,)` for `b` in `a, b = value`; empty for the value itself; None where a star or a
        loop hides it.
      origin: of an import, the dotted name.
    """

    name: str
    kind: Kind
    node: ast.AST
    at: Place
    value: ast.expr | None = None
    path: tuple[int, ...] | None = ()
    origin: str | None = None


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class, function, lambda or comprehension.

    Attributes:
      node: that opens it.
      parent: the scope around it.
      bindings: by name, in the order of the text.
      declared: names that are `global` or `nonlocal` here.
      stars: modules of `from ... import *`.
      is_class: whether it is a class, whose names its methods do not see.
      function: the innermost function or lambda whose body it is, or is evaluated in; None in a module or class.
      found: by name, what binds it where it is read here: filled as it is asked.
    """

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    is_class: bool = field(init=False)
    function: Function | None = field(init=False)
    found: dict[str, list[Binding]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_class = isinstance(self.node, ast.ClassDef)
        if isinstance(self.node, FUNCTIONS):
            self.function = self.node
        else:
            self.function = None if self.is_class or self.parent is None else self.parent.function

    def chain(self) -> Iterator[Scope]:
        """Yields this scope and those around it whose names are seen here."""
        yield self
        scope = self.parent
        while scope is not None:
            if not scope.is_class:
                yield scope
            scope = scope.parent


# Fields that hold no nodes, or those that stand for an operator or a context: Python has one object for all of a kind.
BARE = {
    "ctx", "op", "ops", "id", "attr", "kind", "type_comment", "asname", "simple", "conversion", "is_async", "level",
    "type_ignores",
}  # fmt: skip
LEAVES = (ast.Name, ast.Constant)  # nothing is below them


class Builder:
    """Walks a module once: scopes of all nodes, bindings, parents, and nodes by type.

    Operators (`ast.Add`) and contexts (`ast.Load`) are passed over.

    Args:
      tree: the module.
      package: that relative imports start from.
      declares: whether there may be a `global` or `nonlocal`.

    Attributes:
      scopes: of each node, the scope in which it is evaluated.
      opened: by the node that opens one, the scope within.
      parents: of each node, the node around it.
      by_type: nodes in the order of the text.
    """

    def __init__(self, tree: ast.Module, package: str = "", *, declares: bool = True):
        self.package, self.declares = package, declares
        self.scopes: dict[ast.AST, Scope] = {}
        self.opened: dict[ast.AST, Scope] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        self.by_type: defaultdict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        self.scope = self.opened[tree] = Scope(tree, None)
        self.visit(tree)
        for scope in self.opened.values():
            for bindings in scope.bindings.values():
                if len(bindings) > 1:
                    bindings.sort(key=lambda each: each.at)

    def visit(self, node: ast.AST) -> None:
        """Notes a node and goes on with what it holds."""
        kind = type(node)
        self.scopes[node] = self.scope
        self.by_type[kind].append(node)
        WAYS.get(kind, Builder.visit_all)(self, node)

    def visit_all(self, node: ast.AST, left_out: str = "") -> None:
        """Goes on with the fields of a node."""
        scopes, parents, by_type, scope = self.scopes, self.parents, self.by_type, self.scope
        for name in _fields(type(node)):
            if name == left_out:
                continue
            value = getattr(node, name)
            for each in value if type(value) is list else (value,):
                kind = type(each)
                if kind in LEAVES:  # most nodes are
                    parents[each] = node
                    scopes[each] = scope
                    by_type[kind].append(each)
                elif isinstance(each, ast.AST):
                    parents[each] = node
                    scopes[each] = scope
                    by_type[kind].append(each)
                    WAYS.get(kind, Builder.visit_all)(self, each)

    def child(self, parent: ast.AST, node: ast.AST) -> None:
        """Goes on with a node below another."""
        self.parents[node] = parent
        self.visit(node)

    def within(self, node: ast.AST) -> Scope:
        """Opens a scope."""
        self.scope = self.opened[node] = Scope(node, self.scope)
        return self.scope

    def bind(
        self, name: str, kind: Kind, node: ast.AST, at: Place, value: ast.expr | None = None,
        path: tuple[int, ...] | None = (), origin: str | None = None,
    ) -> None:  # fmt: skip
        """Notes that a name is bound here, or where `global` and `nonlocal` say."""
        scope = self.scope
        declared = scope.declared.get(name)
        if declared == "global":
            while scope.parent is not None:
                scope = scope.parent
        elif declared == "nonlocal":
            outer = [each for each in list(scope.chain())[1:] if name in each.bindings]
            scope = outer[0] if outer else scope
        scope.bindings.setdefault(name, []).append(Binding(name, kind, node, at, value, path, origin))

    def bind_target(
        self,
        target: ast.AST,
        kind: Kind,
        node: ast.AST,
        at: Place,
        value: ast.expr | None,
        path: tuple[int, ...] | None,
    ) -> None:
        """Notes what an assignment to a target binds."""
        if isinstance(target, ast.Name):
            self.bind(target.id, kind, node, at, value, path)
        elif isinstance(target, ast.Starred):
            self.bind_target(target.value, kind, node, at, value, None)
        elif isinstance(target, ast.Tuple | ast.List):
            star = next((place for place, each in enumerate(target.elts) if isinstance(each, ast.Starred)), None)
            for place, each in enumerate(target.elts):
                inner = None if path is None else (*path, place)
                if star is not None and place > star and path is not None:
                    inner = (*path, place - len(target.elts))
                self.bind_target(each, kind, node, at, value, inner)

    # Scopes.

    def definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.bind(node.name, "function", node, _start(node))
        for each in node.decorator_list:
            self.child(node, each)
        self.function(node)

    def function(self, node: Function) -> None:
        """Goes on with defaults and annotations outside, parameters and body inside."""
        arguments = node.args
        self.parents[arguments] = node
        self.scopes[arguments] = self.scope
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
        for default in [*arguments.defaults, *(each for each in arguments.kw_defaults if each is not None)]:
            self.child(arguments, default)
        for each in every:
            if each.annotation is not None:
                self.child(each, each.annotation)
        if not isinstance(node, ast.Lambda) and node.returns is not None:
            self.child(node, node.returns)
        outer, scope = self.scope, self.within(node)
        if self.declares and not isinstance(node, ast.Lambda):
            scope.declared = _declared(node)
        for each in every:
            self.parents[each] = arguments
            self.scopes[each] = scope
            self.by_type[ast.arg].append(each)
            self.bind(each.arg, "param", each, _start(each))
        for each in [node.body] if isinstance(node, ast.Lambda) else node.body:
            self.child(node, each)
        self.scope = outer

    def class_(self, node: ast.ClassDef) -> None:
        self.bind(node.name, "class", node, _start(node))
        self.visit_all(node, "body")
        outer = self.scope
        self.within(node)
        for each in node.body:
            self.child(node, each)
        self.scope = outer

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        """Goes on with the first iterable outside, and all else inside."""
        self.child(node, node.generators[0].iter)
        outer = self.scope
        self.within(node)
        for place, each in enumerate(node.generators):
            self.parents[each] = node
            self.scopes[each] = self.scope
            self.by_type[ast.comprehension].append(each)
            if place:
                self.child(each, each.iter)
            self.parents[each.iter] = each
            self.child(each, each.target)
            self.bind_target(each.target, "loop", each, _start(each.target), each.iter, None)
            for condition in each.ifs:
                self.child(each, condition)
        self.visit_all(node, "generators")
        self.scope = outer

    # Bindings.

    def imported(self, node: ast.Import) -> None:
        for alias in node.names:
            self.child(node, alias)
            name = alias.asname or alias.name.partition(".")[0]
            self.bind(name, "import", node, _start(node), origin=alias.name if alias.asname else name)

    def imported_from(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self.package.split(".") if self.package else []
            start = parts[: len(parts) - node.level + 1] if len(parts) >= node.level - 1 else []
            base = ".".join([*(start or [""]), base]) if base else ".".join(start)
            base = base or "."  # outside of any package that is known: `.jax` is not `jax`
        for alias in node.names:
            self.child(node, alias)
            if alias.name == "*":
                self.scope.stars.append(base)
            else:
                self.bind(alias.asname or alias.name, "import", node, _start(node), origin=f"{base}.{alias.name}")

    def assignment(self, node: ast.Assign) -> None:
        self.visit_all(node)
        for target in node.targets:
            self.bind_target(target, "assign", node, _end(node), node.value, ())

    def annotated(self, node: ast.AnnAssign) -> None:
        self.visit_all(node)
        if node.value is not None:
            self.bind_target(node.target, "assign", node, _end(node), node.value, ())

    def augmented(self, node: ast.AugAssign) -> None:
        self.visit_all(node)
        self.bind_target(node.target, "augmented", node, _end(node), node.value, ())

    def walrus(self, node: ast.NamedExpr) -> None:
        self.visit_all(node)
        inner = self.scope
        while isinstance(self.scope.node, COMPREHENSIONS) and self.scope.parent is not None:
            self.scope = self.scope.parent  # a walrus in a comprehension binds outside
        self.bind_target(node.target, "assign", node, _end(node), node.value, ())
        self.scope = inner

    def loop(self, node: ast.For | ast.AsyncFor) -> None:
        self.bind_target(node.target, "loop", node, _start(node.target), node.iter, None)
        self.visit_all(node)

    def context(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                at = _start(item.optional_vars)
                self.bind_target(item.optional_vars, "with", node, at, item.context_expr, None)
        self.visit_all(node)

    def handler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bind(node.name, "except", node, _start(node))
        self.visit_all(node)

    def captured(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.bind(node.name, "match", node, _start(node))
        self.visit_all(node)

    def captured_rest(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.bind(node.rest, "match", node, _start(node))
        self.visit_all(node)

    def deleted(self, node: ast.Delete) -> None:
        self.visit_all(node)
        for target in node.targets:
            self.bind_target(target, "delete", node, _end(node), None, None)


WAYS: dict[type[ast.AST], Callable[[Builder, Any], None]] = {
    ast.FunctionDef: Builder.definition,
    ast.AsyncFunctionDef: Builder.definition,
    ast.Lambda: Builder.function,
    ast.ClassDef: Builder.class_,
    ast.ListComp: Builder.comprehension,
    ast.SetComp: Builder.comprehension,
    ast.DictComp: Builder.comprehension,
    ast.GeneratorExp: Builder.comprehension,
    ast.Import: Builder.imported,
    ast.ImportFrom: Builder.imported_from,
    ast.Assign: Builder.assignment,
    ast.AnnAssign: Builder.annotated,
    ast.AugAssign: Builder.augmented,
    ast.NamedExpr: Builder.walrus,
    ast.For: Builder.loop,
    ast.AsyncFor: Builder.loop,
    ast.With: Builder.context,
    ast.AsyncWith: Builder.context,
    ast.ExceptHandler: Builder.handler,
    ast.MatchAs: Builder.captured,
    ast.MatchStar: Builder.captured,
    ast.MatchMapping: Builder.captured_rest,
    ast.Delete: Builder.deleted,
}


@functools.cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return () if kind in LEAVES else tuple(each for each in kind._fields if each not in BARE)


def _start(node: ast.AST) -> Place:
    return node.lineno, node.col_offset  # type: ignore[attr-defined]


def _end(node: ast.AST) -> Place:
    return node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def _declared(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """Returns the names that a function declares, without what nested ones do."""
    found: dict[str, str] = {}
    left: list[ast.AST] = list(node.body)
    while left:
        each = left.pop()
        if isinstance(each, ast.Global | ast.Nonlocal):
            found |= dict.fromkeys(each.names, "global" if isinstance(each, ast.Global) else "nonlocal")
        elif not isinstance(each, (*FUNCTIONS, ast.ClassDef)):
            left.extend(
                each
                for each in ast.iter_child_nodes(each)
                if isinstance(each, ast.stmt | ast.ExceptHandler | ast.match_case)
            )
    return found
