"""VX405: names of JAX that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import stale
from verax.lint._rule import Found, rule


@rule("VX405", "removed-jax-name", "error")
def removed_jax_name(module: Module) -> Iterator[Found]:
    """A name of JAX that a release took away, or says it will: `jax.xla_computation`, `jax.lib.xla_bridge`, ...

    The tables come from the releases themselves; `--target-jax` or the project's requirement decides which release
    counts. What is gone is an error: an `AttributeError` on use, an `ImportError` on import. What still works but is
    deprecated is a warning.

    Bad:

        from jax.config import config

    Good:

        from jax import config

    The fix is safe where the same thing has another name. What is behind `hasattr`, a version or `except ImportError`
    is left alone. What is not seen: names in strings, and attributes of objects.
    """
    yield from stale(module, "VX405")
