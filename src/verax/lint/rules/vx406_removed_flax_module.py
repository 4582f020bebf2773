"""VX406: parts of Flax that moved or are gone."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import stale
from verax.lint._rule import Found, rule


@rule("VX406", "removed-flax-module", "error")
def removed_flax_module(module: Module) -> Iterator[Found]:
    """A module or name of Flax that a release took away: `flax.optim`, the old `flax.nn`, `flax.experimental.nnx`, ...

    `flax.optim` went in 0.6.0 (Optax took its place), `flax.nn` in 0.3.6 (`flax.linen` did). `flax.experimental.nnx` is
    `flax.nnx` since 0.8.4 and only warns; NNX renames things often, and the tables know when.

    Bad:

        from flax import optim

    Good:

        import optax

    The fix is safe for `flax.experimental.nnx`; there is none for what works another way. What is behind `hasattr`, a
    version or `except ImportError` is left alone.
    """
    yield from stale(module, "VX406")
