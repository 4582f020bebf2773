"""A parsed source file, and the questions that rules ask of it."""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from verax.lint._report import Edit
from verax.lint._scopes import FUNCTIONS, Binding, Builder, Function, Scope

Node = TypeVar("Node", bound=ast.AST)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
BUILTINS = frozenset(dir(builtins))
# Names under which a library shows the same thing, by the one that rules know.
SAME = {
    "jax.tree_util.Partial": "jax.tree_util.Partial",
    "jax._src": "jax",
    "optax.losses": "optax",
    "optax.schedules": "optax",
    "optax.transforms": "optax",
    "optax.projections": "optax",
    "flax.linen.module": "flax.linen",
    "haiku._src": "haiku",
}


class Module:
    """A source file, parsed once.

    Every question is answered from the text alone; nothing of it is imported or run.

    Args:
      text: the source.
      file: its name, as reports show it.
      name: its dotted name where it is part of a package, else empty.
      is_package: whether it is the `__init__.py` of the package with that name.
      known: what is known beyond the file: `project`, the other files; `target_jax`, the version it is meant for.

    Raises:
      SyntaxError, ValueError: if it cannot be parsed.
    """

    def __init__(
        self,
        text: str,
        file: str = "<text>",
        name: str = "",
        *,
        is_package: bool = False,
        known: Mapping[str, Any] | None = None,
    ):
        self.text, self.file, self.name, self.is_package = text, file, name, is_package
        self.tree = ast.parse(text)
        declares = "global" in text or "nonlocal" in text
        built = Builder(self.tree, name if is_package else name.rpartition(".")[0], declares=declares)
        self.scopes, self.opened, self.parents, self.by_type = built.scopes, built.opened, built.parents, built.by_type
        self._dotted: dict[ast.AST, str | None] = {}
        self._bound: dict[ast.Name, Binding | None] = {}
        self._shared: dict[tuple[str, str], Any] = {}
        self._defined: dict[ast.AST, Function | ast.ClassDef | None] = {}
        self.known: dict[str, Any] = dict(known or {})

    # Text.

    @functools.cached_property
    def lines(self) -> list[str]:
        """The lines, as Python counts them, with their ends."""
        return io.StringIO(self.text, newline="").readlines()  # `splitlines` also splits at form feeds and the like

    @functools.cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line))
        return starts

    def offset(self, line: int, column: int) -> int:
        """Returns the place in the text of a line (from 1) and a column in bytes of UTF-8, as `ast` counts."""
        if line > len(self.lines):
            return len(self.text)
        content = self.lines[line - 1]
        if not content.isascii():
            column = len(content.encode()[:column].decode(errors="ignore"))
        return self._starts[line - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Returns where a node begins and ends in the text; parentheses around it are not its own."""
        each: Any = node
        return self.offset(each.lineno, each.col_offset), self.offset(each.end_lineno, each.end_col_offset)

    def source(self, node: ast.AST) -> str:
        """Returns the text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def replaced(self, node: ast.AST, text: str) -> Edit:
        """Returns the edit that puts a text in the place of a node."""
        return Edit(*self.span(node), text)

    # Structure.

    def nodes(self, *types: type[Node]) -> Iterator[Node]:
        """Yields the nodes of some types, in the order of the text within each."""
        return itertools.chain.from_iterable(self.by_type.get(kind, ()) for kind in types)  # type: ignore[arg-type]

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yields what a node stands in, from the nearest to the module."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def statement(self, node: ast.AST) -> ast.stmt:
        """Returns the statement that a node is part of."""
        each: ast.AST | None = node
        while not isinstance(each, ast.stmt):
            assert each is not None
            each = self.parents.get(each)
        return each

    def function(self, node: ast.AST) -> Function | None:
        """Returns the innermost function or lambda in whose body a node is evaluated."""
        return self.scopes[node].function

    def functions(self, node: ast.AST) -> Iterator[Function]:
        """Yields the functions in whose bodies a node stands, from the innermost out; through classes too."""
        scope: Scope | None = self.scopes[node]
        while scope is not None:
            if isinstance(scope.node, FUNCTIONS):
                yield scope.node
            scope = scope.parent

    def class_around(self, node: ast.AST) -> ast.ClassDef | None:
        """Returns the class of whose body, or of whose methods, a node is part."""
        child = node
        for each in self.around(node):
            if isinstance(each, ast.ClassDef) and child in each.body:  # its bases and decorators stand outside
                return each
            child = each
        return None

    def loop(self, node: ast.AST) -> ast.For | ast.AsyncFor | ast.While | ast.comprehension | None:
        """Returns the innermost loop of the same function whose every pass evaluates a node."""
        child: ast.AST = node
        for each in self.around(node):
            if isinstance(each, (*FUNCTIONS, ast.ClassDef)):
                return None
            if isinstance(each, ast.While) and child not in each.orelse:
                return each
            if isinstance(each, ast.For | ast.AsyncFor) and child is not each.iter and child not in each.orelse:
                return each
            if isinstance(each, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
                inner = child if isinstance(child, ast.comprehension) else each.generators[-1]
                if isinstance(child, ast.comprehension) and child is each.generators[0] and node_in(node, child.iter):
                    pass  # the first iterable is evaluated once
                else:
                    return inner
            child = each
        return None

    # Names.

    def bindings(self, name: ast.Name) -> list[Binding]:
        """Returns everything that binds a name where it is read; empty for a builtin or an unknown one."""
        scope = self.scopes[name]
        found = scope.found.get(name.id)
        if found is None:
            scopes = scope.chain()
            if name.id in scope.declared:
                chain = list(scopes)
                scopes = iter(chain[-1:] if scope.declared[name.id] == "global" else chain[1:])
            found = next((each.bindings[name.id] for each in scopes if name.id in each.bindings), [])
            scope.found[name.id] = found
        return found

    def scope_of(self, name: ast.Name) -> Scope | None:
        """Returns the scope that a name is bound in."""
        found = self.bindings(name)
        return (
            None
            if not found
            else next(each for each in self.scopes[name].chain() if found is each.bindings.get(name.id))
        )

    def binding(self, name: ast.Name) -> Binding | None:
        """Returns the binding that a name has where it is read, as far as the order of the text tells.

        In the same scope that is the last one before it that does not stand in another branch; from a function within,
        the last of all.
        """
        if name not in self._bound:
            self._bound[name] = self._last(name)
        return self._bound[name]

    def _last(self, name: ast.Name) -> Binding | None:
        found = self.bindings(name)
        if not found:
            return None
        scope = self.scopes[name]
        if found is not scope.bindings.get(name.id):
            inner = scope
            while inner is not None and isinstance(inner.node, COMPREHENSION_TYPES):
                inner = inner.parent  # it is evaluated where it stands
            if inner is None or found is not inner.bindings.get(name.id):
                return found[-1]
        at = (name.lineno, name.col_offset)
        before = (each for each in reversed(found) if each.at <= at and not self.apart(each.node, name))
        return next(before, found[-1])

    def apart(self, one: ast.AST, other: ast.AST) -> bool:
        """Returns whether two nodes stand in branches of which only one is taken."""
        chain = [one, *self.around(one)]
        places = {each: place for place, each in enumerate(chain)}
        child = other
        for each in self.around(other):
            if each in places:
                mine = chain[places[each] - 1] if places[each] else one
                if isinstance(each, ast.If | ast.IfExp):
                    return _branch(each, mine) != _branch(each, child) and "test" not in (
                        _branch(each, mine), _branch(each, child),
                    )  # fmt: skip
                return isinstance(each, ast.Match) and mine is not child and each.subject not in (mine, child)
            child = each
        return False

    def dotted(self, node: ast.AST | None) -> str | None:
        """Returns the dotted name of what an expression names, through imports and aliases: `jax.random.normal`.

        Builtins are `builtins.print`. None where it is a value, or nothing is known.
        """
        try:
            return self._dotted[node]  # type: ignore[index]
        except KeyError:
            if not isinstance(node, ast.Name | ast.Attribute):
                return None
        self._dotted[node] = None  # a name that is bound to itself ends here
        found = self._dotted[node] = self._resolved(node)
        return found

    def _resolved(self, node: ast.Name | ast.Attribute) -> str | None:
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return None if base is None or base.startswith("builtins.") else same_name(f"{base}.{node.attr}")
        binding = self.binding(node)
        if binding is None:
            return f"builtins.{node.id}" if node.id in BUILTINS and not self._has_star(node) else None
        if binding.kind == "import":
            return same_name(binding.origin or "")
        if binding.kind == "assign" and binding.path == () and len(self.bindings(node)) == 1:
            return self.dotted(binding.value)
        return None

    def _has_star(self, node: ast.AST) -> bool:
        return any(scope.stars for scope in self.scopes[node].chain())

    def called(self, node: ast.AST | None) -> str | None:
        """Returns the dotted name of what a call calls; None where a node is no call."""
        return self.dotted(node.func) if isinstance(node, ast.Call) else None

    def definition(self, node: ast.AST | None) -> Function | ast.ClassDef | None:
        """Returns the function, lambda or class of this file that an expression is, by itself or by its name.

        `self.method` is looked up in the class around and in those of its bases that are in this file. What is bound
        more than once, in another way than by branches, is not known.
        """
        if isinstance(node, ast.Lambda):
            return node
        if not isinstance(node, ast.Name | ast.Attribute):
            return None
        if node not in self._defined:
            self._defined[node] = None  # a name that is bound to itself ends here
            self._defined[node] = self._definition(node)
        return self._defined[node]

    def _definition(self, node: ast.Name | ast.Attribute) -> Function | ast.ClassDef | None:
        if isinstance(node, ast.Name):
            binding = self.binding(node)
            if binding is None or binding.kind == "param":
                return None
            if isinstance(binding.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and binding.kind in (
                "function", "class",
            ):  # fmt: skip
                return binding.node
            if binding.kind == "assign" and binding.path == () and binding.value is not node:
                value = binding.value
                return self.definition(value) if isinstance(value, ast.Name | ast.Lambda | ast.Attribute) else None
            return None
        if isinstance(node.value, ast.Name):
            owner = self.class_around(node)
            first = next(iter(self.functions(node)), None)
            if owner is not None and first is not None and node.value.id in ("self", "cls"):
                return self.method(owner, node.attr)
            named = self.definition(node.value)
            return self.method(named, node.attr) if isinstance(named, ast.ClassDef) else None
        return None

    def method(self, owner: ast.ClassDef, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Returns a method of a class, or of a base of it in this file."""
        seen: set[ast.ClassDef] = set()
        left = [owner]
        while left:
            each = left.pop(0)
            if each in seen:
                continue
            seen.add(each)
            for statement in reversed(each.body):
                if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == name:
                    return statement
            left += [base for node in each.bases if isinstance(base := self.definition(node), ast.ClassDef)]
        return None

    def bases(self, owner: ast.ClassDef) -> set[str]:
        """Returns the dotted names of the bases of a class that are imported, also through bases in this file.

        A base of which nothing is known is `?`.
        """
        found: set[str] = set()
        seen: set[ast.ClassDef] = set()
        left = [owner]
        while left:
            each = left.pop()
            if each in seen:
                continue
            seen.add(each)
            for node in each.bases:
                node = node.value if isinstance(node, ast.Subscript) else node
                local = self.definition(node)
                if isinstance(local, ast.ClassDef):
                    left.append(local)
                else:
                    found.add(self.dotted(node) or "?")
        return found

    def value(self, node: ast.expr) -> ast.expr:
        """Returns the expression that a name was last bound to, through names of names; else the node itself."""
        seen: set[ast.AST] = set()
        while isinstance(node, ast.Name) and node not in seen:
            seen.add(node)
            binding = self.binding(node)
            if binding is None or binding.kind != "assign" or binding.path != () or binding.value is None:
                break
            node = binding.value
        return node

    def shared(self, name: str, make: Callable[[Module], Any]) -> Any:
        """Returns an analysis of this module that several rules need, made once: `make(module)`.

        Names are those of the file that `make` is from, so that two files may use the same.
        """
        key = make.__module__, name
        if key not in self._shared:
            self._shared[key] = make(self)
        return self._shared[key]

    def twin(self, file: str, known: Mapping[str, Any]) -> Module:
        """Returns the same source under another name of its file, with analyses of its own; what was parsed is shared.

        Names of nodes are looked up once for both: they are told by the text and the dotted name alone.
        """
        twin = copy.copy(self)
        twin.file, twin._shared, twin.known = file, {}, dict(known)
        return twin

    def forget(self) -> None:
        """Lets go of the analyses, which refer back to the module: without them it goes when nothing needs it."""
        self._shared.clear()


COMPREHENSION_TYPES = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def same_name(dotted: str) -> str:
    """Returns the name under which rules know what several names show."""
    for prefix, shown in SAME.items():
        if dotted.startswith(prefix) and dotted[len(prefix) : len(prefix) + 1] in ("", "."):
            return shown + dotted[len(prefix) :]
    return dotted


def node_in(node: ast.AST, whole: ast.AST) -> bool:
    """Returns whether a node is part of another, or that other itself."""
    return any(each is node for each in ast.walk(whole))


def argument(call: ast.Call, place: int | None, *names: str) -> ast.expr | None:
    """Returns the argument of a call at a place or by a name; None where a star before it hides which one it is."""
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    if (
        place is None
        or place >= len(call.args)
        or any(isinstance(each, ast.Starred) for each in call.args[: place + 1])
    ):
        return None
    return call.args[place]


def keyword(call: ast.Call, name: str) -> ast.keyword | None:
    """Returns a keyword of a call."""
    return next((each for each in call.keywords if each.arg == name), None)


def has_stars(call: ast.Call) -> bool:
    """Returns whether a call has arguments that are not seen: `*args` or `**kwargs`."""
    return any(isinstance(each, ast.Starred) for each in call.args) or any(each.arg is None for each in call.keywords)


def _branch(node: ast.If | ast.IfExp, child: ast.AST) -> str:
    if child is node.test:
        return "test"
    orelse = node.orelse if isinstance(node.orelse, list) else [node.orelse]
    return "orelse" if any(child is each for each in orelse) else "body"
