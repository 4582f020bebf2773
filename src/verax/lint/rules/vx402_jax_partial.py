"""VX402: `jax.partial` is gone."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import stale
from verax.lint._rule import Found, rule


@rule("VX402", "jax-partial", "error")
def jax_partial(module: Module) -> Iterator[Found]:
    """A use of `jax.partial`, which is `functools.partial` that JAX once imported for itself.

    It never was part of the interface, and is gone since JAX 0.2.21: an `AttributeError`, or an `ImportError` on
    import.

    Bad:

        @jax.partial(jax.jit, static_argnames=["training"])
        def forward(params, x, training): ...

    Good:

        @functools.partial(jax.jit, static_argnames=["training"])
        def forward(params, x, training): ...

    The fix is safe: it is the same function, and its import is added. `jax.tree_util.Partial`, which is a tree, is
    another thing and is left alone. What is behind `hasattr`, a version or `except ImportError` is left alone.
    """
    yield from stale(module, "VX402")
