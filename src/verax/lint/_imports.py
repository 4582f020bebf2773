"""Imports that a fix needs."""

from __future__ import annotations

import ast

from verax.lint._module import Module
from verax.lint._report import Edit

USUAL = {"jax.numpy": "jnp", "numpy": "np", "flax.linen": "nn"}


def added_import(module: Module, name: str) -> tuple[str, tuple[Edit, ...]]:
    """Returns the name under which a module is reachable at the top of a file, and the edits that import it.

    There are no edits where it is imported already.
    """
    top = module.opened[module.tree].bindings
    for local, bindings in top.items():
        if len(bindings) == 1 and bindings[0].kind == "import" and bindings[0].origin == name:
            return local, ()
    alias = USUAL.get(name)
    if alias is not None and alias not in top:
        statement, local = f"import {name} as {alias}\n", alias
    elif "." not in name and name not in top:
        statement, local = f"import {name}\n", name
    else:
        local = "_" + name.replace(".", "_")
        statement = f"import {name} as {local}\n"
    at = _after(module)
    start = module.offset(at, 0)
    if start and module.text[start - 1] not in "\r\n":
        statement = "\n" + statement.rstrip("\n")
    return local, (Edit(start, start, statement),)


def _after(module: Module) -> int:
    """Returns the line before which an import goes: of the first import, else after docstring and `__future__`."""
    line = 2 if module.lines and module.lines[0].startswith("#!") else 1
    for place, each in enumerate(module.tree.body):
        is_docstring = place == 0 and isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
        if is_docstring or (isinstance(each, ast.ImportFrom) and each.module == "__future__"):
            line = (each.end_lineno or each.lineno) + 1
        else:
            return each.lineno if isinstance(each, ast.Import | ast.ImportFrom) else line
    return line
