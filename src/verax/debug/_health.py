"""The health of gradients, leaf by leaf: NaN, Inf, too large, too small, zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from verax.findings import Finding, Leaf
from verax.trees import Tree, is_floating, leaves_by_path

STATISTICS = ("nan", "inf", "norm", "largest", "nonzero")


@dataclass(frozen=True)
class LeafHealth:
    """The gradient of one leaf.

    Attributes:
      path: its path.
      shape: its shape.
      nan: how many entries are NaN.
      inf: how many entries are infinite.
      norm: Euclidean norm of the finite entries.
      largest: largest absolute value of the finite entries.
      nonzero: share of the entries that are not zero.
      status: `nan`, `inf`, `large`, `small`, `zero` or `ok`, the first that holds.
    """

    path: str
    shape: tuple[int, ...]
    nan: int
    inf: int
    norm: float
    largest: float
    nonzero: float
    status: str


@dataclass(frozen=True)
class GradientHealth:
    """The gradients of all leaves, and what is wrong with them; prints as a table."""

    leaves: tuple[LeafHealth, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        width = max((len(leaf.path) for leaf in self.leaves), default=0)
        lines = [f"{'path':<{width}}  status  {'norm':>9}  {'largest':>9}  nonzero"]
        for leaf in self.leaves:
            lines.append(
                f"{leaf.path:<{width}}  {leaf.status:<6}  {leaf.norm:9.2e}  {leaf.largest:9.2e}  {leaf.nonzero:7.1%}"
            )
        return "\n".join([*lines, *map(str, self.findings)])


def leaf_statistics(grads: Tree) -> Float[Array, "leaves statistics"]:
    """Returns five numbers for each floating-point leaf: counts of NaN and Inf, norm and largest absolute value of the
    finite entries, share of entries that are not zero. Pure and traceable: call it inside a compiled step.

    Norms are of scaled entries, so that they neither overflow nor vanish in float32.

    Example:
      >>> leaf_statistics({"bias": jnp.array([3.0, 4.0]), "kernel": jnp.array([jnp.nan, 0.0])}).tolist()
      [[0.0, 0.0, 5.0, 4.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.5]]
    """
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(grads) if is_floating(leaf)]
    return jnp.stack([_statistics(leaf) for leaf in leaves]) if leaves else jnp.zeros((0, len(STATISTICS)))


def _statistics(leaf: Any) -> Any:
    values = leaf.astype(jnp.float64 if leaf.dtype == jnp.float64 else jnp.float32)
    zero = jnp.zeros((), values.dtype)
    finite = jnp.where(jnp.isfinite(values), values, zero)
    largest = jnp.max(jnp.abs(finite), initial=0.0)
    scale = jnp.where(largest > 0, largest, jnp.ones((), values.dtype))
    norm = scale * jnp.sqrt(jnp.sum(jnp.square(finite / scale)))
    nonzero = jnp.mean((values != 0).astype(values.dtype)) if leaf.size else zero
    counts = [jnp.sum(mask.astype(values.dtype)) for mask in (jnp.isnan(values), jnp.isinf(values))]
    return jnp.stack([*counts, norm, largest, nonzero]).astype(jnp.float32)


_jitted_statistics = jax.jit(leaf_statistics)


def gradient_health(grads: Tree, *, large: float = 100.0, small: float = 1e-6) -> GradientHealth:
    """Returns the health of each leaf's gradient, and findings for those that are ill.

    Args:
      grads: gradients; leaves that hold no floating-point numbers are left out.
      large: a leaf is `large` if its norm is above this. For a mean loss at the usual initialisations norms are of
        order 1; at 100 a step of plain gradient descent destroys what was learnt. Raise it for losses that are sums.
      small: a leaf is `small` if its norm is below this and not zero: near the resolution of float32 parameters of
        order 1, so updates are lost in rounding unless the optimizer rescales them.

    Raises:
      ValueError: unless `0 < small < large`.

    Example:
      >>> health = gradient_health({"bias": jnp.array([1.0, 2.0]), "kernel": jnp.array([3e4])})
      >>> [leaf.status for leaf in health.leaves]
      ['ok', 'large']
      >>> print(health.findings[0])
      kernel: exploding-gradient: norm 3.0e+04, above 100. Clip with optax.clip_by_global_norm(1.0), or lower the
      learning rate.
    """
    if not 0 < small < large:
        raise ValueError(f"small and large must satisfy 0 < small < large, got small={small}, large={large}.")
    named = {path: leaf for path, leaf in leaves_by_path(grads).items() if is_floating(leaf)}
    table = np.asarray(_jitted_statistics(list(named.values())))
    leaves = tuple(
        _leaf(path, tuple(np.shape(leaf)), row.tolist(), large, small)
        for (path, leaf), row in zip(named.items(), table, strict=True)
    )
    findings = tuple(finding for leaf in leaves for finding in _findings(leaf, large, small))
    return GradientHealth(leaves, findings)


def _leaf(path: str, shape: tuple[int, ...], row: list[float], large: float, small: float) -> LeafHealth:
    nan, inf, norm, largest, nonzero = row
    status = (
        "nan"
        if nan
        else "inf"
        if inf
        else "large"
        if norm > large
        else "zero"
        if nonzero == 0
        else "small"
        if norm < small
        else "ok"
    )
    return LeafHealth(path, shape, int(nan), int(inf), norm, largest, nonzero, status)


def _findings(leaf: LeafHealth, large: float, small: float) -> list[Finding]:
    where = Leaf(leaf.path or "params")
    if leaf.status in ("nan", "inf"):
        message = f"{leaf.nan} NaN and {leaf.inf} infinite entries."
        advice = "Look for log, sqrt or division at zero in the loss, and check the inputs."
        return [Finding("non-finite-gradient", "error", message, advice, where)]
    if leaf.status == "large":
        advice = "Clip with optax.clip_by_global_norm(1.0), or lower the learning rate."
        return [Finding("exploding-gradient", "warning", f"norm {leaf.norm:.1e}, above {large:g}.", advice, where)]
    if leaf.status == "small":
        advice = "Use residual or normalised blocks, or another initialisation or activation."
        return [Finding("vanishing-gradient", "warning", f"norm {leaf.norm:.1e}, below {small:g}.", advice, where)]
    if leaf.status == "zero":
        advice = "Is the leaf used? Look for stop_gradient, dead units and zero-initialised layers after it."
        return [Finding("parameter-without-gradient", "warning", "every entry is zero.", advice, where)]
    return []
