"""VX210: the shape of a result must not depend on traced values."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument, keyword
from verax.lint._rule import Found, rule
from verax.lint._taint import taint
from verax.lint._taint_levels import ARRAY, MASK, TREE

# Functions whose result is as long as there are elements of some kind, unless `size` says how long.
SIZED = {
    "nonzero", "argwhere", "flatnonzero", "unique", "unique_values", "unique_counts", "unique_all", "unique_inverse",
    "union1d", "setxor1d", "intersect1d", "setdiff1d",
}  # fmt: skip
COMPRESSED = {"compress", "extract"}


@rule("VX210", "data-dependent-shape", "error")
def data_dependent_shape(module: Module) -> Iterator[Found]:
    """A result whose shape depends on traced values.

    Compiled code has fixed shapes. An index by a traced array of truth values raises NonConcreteBooleanIndexError, also
    in `x.at[mask].set(0)`; `jnp.nonzero`, `jnp.unique`, `jnp.argwhere` and `jnp.where` with one argument raise
    ConcretizationTypeError unless `size` is given, and so does `jnp.arange` of a traced number.

    Bad:

        @jax.jit
        def positives(x):
            return x[x > 0]

    Good:

        @jax.jit
        def positives(x):
            return jnp.where(x > 0, x, 0)

    There is no fix. Integer indices, `where=`, and `jnp.where` with three arguments keep the shape and are fine.
    """
    known = taint(module)
    if not known.staged:
        return
    for node in module.nodes(ast.Subscript):
        index = node.slice
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        mask = next((each for each in parts if known.of(each) == MASK), None)
        if mask is None or isinstance(node.value, ast.Dict) or _is_reference(node.value):
            continue
        is_at = isinstance(node.value, ast.Attribute) and node.value.attr == "at"
        if isinstance(node.ctx, ast.Load):
            text = " ".join(module.source(mask).split())
            advice = "jnp.where(mask, new, old)" if is_at else "jnp.where(mask, x, 0), or an index of fixed length"
            message = f"`{text}` is a traced mask: how many elements it picks is not known. Use {advice}."
            yield Found(node, message)
    for node in module.nodes(ast.Call):
        said = _said(module, node)
        if said is not None:
            yield Found(node, said)


def _said(module: Module, node: ast.Call) -> str | None:
    known = taint(module)
    name = module.dotted(node.func)
    if name is None:
        func = node.func
        is_nonzero = isinstance(func, ast.Attribute) and func.attr == "nonzero" and known.of(func.value) >= TREE
        if is_nonzero and not keyword(node, "size"):
            return "how many elements are nonzero is not known while this is traced. Pass size to jnp.nonzero."
        return None
    library, _, last = name.rpartition(".")
    if library != "jax.numpy":
        return None
    unknown = f"how long the result of {module.source(node.func)} is, is not known while this is traced. Pass size."
    if last in SIZED or (last == "where" and len(node.args) == 1 and not keyword(node, "x") and not keyword(node, "y")):
        if any(each.arg in ("size", None) for each in node.keywords):
            return None
        if len(node.args) > {"unique": 5, "nonzero": 1}.get(last, 9):
            return None
        if any(known.of(each) >= TREE for each in node.args):
            return unknown
    if last in COMPRESSED and not any(each.arg in ("size", None) for each in node.keywords):
        condition = argument(node, 0, "condition")
        if condition is not None and known.of(condition) >= TREE:
            return unknown
    if last == "arange" and any(known.of(each) >= TREE for each in node.args[:3]):
        return "the length of this range is a traced number. Make it static."
    if last == "repeat" and not any(each.arg in ("total_repeat_length", None) for each in node.keywords):
        repeats = argument(node, 1, "repeats")
        if repeats is not None and known.of(repeats) >= ARRAY:
            return "how often elements are repeated is traced, so the length is not known. Pass total_repeat_length."
    return None


def _is_reference(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id.endswith("_ref")
