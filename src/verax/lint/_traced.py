"""Which functions of a module JAX traces, and how."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

from verax.lint._module import Module, argument
from verax.lint._scopes import Function
from verax.lint._traced_params import (
    given_by_partial,
    not_differentiated,
    not_mapped,
    not_sharded,
    parameters,
    static_names,
)
from verax.lint._transforms import BODIES, EAGER, HOST, LOOP_BODIES, STAGING, function_given, transform_of
from verax.lint._unwrapped import unwrapped

Way = Literal["staged", "eager"]


@dataclass(frozen=True)
class Transform:
    """How a function is traced at one place.

    Attributes:
      name: dotted, of what traces it: `jax.jit`.
      way: `staged`: Python runs once, on tracers without values; `eager`: differentiation alone, where Python runs at
        every call and sees values unless something staged is around it.
      call: the call or decorator.
      static: names of parameters that stay Python values.
      bound: how many of its first parameters `partial` has given.
      is_body: whether it is a body of `scan` and the like.
    """

    name: str
    way: Way
    call: ast.AST
    static: frozenset[str] = frozenset()
    bound: int = 0
    is_body: bool = False


@dataclass(eq=False)
class Traced:
    """The functions of a module that are traced.

    Attributes:
      of: by function, the transforms that it is given to by decorator, name, lambda, `partial` or attribute of `self`.
      host: functions that run on the host: given to callbacks.
    """

    of: dict[Function, list[Transform]] = field(default_factory=dict)
    host: set[Function] = field(default_factory=set)


def traced(module: Module) -> Traced:
    """Returns the functions of a module that are traced."""
    return module.shared("traced", _found)


def transforms_around(module: Module, node: ast.AST) -> list[tuple[Function, Transform]]:
    """Returns the traced functions in which a node is evaluated, with how, from the innermost out.

    A function within a traced one is traced too; what is given to a callback is not, nor what is around it.
    """
    known = traced(module)
    found: list[tuple[Function, Transform]] = []
    for function in module.functions(node):
        if function in known.host:
            break
        found += [(function, each) for each in known.of.get(function, ())]
    return found


def is_staged(module: Module, node: ast.AST) -> bool:
    """Returns whether a node is evaluated while JAX traces without values."""
    return any(each.way == "staged" for _, each in transforms_around(module, node))


def is_traced(module: Module, node: ast.AST) -> bool:
    """Returns whether a node is evaluated while JAX traces, differentiation included."""
    return bool(transforms_around(module, node))


def _found(module: Module) -> Traced:
    known = Traced()
    # Functions of this file that trace one of their own parameters: what they are given is traced.
    wrappers: dict[Function, list[tuple[str, str, ast.Call]]] = {}
    for kind in (ast.FunctionDef, ast.AsyncFunctionDef):
        for function in module.nodes(kind):
            for decorator in function.decorator_list:
                named = transform_of(module, decorator)
                if named is not None:
                    _add(known, module, function, named[0], decorator, named[1], 0, frozenset())
    local: list[ast.Call] = []
    for call in module.nodes(ast.Call):
        name = module.dotted(call.func)
        if name is None:
            named = transform_of(module, call.func)  # jax.jit(static_argnums=0)(f), partial(jax.jit, ...)(f)
            if named is not None and call.args:
                for function, bound, given in unwrapped(module, call.args[0]):
                    _add(known, module, function, named[0], call, named[1], bound, given)
            else:
                local.append(call)
        elif name in STAGING or name in EAGER:
            target = function_given(module, call)
            for function, bound, given in unwrapped(module, target):
                _add(known, module, function, name, call, call, bound, given)
            _wraps(module, wrappers, target, name, call)
        elif name in BODIES:
            places, names = BODIES[name]
            for place, keyword in zip(places, names, strict=True):
                target = argument(call, place, keyword)
                for function, bound, given in unwrapped(module, target):
                    _add_body(known, function, name, call, bound, given)
                _wraps(module, wrappers, target, name, call)
        elif name in HOST:
            target = argument(call, 0, "callback", "callback_func", "tap_func", "func")
            known.host |= {function for function, _, _ in unwrapped(module, target)}
    if wrappers:
        _add_wrapped(known, module, wrappers, local)
    return known


def _wraps(
    module: Module, wrappers: dict[Function, list[tuple[str, str, ast.Call]]], target: ast.expr | None, name: str,
    call: ast.Call,
) -> None:  # fmt: skip
    if isinstance(target, ast.Name):
        binding = module.binding(target)
        if binding is not None and binding.kind == "param" and len(module.bindings(target)) == 1:
            owner = module.parents[module.parents[binding.node]]
            if isinstance(owner, ast.FunctionDef):
                wrappers.setdefault(owner, []).append((binding.name, name, call))


def _add_wrapped(
    known: Traced, module: Module, wrappers: dict[Function, list[tuple[str, str, ast.Call]]], calls: list[ast.Call]
) -> None:
    def add(target: ast.expr | None, name: str, call: ast.Call) -> None:
        for function, bound, given in unwrapped(module, target):
            if name in BODIES:
                _add_body(known, function, name, call, bound, given)
            else:
                _add(known, module, function, name, call, call, bound, given)

    for call in calls:
        wrapper = module.definition(call.func)
        if not isinstance(wrapper, ast.FunctionDef):
            continue
        for parameter, name, inner in wrappers.get(wrapper, ()):
            places = [each.arg for each in parameters(wrapper, with_self=not isinstance(call.func, ast.Attribute))]
            place = places.index(parameter) if parameter in places else None
            add(argument(call, place, parameter), name, inner)
    for function in list(module.nodes(ast.FunctionDef)):
        for decorator in function.decorator_list:
            wrapper = module.definition(decorator) if isinstance(decorator, ast.Name) else None
            if not isinstance(wrapper, ast.FunctionDef):
                continue
            for parameter, name, inner in wrappers.get(wrapper, ()):
                if parameters(wrapper)[0].arg == parameter and name not in BODIES:
                    _add(known, module, function, name, inner, inner, 0, frozenset())


def _add(
    known: Traced, module: Module, function: Function, name: str, at: ast.AST, options: ast.Call | None, bound: int,
    given: frozenset[str],
) -> None:  # fmt: skip
    way: Way = "staged" if name in STAGING else "eager"
    static = given_by_partial(function, bound, given) | static_names(module, function, options, bound)
    if way == "eager":
        static |= not_differentiated(module, function, name, options, bound)
    elif name.endswith(".vmap") and options is not None:
        static |= not_mapped(module, function, options, bound)
    elif name.endswith("shard_map") and options is not None:
        static |= not_sharded(module, function, options, bound)
    known.of.setdefault(function, []).append(Transform(name, way, at, static, bound))


def _add_body(known: Traced, function: Function, name: str, call: ast.Call, bound: int, given: frozenset[str]) -> None:
    static = given_by_partial(function, bound, given)
    known.of.setdefault(function, []).append(Transform(name, "staged", call, static, bound, name in LOOP_BODIES))
