"""VX404: parts of `jax.experimental` that moved or are gone."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import stale
from verax.lint._rule import Found, rule


@rule("VX404", "removed-experimental-module", "error")
def removed_experimental_module(module: Module) -> Iterator[Found]:
    """A module or name of `jax.experimental` that moved, was deleted, or warns that it will be.

    What is experimental is free to go: `optimizers` and `stax` moved to `jax.example_libraries`, `maps` (0.4.31) and
    `host_callback` (0.8.0) were deleted, `pjit` and `shard_map` are plain `jax.jit` and `jax.shard_map` by now. What is
    gone is an error, an `ImportError` when the program starts; what still works but warns is a warning.

    Bad:

        from jax.experimental import optimizers

    Good:

        from jax.example_libraries import optimizers

    The fix is safe for what only moved; there is none where the replacement works another way. What is behind
    `hasattr`, a version or `except ImportError` is left alone.
    """
    yield from stale(module, "VX404")
