"""VX514: submodules made where Flax does not allow it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._models import is_linen, layer_class
from verax.lint._module import Module, keyword
from verax.lint._reaching import inner_nodes, is_test, spelled
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule

Method = ast.FunctionDef | ast.AsyncFunctionDef
BUILDING = ("setup", "__post_init__", "__init__", "__init_subclass__", "__new__")
HARMLESS = ("jax.named_scope", "flax.linen.jit", "flax.linen.remat", "flax.linen.checkpoint", "typing.override")
OWN = ("param", "variable")


@rule("VX514", "missing-compact", "error")
def missing_compact(module: Module) -> Iterator[Found]:
    """A method of a Linen module makes submodules or parameters, and is not decorated with `nn.compact`.

    Flax lets submodules be made in `setup` and in a compact method only, and raises `AssignSubModuleError` else.

    Bad:

        class Net(nn.Module):
            def __call__(self, inputs):
                return nn.Dense(8)(inputs)

    Good:

        class Net(nn.Module):
            @nn.compact
            def __call__(self, inputs):
                return nn.Dense(8)(inputs)

    The fix adds the decorator, and is safe. Helpers that a compact method calls may make submodules. Reported once for
    each method, at the first thing that is made. What is not seen: methods that only other files call.
    """
    for owner in module.nodes(ast.ClassDef):
        if not owner.bases or not is_linen(module, owner):
            continue
        methods = {each.name: each for each in owner.body if isinstance(each, Method)}
        called = methods.get("__call__")
        if called is None or _is_compact(module, called) is not False:
            continue
        if any(_is_compact(module, each) is None for each in methods.values()):
            continue
        from_compact = _reached(methods, [each for each in methods.values() if _is_compact(module, each)])
        for each in _reached(methods, [called]):
            if _is_meant(module, owner) or each in from_compact or each.name in BUILDING or _is_compact(module, each):
                continue
            first = _made(module, owner, each)
            if first is not None:
                message = (
                    f"{module.source(first)} is made in {owner.name}.{each.name}, which is not compact: Flax will "
                )
                message = (
                    message if len(message) < 160 else f"a submodule is made in {owner.name}.{each.name}, which is "
                )
                message += "raise." if message.endswith("will ") else "not compact: Flax will raise."
                yield Found(first, f"{message} Decorate it with nn.compact.", _fix(module, owner, each, methods))


def _is_meant(module: Module, owner: ast.ClassDef) -> bool:
    """Returns whether a class stands in a test of what Flax raises."""
    return is_test(module, owner) and any(
        isinstance(each, ast.Attribute) and each.attr in ("assertRaises", "assertRaisesRegex", "raises")
        for function in module.functions(owner)
        for each in ast.walk(function)
    )


def _is_compact(module: Module, method: Method) -> bool | None:
    """Returns whether a method is compact; None where an unknown decorator may make it so."""
    unknown = False
    for each in method.decorator_list:
        node = each.func if isinstance(each, ast.Call) else each
        name = module.dotted(node) or ""
        last = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if last.startswith("compact") or name.startswith("flax.linen.compact"):
            return True
        unknown |= name not in HARMLESS and not name.startswith(("builtins.", "functools.", "jaxtyping.", "typing."))
    return None if unknown and method.name == "__call__" else False


def _reached(methods: dict[str, Method], start: list[Method]) -> list[Method]:
    """Returns methods with those of the same class that they call, in turn."""
    found: list[Method] = []
    left = list(start)
    while left:
        each = left.pop(0)
        if each in found:
            continue
        found.append(each)
        for node in ast.walk(each):
            if isinstance(node, ast.Attribute) and node.attr in methods and is_self(node.value):
                left.append(methods[node.attr])
    return found


def is_self(node: ast.expr) -> bool:
    """Returns whether an expression is the name `self`."""
    return isinstance(node, ast.Name) and node.id == "self"


def _made(module: Module, owner: ast.ClassDef, method: Method) -> ast.Call | None:
    """Returns the first call in a method that makes a submodule, a parameter or a variable."""
    if any((module.dotted(each) or "").rpartition(".")[2] in ("nowrap", "staticmethod", "classmethod", "property")
           for each in method.decorator_list):  # fmt: skip
        return None
    found: list[ast.Call] = []
    for each in [node for one in method.body for node in inner_nodes(one)]:
        if not isinstance(each, ast.Call):
            continue
        func = each.func
        if isinstance(func, ast.Attribute) and is_self(func.value):
            is_made = func.attr in OWN and module.method(owner, func.attr) is None
        else:
            is_made = layer_class(module, func) is not None and keyword(each, "parent") is None
        if is_made:
            found.append(each)
    return min(found, key=lambda each: (each.lineno, each.col_offset)) if found else None


def _fix(module: Module, owner: ast.ClassDef, method: Method, methods: dict[str, Method]) -> Fix | None:
    if method.name != "__call__" or any(_is_compact(module, each) for each in methods.values()):
        return None
    linen = spelled(module, "flax.linen", owner)
    compact = spelled(module, "flax.linen.compact", owner) or (None if linen is None else f"{linen}.compact")
    if compact is None:
        return None
    first = method.decorator_list[0] if method.decorator_list else method
    start = module.span(first)[0] - (1 if method.decorator_list else 0)
    line = module.lines[first.lineno - 1]
    indent = line[: len(line) - len(line.lstrip())]
    return Fix(f"Add @{compact}", (Edit(start, start, f"@{compact}\n{indent}"),), safe=True)
