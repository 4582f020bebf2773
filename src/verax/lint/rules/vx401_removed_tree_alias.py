"""VX401: `jax.tree_map` and its kind are gone."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import stale
from verax.lint._rule import Found, rule


@rule("VX401", "removed-tree-alias", "error")
def removed_tree_alias(module: Module) -> Iterator[Found]:
    """A name for trees that is gone from `jax`: `jax.tree_map`, `jax.tree_leaves`, `jax.tree_multimap`, ...

    JAX 0.6.0 took them away (`tree_multimap` went in 0.3.16): an `AttributeError` on use, an `ImportError` on import.
    The functions themselves are in `jax.tree` since 0.4.25, and in `jax.tree_util` in all releases.

    Bad:

        params = jax.tree_map(lambda x: 2 * x, params)

    Good:

        params = jax.tree.map(lambda x: 2 * x, params)

    The fix is safe: the function is the same. What is behind `hasattr`, a version or `except ImportError` is left
    alone. What is not seen: names that are reached through another package.
    """
    yield from stale(module, "VX401")
