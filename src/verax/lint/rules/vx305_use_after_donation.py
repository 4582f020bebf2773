"""VX305: a donated array is gone after the call."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._jitted import chosen_arguments, jitted
from verax.lint._module import LOOPS, Module
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS

KEPT = {"shape", "dtype", "ndim", "size", "sharding", "aval", "is_deleted", "nbytes", "weak_type"}
QUIET = {"builtins.isinstance", "builtins.type", "builtins.id", "builtins.len"}


MAPS = {"jax.tree.map", "jax.tree_util.tree_map", "jax.tree_map"}


@rule("VX305", "use-after-donation", "error")
def use_after_donation(module: Module) -> Iterator[Found]:
    """A variable is read after it was donated to a jitted function.

    With `donate_argnums` the memory of an argument is given away for the result. Reading it afterwards raises
    "Array has been deleted".

    Bad:

        new_state = step(state, batch)  # donates state
        print(state)

    Good:

        state = step(state, batch)

    There is no fix. Shapes and dtypes of a donated array can still be read. In a loop the second pass counts too. Not
    seen: other names for the same array, and calls of functions of other files.
    """
    for call in module.nodes(ast.Call):
        if module.dotted(call.func) is not None or not (call.args or call.keywords):
            continue
        one = jitted(module, call.func)
        if one is None or one.options is None or one.name.startswith("flax.nnx."):
            continue  # nnx puts the new arrays into the objects that were given
        for _, value in chosen_arguments(module, call, one, "donate_argnums", "donate_argnames"):
            path = _path(value)
            if path is None:
                continue
            read = _read_after(module, call, path)
            if read is not None:
                message = (
                    f"`{path}` was donated to {module.source(call.func)} in line {call.lineno}, so it is deleted. "
                )
                yield Found(read, message + f"Assign the result to `{path}`, or copy it before.")


def _path(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Attribute):
        base = _path(node.value)
        return None if base is None else f"{base}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else None


class _Bound(Exception):
    """The variable is bound anew, or the path ends."""


def _read_after(module: Module, call: ast.Call, path: str) -> ast.expr | None:
    """Returns the first read of a variable after a call, on a path that does not bind it before."""
    statement: ast.AST = module.statement(call)
    if isinstance(statement, FUNCTIONS):
        return None  # in a default or decorator
    try:
        if not isinstance(statement, (*LOOPS, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.Match, ast.ClassDef)):
            found = _rest(module, statement, call, path)
            if found is not None:
                return found
        while True:
            parent = module.parents.get(statement)
            if parent is None or isinstance(statement, FUNCTIONS):
                return None
            found = _following(module, parent, statement, path)
            if found is not None:
                return found
            if isinstance(parent, LOOPS):
                found = _next_pass(module, parent, path)
                if found is not None:
                    return found
            if isinstance(parent, FUNCTIONS):
                return None
            statement = parent
    except _Bound:
        return None


def _rest(module: Module, statement: ast.AST, call: ast.Call, path: str) -> ast.expr | None:
    """Looks at what a statement does after a call in it."""
    end = (call.end_lineno or 0, call.end_col_offset or 0)
    for each in _loads(module, statement, path):
        if (each.lineno, each.col_offset) >= end:
            return each
    if _stores(statement, path):
        raise _Bound
    if isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
        raise _Bound
    return None


def _following(module: Module, parent: ast.AST, statement: ast.AST, path: str) -> ast.expr | None:
    """Looks at the statements of the same block after one."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(parent, name, None)
        if isinstance(block, list) and statement in block:
            found = _block(module, block[block.index(statement) + 1 :], path)
            if found is None and isinstance(parent, ast.Try) and name in ("body", "orelse"):
                later = [*(parent.orelse if name == "body" else []), *parent.finalbody]
                found = _block(module, later, path)
            return found
    return None


def _next_pass(module: Module, loop: ast.For | ast.AsyncFor | ast.While, path: str) -> ast.expr | None:
    """Looks at a loop from its start: what was donated in one pass is read in the next."""
    if isinstance(loop, ast.While):
        for each in _loads(module, loop.test, path):
            return each
        if isinstance(loop.test, ast.Constant) and loop.test.value:
            return _block(module, loop.body, path)  # it goes on until it is left from within
    elif _stores(loop.target, path):
        return None  # bound by the loop
    try:
        return _block(module, loop.body, path)
    except _Bound:
        return None  # but after the last pass nothing is bound


def _block(module: Module, statements: list[ast.stmt], path: str) -> ast.expr | None:
    """Returns the first read in statements; raises where the variable is bound or the path ends before."""
    for each in statements:
        if isinstance(each, ast.If):
            for read in _loads(module, each.test, path):
                return read
            ended = 0
            for block in (each.body, each.orelse):
                try:
                    found = _block(module, block, path)
                    if found is not None:
                        return found
                except _Bound:
                    ended += 1
            if ended == 2:
                raise _Bound
        elif isinstance(each, ast.For | ast.AsyncFor):
            for read in _loads(module, each.iter, path):
                return read
            if not _stores(each.target, path):
                try:
                    found = _block(module, each.body, path)
                    if found is not None:
                        return found
                except _Bound:
                    pass
        elif isinstance(each, ast.While):
            for read in _loads(module, each.test, path):
                return read
            try:
                found = _block(module, each.body, path)
                if found is not None:
                    return found
            except _Bound:
                pass
        elif isinstance(each, ast.With | ast.AsyncWith):
            for item in each.items:
                for read in _loads(module, item.context_expr, path):
                    return None if _expects(item.context_expr) else read
                if _expects(item.context_expr):
                    raise _Bound
            found = _block(module, each.body, path)
            if found is not None:
                return found
        elif isinstance(each, ast.Try):
            if each.handlers:
                raise _Bound  # it may be there to see that the array is deleted
            found = _block(module, [*each.body, *each.orelse, *each.finalbody], path)
            if found is not None:
                return found
        elif isinstance(each, ast.Match):
            raise _Bound  # not followed
        elif isinstance(each, (*FUNCTIONS, ast.ClassDef)):
            continue
        else:
            for read in _loads(module, each, path):
                return read
            if _stores(each, path) or isinstance(each, ast.Return | ast.Raise | ast.Continue | ast.Break):
                raise _Bound
    return None


def _loads(module: Module, node: ast.AST, path: str) -> Iterator[ast.expr]:
    """Yields the places in a statement or expression where the value of a variable is read."""
    left = [node]
    found: list[ast.expr] = []
    while left:
        each = left.pop()
        if isinstance(each, ast.Lambda):
            continue
        if isinstance(each, ast.Name | ast.Attribute) and isinstance(each.ctx, ast.Load) and _path(each) == path:
            if not _is_quiet(module, each):
                found.append(each)
            continue
        left.extend(ast.iter_child_nodes(each))
    yield from sorted(found, key=lambda one: (one.lineno, one.col_offset))


def _is_quiet(module: Module, node: ast.expr) -> bool:
    """Returns whether a read of a variable does not touch its memory."""
    parent = module.parents.get(node)
    while isinstance(parent, ast.Subscript) and parent.value is node:
        if isinstance(parent.ctx, ast.Del):
            return True  # an entry of a dictionary
        node, parent = parent, module.parents.get(parent)
    if isinstance(parent, ast.Attribute):
        if parent.attr == "keys":
            return True
        return parent.attr in KEPT or not isinstance(module.parents.get(parent), ast.expr | ast.stmt)
    if isinstance(parent, ast.Compare):
        return all(isinstance(each, ast.Is | ast.IsNot) for each in parent.ops)
    if not isinstance(parent, ast.Call) or node not in parent.args:
        return False
    return module.dotted(parent.func) in QUIET or _deletes(module, parent)


def _deletes(module: Module, call: ast.Call) -> bool:
    """Returns whether a call frees memory: `jax.tree.map(lambda x: x.delete(), state)`."""
    return module.dotted(call.func) in MAPS and any(
        isinstance(each, ast.Attribute) and each.attr in ("delete", "is_deleted") for each in ast.walk(call.args[0])
    )


def _stores(node: ast.AST, path: str) -> bool:
    root = path.partition(".")[0]
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load) and each.id == root:
            return True
        if isinstance(each, ast.Attribute) and not isinstance(each.ctx, ast.Load):
            stored = _path(each)
            if stored is not None and (path == stored or path.startswith(f"{stored}.")):
                return True
    return False


def _expects(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return "raise" in last.lower()
