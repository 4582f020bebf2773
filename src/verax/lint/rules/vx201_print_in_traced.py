"""VX201: print runs while JAX traces, not when the program runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._imports import added_import
from verax.lint._module import Module
from verax.lint._mutation import effects_around
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._taint import taint


@rule("VX201", "print-in-traced", "warning")
def print_in_traced(module: Module) -> Iterator[Found]:
    """A `print` in a function that JAX traces.

    Python runs while JAX traces, once for each new shape; `print` then shows a tracer, not numbers, and nothing at all
    in later calls. `jax.debug.print` prints the values each time.

    Bad:

        @jax.jit
        def step(x):
            print("x is", x)

    Good:

        @jax.jit
        def step(x):
            jax.debug.print("x is {}", x)

    Where nothing traced is printed (a shape, a text) the report is a note: that is a known way to see when a function
    is traced. The fix is safe for texts and traced values; where an f-string formats a value in a way of its own, there
    is none. Functions given to `jax.debug.callback` run on the host and are left alone.
    """
    for node in module.nodes(ast.Call):
        if not isinstance(node.func, ast.Name) or module.dotted(node.func) != "builtins.print":
            continue
        around = effects_around(module, node)
        if not around:
            continue
        how = around[0][1].name.rpartition(".")[2]
        if not any(_shows_traced(module, each) for each in node.args):
            message = f"print runs only while {how} traces the function, not at every call."
            yield Found(node, message, level="note")
            continue
        message = f"print runs while {how} traces the function and shows tracers. Use jax.debug.print."
        yield Found(node, message, _fix(module, node))


def _shows_traced(module: Module, node: ast.expr) -> bool:
    known = taint(module)
    if known.anywhere(node) or (isinstance(node, ast.Starred) and known.anywhere(node.value)):
        return True
    if isinstance(node, ast.JoinedStr):
        return any(_shows_traced(module, each.value) for each in node.values if isinstance(each, ast.FormattedValue))
    if isinstance(node, ast.BinOp):
        return _shows_traced(module, node.left) or _shows_traced(module, node.right)
    if isinstance(node, ast.Tuple | ast.List):
        return any(_shows_traced(module, each) for each in node.elts)
    if isinstance(node, ast.Call):
        is_text = isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join")
        shown = module.dotted(node.func) in ("builtins.str", "builtins.repr", "builtins.format")
        return (is_text or shown) and any(_shows_traced(module, each) for each in node.args)
    return False


def _fix(module: Module, node: ast.Call) -> Fix | None:
    separator = " "
    for each in node.keywords:
        if each.arg == "sep" and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str):
            separator = each.value.value
        elif each.arg != "flush":
            return None
    known = taint(module)
    parts: list[str] = []
    values: list[str] = []
    for each in node.args:
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            parts.append(each.value)
        elif isinstance(each, ast.JoinedStr):
            text = ""
            for piece in each.values:
                if isinstance(piece, ast.Constant):
                    text += str(piece.value)
                elif isinstance(piece, ast.FormattedValue) and piece.conversion == -1 and piece.format_spec is None:
                    text += "{}"
                    values.append(module.source(piece.value) if not _is_old(module, piece.value) else "")
                    if not values[-1] or not known.anywhere(piece.value):
                        return None
                else:
                    return None
            parts.append(text)
        elif known.anywhere(each):
            parts.append("{}")
            values.append(module.source(each))
        else:
            return None
    text = separator.join(parts)
    if text.count("{") != len(values):
        return None  # jax.debug.print does not read doubled braces as str.format does
    name, edits = added_import(module, "jax")
    shown = _quoted(text)
    new = f"{name}.debug.print({', '.join([shown, *values])})"
    return Fix("Replace by jax.debug.print", (*edits, module.replaced(node, new)), safe=True)


def _is_old(module: Module, node: ast.expr) -> bool:
    """Returns whether the places of nodes in an f-string are not those of the text, as before Python 3.12."""
    try:
        return ast.dump(ast.parse(module.source(node).strip(), mode="eval").body) != ast.dump(node)
    except (SyntaxError, ValueError):
        return True


def _quoted(text: str) -> str:
    shown = repr(text)
    return f'"{shown[1:-1]}"' if shown[0] == "'" and '"' not in text else shown
