"""What belongs to a traced function, and what it reaches outside of itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._annotations import unquoted
from verax.lint._module import Module
from verax.lint._scopes import FUNCTIONS, Binding, Function, Scope
from verax.lint._traced import Transform, traced, transforms_around
from verax.lint._transforms import ABSTRACT

CONTAINERS = {
    "builtins.list", "builtins.dict", "builtins.set", "collections.deque", "collections.defaultdict",
    "collections.OrderedDict", "collections.Counter", "builtins.bytearray",
}  # fmt: skip
CONTAINER_TYPES = {
    "list", "dict", "set", "List", "Dict", "Set", "deque", "defaultdict", "OrderedDict", "Counter", "MutableMapping",
    "MutableSequence", "DefaultDict", "Deque",
}  # fmt: skip
BUFFERS = {"numpy.zeros", "numpy.ones", "numpy.empty", "numpy.full", "numpy.array", "numpy.zeros_like"}


def effects_around(module: Module, node: ast.AST) -> list[tuple[Function, Transform]]:
    """Returns the traced functions around a node of which a side effect is lost, from the innermost out.

    Functions that are only looked at, with `eval_shape` and the like, are left out.
    """
    return [each for each in transforms_around(module, node) if each[1].name not in ABSTRACT]


def is_within(scope: Scope | None, function: Function) -> bool:
    """Returns whether a scope is that of a function or one in it."""
    while scope is not None:
        if scope.node is function:
            return True
        scope = scope.parent
    return False


def is_free(module: Module, name: ast.Name, function: Function) -> bool:
    """Returns whether a name is bound outside of a function; builtins and imports are not."""
    scope = module.scope_of(name)
    if scope is None or is_within(scope, function):
        return False
    return all(each.kind not in ("import", "function", "class") for each in scope.bindings[name.id])


def is_container(module: Module, name: ast.Name, *, buffers: bool = False) -> bool:
    """Returns whether all that a name is bound to are lists, dictionaries, sets and the like."""
    found = module.bindings(name)
    return bool(found) and all(_is_container(module, each, buffers) for each in found if each.kind != "augmented")


def _is_container(module: Module, binding: Binding, buffers: bool) -> bool:
    if binding.kind == "param":
        annotation = getattr(binding.node, "annotation", None)
        return annotation is not None and _type(unquoted(module, annotation)) in CONTAINER_TYPES
    if binding.kind != "assign" or binding.path != () or binding.value is None:
        return False
    if isinstance(binding.node, ast.AnnAssign) and _type(unquoted(module, binding.node.annotation)) in CONTAINER_TYPES:
        return True
    value = binding.value
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult) and isinstance(value.left, ast.List):
        return True
    called = module.called(value)
    return called in CONTAINERS or (buffers and called in BUFFERS)


def _type(node: ast.expr) -> str | None:
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def method_self(module: Module, node: ast.AST) -> tuple[ast.FunctionDef, ast.ClassDef, str] | None:
    """Returns the method around a node, its class, and the name of its first parameter."""
    for each in module.functions(node):
        owner = module.parents.get(each)
        if isinstance(each, ast.FunctionDef) and isinstance(owner, ast.ClassDef):
            names = {module.dotted(one) for one in each.decorator_list}
            every = [*each.args.posonlyargs, *each.args.args]
            if names & {"builtins.staticmethod", "builtins.classmethod"} or not every:
                return None
            return each, owner, every[0].arg
    return None


def in_test(module: Module, node: ast.AST) -> bool:
    """Returns whether a node stands in a test: there, that something is traced is often counted on purpose."""
    for each in module.around(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test"):
            return True
        if isinstance(each, ast.ClassDef) and each.name.startswith("Test"):
            return True
        if isinstance(each, ast.ClassDef) and each.name.endswith("Test"):
            return True
    return False


def traced_functions(module: Module) -> Iterator[Function]:
    """Yields the functions that are traced for their values or effects."""
    for function, transforms in traced(module).of.items():
        if any(each.name not in ABSTRACT for each in transforms):
            yield function


def is_function(node: ast.AST | None) -> bool:
    """Returns whether a node is a function or a lambda."""
    return isinstance(node, FUNCTIONS)
