"""Calls of jitted functions of a file, with the options that they were jitted with."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from verax.lint._module import Module, argument, keyword
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._traced_params import literals
from verax.lint._transforms import JITS, function_given, transform_of
from verax.lint._unwrapped import unwrapped


@dataclass(frozen=True, eq=False)
class Jitted:
    """A function as `jit` compiles it.

    Attributes:
      name: dotted, of what compiles it.
      options: the call that has its options; None where there are none.
      function: what is compiled, where it is in this file.
      bound: how many of its first parameters are given already.
      given: parameters that `partial` has given by name.
      is_direct: whether its signature is that of the function: no other decorator or transform is between.
    """

    name: str
    options: ast.Call | None
    function: Function | None
    bound: int = 0
    given: frozenset[str] = frozenset()
    is_direct: bool = True

    def places(self) -> list[str]:
        """Returns the parameters that can be given by place."""
        if self.function is None:
            return []
        every = [*self.function.args.posonlyargs, *self.function.args.args]
        return [each.arg for each in every[self.bound :]]


def jitted(module: Module, node: ast.expr) -> Jitted | None:
    """Returns what an expression that is called is compiled from; None where it is not jitted for sure."""
    found = module.definition(node)
    if isinstance(found, FUNCTIONS):
        if isinstance(found, ast.Lambda):
            return None
        is_method = isinstance(node, ast.Attribute) and not isinstance(module.definition(node.value), ast.ClassDef)
        return decorated(module, found, is_method=is_method)
    value = module.value(node) if isinstance(node, ast.Name) else node
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "self":
        value = _attribute(module, value) or value
    return made(module, value) if isinstance(value, ast.Call) else None


def decorated(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef, *, is_method: bool) -> Jitted | None:
    """Returns how a function is jitted by its decorators."""
    for place, each in enumerate(function.decorator_list):
        named = transform_of(module, each)
        if named is not None and named[0] in JITS:
            below = function.decorator_list[place + 1 :]
            return Jitted(named[0], named[1], function, int(is_method), is_direct=not below)
    return None


def made(module: Module, call: ast.Call) -> Jitted | None:
    """Returns what a call of `jit` makes."""
    name, options = module.dotted(call.func), call
    if name is None:
        named = transform_of(module, call.func)
        if named is None or named[1] is None:
            return None
        name, options = named
    if name not in JITS:
        return None
    target = function_given(module, call)
    found = list(unwrapped(module, target))
    if len(found) != 1:
        return Jitted(name, options, None, is_direct=False)
    function, bound, given = found[0]
    is_plain = isinstance(target, ast.Name | ast.Lambda | ast.Attribute) and (
        isinstance(function, ast.Lambda) or not function.decorator_list
    )
    if isinstance(target, ast.Name):
        is_plain = is_plain and module.definition(target) is function
    if isinstance(target, ast.Call):
        is_plain = module.dotted(target.func) == "functools.partial" and (
            isinstance(function, ast.Lambda) or not function.decorator_list
        )
    return Jitted(name, options, function, bound, given, is_plain)


def _attribute(module: Module, node: ast.Attribute) -> ast.expr | None:
    """Returns what an attribute of `self` is assigned, where that is once."""
    table: dict[tuple[ast.ClassDef, str], list[ast.expr]] = module.shared("assigned attributes", _attributes)
    owner = module.class_around(node)
    found = table.get((owner, node.attr), []) if owner is not None else []
    return found[0] if len(found) == 1 else None


def _attributes(module: Module) -> dict[tuple[ast.ClassDef, str], list[ast.expr]]:
    found: dict[tuple[ast.ClassDef, str], list[ast.expr]] = {}
    for node in module.nodes(ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                owner = module.class_around(node)
                if owner is not None:
                    found.setdefault((owner, target.attr), []).append(node.value)
    return found


def chosen(module: Module, one: Jitted, numbers: str, names: str) -> set[str]:
    """Returns the parameters that options name by place or by name: `static_argnums` and `static_argnames`."""
    if one.options is None or one.function is None:
        return set()
    places = one.places()
    if isinstance(one.function, ast.FunctionDef) and one.bound and _decorates(one):
        places = [each.arg for each in [*one.function.args.posonlyargs, *one.function.args.args]]
    found: set[str] = set()
    by_number, by_name = keyword(one.options, numbers), keyword(one.options, names)
    if by_number is not None:
        for each in literals(module, by_number.value):
            if isinstance(each, int) and -len(places) <= each < len(places):
                found.add(places[each])
    if by_name is not None:
        found |= {each for each in literals(module, by_name.value) if isinstance(each, str)}
    return found


def chosen_arguments(
    module: Module, call: ast.Call, one: Jitted, numbers: str, names: str
) -> list[tuple[str, ast.expr]]:  # fmt: skip
    """Returns what a call gives to the parameters that options name, with their names.

    Where the function is not in this file its parameters are named by their places.
    """
    if one.function is not None:
        found = [(name, given_to(call, one, name)) for name in sorted(chosen(module, one, numbers, names))]
    elif one.options is None:
        return []
    else:
        by_number, by_name = keyword(one.options, numbers), keyword(one.options, names)
        places = [] if by_number is None else literals(module, by_number.value)
        called = [] if by_name is None else literals(module, by_name.value)
        found = [
            (f"argument {place}", argument(call, place))
            for place in places
            if isinstance(place, int) and 0 <= place < len(call.args)
        ]
        found += [(name, argument(call, None, name)) for name in called if isinstance(name, str)]
    return [(name, value) for name, value in found if value is not None]


def _decorates(one: Jitted) -> bool:
    """Returns whether the options are those of a decorator, whose places count `self`."""
    return isinstance(one.function, ast.FunctionDef) and one.options in one.function.decorator_list


def given_to(call: ast.Call, one: Jitted, name: str) -> ast.expr | None:
    """Returns what a call gives to a parameter."""
    places = one.places()
    return argument(call, places.index(name) if name in places else None, name)
