"""VX409: names of `jax.numpy` that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import stale
from verax.lint._rule import Found, rule


@rule("VX409", "removed-jnp-name", "error")
def removed_jnp_name(module: Module) -> Iterator[Found]:
    """A name that `jax.numpy` has no more: `trapz`, `in1d`, `row_stack`, `alltrue`, `DeviceArray`, `NINF`, ...

    JAX followed NumPy 2.0 and took them away in 0.4.16 to 0.4.38: an `AttributeError`, in an annotation too.

    Bad:

        jnp.in1d(a, b)

    Good:

        jnp.isin(a, b)

    The fix is safe: the function is the same under another name. Only `in1d` always gave one axis, where `isin` gives
    the shape of its first array: there the fix is unsafe, unless that array is seen to have one axis, or the result
    goes into `reshape`, `ravel`, `any`, `all`, `sum` or `count_nonzero` as a whole. NumPy's own names are NumPy's. What
    is behind `hasattr`, a version or `except ImportError` is left alone.
    """
    yield from stale(module, "VX409")
