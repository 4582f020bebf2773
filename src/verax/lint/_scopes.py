"""Scopes of a module and what binds each name, as Python's own rules have it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "import", "assign", "augmented", "param", "function", "class", "loop", "with", "except", "match", "delete"
]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Place = tuple[int, int]


@dataclass(eq=False)
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


@dataclass(eq=False)
class Scope:
    """A module, class, function, lambda or comprehension.

    Attributes:
      node: that opens it.
      parent: the scope around it.
      bindings: by name, in the order of the text.
      declared: names that are `global` or `nonlocal` here.
      stars: modules of `from ... import *`.
    """

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    @property
    def is_class(self) -> bool:
        """Whether it is a class, whose names its methods do not see."""
        return isinstance(self.node, ast.ClassDef)

    def chain(self) -> Iterator[Scope]:
        """Yields this scope and those around it whose names are seen here."""
        yield self
        scope = self.parent
        while scope is not None:
            if not scope.is_class:
                yield scope
            scope = scope.parent


class Builder(ast.NodeVisitor):
    """Walks a module once: scopes of all nodes, bindings, parents, and nodes by type.

    Attributes:
      scopes: of each node, the scope in which it is evaluated.
      opened: by the node that opens one, the scope within.
      parents: of each node, the node around it.
      by_type: nodes in the order of the text.
    """

    def __init__(self, tree: ast.Module, package: str = ""):
        self.package = package
        self.scopes: dict[ast.AST, Scope] = {}
        self.opened: dict[ast.AST, Scope] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        self.by_type: dict[type[ast.AST], list[ast.AST]] = {}
        self.scope = self.opened[tree] = Scope(tree, None)
        self.visit(tree)
        for scope in self.opened.values():
            for bindings in scope.bindings.values():
                bindings.sort(key=lambda each: each.at)

    def visit(self, node: ast.AST) -> None:
        """Notes a node and goes on with what it holds."""
        self.scopes[node] = self.scope
        self.by_type.setdefault(type(node), []).append(node)
        method = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            self.visit_all(node)
        else:
            method(node)

    def visit_all(self, node: ast.AST, *left_out: str) -> None:
        """Goes on with the fields of a node."""
        for name, value in ast.iter_fields(node):
            if name in left_out:
                continue
            if isinstance(value, ast.AST):
                self.child(node, value)
            elif isinstance(value, list):
                for each in value:
                    if isinstance(each, ast.AST):
                        self.child(node, each)

    def child(self, parent: ast.AST, node: ast.AST) -> None:
        """Goes on with a node below another."""
        self.parents[node] = parent
        self.visit(node)

    def within(self, node: ast.AST) -> Scope:
        """Opens a scope."""
        self.scope = self.opened[node] = Scope(node, self.scope)
        return self.scope

    def bind(self, name: str, kind: Kind, node: ast.AST, at: Place, **about: object) -> None:
        """Notes that a name is bound here, or where `global` and `nonlocal` say."""
        scope = self.scope
        declared = scope.declared.get(name)
        if declared == "global":
            while scope.parent is not None:
                scope = scope.parent
        elif declared == "nonlocal":
            outer = [each for each in list(scope.chain())[1:] if name in each.bindings]
            scope = outer[0] if outer else scope
        scope.bindings.setdefault(name, []).append(Binding(name, kind, node, at, **about))  # type: ignore[arg-type]

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
            self.bind(target.id, kind, node, at, value=value, path=path)
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

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.bind(node.name, "function", node, _start(node))
        for each in node.decorator_list:
            self.child(node, each)
        self.function(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
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
        if not isinstance(node, ast.Lambda):
            scope.declared = _declared(node)
        for each in every:
            self.parents[each] = arguments
            self.scopes[each] = scope
            self.by_type.setdefault(ast.arg, []).append(each)
            self.bind(each.arg, "param", each, _start(each))
        for each in [node.body] if isinstance(node, ast.Lambda) else node.body:
            self.child(node, each)
        self.scope = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
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
            self.by_type.setdefault(ast.comprehension, []).append(each)
            if place:
                self.child(each, each.iter)
            self.parents[each.iter] = each
            self.child(each, each.target)
            self.bind_target(each.target, "loop", each, _start(each.target), each.iter, None)
            for condition in each.ifs:
                self.child(each, condition)
        self.visit_all(node, "generators")
        self.scope = outer

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension

    # Bindings.

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.child(node, alias)
            name = alias.asname or alias.name.partition(".")[0]
            self.bind(name, "import", node, _start(node), origin=alias.name if alias.asname else name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
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

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit_all(node)
        for target in node.targets:
            self.bind_target(target, "assign", node, _end(node), node.value, ())

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_all(node)
        if node.value is not None:
            self.bind_target(node.target, "assign", node, _end(node), node.value, ())

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit_all(node)
        self.bind_target(node.target, "augmented", node, _end(node), node.value, ())

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit_all(node)
        inner = self.scope
        while isinstance(self.scope.node, COMPREHENSIONS) and self.scope.parent is not None:
            self.scope = self.scope.parent  # a walrus in a comprehension binds outside
        self.bind_target(node.target, "assign", node, _end(node), node.value, ())
        self.scope = inner

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.bind_target(node.target, "loop", node, _start(node.target), node.iter, None)
        self.visit_all(node)

    visit_AsyncFor = visit_For

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                at = _start(item.optional_vars)
                self.bind_target(item.optional_vars, "with", node, at, item.context_expr, None)
        self.visit_all(node)

    visit_AsyncWith = visit_With

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bind(node.name, "except", node, _start(node))
        self.visit_all(node)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.bind(node.name, "match", node, _start(node))
        self.visit_all(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.bind(node.rest, "match", node, _start(node))
        self.visit_all(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self.visit_all(node)
        for target in node.targets:
            self.bind_target(target, "delete", node, _end(node), None, None)


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
