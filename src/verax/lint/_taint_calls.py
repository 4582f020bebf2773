"""What calls give of traced values: of libraries, of functions of the file, of methods of arrays."""

from __future__ import annotations

import ast
from typing import cast

from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._taint_levels import ARRAY, MASK, PLAIN, SEQUENCE, TREE, Level, Value, flat, is_array
from verax.lint._taint_names import (
    ARRAY_LINALG,
    ARRAY_METHODS,
    FLATTEN,
    LAYERS,
    LEAVES_FUNCTIONS,
    MAPS,
    MASK_LAX,
    MASK_NUMPY,
    OPTAX_ARRAYS,
    SEVERAL_NUMPY,
    STATIC_NUMPY,
    TREE_FUNCTIONS,
    TREE_LAX,
    TREE_METHODS,
)
from verax.lint._taint_pass import Pass
from verax.lint._taint_syntax import is_generator, is_static_method, last_part
from verax.lint._transforms import ABSTRACT, EAGER, HOST, JITS, KEEPS_PYTHON, STAGING, transform_of

DEEPEST = 3  # of calls that are followed


class Calls(Pass):
    """A run that evaluates calls."""

    def call(self, node: ast.Call) -> Value:
        """Returns what a call gives."""
        name = self.module.dotted(node.func)
        is_map = name in MAPS and len(node.args) > 1 and isinstance(node.args[0], ast.Lambda)
        values: list[Value] = [PLAIN] if is_map else []
        values += [self.value(each) for each in node.args[is_map:]]
        named = {each.arg or "**": self.value(each.value) for each in node.keywords}
        if is_map:
            over = [ARRAY if flat(each) == TREE and name != "builtins.map" else TREE for each in values[1:]]
            known = [one if flat(each) else PLAIN for one, each in zip(over, values[1:], strict=True)]
            values[0] = self.inner(cast(ast.Lambda, node.args[0]), ((cast(list[Value], known), {}),))
        levels = [flat(each) for each in (*values, *named.values())]
        has_traced = any(each >= SEQUENCE for each in levels) or any(
            isinstance(each, tuple) and any(flat(one) for one in each) for each in values
        )
        if name is not None:
            return self.named(name, node, values, has_traced)
        return self.unnamed(node, values, named, has_traced)

    def named(self, name: str, node: ast.Call, values: list[Value], has_traced: bool) -> Value:
        """Returns what a call of a function of a library or of Python gives."""
        library, _, last = name.rpartition(".")
        if library == "builtins":
            return self.builtin(last, values, has_traced)
        if library == "jax.numpy":
            if last in STATIC_NUMPY or not (has_traced or self.omni):
                return PLAIN
            if last in MASK_NUMPY:
                return MASK
            if last == "where" and len(node.args) == 1:
                return SEQUENCE
            if last in ("array", "asarray", "astype") and any(
                last_part(each) in ("bool", "bool_") for each in [*node.args[1:], *(one.value for one in node.keywords)]
            ):
                return MASK
            return SEQUENCE if last in SEVERAL_NUMPY else ARRAY
        if name.startswith(("jax.numpy.", "jax.scipy.")):
            is_of_arrays = last in ARRAY_LINALG or library in ("jax.numpy.fft", "jax.scipy.special")
            return (ARRAY if is_of_arrays else TREE) if has_traced else PLAIN
        if library == "jax.random":
            if last in ("key_impl", "default_prng_impl") or not (has_traced or self.omni):
                return PLAIN
            return SEQUENCE if last == "split" else ARRAY
        if library == "jax.nn":
            return ARRAY if has_traced else PLAIN
        if library == "jax.lax":
            if not has_traced or last == "axis_size":
                return PLAIN
            return MASK if last in MASK_LAX else TREE if last in TREE_LAX else ARRAY
        if name in LEAVES_FUNCTIONS:
            return SEQUENCE if has_traced else PLAIN
        if name in FLATTEN:
            return (SEQUENCE, PLAIN) if has_traced else PLAIN
        if name in TREE_FUNCTIONS:
            if name in MAPS and values and isinstance(node.args[0], ast.Lambda):
                returned = flat(values[0])
                return TREE if returned else PLAIN
            return TREE if has_traced else PLAIN
        if name in OPTAX_ARRAYS:
            return ARRAY if has_traced else PLAIN
        if name in ("jax.vjp", "jax.linearize"):
            return (TREE, PLAIN) if has_traced else PLAIN
        if name == "jax.jvp":
            return (TREE, TREE) if has_traced else PLAIN
        if name in HOST and last != "print":
            return TREE if self.omni else PLAIN
        return PLAIN

    def builtin(self, name: str, values: list[Value], has_traced: bool) -> Value:
        """Returns what a call of a function of Python gives."""
        level = flat(values[0]) if values else PLAIN
        if name in ("abs", "pow", "divmod"):
            return ARRAY if has_traced else PLAIN
        if name == "sum":
            return ARRAY if level == SEQUENCE or is_array(level) else PLAIN
        if name in ("list", "tuple", "reversed", "sorted"):
            return SEQUENCE if level == SEQUENCE or is_array(level) else PLAIN
        if name == "dict":
            return TREE if level == TREE else PLAIN
        return PLAIN

    def unnamed(self, node: ast.Call, values: list[Value], named: dict[str, Value], has_traced: bool) -> Value:
        """Returns what a call gives of a method, of a function of this file, or of what a call returns."""
        module, func = self.module, node.func
        if isinstance(func, ast.Call):
            self.value(func)
            if transform_of(module, func) is None and not isinstance(module.dotted(func.func), str):
                return PLAIN
            return self.transformed(module.dotted(func.func) or "", has_traced)
        if isinstance(func, ast.Attribute):
            base = self.value(func.value)
            level = flat(base)
            if isinstance(base, ast.ClassDef):
                return base if func.attr in TREE_METHODS else PLAIN
            if level:
                return self.method(func, level, node)
            if isinstance(func.value, ast.Compare) and func.attr in ("all", "any", "sum", "mean", "astype"):
                sides = [self.level(each) for each in (func.value.left, *func.value.comparators)]
                return ARRAY if TREE in sides else PLAIN  # what has these is an array
            if func.attr == "apply" and has_traced:
                return TREE
        elif isinstance(func, ast.Lambda):
            return self.inner(func, ((values, named),))
        elif isinstance(func, ast.Name) and func.id == "apply_fn" and has_traced:
            return TREE
        made = module.value(func) if isinstance(func, ast.Name) else func
        if isinstance(made, ast.Call):
            return self.transformed(module.dotted(made.func) or "", has_traced)
        found = module.definition(func)
        if not isinstance(found, FUNCTIONS) or any(isinstance(each, ast.Starred) for each in node.args):
            return PLAIN
        if isinstance(func, ast.Attribute) and not is_static_method(module, found):
            values = [PLAIN, *values]
        if found in self.nested:
            self.nested[found].append(values)
            self.keywords[found].append(named)
        decorators = [] if isinstance(found, ast.Lambda) else found.decorator_list
        for each in decorators:
            kind = transform_of(module, each)
            if kind is not None:
                return self.transformed(kind[0], has_traced)
        if decorators and not all(module.dotted(each) == "builtins.staticmethod" for each in decorators):
            return PLAIN
        return self.followed(found, values, named)

    def transformed(self, name: str, has_traced: bool) -> Value:
        """Returns what a call of a transformed function gives: arrays."""
        if name in ABSTRACT:
            return PLAIN
        if name in STAGING or name in EAGER:
            if name in KEEPS_PYTHON:
                return TREE if (has_traced or self.omni) and "grad" in name else PLAIN
            return TREE if has_traced or (self.omni and name in JITS) else PLAIN
        if name.startswith(LAYERS):
            return TREE if has_traced else PLAIN
        return PLAIN

    def followed(self, function: Function, values: list[Value], named: dict[str, Value]) -> Value:
        """Returns what a function of this file returns on some values."""
        if self.depth >= DEEPEST or isinstance(function, ast.AsyncFunctionDef):
            return PLAIN
        given = (*values, *named.values())
        if not self.omni and not any(flat(each) or isinstance(each, tuple | ast.ClassDef) for each in given):
            return PLAIN
        cache: dict[object, Value] = self.module.shared("returns of calls", lambda module: {})
        key = (function, tuple(values), tuple(sorted(named.items(), key=lambda each: each[0])), self.omni)
        is_local = function in self.nested or isinstance(function, ast.Lambda)
        if key in cache and not is_local:
            return cache[key]
        cache[key] = PLAIN
        if is_generator(self.module, function) or self.found.left <= 0:
            return PLAIN
        self.found.left -= 1
        walk = self.again(dict(self.env) if is_local else {}, depth=self.depth + 1, record=False)
        cache[key] = found = walk.function(function, ((values, named),))
        return found

    def method(self, func: ast.Attribute, level: Level, node: ast.Call) -> Value:
        """Returns what a method of a traced value gives."""
        name = func.attr
        if level >= TREE and name == "astype" and node.args and last_part(node.args[0]) in ("bool", "bool_"):
            return MASK
        if level >= TREE and name == "nonzero":
            return SEQUENCE
        if is_array(level):
            if name in ("item", "tolist", "keys"):
                return PLAIN
            return ARRAY if name in ARRAY_METHODS or name in ("add", "get", "min", "max") else PLAIN
        if level == TREE:
            if name in ("get", "pop"):
                return TREE if len(node.args) == 1 and not node.keywords else PLAIN
            if name in TREE_METHODS or name == "copy":
                return TREE
            if name in ("values", "items"):
                return PLAIN
            return ARRAY if name in ARRAY_METHODS and name not in ("apply", "set", "add") else PLAIN
        if level == SEQUENCE and name in ("pop", "copy"):
            return TREE if name == "pop" else SEQUENCE
        return PLAIN
