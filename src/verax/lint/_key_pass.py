"""The state of a pass over the body of a function: what names stand for, draws, and ways that part and meet."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from verax.lint._key_fields import fields
from verax.lint._key_names import STATEFUL_TYPES, is_alike
from verax.lint._key_values import Group, Guard, State, Token, Use, Value, exclusive, joined
from verax.lint._module import Module, argument
from verax.lint._scopes import Function

Body = Function | ast.Module
NESTED = 4  # loops within loops that are walked twice each; those further in are walked once


@runtime_checkable
class Flow(Protocol):
    """What a pass asks of the analysis of the whole module."""

    module: Module

    def summary(self, body: Body) -> Any:
        """Returns what a function of this file does with its keys."""

    def conflict(self, walk: Pass, token: Token, first: Use, use: Use) -> None:
        """Notes that a key was drawn from twice."""

    def given_back(self, walk: Pass, node: ast.AST, token: Token, first: Use) -> None:
        """Notes that a key that was drawn from goes back to the caller."""

    def folded_again(
        self, walk: Pass, node: ast.Call, first: tuple[ast.Call, tuple[Guard, ...]], identity: tuple[Any, ...]
    ) -> None:
        """Notes that `fold_in` got the same key and data twice."""

    def folded_in_body(self, node: ast.Call) -> None:
        """Notes that the body of a loop of JAX folds the same data into a key from outside."""

    def captured_by_loop(self, use: Use, path: tuple[Any, ...]) -> None:
        """Notes that the body of a loop of JAX draws from a key from outside."""

    def captured_by_map(self, use: Use, path: tuple[Any, ...]) -> None:
        """Notes that a function of each leaf draws from a key from outside."""

    def known(self, dotted: str) -> Any:
        """Returns what a function of another file does with keys."""


class Loop:
    """The states in which a Python loop was left or went on early."""

    def __init__(self) -> None:
        self.breaks: list[State] = []
        self.continues: list[State] = []


class Pass:
    """A pass over one body: names, draws, and ways that part and meet.

    Attributes:
      state: what is known where the pass is; None where no run gets.
      exits: the states in which the body is left with a result.
      results: the results.
    """

    def __init__(self, flow: Flow, body: Body, call: Callable[[Any, ast.Call], Value]):
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

    def value(self, node: ast.expr | None) -> Value:
        """Returns the value of an expression, as far as it is a key, and notes what it draws from."""
        raise NotImplementedError

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
            if isinstance(value, Group) and value.is_dict:
                held = Token(target.id, "unknown")
                for name, each in zip(value.names, value.values, strict=False):
                    if name is not None and each is not None:
                        state.fields[held, ("[]", name)] = each
                value = held
            elif value is None:
                value = Token(target.id, "unknown")
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
            if isinstance(owner, Token) and isinstance(target, ast.Subscript) and not _is_constant(target.slice):
                for each in [one for one in state.fields if one[0] is owner and one[1][0] == "[]"]:
                    del state.fields[each]  # any item may be another now
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

    # Ways.

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
            for _ in range(2 if len(self.loops) <= NESTED else 1):
                if self.state is None:
                    break
                self.state = self.state.copy()
                once()
                self.state = self.join([self.state, *loop.continues])
                loop.continues.clear()
                if ends and self.state is not None:
                    after.append(self.state)
        return self.join([*after, *loop.breaks])

    def changing(self, owner: ast.ClassDef) -> frozenset[str]:
        """Returns the attributes that methods of a class set, other than where it is made, and than this one."""
        return fields(self.module).changing(owner, self.body)


def _is_constant(index: ast.expr) -> bool:
    return isinstance(index, ast.Constant) or (
        isinstance(index, ast.UnaryOp) and isinstance(index.operand, ast.Constant)
    )


def _rebound_within(module: Module, body: Body) -> frozenset[str]:
    """Returns the names that functions within a body rebind, so that any call can change them."""
    declaring = module.shared("declaring scopes", lambda m: [each for each in m.opened.values() if each.declared])
    scope, found = module.opened[body], set()
    for each in declaring:
        if each is not scope:
            found |= {name for name in each.declared if name in scope.bindings and scope in list(each.chain())}
    return frozenset(found)


def _is_paired(module: Module, first: Use, use: Use) -> bool:
    """Returns whether two draws pick the same places of two arrays, which one key is for."""
    if not is_alike(first.what, use.what) and not is_alike(first.sampler or first.what, use.sampler or use.what):
        return False
    if not first.is_at(use.node) or not isinstance(use.node, ast.Call):
        return True
    loop = module.loop(use.node)
    if loop is None or isinstance(loop, ast.While):
        return False
    names = {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}
    given = [each for each in use.node.args if each is not use.argument]
    return any(isinstance(each, ast.Name) and each.id in names for one in given for each in ast.walk(one))


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
