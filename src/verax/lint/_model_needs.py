"""What calling a model needs for certain: keys for dropout, batch statistics that may change."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from verax.lint._model_values import UNKNOWN, evaluated
from verax.lint._models import ATTENTION, DEPTH, Frame, Made, field_names, layer_class, made, made_by
from verax.lint._module import Module, argument, has_stars
from verax.lint._reaching import certain, class_values, inner_nodes
from verax.lint._scopes import FUNCTIONS, Function


def needs(module: Module, one: Made, call: ast.Call, skip: int, frame: Frame, depth: int = 0) -> frozenset[str]:
    """Returns what calling a module needs for certain: `rng dropout` for keys of a stream, `batch_stats` to be mutable.

    Args:
      module: the file.
      one: the module that is called.
      call: the call.
      skip: how many of its first arguments are not the module's own: 1 of `apply`, which has the variables.
      frame: where the call stands.
      depth: of calls in calls.
    """
    if depth > DEPTH:
        return frozenset()
    if isinstance(one.kind, str):
        return _layer_needs(module, one, call, skip, frame)
    fields = _fields(module, one)
    method = module.method(one.kind, "__call__")
    if method is None:
        return frozenset()
    inner = Frame(method, _given(module, method, call, skip, frame, own=1), fields, one.kind)
    return _body_needs(module, inner, depth + 1)


def _fields(module: Module, one: Made) -> dict[str, Any]:
    assert isinstance(one.kind, ast.ClassDef)
    frame = one.within or Frame(None)
    found: dict[str, Any] = {}
    for name, default in field_names(module, one.kind).items():
        if name in one.fields:
            found[name] = evaluated(module, one.fields[name], frame)
        else:
            found[name] = UNKNOWN if one.hidden else evaluated(module, default, Frame(None))
    return found


def _given(module: Module, function: Function, call: ast.Call, skip: int, frame: Frame, own: int) -> dict[str, Any]:
    """Returns the values of a function's parameters, at a call."""
    arguments = function.args
    by_place = [*arguments.posonlyargs, *arguments.args]
    found: dict[str, Any] = {}
    hidden = has_stars(call)
    defaults = dict(zip([each.arg for each in by_place[::-1]], arguments.defaults[::-1], strict=False))
    defaults |= {
        each.arg: value for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
    }
    for name, value in defaults.items():
        found[name] = UNKNOWN if hidden else evaluated(module, value, Frame(None))
    for each, value in zip(by_place[own:], call.args[skip:], strict=False):
        if isinstance(value, ast.Starred):
            break
        found[each.arg] = evaluated(module, value, frame)
    for each in call.keywords:
        if each.arg:
            found[each.arg] = evaluated(module, each.value, frame)
    return found


def _layer_needs(module: Module, one: Made, call: ast.Call, skip: int, frame: Frame) -> frozenset[str]:
    within = one.within or frame

    def of(name: str, place: int | None) -> Any:
        given = argument(call, None if place is None else place + skip, name)
        value = UNKNOWN if given is None else evaluated(module, given, frame)
        if given is None or value is None:
            return evaluated(module, one.fields[name], within) if name in one.fields else UNKNOWN
        return value

    if one.kind == "flax.linen.Dropout":
        rate = evaluated(module, one.fields.get("rate"), within)
        given = argument(call, skip + 2, "rng")
        if of("deterministic", 1) is False and (rate is UNKNOWN or rate) and given is None:
            stream = evaluated(module, one.fields.get("rng_collection", ast.Constant("dropout")), within)
            return frozenset({f"rng {stream}"}) if isinstance(stream, str) else frozenset()
    elif one.kind == "flax.linen.BatchNorm":
        if of("use_running_average", 1) is False:
            return frozenset({"batch_stats"})
    elif one.kind in ATTENTION:
        rate = evaluated(module, one.fields.get("dropout_rate"), within)
        if of("deterministic", None) is False and rate is not UNKNOWN and rate:
            return frozenset({"rng dropout"})
    return frozenset()


def _body_needs(module: Module, frame: Frame, depth: int) -> frozenset[str]:
    """Returns what the calls in a function need that are reached for certain."""
    function = frame.function
    assert function is not None
    found: frozenset[str] = frozenset()
    for each in _calls(module, function):
        if not _is_reached(module, each, frame):
            continue
        for one in _called_modules(module, each.func, frame):
            found |= needs(module, one, each, 0, frame, depth + 1)
        if isinstance(each.func, ast.Attribute) and each.func.attr == "make_rng" and frame.owner is not None:
            stream = argument(each, 0, "name")
            if isinstance(each.func.value, ast.Name) and each.func.value.id == "self":
                found |= {f"rng {stream.value}"} if isinstance(stream, ast.Constant) else set()
        elif isinstance(each.func, ast.Attribute | ast.Name):
            found |= _function_needs(module, each, frame, depth)
        kind = layer_class(module, each.func)
        if kind is not None and kind[0] == "flax.linen.Dropout" and _is_handed_on(module, each):
            one = made_by(module, each, kind, frame)
            found |= needs(module, one, ast.Call(func=each, args=[], keywords=[]), 0, frame, depth + 1)
    return found


def _is_handed_on(module: Module, node: ast.Call) -> bool:
    """Returns whether a layer is made as an argument or element, and not for a name whose calls say how."""
    parent = module.parents.get(node)
    if not isinstance(parent, ast.List | ast.Tuple | ast.Call) or (
        isinstance(parent, ast.Call) and parent.func is node
    ):
        return False
    return not isinstance(module.statement(node), ast.Assign) or any(
        isinstance(each, ast.Call) for each in module.around(node)
    )


def _calls(module: Module, function: Function) -> list[ast.Call]:
    known: dict[Function, list[ast.Call]] = module.shared("calls of functions", lambda _: {})
    if function not in known:
        bodies = [function.body] if isinstance(function, ast.Lambda) else function.body
        known[function] = [
            each for one in bodies for each in inner_nodes(one) if isinstance(each, ast.Call)
        ]  # fmt: skip
    return known[function]


def _is_reached(module: Module, node: ast.AST, frame: Frame) -> bool:
    """Returns whether the branches in which a node stands are taken for certain, and no `return` comes before."""
    child: ast.AST = node
    for each in module.around(node):
        if each is frame.function:
            return True
        if isinstance(each, ast.If | ast.IfExp) and child is not each.test:
            body = each.body if isinstance(each.body, list) else [each.body]
            test = evaluated(module, each.test, frame)
            if test is UNKNOWN or bool(test) is not any(child is one for one in body):
                return False
        elif isinstance(each, ast.Match | ast.ExceptHandler | ast.Lambda):
            return False
        for block in (getattr(each, "body", None), getattr(each, "orelse", None)):
            if isinstance(block, list) and child in block and not _goes_on(module, block[: block.index(child)], frame):
                return False
        child = each
    return True


def _goes_on(module: Module, before: list[ast.stmt], frame: Frame) -> bool:
    for each in before:
        if isinstance(each, ast.If) and isinstance(each.body[-1], ast.Return | ast.Raise):
            test = evaluated(module, each.test, frame)
            if test is UNKNOWN or test:
                return False
    return True


def _called_modules(module: Module, node: ast.expr, frame: Frame) -> Iterator[Made]:
    """Yields the modules that a called expression may be: one, or the elements of the list that a loop goes through."""
    if isinstance(node, ast.Name):
        binding = module.binding(node)
        if binding is not None and binding.kind == "loop" and binding.value is not None:
            yield from _elements(module, binding.value, frame)
            return
    if isinstance(node, ast.Subscript):
        yield from _elements(module, node.value, frame)
        return
    one = made(module, node, frame)
    if one is not None:
        if one.within is None or one.within is not frame or isinstance(node, ast.Attribute):
            one.within = Frame(None, {}, frame.fields, frame.owner) if isinstance(node, ast.Attribute) else one.within
        yield one


def _elements(module: Module, node: ast.expr, frame: Frame) -> Iterator[Made]:
    node = certain(module, node)
    if isinstance(node, ast.Call) and module.dotted(node.func) in ("builtins.enumerate", "builtins.zip"):
        for each in node.args:
            yield from _elements(module, each, frame)
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        values = class_values(module, frame.owner, node.attr) if frame.owner is not None else []
        if len(values) != 1:
            return
        node = values[0]
        frame = Frame(None, {}, frame.fields, frame.owner)
    inner = (
        [node.elt] if isinstance(node, ast.ListComp) else node.elts if isinstance(node, ast.List | ast.Tuple) else []
    )
    for each in inner:
        one = made(module, each, frame)
        if one is not None:
            yield one


def _function_needs(module: Module, call: ast.Call, frame: Frame, depth: int) -> frozenset[str]:
    """Returns what a call of a method of the same module, or of a function of the file, needs."""
    if depth > DEPTH:
        return frozenset()
    func = call.func
    function = None
    own = 0
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
        function = module.method(frame.owner, func.attr) if frame.owner is not None else None
        own = 1
    elif isinstance(func, ast.Name):
        function = module.definition(func)
    if not isinstance(function, FUNCTIONS) or function is frame.function:
        return frozenset()
    inner = Frame(function, _given(module, function, call, 0, frame, own), frame.fields, frame.owner)
    return _body_needs(module, inner, depth + 1)
