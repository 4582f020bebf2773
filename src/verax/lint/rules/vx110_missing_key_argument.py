"""VX110: a sampler without its key."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._key_names import SAMPLERS, SPLIT
from verax.lint._module import Module, argument, has_stars
from verax.lint._rule import Found, rule


@rule("VX110", "missing-key-argument", "error")
def missing_key_argument(module: Module) -> Iterator[Found]:
    """A sampler of `jax.random` whose first argument is a shape or a number, or a `split` that gets a count alone.

    JAX keeps no state of its own: every sampler takes a key first. A shape there raises TypeError.

    Bad:

        x = random.normal((3, 4))

    Good:

        x = random.normal(key, (3, 4))

    There is no fix: which key to use is not known. What is not seen: shapes that are computed.
    """
    for call in module.nodes(ast.Call):
        name = module.dotted(call.func)
        if name not in SAMPLERS and name != SPLIT:
            continue
        key = argument(call, 0, "key")
        if key is None:
            if not has_stars(call):
                yield Found(call, f"{name} is called without a key; pass one as its first argument.")
        elif (what := _other_than_key(module, key)) is not None:
            yield Found(call, f"the first argument of {name} is a key, not {what}; pass a key before it.")


def _other_than_key(module: Module, node: ast.expr) -> str | None:
    """Returns what an expression is that certainly is no key."""
    if isinstance(node, ast.Name):
        if len(module.bindings(node)) != 1:
            return None
        node = module.value(node)
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.Constant):
        return None if node.value is Ellipsis else f"{node.value!r}"
    if isinstance(node, ast.Tuple | ast.List) and not any(
        isinstance(each, ast.Starred) and len(node.elts) == 1 for each in node.elts
    ):
        return f"the {'shape' if isinstance(node, ast.Tuple) else 'list'} {ast.unparse(node)}"
    if isinstance(node, ast.Attribute) and node.attr == "shape" and module.dotted(node) is None:
        return f"the shape {ast.unparse(node)}"
    return None
