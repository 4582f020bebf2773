"""VX407: keys that know what they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import renamed
from verax.lint._rule import Found, rule
from verax.lint._uses import Use, owner, real_name

OLD, NEW = "jax.random.PRNGKey", "jax.random.key"


@rule("VX407", "legacy-prngkey", "note", opt_in=True)
def legacy_prngkey(module: Module) -> Iterator[Found]:
    """A use of `jax.random.PRNGKey`, which makes a key that is an array of two numbers like any other.

    A key of `jax.random.key` has its own type: arithmetic with it is an error, it carries its algorithm along, and
    JAX's own check for keys that are used twice sees it. JAX recommends it for new code.

    Bad:

        key = jax.random.PRNGKey(0)

    Good:

        key = jax.random.key(0)

    The rule is off unless it is asked for. The fix is not safe: saved keys, and code that looks at the last axis of a
    key, must change with it. What is not seen: keys of other libraries.
    """
    if owner(module) == "jax":
        return
    message = "jax.random.PRNGKey makes an untyped key. Use jax.random.key."
    for node in module.nodes(ast.ImportFrom):
        for alias in node.names:
            if node.module == "jax.random" and not node.level and alias.name == "PRNGKey":
                yield _found(module, alias, message)
    for node in module.nodes(ast.Attribute):
        if node.attr == "PRNGKey" and real_name(module, node) == OLD:
            yield _found(module, node, message)


def _found(module: Module, node: ast.AST, message: str) -> Found:
    return Found(node, message, renamed(module, Use(node, OLD, "deprecated"), NEW, safe=False))
