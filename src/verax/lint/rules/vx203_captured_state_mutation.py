"""VX203: a traced function must not change what is outside of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._mutation import effects_around, in_test, is_container, is_free, is_within, method_self
from verax.lint._rule import Found, rule
from verax.lint._scopes import Function
from verax.lint._taint import taint
from verax.lint._taint_syntax import arguments_of
from verax.lint._traced import Transform

METHODS = {
    "append", "extend", "insert", "update", "pop", "popitem", "clear", "add", "remove", "discard", "setdefault",
    "appendleft", "extendleft", "popleft", "sort", "reverse",
}  # fmt: skip
LISTS = {"append", "extend", "insert", "appendleft", "extendleft"}  # methods that only mean a change in place


@rule("VX203", "captured-state-mutation", "error")
def captured_state_mutation(module: Module) -> Iterator[Found]:
    """A function that JAX traces changes a list, a dictionary or a variable outside of it.

    It happens once, while JAX traces, and what is stored is a tracer: to use it later raises UnexpectedTracerError, and
    later calls store nothing.

    Bad:

        @jax.jit
        def step(x):
            losses.append(x)
            return x * 2

    Good:

        @jax.jit
        def step(x):
            return x * 2, x

    A change that stores nothing traced (a counter of traces, a cache of Python values) is a warning, and in tests
    nothing is reported. There is no fix: return the value, or carry it. Not reported are methods whose result is used,
    such as `updates, state = tx.update(...)`, objects of which nothing is known, and references in Pallas kernels.
    """
    yield from _calls(module)
    yield from _items(module)
    yield from _names(module)


def _calls(module: Module) -> Iterator[Found]:
    for node in module.nodes(ast.Call):
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr not in METHODS:
            continue
        receiver = func.value
        is_statement = isinstance(module.parents.get(node), ast.Expr)
        if isinstance(receiver, ast.Attribute):
            around = effects_around(module, node)
            if around and is_statement and func.attr in LISTS and _is_kept(module, receiver, around):
                yield from _report(module, node, module.source(receiver), around, arguments_of(node))
            continue
        if isinstance(receiver, ast.Subscript):
            receiver = _root(receiver)
            if not isinstance(receiver, ast.Name) or func.attr not in LISTS or not is_container(module, receiver):
                continue  # a list in a dictionary is meant
        if not isinstance(receiver, ast.Name) or not (is_statement or func.attr in METHODS - {"update", "add"}):
            continue
        around = effects_around(module, node)
        if not around or not is_free(module, receiver, around[0][0]):
            continue
        if is_container(module, receiver) or (is_statement and func.attr in LISTS and not _is_object(module, receiver)):
            yield from _report(module, node, receiver.id, around, arguments_of(node))


def _items(module: Module) -> Iterator[Found]:
    for kind in (ast.Assign, ast.AugAssign, ast.AnnAssign):
        for node in module.nodes(kind):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if not isinstance(target, ast.Subscript | ast.Attribute):
                    continue
                root = _root(target.value)
                if not isinstance(root, ast.Name):
                    continue
                around = effects_around(module, node)
                if not around or not is_free(module, root, around[0][0]):
                    continue
                value = [node.value] if node.value is not None else []
                if isinstance(target, ast.Subscript):
                    if is_container(module, root, buffers=True):
                        yield from _report(module, node, root.id, around, value)
                elif _is_plain_object(module, root) and any(_is_traced(module, each) for each in value):
                    yield from _report(module, node, module.source(target), around, value)


def _names(module: Module) -> Iterator[Found]:
    for declared in module.nodes(ast.Global, ast.Nonlocal):
        function = module.function(declared)
        if function is None or isinstance(function, ast.Lambda):
            continue
        around = effects_around(module, declared)
        if not around:
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Store) or node.id not in declared.names:
                continue
            if module.function(node) is not function or is_within(module.scope_of(node), around[0][0]):
                continue
            statement = module.statement(node)
            value = getattr(statement, "value", None)
            yield from _report(module, statement, node.id, around, [] if value is None else [value])


def _report(
    module: Module,
    node: ast.AST,
    name: str,
    around: list[tuple[Function, Transform]],
    stored: Iterator[ast.expr] | list[ast.expr],
) -> Iterator[Found]:
    if in_test(module, node):
        return
    how = around[0][1].name.rpartition(".")[2]
    if any(_is_traced(module, each) for each in stored):
        message = f"`{name}` is outside of the function that {how} traces, and keeps a tracer. Return the value."
        yield Found(node, message)
    else:
        message = f"`{name}` is outside of the function that {how} traces: it changes once, not at every call."
        yield Found(node, message, level="warning")


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def _is_traced(module: Module, node: ast.expr) -> bool:
    known = taint(module)
    if known.anywhere(node):
        return True
    if isinstance(node, ast.Dict):
        return any(_is_traced(module, each) for each in node.values)
    return isinstance(node, ast.Tuple | ast.List) and any(_is_traced(module, each) for each in node.elts)


def _is_object(module: Module, name: ast.Name) -> bool:
    """Returns whether a name may be an object whose `append` returns a new one: bound to a call of unknown meaning."""
    return any(each.kind != "assign" and each.kind != "param" for each in module.bindings(name)) or any(
        isinstance(each.value, ast.Call) for each in module.bindings(name)
    )


def _is_plain_object(module: Module, name: ast.Name) -> bool:
    """Returns whether a name is an object of a class of this file without bases or decorators."""
    made = module.value(name)
    owner = module.definition(made.func) if isinstance(made, ast.Call) else None
    return isinstance(owner, ast.ClassDef) and not owner.bases and not owner.decorator_list


def _is_kept(module: Module, node: ast.Attribute, around: list[tuple[Function, Transform]]) -> bool:
    """Returns whether an attribute of `self` lives longer than the traced function."""
    method = method_self(module, node)
    if method is None or not isinstance(node.value, ast.Name) or node.value.id != method[2]:
        return False
    function, transform = around[0]
    if any(each.startswith(("flax.nnx", "equinox", "?")) for each in module.bases(method[1])):
        return False
    return function is not method[0] or method[2] in transform.static
