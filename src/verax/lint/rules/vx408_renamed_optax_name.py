"""VX408: names of Optax that are gone or called otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import stale
from verax.lint._rule import Found, rule


@rule("VX408", "renamed-optax-name", "error")
def renamed_optax_name(module: Module) -> Iterator[Found]:
    """A name of Optax that a release took away or renamed: `additive_weight_decay`, `hessian_diag`, ...

    What is gone is an `AttributeError` when the optimiser is built; what still works but is deprecated is a warning.

    Bad:

        optax.additive_weight_decay(1e-4)

    Good:

        optax.add_decayed_weights(1e-4)

    The fix is safe where the same function has another name. What is behind `hasattr`, a version or `except
    ImportError` is left alone.
    """
    yield from stale(module, "VX408")
