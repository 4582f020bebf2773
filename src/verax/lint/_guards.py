"""Whether code asks first which version it runs on, so that what is gone from one is meant for another."""

from __future__ import annotations

import ast
import re

from verax.lint._module import Module

MISSING = ("ImportError", "ModuleNotFoundError", "AttributeError")
ANY = ("Exception", "BaseException")
SMALL = 3  # statements of a `try` that is there for one of them
# What a test mentions that asks which release is there: `hasattr(jax, "tree")`, `JAX_VERSION`, `HAS_TREE`.
ASKS = re.compile(
    r"find_spec|version|\b_?(HAS|HAVE|IS_OLD|IS_NEW|OLD|NEW|LEGACY|COMPAT|USE_OLD|USE_NEW)_"
    r"|(has|have|old|new|legacy|compat)_?(jax|flax|optax)|(jax|flax|optax)_?(old|new|legacy|compat|gt|ge|lt|le|\d)"
)
HAS = re.compile(r"\b(hasattr|getattr)\(")
LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
# Rules on what raises when it runs.
RAISING = frozenset(
    (
        "VX109", "VX110", "VX204", "VX205", "VX206", "VX207", "VX208", "VX210", "VX211", "VX302", "VX303", "VX304",
        "VX305", "VX307",
    )
)  # fmt: skip
EXPECTED = ("suppress", "raises", "assertRaises", "assertRaisesRegex", "deprecated_call", "warns")


def is_guarded(module: Module, node: ast.AST) -> bool:
    """Returns whether a node is reached only on some versions, or is expected to fail.

    It stands in a `try` whose handler catches that a name is missing, or in such a handler; in a branch, or after one
    that leaves, whose test has `hasattr` or a version; in a function whose decorator asks; or where an error is due.
    """
    child = node
    for each in module.around(node):
        match each:
            case ast.Try() | ast.TryStar():
                if child not in each.finalbody and any(_catches(handler, each, node) for handler in each.handlers):
                    return True
            case ast.If() | ast.IfExp() | ast.While() | ast.Assert() | ast.BoolOp():
                test = each.values[0] if isinstance(each, ast.BoolOp) else each.test
                if child is not test and _asks(module, test):
                    return True
            case ast.With() | ast.AsyncWith():
                if child in each.body and any(_expects(item.context_expr) for item in each.items):
                    return True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if any(
                    isinstance(one, ast.Call) and child is not one and _asks(module, one) for one in each.decorator_list
                ):
                    return True
            case ast.comprehension():
                if any(child is not one and _asks(module, one) for one in each.ifs):
                    return True
            case _:
                pass
        if isinstance(child, ast.stmt) and _left_before(module, each, child):
            return True
        child = each
    return False


def is_meant_to_raise(module: Module, node: ast.AST) -> bool:
    """Returns whether an error is due where a node stands, or in a function that defines what it is part of."""
    if "aises" not in module.text:
        return False
    around = list(module.around(node))
    if any(each in _due(module) for each in around):
        return True
    nested = [each for each in (node, *around) if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    tests = [each for each in nested[1:] if isinstance(each, ast.FunctionDef)]
    return any(one in module.around(each) for one in tests for each in _due(module))


def _due(module: Module) -> set[ast.AST]:
    """Returns the `with` statements in whose bodies an error is due."""
    return module.shared("errors due", _errors_due)


def _errors_due(module: Module) -> set[ast.AST]:
    found: set[ast.AST] = set()
    for each in module.nodes(ast.With, ast.AsyncWith):
        calls = [item.context_expr for item in each.items if isinstance(item.context_expr, ast.Call)]
        names = [getattr(one.func, "id", getattr(one.func, "attr", "")) for one in calls]
        if any(name.lower().startswith(("raises", "assertraises", "assert_raises")) for name in names):
            found.add(each)
    return found


def _catches(handler: ast.ExceptHandler, guard: ast.Try | ast.TryStar, node: ast.AST) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {getattr(each, "id", getattr(each, "attr", "")) for each in caught}
    if names & set(MISSING):
        return True
    return (None in caught or bool(names & set(ANY))) and len(guard.body) <= SMALL


def _asks(module: Module, test: ast.expr) -> bool:
    """Returns whether an expression looks at a version, or at whether there is a name."""
    for each in ast.walk(test):
        if isinstance(each, ast.Call) and _asks_for_name(module, each):
            return True
        if isinstance(each, ast.Attribute) and ASKS.search(each.attr):
            return True
        if isinstance(each, ast.Constant) and each.value == "__version__":
            return True
        if isinstance(each, ast.Name):
            if ASKS.search(each.id):
                return True
            value = module.value(each)
            made = module.definition(each)
            for one in (value if value is not each else None, made if isinstance(made, ast.FunctionDef) else None):
                if one is not None and (ASKS.search(text := module.source(one)) or HAS.search(text)):
                    return True
    return False


def _asks_for_name(module: Module, call: ast.Call) -> bool:
    """Returns whether a call asks whether a module has a name, or what a function of a library gave."""
    if not isinstance(call.func, ast.Name) or call.func.id not in ("hasattr", "getattr") or not call.args:
        return False
    value = module.value(call.args[0])
    return (module.dotted(value) or module.called(value)) is not None


def _expects(context: ast.expr) -> bool:
    if not isinstance(context, ast.Call):
        return False
    name = getattr(context.func, "id", getattr(context.func, "attr", ""))
    return name in EXPECTED


def _left_before(module: Module, block: ast.AST, statement: ast.stmt) -> bool:
    """Returns whether a branch before a statement of the same block asks for a version and leaves."""
    for part in ("body", "orelse", "finalbody"):
        body = getattr(block, part, None)
        if not isinstance(body, list) or statement not in body:
            continue
        for each in body[: body.index(statement)]:
            if isinstance(each, ast.If) and isinstance(each.body[-1], LEAVES) and _asks(module, each.test):
                return True
    return False
