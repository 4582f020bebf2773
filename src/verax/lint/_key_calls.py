"""What a call does to the keys that it is given."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any, NamedTuple

from verax.lint._key_names import (
    EVALUATES,
    FOLD_IN,
    KEY_KEYWORDS,
    LAYERS,
    MADE,
    REPLACING,
    SPLIT,
    STATEFUL,
    TREE_MAPS,
    is_passive,
    key_like,
    last_name,
    sampled_by,
)
from verax.lint._key_noise import has_own_shape, is_noise
from verax.lint._key_values import Strength, Summary, Token, Use, Value, tokens
from verax.lint._key_walk import Walk
from verax.lint._module import Module
from verax.lint._scopes import COMPREHENSIONS, FUNCTIONS, Function, Scope
from verax.lint._traced_params import parameters
from verax.lint._transforms import BODIES, EAGER, LOOP_BODIES, STAGING, transform_of
from verax.lint._unwrapped import unwrapped

ALIKE = frozenset(
    ("jax.device_put", "jax.numpy.asarray", "jax.numpy.array", "jax.lax.stop_gradient", "jax.block_until_ready")
)
PLAIN_DECORATORS = frozenset(
    (
        "builtins.staticmethod", "builtins.classmethod", "functools.lru_cache", "functools.cache", "functools.wraps",
        "typing.override", "typing.no_type_check", "abc.abstractmethod", "flax.linen.compact", "flax.linen.nowrap",
        "jax.named_scope", "jax.profiler.annotate_function",
    )
)  # fmt: skip
UNTOUCHED = frozenset(("apply", "apply_fn", "init", "init_fn", "apply_gradients", "get", "items", "keys", "values"))


class Argument(NamedTuple):
    """An argument of a call: what is written, its value, and the keyword or place that it is given at."""

    node: ast.expr
    value: Value
    keyword: str | None
    place: int | None


def call(walk: Walk, node: ast.Call) -> Value:
    """Returns what a call gives, and notes the draws that it makes."""
    back, walk.returning = walk.returning, False
    try:
        return _called(walk, node, back)
    finally:
        walk.returning = back


def _called(walk: Walk, node: ast.Call, back: bool) -> Value:
    module, func = walk.module, node.func
    dotted = module.dotted(func)
    owner = None
    if isinstance(func, ast.Attribute) and dotted is None:
        owner = walk.value(func.value)
    elif not isinstance(func, ast.Name | ast.Attribute):
        walk.value(func)
    given = _arguments(walk, node)
    if walk.state is None:
        return None
    sampler = sampled_by(module, func)
    if sampler is not None:
        if isinstance(module.parents.get(node), ast.Expr):
            return None  # what is drawn is dropped
        _sample(walk, node, sampler, given)
        return Token("", "keys", sure=True, split=node) if sampler == SPLIT and dotted == SPLIT else None
    if dotted in MADE:
        return Token("", "made", sure=True)
    if dotted in FOLD_IN:
        return _fold(walk, node, given)
    if dotted in ALIKE:
        return given[0].value if given else None
    if dotted in BODIES:
        _bodies(walk, node, dotted or "", given)
        return Token("", "unknown")
    if dotted is not None and (dotted in STAGING or dotted in EAGER or dotted == "functools.partial"):
        return None
    if dotted is not None and STATEFUL.match(dotted):
        if dotted == "haiku.PRNGSequence":
            _sample(walk, node, dotted, given)
        return None
    if dotted is not None and LAYERS.match(dotted):
        for each in given:
            if each.keyword == "key" and isinstance(each.value, Token):
                walk.draw(each.value, _use(walk, node, "strong", each.node))
        return Token("", "unknown")
    if last_name(func) in REPLACING or dotted in ("dataclasses.replace", "builtins.dict"):
        return _replaced(walk, owner, dotted, given)
    local = _local(walk, node, given)
    if local is not NotImplemented:
        return local
    _run_captured(walk, dotted, given)
    known = None if dotted is None else walk.flow.known(dotted)
    if known is not None:
        _apply(walk, node, known, known.parameters, given)
    elif back and last_name(func)[:1].isupper():
        return _held(walk, given, ())
    elif not is_passive(dotted, last_name(func)) and not EVALUATES.search(last_name(func)):
        _give(walk, node, given)
    _forget(walk, func, owner)
    return Token("", "unknown")


def _arguments(walk: Walk, node: ast.Call) -> list[Argument]:
    found, place = [], 0
    for each in node.args:
        starred = isinstance(each, ast.Starred)
        found.append(Argument(each, walk.value(each), None, None if starred or place < 0 else place))
        place = -1 if starred or place < 0 else place + 1
    return found + [Argument(each.value, walk.value(each.value), each.arg or "**", None) for each in node.keywords]


def _use(walk: Walk, node: ast.Call, strength: Strength, argument: ast.expr | None, what: str = "") -> Use:
    assert walk.state is not None
    what = what or _shown(node.func)
    return Use(node, strength, what, argument, walk.state.guards)


def _shown(func: ast.expr) -> str:
    """Returns what is called as a message shows it."""
    while isinstance(func, ast.Call):
        given = bool(func.args) and isinstance(func.args[0], ast.Name | ast.Attribute)
        func = func.args[0] if given else func.func
    return ast.unparse(func) if isinstance(func, ast.Name | ast.Attribute) else "a call"


def _sample(walk: Walk, node: ast.Call, sampler: str, given: list[Argument]) -> None:
    for each in given:
        if each.place == 0 or each.keyword == "key":
            if isinstance(each.value, Token):
                walk.draw(each.value, _use(walk, node, "strong", each.node, sampler))
            return


def _fold(walk: Walk, node: ast.Call, given: list[Argument]) -> Value:
    state = walk.state
    assert state is not None
    key = next((each for each in given if each.place == 0 or each.keyword == "key"), None)
    data = next((each for each in given if each.place == 1 or each.keyword == "data"), None)
    token = key.value if key is not None else None
    if data is not None and isinstance(token, Token):
        token.sure = True
        identity = walk.identity(data.node)
        if identity is not None:
            place = (token, *identity)
            if place in state.folds:
                walk.flow.folded_again(walk, node, state.folds[place], identity)
            else:
                state.folds[place] = (node, state.guards)
            if token.kind == "captured" and all(
                not isinstance(each, Token) or each.kind == "captured" for each in identity
            ):
                walk.folds.append(node)
    return Token("", "folded", sure=True)


def _give(walk: Walk, node: ast.Call, given: list[Argument]) -> None:
    """Notes that keys are given to something of which nothing is known."""
    for each in given:
        for token in dict.fromkeys(tokens(each.value)):
            if token.sure or key_like(token.name) or each.keyword in KEY_KEYWORDS:
                argument = each.node if token is each.value else None
                walk.draw(token, _use(walk, node, "weak", argument))


# Functions and classes of this file.


def _local(walk: Walk, node: ast.Call, given: list[Argument]) -> Any:
    """Returns the result of a call of something in this file; NotImplemented where it is nothing of it."""
    module = walk.module
    found = module.definition(node.func)
    if isinstance(found, ast.ClassDef):
        made = module.method(found, "__init__")
        if made is not None:
            summary = walk.flow.summary(made)
            _apply(walk, node, summary, _names(made)[1:], given)
            return Token("", "unknown")
        fields = [
            each.target.id
            for each in found.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        ]
        return _held(walk, given, fields)
    functions = list(unwrapped(module, node.func))
    if len(functions) != 1:
        return NotImplemented
    function, bound, _ = functions[0]
    if not _is_plain(module, function) or (
        function.args.args and function.args.args[0].arg in ("self", "cls") and not bound
    ):
        return NotImplemented
    summary = walk.flow.summary(function)
    if summary is None:
        return NotImplemented
    names = _names(function)[bound:]
    _apply(walk, node, summary, names, given)
    _draw_captured(walk, function, summary, node)
    if isinstance(node.func, ast.Attribute):
        _forget(walk, node.func, walk.value(node.func.value))
    if summary.returns is not None:
        returned = _argument_of(summary.returns, names, given)
        if returned is not None:
            return returned.value
    return Token("", "unknown")


def _names(function: Function) -> tuple[str, ...]:
    return tuple(each.arg for each in parameters(function))


def _is_plain(module: Module, function: Function) -> bool:
    """Returns whether a function is called with the arguments that it takes: its decorators leave them as they are."""
    if isinstance(function, ast.Lambda):
        return True
    for each in function.decorator_list:
        name = module.dotted(each.func if isinstance(each, ast.Call) else each)
        if name not in PLAIN_DECORATORS and transform_of(module, each) is None:
            return False
    return True


def _argument_of(name: str, names: tuple[str, ...], given: list[Argument]) -> Argument | None:
    for each in given:
        if each.keyword == name or (each.place is not None and each.place < len(names) and names[each.place] == name):
            return each
    return None


def _apply(
    walk: Walk, node: ast.Call, summary: Summary | None, names: tuple[str, ...], given: list[Argument]
) -> None:  # fmt: skip
    """Notes the draws that a known function makes from what it is given."""
    if summary is None:
        _give(walk, node, given)
        return
    for name, use in summary.params.items():
        each = _argument_of(name, names, given)
        if each is not None and not (use.strength == "weak" and EVALUATES.search(last_name(node.func))):
            for token in tokens(each.value):
                if token is each.value or token.sure or key_like(token.name):
                    made = _use(walk, node, use.strength, each.node if token is each.value else None)
                    walk.draw(token, dataclasses.replace(made, sampler=use.sampler or use.what))


def _scope_of(module: Module, scope: Scope | None, name: str) -> ast.AST | None:
    """Returns what the scope that a name is bound in belongs to, comprehensions aside."""
    found = next((each for each in scope.chain() if name in each.bindings), None) if scope is not None else None
    while found is not None and isinstance(found.node, COMPREHENSIONS):
        found = found.parent
    return found.node if found is not None else None


def _draw_captured(walk: Walk, function: Function, summary: Summary, node: ast.Call | None = None) -> None:
    """Notes the draws that a function makes from keys around it, where it is called.

    The second call of one that is noise and nothing else is a draw of its own.
    """
    for path, use in summary.captured.items():
        value = _reached(walk, function, path)
        if not isinstance(value, Token) or walk.state is None:
            continue
        guards = (*walk.state.guards, *use.guards)
        noise = node is not None and len(path) == 1 and is_noise(walk.module, function, use, node, walk.scope)
        first = walk.state.used.get(value)
        if node is not None and noise and first is not None and first.node is use.node:
            walk.draw(value, Use(node, "strong", _shown(node.func), None, guards))
        else:
            others = frozenset((node,)) if noise and node is not None else frozenset()
            walk.draw(value, dataclasses.replace(use, guards=guards, inner=True, others=others))


def _reached(walk: Walk, function: Function, path: tuple[Any, ...]) -> Value:
    module, root = walk.module, path[0]
    inner = module.opened[function]
    if root not in ("self", "cls") or root not in inner.bindings:
        here = _scope_of(module, module.opened[walk.body], root)
        if _scope_of(module, inner.parent, root) is not here:
            return None
    value = walk.lookup(root)
    for accessor in path[1:]:
        text = f".{accessor[1]}" if accessor[0] == "." else f"[{accessor[1]}]"
        value = walk.part(value, accessor, text)
    return value


def _held(walk: Walk, given: list[Argument], fields: Any) -> Token:
    """Returns an object that keeps what it is given."""
    state = walk.state
    assert state is not None
    held = Token("", "unknown")
    for place, each in enumerate(given):
        name = each.keyword or (fields[place] if place < len(fields) else f"#{place}")
        if each.value is not None:
            state.fields[held, (".", name)] = each.value
    return held


def _replaced(walk: Walk, owner: Value, dotted: str | None, given: list[Argument]) -> Value:
    """Returns a copy of an object with other values of some fields."""
    state = walk.state
    assert state is not None
    if dotted == "dataclasses.replace" and given:
        owner, given = given[0].value, given[1:]
    held = _held(walk, [each for each in given if each.keyword is not None], ())
    if isinstance(owner, Token) and not any(each.keyword == "**" for each in given):
        held.name, held.kind = owner.name, "unknown"
        for accessor in list(owner.children):
            if accessor[0] == "." and (held, accessor) not in state.fields:
                state.fields[held, accessor] = walk.part(owner, accessor, "")
        for (other, accessor), value in list(state.fields.items()):
            if other is owner and (held, accessor) not in state.fields:
                state.fields[held, accessor] = value
    return held


def _forget(walk: Walk, func: ast.expr, owner: Value) -> None:
    """Notes that a method may have given the attributes of its object other values."""
    state = walk.state
    if state is None or not isinstance(func, ast.Attribute) or not isinstance(owner, Token) or func.attr in UNTOUCHED:
        return
    if isinstance(func.value, ast.Name) and func.value.id in ("self", "cls"):
        around = walk.module.class_around(func)
        changed = walk.changing(around) if around is not None else frozenset()
        for accessor, child in list(owner.children.items()):
            if accessor[1] in changed:
                state.fields[owner, accessor] = Token(child.name, "unknown")
    else:
        for each in [one for one in state.fields if one[0] is owner]:
            del state.fields[each]
        for accessor, child in list(owner.children.items()):
            state.fields[owner, accessor] = Token(child.name, "unknown")


# Functions that are given to calls.


def _bodies(walk: Walk, node: ast.Call, dotted: str, given: list[Argument]) -> None:
    """Notes what the functions do that `scan`, `cond` and the like are given."""
    places, keywords = BODIES[dotted]
    bodies = [each for each in given if each.place in places or each.keyword in keywords]
    rest = [each for each in given if each not in bodies and each.place != 0]
    ways = []
    for each in bodies:
        for function, bound, named in unwrapped(walk.module, each.node):
            summary = walk.flow.summary(function)
            if summary is None:
                continue
            names = _names(function)
            if dotted in LOOP_BODIES and not dotted.startswith("flax."):
                fixed = set(names[:bound]) | named
                for path, use in summary.captured.items():
                    walk.flow.captured_by_loop(use, path)
                for name, use in summary.params.items():
                    if name in fixed and name not in ("self", "cls"):
                        walk.flow.captured_by_loop(use, (name,))
                for fold in summary.folds:
                    walk.flow.folded_in_body(fold)
                _draw_captured(walk, function, summary)
            else:
                ways.append(((), lambda f=function, s=summary, n=names[bound:]: _branch(walk, node, f, s, n, rest)))
    if ways:
        walk.ways(*ways)
    elif rest:
        _give(walk, node, rest)


def _branch(
    walk: Walk, node: ast.Call, function: Function, summary: Summary, names: tuple[str, ...], rest: list[Argument]
) -> None:  # fmt: skip
    first = min((each.place for each in rest if each.place is not None), default=0)
    operands = [each._replace(place=None if each.place is None else each.place - first) for each in rest]
    _apply(walk, node, summary, names, operands)
    _draw_captured(walk, function, summary)


def _run_captured(walk: Walk, dotted: str | None, given: list[Argument]) -> None:
    """Notes the draws of functions that are given to what calls them: `jax.tree.map(lambda leaf: ..., params)`."""
    if dotted is None or not dotted.startswith(("jax.tree", "builtins.map", "builtins.filter", "jax.numpy.vectorize")):
        return
    for each in given:
        if isinstance(each.node, ast.Lambda | ast.Name | ast.Attribute):
            function = walk.module.definition(each.node)
            if isinstance(function, FUNCTIONS):
                summary = walk.flow.summary(function)
                if summary is not None:
                    _draw_captured(walk, function, summary)
                    for path, use in summary.captured.items() if dotted.rpartition(".")[2] in TREE_MAPS else ():
                        if has_own_shape(walk.module, use, function) and _reached(walk, function, path) is not None:
                            walk.flow.captured_by_map(use, path)
