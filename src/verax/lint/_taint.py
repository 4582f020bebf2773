"""Which expressions hold traced values: those without a value while JAX traces."""

from __future__ import annotations

import ast

from verax.lint._module import Module
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._taint_levels import PLAIN, Taint, Value, either, flat, join
from verax.lint._taint_params import params_of
from verax.lint._taint_statements import Statements
from verax.lint._traced import traced, transforms_around
from verax.lint._transforms import ABSTRACT


def taint(module: Module) -> Taint:
    """Returns what is known of the expressions in traced functions of a module."""
    return module.shared("taint", _taint)


def _taint(module: Module) -> Taint:
    found = Taint()
    known = traced(module)
    for function in sorted(known.of, key=lambda each: (each.lineno, each.col_offset)):
        if function in found.functions or function in known.host:
            continue
        if any(each in known.of for each in list(module.functions(function))):
            continue  # with the traced function around it
        Walk(module, found, {}, is_staged=False, omni=False).function(function, ())
    for function in known.of:  # what is left stands where the walk did not come by: in a class within, after a return
        if function not in found.functions and function not in known.host:
            Walk(module, found, {}, is_staged=False, omni=False).function(function, ())
    return found


class Walk(Statements):
    """Runs a function on levels instead of values."""

    def function(self, node: Function, calls: tuple[tuple[list[Value], dict[str, Value]], ...]) -> Value:
        """Runs a function, with the levels of its calls where it is no transform's; returns what it returns."""
        known = traced(self.module)
        if node in known.host:
            return PLAIN
        transforms = known.of.get(node, [])
        staged = [each for each in transforms if each.way == "staged"]
        if self.record:
            if node in self.found.functions and not calls:
                return PLAIN
            self.found.functions[node] = "staged" if staged or self.is_staged else "eager"
        self.has_modes = self.has_modes or node in called_directly(self.module)
        self.is_staged = self.is_staged or bool(staged)
        self.omni = self.omni or any(not each.name.endswith("vmap") and each.name not in ABSTRACT for each in staged)
        params = params_of(self.module, node, staged or transforms) if transforms else {}
        every = [*node.args.posonlyargs, *node.args.args]
        for values, named in calls:
            for place, each in enumerate(every):
                value = values[place] if place < len(values) else named.get(each.arg, PLAIN)
                if flat(value) or isinstance(value, tuple | ast.ClassDef):
                    params[each.arg] = either(params.get(each.arg, PLAIN), value)
        for each in [*every, *node.args.kwonlyargs]:
            self.env[each.arg] = params.get(each.arg, PLAIN)
        for each in (node.args.vararg, node.args.kwarg):
            if each is not None:
                self.env[each.arg] = params.get(each.arg, PLAIN)
        if isinstance(node, ast.Lambda):
            self.returned.append(self.value(node.body))
        else:
            self.body(node.body)
        self.finish()
        result: Value | None = None
        for each in self.returned:
            result = each if result is None else join(result, each)
        return PLAIN if result is None else result

    def finish(self) -> None:
        """Runs the functions that were defined on the way, on what they were called with."""
        for function in list(self.nested):
            calls = tuple(zip(self.nested[function], self.keywords[function], strict=True))
            self.inner(function, calls)


def called_directly(module: Module) -> set[Function]:
    """Returns the traced functions that are also called by their names outside of any trace."""
    return module.shared("called directly", _called_directly)


def _called_directly(module: Module) -> set[Function]:
    known = traced(module)
    names = {each.name for each in known.of if not isinstance(each, ast.Lambda) and not each.decorator_list}
    found: set[Function] = set()
    for call in module.nodes(ast.Call) if names else ():
        func = call.func
        name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else None
        if name in names:
            definition = module.definition(func)
            if isinstance(definition, FUNCTIONS) and definition in known.of and not transforms_around(module, call):
                found.add(definition)
    return found
