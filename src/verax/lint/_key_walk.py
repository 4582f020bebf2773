"""One pass over the body of a function, along the ways that a run can take, with the keys it meets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from verax.lint._key_names import PAIRED, STATEFUL_TYPES, key_like
from verax.lint._key_values import Group, Guard, State, Token, Use, Value, exclusive, guards_of, joined, tokens
from verax.lint._module import Module, argument
from verax.lint._scopes import Function

Body = Function | ast.Module
INITIALIZING = ("__init__", "__post_init__", "setup", "__new__", "__attrs_post_init__")


@runtime_checkable
class Flow(Protocol):
    """What a pass asks of the analysis of the whole module."""

    module: Module

    def summary(self, body: Body) -> Any:
        """Returns what a function of this file does with its keys."""

    def conflict(self, walk: Walk, token: Token, first: Use, use: Use) -> None:
        """Notes that a key was drawn from twice."""

    def given_back(self, walk: Walk, node: ast.AST, token: Token, first: Use) -> None:
        """Notes that a key that was drawn from goes back to the caller."""

    def folded_again(
        self, walk: Walk, node: ast.Call, first: tuple[ast.Call, tuple[Guard, ...]], identity: tuple[Any, ...]
    ) -> None:
        """Notes that `fold_in` got the same key and data twice."""

    def folded_in_body(self, node: ast.Call) -> None:
        """Notes that the body of a loop of JAX folds the same data into a key from outside."""

    def captured_by_loop(self, use: Use, path: tuple[Any, ...]) -> None:
        """Notes that the body of a loop of JAX draws from a key from outside."""

    def known(self, dotted: str) -> Any:
        """Returns what a function of another file does with keys."""


class Loop:
    """The states in which a Python loop was left or went on early."""

    def __init__(self) -> None:
        self.breaks: list[State] = []
        self.continues: list[State] = []


class Walk:
    """A pass over one body.

    Attributes:
      state: what is known where the pass is; None where no run gets.
      exits: the states in which the body is left with a result.
      results: the results.
    """

    def __init__(self, flow: Flow, body: Body, call: Callable[[Walk, ast.Call], Value]):
        self.flow, self.module, self.body, self._call = flow, flow.module, body, call
        self.state: State | None = State()
        self.exits: list[State] = []
        self.results: list[Value] = []
        self.entries: dict[str, Value] = {}
        self.loops: list[Loop] = []
        self.returning = False
        self.folds: list[ast.Call] = []
        self.scope = flow.module.opened[body]
        self.params = {each.name for found in self.scope.bindings.values() for each in found if each.kind == "param"}
        self.unstable = _rebound_within(flow.module, body)

    def run(self) -> None:
        """Walks the body."""
        if isinstance(self.body, ast.Lambda):
            self.leave(self.body.body, self.returned(self.body.body))
            return
        self.block(self.body.body)
        if self.state is not None:
            self.exits.append(self.state)
            self.results.append(None)

    def changing(self, owner: ast.ClassDef) -> frozenset[str]:
        """Returns the attributes that methods of a class set, other than where it is made, and than this one."""
        fields: _Fields = self.module.shared("fields", _Fields)
        found: set[str] = set()
        for each in owner.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each is not self.body:
                found |= fields.set_in(each) if each.name not in INITIALIZING else set()
        return frozenset(found)

    # Names.

    def entry(self, name: str) -> Value:
        """Returns what a name stands for when the body is entered."""
        if name not in self.entries:
            self.entries[name] = self._entered(name)
        return self.entries[name]

    def _entered(self, name: str) -> Value:
        if name in self.unstable:
            return None
        if name in self.params:
            binding = self.scope.bindings[name][0]
            annotation = getattr(binding.node, "annotation", None)
            if annotation is not None and STATEFUL_TYPES.search(self.module.source(annotation)):
                return None
            assert not isinstance(self.body, ast.Module)
            if name in ("self", "cls"):
                return Token(name, "captured", path=(name,))
            if any(each is not None and each.arg == name for each in (self.body.args.vararg, self.body.args.kwarg)):
                return Token(name, "unknown")
            return Token(name, "param", path=(name,))
        if name in self.scope.bindings and name not in self.scope.declared:
            return Token(name, "unknown")
        return Token(name, "captured", path=(name,))

    def lookup(self, name: str) -> Value:
        """Returns what a name stands for here."""
        state = self.state
        if state is not None and name in state.env:
            return state.env[name]
        return self.entry(name)

    def part(self, owner: Value, accessor: tuple[Any, ...], text: str) -> Value:
        """Returns an attribute or item of a value."""
        if isinstance(owner, Group):
            place = accessor[1]
            is_place = accessor[0] == "[]" and isinstance(place, int) and not owner.is_dict
            return owner.values[place] if is_place and -len(owner.values) <= place < len(owner.values) else None
        if not isinstance(owner, Token):
            return None
        if self.state is not None and (owner, accessor) in self.state.fields:
            return self.state.fields[owner, accessor]
        return owner.child(accessor, text)

    def accessor(self, index: ast.expr) -> tuple[Any, ...] | None:
        """Returns what tells one item from the others: a constant, or names with what they stand for here."""
        if isinstance(index, ast.Constant):
            return ("[]", index.value)
        if (
            isinstance(index, ast.UnaryOp)
            and isinstance(index.op, ast.USub)
            and isinstance(index.operand, ast.Constant)
        ):
            value = index.operand.value
            return ("[]", -value) if isinstance(value, int) else None
        found = self.identity(index)
        return None if found is None else ("[]", *found)

    def identity(self, node: ast.expr) -> tuple[Any, ...] | None:
        """Returns what is the same wherever an expression of names and constants has the same value; else None."""
        if isinstance(node, ast.Constant):
            return (repr(node.value), node.value.__class__)
        parts: list[Any] = []
        left: list[ast.AST] = [node]
        while left:
            each = left.pop()
            if isinstance(each, ast.Name):
                value = self.lookup(each.id)
                if value is None:
                    return None
                parts.append(value)
            elif isinstance(each, ast.Attribute):
                value = self.value(each)
                if not isinstance(value, Token) or value.kind == "captured":
                    return None
                parts.append(value)
            elif isinstance(each, ast.BinOp | ast.UnaryOp | ast.Tuple):
                left.extend(each for each in ast.iter_child_nodes(each) if isinstance(each, ast.expr))
            elif not isinstance(each, ast.Constant):
                return None
        return (ast.unparse(node), *parts)

    def bind(self, target: ast.expr, value: Value) -> None:
        """Gives a target a value."""
        state = self.state
        if state is None:
            return
        if isinstance(target, ast.Name):
            if target.id in self.unstable:
                return
            if value is None or (isinstance(value, Group) and value.is_dict):
                value = value or Token(target.id, "unknown")
            elif isinstance(value, Token) and not value.name:
                value.name = target.id
            state.env[target.id] = value
        elif isinstance(target, ast.Starred):
            self.bind(
                target.value, Token("", "keys" if isinstance(value, Token) and value.kind == "keys" else "unknown")
            )
        elif isinstance(target, ast.Tuple | ast.List):
            star = next((place for place, each in enumerate(target.elts) if isinstance(each, ast.Starred)), None)
            for place, each in enumerate(target.elts):
                if star is not None and place > star:
                    place -= len(target.elts)
                inner = value if place == star else self.part(value, ("[]", place), f"[{place}]")
                name = each.id if isinstance(each, ast.Name) else ""
                if isinstance(inner, Token) and name and inner.parent is not None and isinstance(value, Token):
                    inner.name = name
                self.bind(each, inner)
        elif isinstance(target, ast.Attribute | ast.Subscript):
            owner = self.value(target.value)
            accessor = (".", target.attr) if isinstance(target, ast.Attribute) else self.accessor(target.slice)
            if isinstance(owner, Token) and accessor is not None:
                state.fields[owner, accessor] = value or Token(self.module.source(target), "unknown")
                if isinstance(value, Token) and not value.name:
                    value.name = self.module.source(target)

    # Draws.

    def draw(self, token: Token, use: Use) -> None:
        """Notes a draw from a key, and whether it was drawn from before."""
        state = self.state
        if state is None:
            return
        if use.strength == "strong":
            token.sure = True
        first = state.used.get(token)
        if first is None and token.parent is not None and token.parent.kind == "keys":
            whole = state.used.get(token.parent)
            first = whole if whole is not None and whole.strength == "strong" and not whole.is_split else None
        if first is None:
            state.used[token] = use
            return
        alike = _is_paired(self.module, first, use) or _is_other_part(self.module, first, use)
        if not alike and not exclusive(first.guards, use.guards):
            self.flow.conflict(self, token, first, use)
        if first.strength == "weak" and use.strength == "strong":
            state.used[token] = use

    # Statements.

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
        for token in tokens(value):
            for each in (token, *_parts(token, state)):
                use = state.used.get(each)
                back = each.kind in ("param", "carry") and use is not None and use.strength == "strong"
                if back and use is not None and each not in seen and not exclusive(use.guards, state.guards):
                    seen.add(each)
                    self.flow.given_back(self, node, each, use)
        self.exits.append(state)
        self.results.append(value)
        self.state = None

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

    def ways(self, *ways: tuple[tuple[Guard, ...], Callable[[], object]]) -> list[object]:
        """Walks ways of which a run takes one, and returns what each gives."""
        start = self.state
        after: State | None = None
        results: list[object] = []
        if start is None:
            return results
        for guards, way in ways:
            self.state = start.copy()
            self.state.guards = (*start.guards, *guards)
            results.append(way())
            if self.state is not None:
                after = self.state if after is None else joined(after, self.state, self.entry)
        self.state = after
        if after is not None:
            after.guards = start.guards
        return results

    def join(self, states: Iterable[State | None]) -> State | None:
        """Returns what is known where ways meet."""
        found: State | None = None
        for each in states:
            found = joined(found, each, self.entry)
        return found

    @contextmanager
    def looped(self) -> Iterator[Loop]:
        """Opens a loop."""
        loop = Loop()
        self.loops.append(loop)
        yield loop
        self.loops.pop()

    def twice(self, once: Callable[[], object], *, ends: bool = True) -> State | None:
        """Walks two passes of a loop, so that the second meets what the first left. Returns the states after it."""
        after = [self.state.copy() if self.state is not None and ends else None]
        with self.looped() as loop:
            for _ in range(2):
                if self.state is None:
                    break
                self.state = self.state.copy()
                once()
                self.state = self.join([self.state, *loop.continues])
                loop.continues.clear()
                if ends and self.state is not None:
                    after.append(self.state)
        return self.join([*after, *loop.breaks])

    def loop_over(self, node: ast.For | ast.AsyncFor) -> None:
        """Walks a `for`."""
        items = self.value(node.iter)

        def once() -> None:
            self.bind(node.target, _item(items))
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

    # Expressions.

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
            if around is not None and node.attr not in self.flow.module.shared("fields", _Fields).of(around):
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
        return Group(tuple(self.value(each) for each in node.values), is_dict=True)

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

        def passes(place: int, items: Value) -> None:
            def element() -> None:
                self.bind(generators[place].target, _item(items))
                for condition in generators[place].ifs:
                    self.value(condition)
                if place + 1 < len(generators):
                    passes(place + 1, self.value(generators[place + 1].iter))
                    return
                for part in (getattr(node, "key", None), getattr(node, "value", None), getattr(node, "elt", None)):
                    self.value(part)

            if once:
                element()
            else:
                self.state = self.twice(element)

        passes(0, first)
        if self.state is not None:
            for name, value in outer.items():
                if name in known:
                    self.state.env[name] = value
                else:
                    self.state.env.pop(name, None)
        return None

    def function(self, node: ast.Lambda) -> Value:
        """Returns nothing: a lambda is walked where it is called."""
        self.flow.summary(node)
        return None

    def call(self, node: ast.Call) -> Value:
        """Returns what a call gives."""
        return self._call(self, node)


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
EXPRESSIONS: dict[type[ast.AST], Callable[[Walk, Any], Value]] = {
    ast.Name: Walk.name,
    ast.Attribute: Walk.attribute,
    ast.Subscript: Walk.item,
    ast.Tuple: Walk.display,
    ast.List: Walk.display,
    ast.Set: Walk.display,
    ast.Dict: Walk.mapping,
    ast.Starred: Walk.starred,
    ast.Await: Walk.starred,
    ast.NamedExpr: Walk.walrus,
    ast.IfExp: Walk.choice,
    ast.BoolOp: Walk.either,
    ast.ListComp: Walk.comprehension,
    ast.SetComp: Walk.comprehension,
    ast.DictComp: Walk.comprehension,
    ast.GeneratorExp: Walk.comprehension,
    ast.Lambda: Walk.function,
    ast.Call: Walk.call,
    ast.Constant: lambda walk, node: None,
}


class _Fields:
    """The attributes of classes that are set or annotated in them, and not computed by a property."""

    def __init__(self, module: Module):
        self.module = module
        self.known: dict[ast.ClassDef, frozenset[str]] = {}

    def of(self, owner: ast.ClassDef) -> frozenset[str]:
        """Returns those of a class and its bases in this file."""
        if owner not in self.known:
            self.known[owner] = frozenset()
            found: set[str] = set()
            for statement in owner.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    found.add(statement.target.id)
                elif isinstance(statement, ast.Assign):
                    found |= {each.id for each in statement.targets if isinstance(each, ast.Name)}
                elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                    found |= set(self.set_in(statement))
            for base in owner.bases:
                around = self.module.definition(base)
                if isinstance(around, ast.ClassDef):
                    found |= self.of(around)
            methods = {each.name for each in owner.body if isinstance(each, ast.FunctionDef)}
            self.known[owner] = frozenset(found - methods)
        return self.known[owner]

    def set_in(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
        """Returns the attributes of `self` that a method sets."""
        found: set[str] = set()
        for each in self._stored:
            if self.module.function(each) is function and isinstance(each.value, ast.Name) and each.value.id == "self":
                found.add(each.attr)
        return frozenset(found)

    @property
    def _stored(self) -> list[ast.Attribute]:
        return self.module.shared(
            "stored attributes",
            lambda module: [each for each in module.nodes(ast.Attribute) if isinstance(each.ctx, ast.Store)],
        )


def _rebound_within(module: Module, body: Body) -> frozenset[str]:
    """Returns the names that functions within a body rebind, so that any call can change them."""
    declaring = module.shared("declaring scopes", lambda m: [each for each in m.opened.values() if each.declared])
    scope, found = module.opened[body], set()
    for each in declaring:
        if each is not scope:
            found |= {name for name in each.declared if name in scope.bindings and scope in list(each.chain())}
    return frozenset(found)


def _item(items: Value) -> Value:
    """Returns what stands for the item of one pass over a value."""
    if isinstance(items, Token) and items.kind == "keys":
        return Token("", "split", sure=True)
    return None


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


def _is_paired(module: Module, first: Use, use: Use) -> bool:
    """Returns whether two draws pick the same places of two arrays, which one key is for."""
    if first.what not in PAIRED or use.what not in PAIRED:
        return False
    if first.node is not use.node or not isinstance(use.node, ast.Call):
        return True
    loop = module.loop(use.node)
    if loop is None or isinstance(loop, ast.While):
        return False
    names = {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}
    return any(isinstance(each, ast.Name) and each.id in names for one in use.node.args[1:] for each in ast.walk(one))


def _is_other_part(module: Module, first: Use, use: Use) -> bool:
    """Returns whether two splits of one key are used for different keys of it: `split(key)[0]` and `split(key)[1]`.

    Splits into two given numbers, of which one is computed, are taken for such, too.
    """
    if not (first.is_split and use.is_split) or first.node is use.node:
        return False
    one, other = module.parents.get(first.node), module.parents.get(use.node)
    if isinstance(one, ast.Subscript) and isinstance(other, ast.Subscript):
        return ast.dump(one.slice) != ast.dump(other.slice)
    if not (isinstance(first.node, ast.Call) and isinstance(use.node, ast.Call)):
        return False
    counts = [argument(each, 1, "num") for each in (first.node, use.node)]
    if counts[0] is None or counts[1] is None or all(isinstance(each, ast.Constant) for each in counts):
        return False
    return ast.dump(counts[0]) != ast.dump(counts[1])


def _captures(pattern: ast.pattern) -> Iterator[str]:
    for each in ast.walk(pattern):
        name = getattr(each, "name", None) or getattr(each, "rest", None)
        if isinstance(name, str):
            yield name


def _targets(generators: list[ast.comprehension]) -> Iterator[str]:
    for each in generators:
        for node in ast.walk(each.target):
            if isinstance(node, ast.Name):
                yield node.id
