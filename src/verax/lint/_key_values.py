"""Keys as values that a program passes around, and what was done to each on the way to a place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["param", "carry", "captured", "made", "split", "keys", "folded", "unknown"]
Strength = Literal["strong", "weak"]
Guard = tuple[str, str, bool]  # the text of a test, the constant it is compared with or "", and how it came out


@dataclass(eq=False, slots=True)
class Token:
    """One value that is a key, or may turn out to be one.

    Attributes:
      name: as the code calls it: `key`, `self.key`, `keys[0]`.
      kind: where it comes from. `keys` is an array of them; `carry` is a part of a parameter.
      sure: whether it is known to be a key; else its name may say so.
      path: the name that it is reached by from the start of a function, and then attributes and constant indices.
      parent: what it is part of.
      children: its parts that were met.
      split: of `keys`, the call that made it.
    """

    name: str
    kind: Kind
    sure: bool = False
    path: tuple[Any, ...] | None = None
    parent: Token | None = None
    children: dict[Any, Token] = field(default_factory=dict)
    split: ast.Call | None = None

    def child(self, accessor: tuple[Any, ...], text: str) -> Token:
        """Returns its part that an attribute or index reaches."""
        found = self.children.get(accessor)
        if found is None:
            kind: Kind = "unknown"
            if self.kind == "keys":
                kind = "split"
            elif self.kind in ("param", "carry"):
                kind = "carry"
            elif self.kind == "captured":
                kind = "captured"
            plain = accessor[0] in (".", "[]") and len(accessor) == 2
            path = (*self.path, accessor) if self.path is not None and plain else None
            found = Token(self.name + text, kind, self.kind == "keys", path, self)
            self.children[accessor] = found
        return found


@dataclass(eq=False, slots=True)
class Group:
    """A tuple, list or dict whose elements are seen."""

    values: tuple[Value, ...]
    is_dict: bool = False
    names: tuple[Any, ...] = ()  # of a dict, its constant keys; None for another


Value = Token | Group | None


def tokens(value: Value) -> Iterator[Token]:
    """Yields the tokens of a value, through the groups within."""
    if isinstance(value, Token):
        yield value
    elif isinstance(value, Group):
        for each in value.values:
            yield from tokens(each)


@dataclass(frozen=True, eq=False, slots=True)
class Use:
    """One draw from a key.

    Attributes:
      node: the call.
      strength: `strong` where it certainly draws; `weak` where the key is given to something unknown.
      what: what is called, as messages show it: `jax.random.normal`.
      argument: the expression that names the key there; None where it is within something else.
      guards: the tests that led there.
      inner: whether the call stands in a function that was called, not at the place itself.
      others: calls that drew instead, on other ways.
      sampler: what draws in the function that is called, where that is known: `jax.random.permutation`.
    """

    node: ast.AST
    strength: Strength
    what: str
    argument: ast.expr | None = None
    guards: tuple[Guard, ...] = ()
    inner: bool = False
    others: frozenset[ast.AST] = frozenset()
    sampler: str = ""

    def is_at(self, node: ast.AST) -> bool:
        """Returns whether a call is this draw, or the one of another way."""
        return node is self.node or node in self.others

    @property
    def is_split(self) -> bool:
        """Whether it is a split."""
        return self.what.endswith("random.split")


@dataclass(slots=True)
class Summary:
    """What a function does with keys.

    Attributes:
      parameters: the names of those that can be given by place, then of the others.
      params: the draw from each that is drawn from.
      captured: the draw from each key from outside, by its path.
      folds: its calls of `fold_in` whose key and data are both from outside.
      returns: the parameter that it gives back as it is; None where that is not so.
    """

    parameters: tuple[str, ...] = ()
    params: dict[str, Use] = field(default_factory=dict)
    captured: dict[tuple[Any, ...], Use] = field(default_factory=dict)
    folds: list[ast.Call] = field(default_factory=list)
    returns: str | None = None


@dataclass(slots=True)
class State:
    """What is known at a place.

    Attributes:
      env: values by name.
      fields: values of attributes and items that were assigned, by what they belong to.
      used: the draw from each key that was drawn from.
      folds: the calls of `fold_in` by key and data, with the tests that led there.
      guards: the tests that led here.
    """

    env: dict[str, Value] = field(default_factory=dict)
    fields: dict[tuple[Token, Any], Value] = field(default_factory=dict)
    used: dict[Token, Use] = field(default_factory=dict)
    folds: dict[tuple[Any, ...], tuple[ast.Call, tuple[Guard, ...]]] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()

    def copy(self) -> State:
        """Returns a state that can change by itself."""
        return State(dict(self.env), dict(self.fields), dict(self.used), dict(self.folds), self.guards)


def exclusive(one: tuple[Guard, ...], other: tuple[Guard, ...]) -> bool:
    """Returns whether two places cannot be both reached, as far as the tests that led to them tell."""
    for text, constant, outcome in one:
        for text2, constant2, outcome2 in other:
            if text == text2:
                if constant == constant2 and outcome != outcome2:
                    return True
                if constant != constant2 and constant and constant2 and outcome and outcome2:
                    return True  # equal to two different constants
    return False


def guards_of(test: ast.expr, outcome: bool) -> tuple[Guard, ...]:
    """Returns what the outcome of a test says of its parts."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return guards_of(test.operand, not outcome)
    if isinstance(test, ast.BoolOp):
        if isinstance(test.op, ast.And) == outcome:
            return tuple(each for part in test.values for each in guards_of(part, outcome))
        return ((ast.unparse(test), "", outcome),)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        operator, right = test.ops[0], test.comparators[0]
        negated = isinstance(operator, ast.NotEq | ast.IsNot | ast.NotIn)
        if isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot) and isinstance(right, ast.Constant):
            return ((ast.unparse(test.left), repr(right.value), outcome != negated),)
        if isinstance(operator, ast.In | ast.NotIn):
            return ((f"{ast.unparse(test.left)} in {ast.unparse(right)}", "", outcome != negated),)
    return ((ast.unparse(test), "", outcome),)


def joined(one: State | None, other: State | None, entry: Callable[[str], Value]) -> State | None:
    """Returns what is known where two ways meet.

    A name that has another value on each way stands for either: it counts as drawn from where one of them was, on its
    way.
    """
    if one is None or other is None:
        return one or other
    state = State({}, {}, dict(other.used), {**other.folds, **one.folds}, one.guards)
    for token, use in one.used.items():
        second = other.used.get(token)
        state.used[token] = use if second is None or second is use else _either(use, second)
    for name in one.env.keys() | other.env.keys():
        first = one.env[name] if name in one.env else entry(name)
        second = other.env[name] if name in other.env else entry(name)
        state.env[name] = first if first is second else _phi(name, first, second, one, other, state)
    for place in one.fields.keys() | other.fields.keys():
        owner, accessor = place
        first = one.fields[place] if place in one.fields else owner.children.get(accessor)
        second = other.fields[place] if place in other.fields else owner.children.get(accessor)
        text = first.name if isinstance(first, Token) else second.name if isinstance(second, Token) else owner.name
        state.fields[place] = first if first is second else _phi(text, first, second, one, other, state)
    return state


def _either(one: Use, other: Use) -> Use:
    kept = other if one.strength == "weak" and other.strength == "strong" else one
    common = tuple(each for each in one.guards if each in other.guards)
    others = one.others | other.others | {one.node, other.node}
    return Use(kept.node, kept.strength, kept.what, kept.argument, common, kept.inner, others)


def _phi(name: str, first: Value, second: Value, one: State, other: State, state: State) -> Value:
    if isinstance(first, Group) and isinstance(second, Group) and len(first.values) == len(second.values):
        pairs = zip(first.values, second.values, strict=True)
        return Group(tuple(a if a is b else _phi(name, a, b, one, other, state) for a, b in pairs), first.is_dict)
    use1 = one.used.get(first) if isinstance(first, Token) else None
    use2 = other.used.get(second) if isinstance(second, Token) else None
    lead = second if (use1 is None and use2 is not None) or not isinstance(first, Token) else first
    if not isinstance(lead, Token):
        return Token(name, "unknown")
    sure = any(isinstance(each, Token) and each.sure for each in (first, second))
    token = Token(name, lead.kind if lead.kind != "keys" else "unknown", sure, lead.path)
    if use1 is not None and use2 is not None:
        state.used[token] = _either(use1, use2)
    elif use1 is not None or use2 is not None:
        use = use1 or use2
        assert use is not None
        state.used[token] = use
    return token
