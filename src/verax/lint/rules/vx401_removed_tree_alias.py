"""VX401: `jax.tree_map` and its kind are gone."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import renamed, stale_found
from verax.lint._rule import Found, rule
from verax.lint._uses import Use, uses

PREFIXES = ("jax.tree_", "jax.treedef_")


@rule("VX401", "removed-tree-alias", "error")
def removed_tree_alias(module: Module) -> Iterator[Found]:
    """A name for trees that is gone from `jax`: `jax.tree_map`, `jax.tree_leaves`, `jax.tree_multimap`, ...

    JAX 0.6.0 took them away (`tree_multimap` went in 0.3.16): an `AttributeError` on use, an `ImportError` on import. The
    functions themselves are in `jax.tree` since 0.4.25, and in `jax.tree_util` in all releases.

    Bad:

        params = jax.tree_map(lambda x: 2 * x, params)

    Good:

        params = jax.tree.map(lambda x: 2 * x, params)

    The fix is safe: the function is the same. What is behind `hasattr`, a version or `except ImportError` is left alone.
    What is not seen: names that are reached through another package.
    """
    for use in uses(module):
        if not use.dotted.startswith(PREFIXES) and use.dotted != "jax.tree_util.tree_multimap":
            continue
        if use.way != "unknown":
            yield stale_found(module, use)
        elif (new := _moved(use)) is not None:
            message = f"JAX has no {use.dotted}. Use {new}."
            yield Found(use.node, message, renamed(module, use, new, safe=True), "error")


def is_tree_alias(use: Use) -> bool:
    """Returns whether a name that no release had is one of `jax.tree_util`, looked for in `jax`."""
    return use.dotted.startswith(PREFIXES) and _moved(use) is not None


def _moved(use: Use) -> str | None:
    from verax.lint._tables import table

    there = f"jax.tree_util.{use.dotted.rpartition('.')[2]}"
    return there if table("jax").added(there) is not None else None
