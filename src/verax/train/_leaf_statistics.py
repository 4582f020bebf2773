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

    All numbers of a leaf come from one pass over it (docs/decisions/0010). Squares that leave the range of float32 make
    `norm` the largest magnitude, its lower bound.

    Example:
      >>> grads, ones = {"w": jnp.array([3.0, -4.0, 0.0, jnp.nan])}, {"w": jnp.ones(4)}
      >>> trees = StepTrees(grads, updates={"w": -jnp.ones(4)}, params={"w": jnp.full(4, 10.0)}, begun=ones)
      >>> for name, value in zip(STATISTICS, leaf_statistics(trees)[0], strict=True):
      ...     print(name, f"{value:.3g}", end=" ")
      norm 5 mean 2.33 largest 4 zeros 0.25 nan 1 inf 0 update_ratio 0.1 drift 8
    """
    grads, *others = (watched_leaves(each) for each in trees)
    paths = grads if trees.begun is None else others[-1]
    missing = jnp.full(len(STATISTICS), jnp.nan, jnp.float32)
    rows = [_row(grads[path], *(each.get(path) for each in others)) if path in grads else missing for path in paths]
    return jnp.stack(rows) if rows else jnp.zeros((0, len(STATISTICS)), jnp.float32)


@jax.jit  # leaves of one shape, such as the layers of a Transformer, are traced once
def _row(grad: Any, update: Any, param: Any, begun: Any) -> Any:
    grad = jnp.asarray(grad)
    wide = jnp.float64 if grad.real.dtype == jnp.float64 else jnp.float32
    has_ratio = update is not None and param is not None
    has_drift = has_ratio and begun is not None and jnp.shape(begun) == jnp.shape(param)
    nothing = jnp.zeros_like(grad)

    def lift(leaf: Any) -> Any:
        return leaf.astype(jnp.promote_types(leaf.dtype, wide))

    others = [update, param] if has_ratio else [nothing] * 2
    others += [lift(param) - lift(begun) + lift(update), begun] if has_drift else [nothing] * 2
    largest, total, square, zeros, nan, inf, *squares = _sums(abs(lift(grad)), [abs(lift(each)) for each in others])
    norm = jnp.where(jnp.isfinite(square) & (square > jnp.finfo(wide).tiny), jnp.sqrt(square), largest)
    moved, before, gone, first = (jnp.sqrt(each) for each in squares)
    size = max(1, grad.size)
    values = [norm, total / jnp.maximum(size - nan - inf, 1), largest, zeros / size, nan, inf]
    values += [_ratio(moved, before), _ratio(gone, first)]
    return jnp.stack([each.astype(jnp.float32) for each in values])


def _sums(magnitude: Any, others: list[Any]) -> tuple[Any, ...]:
    """Returns the largest magnitude, the sums of magnitudes, squares, zeros, NaN and Inf, and the squares of others.

    One reduction over rows and one over what they give: sums of millions of terms keep their digits.
    """
    finite = [jnp.where(jnp.isfinite(each), each, 0) for each in (magnitude, *others)]
    masks = [each.astype(magnitude.dtype) for each in (magnitude == 0, jnp.isnan(magnitude), jnp.isinf(magnitude))]
    terms = (finite[0], finite[0], jnp.square(finite[0]), *masks, *(jnp.square(each) for each in finite[1:]))
    if not magnitude.ndim:
        return terms

    def combine(one: Any, two: Any) -> Any:
        return jnp.maximum(one[0], two[0]), *(a + b for a, b in zip(one[1:], two[1:], strict=True))

    zero = (jnp.zeros((), magnitude.dtype),) * len(terms)
    terms = tuple(lax.reduce(terms, zero, combine, (magnitude.ndim - 1,)))
    return tuple(lax.reduce(terms, zero, combine, tuple(range(magnitude.ndim - 1)))) if magnitude.ndim > 1 else terms


def _ratio(part: Any, whole: Any) -> Any:
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), jnp.nan)
