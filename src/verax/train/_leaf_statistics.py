"""Eight numbers about each parameter leaf at one step: its gradient, its update, and how far it has come."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from verax.trees import Tree, path_text

STATISTICS = ("norm", "mean", "largest", "zeros", "nan", "inf", "update_ratio", "drift")


class StepTrees(NamedTuple):
    """The trees of one step. Where one is None, or lacks a leaf, what depends on it is NaN.

    Attributes:
      grads: the gradients.
      updates: what is added to the parameters.
      params: the parameters before the step.
      begun: the parameters at the beginning of training.
    """

    grads: Tree
    updates: Tree = None
    params: Tree = None
    begun: Tree = None


def watched_leaves(tree: Tree) -> dict[str, Any]:
    """Returns the leaves of real or complex numbers by path; placeholders of frozen leaves are not among them."""
    leaves = [(path, leaf) for path, leaf in jax.tree.leaves_with_path(tree) if hasattr(leaf, "dtype")]
    return {path_text(path): leaf for path, leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)}


def watched_paths(tree: Tree) -> tuple[str, ...]:
    """Returns the paths of the leaves that have statistics, in the order of their rows."""
    return tuple(watched_leaves(tree))


def leaf_statistics(trees: StepTrees) -> Float[Array, "leaves statistics"]:
    """Returns `STATISTICS` of each leaf in the order of `watched_leaves`, in float32. Pure and traceable.

    The leaves are those of `begun`, or of the gradients without it.

    `norm`, `mean` and `largest` are of the magnitudes of a gradient's finite entries, `zeros` is the share of its
    entries that are exactly zero, `nan` and `inf` count those that are not finite. `update_ratio` is the norm of the
    update over that of the parameters before it, `drift` the norm of the way from the first parameters to those after
    the step over that of the first ones; either is NaN where it would be a division by zero, as for biases at 0.

    Squares that leave the range of float32 make `norm` the largest magnitude, its lower bound.

    Example:
      >>> grads, ones = {"w": jnp.array([3.0, -4.0, 0.0, jnp.nan])}, {"w": jnp.ones(4)}
      >>> trees = StepTrees(grads, updates={"w": -jnp.ones(4)}, params={"w": jnp.full(4, 10.0)}, begun=ones)
      >>> for name, value in zip(STATISTICS, leaf_statistics(trees)[0], strict=True):
      ...     print(name, f"{value:.3g}", end=" ")
      norm 5 mean 2.33 largest 4 zeros 0.25 nan 1 inf 0 update_ratio 0.1 drift 8
    """
    grads, *others = (watched_leaves(each) for each in trees)
    paths = grads if trees.begun is None else others[-1]
    missing = jnp.full(len(STATISTICS) - 2, jnp.nan, jnp.float32)
    rows = [
        jnp.concatenate(
            [_of_gradient(grads[path]) if path in grads else missing, _of_way(*(e.get(path) for e in others))]
        )
        for path in paths
    ]
    return jnp.stack(rows) if rows else jnp.zeros((0, len(STATISTICS)), jnp.float32)


@jax.jit  # leaves of one shape, such as the layers of a Transformer, are traced once
def _of_gradient(grad: Any) -> Any:
    magnitude = _magnitude(grad)
    finite = _finite(magnitude)
    masks = [each.astype(magnitude.dtype) for each in (magnitude == 0, jnp.isnan(magnitude), jnp.isinf(magnitude))]
    largest, total, square, zeros, nan, inf = _reduced([finite, finite, jnp.square(finite), *masks])
    in_range = jnp.isfinite(square) & (square > jnp.finfo(square.dtype).tiny)
    norm = jnp.where(in_range, jnp.sqrt(square), largest)
    size = max(1, grad.size)
    values = [norm, total / jnp.maximum(size - nan - inf, 1), largest, zeros / size, nan, inf]
    return jnp.stack([each.astype(jnp.float32) for each in values])


@jax.jit
def _of_way(update: Any, param: Any, begun: Any) -> Any:
    if update is None or param is None:
        return jnp.full(2, jnp.nan, jnp.float32)
    first = param if begun is None else begun
    trees = (update, param, _wide(param) - _wide(first) + _wide(update), first)
    squares = [jnp.square(_finite(_magnitude(each))) for each in trees]
    moved, before, gone, from_where = (jnp.sqrt(each) for each in _reduced([squares[0], *squares])[1:])
    drift = jnp.nan if begun is None else _ratio(gone, from_where)
    return jnp.stack([_ratio(moved, before), jnp.asarray(drift, moved.dtype)]).astype(jnp.float32)


def _reduced(terms: list[Any]) -> list[Any]:
    """Returns the largest of the first and the sums of the other arrays, all in one pass (docs/decisions/0010).

    One reduction over rows and one over what they give: sums of millions of terms keep their digits.
    """
    if not terms[0].ndim:
        return terms

    def combine(one: Any, two: Any) -> Any:
        return jnp.maximum(one[0], two[0]), *(a + b for a, b in zip(one[1:], two[1:], strict=True))

    zero = (jnp.zeros((), terms[0].dtype),) * len(terms)
    rows = lax.reduce(tuple(terms), zero, combine, (terms[0].ndim - 1,))
    return list(lax.reduce(tuple(rows), zero, combine, tuple(range(terms[0].ndim - 1))) if terms[0].ndim > 1 else rows)


def _wide(leaf: Any) -> Any:
    is_wide = leaf.dtype == jnp.float64 or jnp.issubdtype(leaf.dtype, jnp.complexfloating)
    return leaf if is_wide else leaf.astype(jnp.float32)


def _magnitude(leaf: Any) -> Any:
    return jnp.abs(_wide(jnp.asarray(leaf)))


def _finite(magnitude: Any) -> Any:
    return jnp.where(jnp.isfinite(magnitude), magnitude, 0)


def _ratio(part: Any, whole: Any) -> Any:
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), jnp.nan)
