"""Parameters that never change, chosen by the pattern of their paths."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax

from verax.findings import InputError
from verax.trees import Tree, leaves_by_path, path_text


def frozen_mask(tree: Tree, patterns: Sequence[str]) -> Tree:
    """Returns a tree of bools: True for the leaves whose path matches a pattern, or lies below one that does.

    Args:
      tree: parameters, or anything with paths.
      patterns: in the manner of file names: `Conv_*` (all below it), `*/bias`, `encoder/*/kernel`.

    Example:
      >>> frozen_mask({"Conv_0": {"kernel": 1.0}, "Dense_0": {"kernel": 2.0}}, ["Conv_*"])
      {'Conv_0': {'kernel': True}, 'Dense_0': {'kernel': False}}
    """
    return jax.tree.map_with_path(lambda path, _: path_matches(path_text(path), patterns), tree)


def check_frozen(params: Tree, patterns: Sequence[str]) -> None:
    """Raises an InputError if a pattern matches no parameter, or all parameters are frozen."""
    paths = list(leaves_by_path(params))
    for pattern in patterns:
        if not any(path_matches(path, [pattern]) for path in paths):
            shown = ", ".join(paths[:6]) + (", ..." if len(paths) > 6 else "")
            raise InputError(f"freeze: {pattern!r} matches no parameter. They are: {shown}.")
    if patterns and all(path_matches(path, patterns) for path in paths):
        raise InputError(f"freeze: {', '.join(patterns)} match all {len(paths)} parameters: nothing is left to train.")


def frozen_optimizer(optimizer: optax.GradientTransformation, patterns: Sequence[str]) -> optax.GradientTransformation:
    """Returns the optimizer for the parameters that match no pattern; those that do get updates of exactly zero.

    The optimizer does not see frozen leaves at all: no decay, no state, no share in a clipped norm.
    """
    if not patterns:
        return optimizer

    def labels(params: Tree) -> Tree:
        return jax.tree.map(lambda frozen: "frozen" if frozen else "trained", frozen_mask(params, patterns))

    parts = optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)

    def update(updates: Tree, state: Any, params: Tree | None = None, **extra: Any) -> tuple[Tree, Any]:
        """Line searches evaluate the loss and its gradient at other parameters: of the trained leaves alone."""
        if "grad" in extra:
            extra["grad"] = _trained(extra["grad"], patterns)
        if "value_fn" in extra and params is not None:
            extra["value_fn"] = functools.partial(_value_of_trained, extra["value_fn"], params)
        return parts.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(parts.init, update)


def _trained(tree: Tree, patterns: Sequence[str]) -> Tree:
    """Returns a tree with Optax's mark in the place of frozen leaves."""
    frozen = frozen_mask(tree, patterns)
    return jax.tree.map(lambda leaf, is_frozen: optax.MaskedNode() if is_frozen else leaf, tree, frozen)


def _value_of_trained(value_fn: Callable[[Tree], Any], params: Tree, trained: Tree) -> Any:
    """Returns the value at the trained leaves, with the frozen ones as they are."""
    whole = jax.tree.map(lambda new, old: old if _is_mark(new) else new, trained, params, is_leaf=_is_mark)
    return value_fn(whole)


def _is_mark(leaf: Any) -> bool:
    return isinstance(leaf, optax.MaskedNode)


def with_frozen(params: Tree, patterns: Sequence[str]) -> Tree:
    """Returns the parameters, those that match a pattern cut off from the gradient: their part is not computed."""
    if not patterns:
        return params
    frozen = frozen_mask(params, patterns)
    return jax.tree.map(lambda leaf, stop: jax.lax.stop_gradient(leaf) if stop else leaf, params, frozen)


def kept_state(before: Tree, after: Tree, patterns: Sequence[str], *, collections: bool) -> Tree:
    """Returns the model state after a step; of frozen modules that before it (running statistics of a frozen layer).

    Args:
      before: the model state before the step.
      after: and after it.
      patterns: of frozen paths.
      collections: whether paths begin with the name of a collection, as Linen's do: `batch_stats/BatchNorm_0/mean` is
        of `BatchNorm_0`.
    """
    if not patterns or jax.tree.structure(before) != jax.tree.structure(after):
        return after

    def kept(path: tuple, old: Tree, new: Tree) -> Tree:
        return old if path_matches(path_text(path[1:] if collections else path), patterns) else new

    return jax.tree.map_with_path(kept, before, after)


def path_matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether a path, or a folder above it, matches one of the patterns.

    Example:
      >>> path_matches("encoder/Dense_0/bias", ["encoder"]), path_matches("encoder_2/bias", ["encoder"])
      (True, False)
    """
    return any(fnmatch.fnmatchcase(path, each) or fnmatch.fnmatchcase(path, f"{each}/*") for each in patterns)
