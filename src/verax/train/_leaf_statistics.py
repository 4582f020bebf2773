"""Eight numbers about each parameter leaf at one step: its gradient, its update, and how far it has come."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from verax.trees import Tree, path_text

LARGE = 2**18  # entries of a leaf; float32 sums of as many positive terms keep five digits or more
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
    the step over that of the first ones; either is NaN where it would be a division by zero, as for biases at 0, and
    where the parameters are not finite.

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
    if not paths:
        return jnp.zeros((0, len(STATISTICS)), jnp.float32)
    sums = [_sums(grads.get(path), *(each.get(path) for each in others)) for path in paths]
    # Columns, so that what is computed of the sums is one kernel for all leaves.
    columns = [jnp.stack([jnp.asarray(each, jnp.float32) for each in column]) for column in zip(*sums, strict=True)]
    largest, total, square, zeros, nan, inf, *squares = columns
    moved, before, gone, first = map(jnp.sqrt, squares)
    size = jnp.array([max(1, grads[path].size) if path in grads else 1 for path in paths], jnp.float32)
    is_in_range = jnp.isfinite(square) & (square > jnp.finfo(jnp.float32).tiny)
    norm = jnp.where(is_in_range, jnp.sqrt(square), largest)  # verax: ignore[VX602] - nothing differentiates this
    mean = total / jnp.maximum(size - nan - inf, 1)
    ratios = [_ratio(moved, before), _ratio(gone, first)]
    return jnp.stack([norm, mean, largest, zeros / size, nan, inf, *ratios], axis=1)


@jax.jit  # leaves of one shape, such as the layers of a Transformer, are traced once
def _sums(grad: Any, update: Any, param: Any, begun: Any) -> tuple[Any, ...]:
    """Returns the largest finite magnitude of a gradient, the sums of finite magnitudes and of their squares, how many
    entries are zero, NaN and Inf; and the sums of squares of the update, of the parameters before it, of the way since
    the beginning and of the parameters then. What is not known is NaN.

    All are computed in one pass, because each reduction of its own takes as long to compile (docs/decisions/0010).
    """
    unknown = (jnp.float32(jnp.nan),)
    if grad is not None and update is not None and jnp.shape(update) != jnp.shape(grad):  # a sample of the parameters
        return _sums(grad, None, None, None)[:6] + _sums(None, update, param, begun)[6:]
    terms: list[Any] = []
    if grad is not None:
        magnitude = _magnitude(grad)
        finite = jnp.where(jnp.isfinite(magnitude), magnitude, 0)
        masks = [each.astype(magnitude.dtype) for each in (magnitude == 0, jnp.isnan(magnitude), jnp.isinf(magnitude))]
        terms = [finite, finite, jnp.square(finite), *masks]
    of_grad, has_way = len(terms), update is not None and param is not None
    if has_way:
        terms += [jnp.square(_magnitude(each)) for each in (update, param)]
    if has_way and begun is not None:
        way = _wide(param) - _wide(begun) + _wide(update)
        terms += [jnp.square(_magnitude(each)) for each in (way, begun)]
    if not terms:
        return unknown * 10
    reduced = _reduced(tuple(terms), of_grad > 0)
    return (reduced[:of_grad] or unknown * 6) + (reduced[of_grad:] + unknown * 4)[:4]


def _reduced(terms: tuple[Any, ...], first_is_largest: bool) -> tuple[Any, ...]:
    """Returns the sums of arrays of one shape; of the first the largest, if it is asked for."""

    def combine(one: Any, two: Any) -> Any:
        sums = [a + b for a, b in zip(one, two, strict=True)]
        return (jnp.maximum(one[0], two[0]) if first_is_largest else sums[0], *sums[1:])

    none = tuple(jnp.zeros((), each.dtype) for each in terms)
    shape = terms[0].shape
    if len(shape) > 1 and terms[0].size > LARGE:  # rows first, so that sums of many terms keep their digits
        terms = tuple(lax.reduce(terms, none, combine, (len(shape) - 1,)))
    axes = tuple(range(terms[0].ndim))
    return tuple(lax.reduce(terms, none, combine, axes)) if axes else terms


def _magnitude(leaf: Any) -> Any:
    return jnp.abs(_wide(leaf))


def _wide(leaf: Any) -> Any:
    is_wide = leaf.dtype == jnp.float64 or jnp.issubdtype(leaf.dtype, jnp.complexfloating)
    return leaf if is_wide else leaf.astype(jnp.float32)


def _ratio(part: Any, whole: Any) -> Any:
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), jnp.nan)
