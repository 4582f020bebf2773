"""Mixup: every example blended with another one, and its target likewise."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from verax.data._batch import Batch
from verax.data.augment._augmentation import Augmentation, as_dtype, makes_augmentation, positive, whole
from verax.findings import InputError
from verax.trees import shape_text


@makes_augmentation
def mixup(alpha: Any, classes: int | None = None, *, binary: bool = False) -> Augmentation:
    """Returns an augmentation that blends each example with another of its batch: `share * own + (1 - share) * other`.

    Shares are drawn from Beta(alpha, alpha), one an example. Labels become distributions (examples, classes); targets
    that are floats (numbers, or distributions already) are blended as they are. Weights stay, and rows of weight 0
    (padding) neither change nor are mixed into others.

    Args:
      alpha: above 0; 0.2 to 0.4 are usual. Small ones leave most examples nearly as they are. May be traced.
      classes: number of classes, at least 1; needed where targets are integer labels of `vx.classification`.
      binary: whether targets are 0 or 1, one or several an example (`vx.binary`, `vx.multilabel`): they become the
        numbers between, probabilities of a 1.

    Raises:
      InputError: if an argument is out of its range; when traced, if inputs or targets cannot be blended.

    Example:
      >>> batch = vx.data.Batch(jnp.ones((4, 8, 8)), jnp.array([0, 1, 2, 0]), jnp.ones(4))
      >>> vx.data.augment.mixup(0.2, classes=3)(jax.random.key(0), batch).targets.shape
      (4, 3)

    References:
      Zhang et al. (2018), "mixup: Beyond Empirical Risk Minimization".
    """
    alpha = positive("alpha", alpha)
    classes = None if classes is None else whole("classes", classes)
    if binary and classes is not None:
        raise InputError(f"mixup takes classes or binary, one of them, got classes={classes} and binary=True.")

    def apply(key: Any, batch: Batch) -> Batch:
        share_key, partner_key = jax.random.split(key)
        is_real = real_rows(batch.weight)
        one, two = jax.random.loggamma(share_key, alpha, (2, *is_real.shape))  # gamma / (gamma + gamma) is beta
        shares = jnp.where(is_real, jax.nn.sigmoid(one - two), 1.0)
        other = partners(jax.random.uniform(partner_key, is_real.shape), is_real)
        inputs = jax.tree.map(lambda leaf: _blended(_blendable(leaf), shares, other), batch.inputs)
        targets = jax.tree.map(lambda leaf: _blended(_as_numbers(leaf, classes, binary), shares, other), batch.targets)
        return Batch(inputs, targets, batch.weight)

    shown = [("alpha", alpha)] + [("classes", classes)] * (classes is not None) + [("binary", True)] * bool(binary)
    return Augmentation("mixup", tuple(shown), apply)


def real_rows(weight: Num[Array, "examples ..."]) -> Bool[Array, "examples"]:
    """Returns which rows count: those with a weight above 0, in any of its further axes (tokens)."""
    return (weight > 0).reshape(weight.shape[0], -1).any(axis=1)


def partners(ranks: Float[Array, "examples"], is_real: Bool[Array, "examples"]) -> Int[Array, "examples"]:
    """Returns for each real row another real one, by a cycle through all of them in the order of `ranks`.

    A padding row is its own partner, and so is a real row that is alone.
    """
    order = jnp.argsort(jnp.where(is_real, ranks, 2.0))  # the real rows, shuffled, and then the padding
    position = jnp.arange(ranks.shape[0])
    following = jnp.where(position + 1 < is_real.sum(), position + 1, 0)
    return jnp.zeros_like(order).at[order].set(jnp.where(is_real[order], order[following], order))


def _blended(leaf: Num[Array, "examples ..."], shares: Any, other: Any) -> Num[Array, "examples ..."]:
    share = shares.reshape((-1,) + (1,) * (leaf.ndim - 1))
    wide = leaf.astype(jnp.float32)
    return as_dtype(share * wide + (1.0 - share) * wide[other], leaf.dtype)


def _blendable(leaf: Any) -> Any:
    leaf = jnp.asarray(leaf)
    if not (jnp.issubdtype(leaf.dtype, jnp.floating) or leaf.dtype == jnp.uint8):
        raise InputError(f"mixup blends inputs of floats or uint8, found {shape_text(leaf)}: codes cannot be blended.")
    return leaf


def _as_numbers(targets: Any, classes: int | None, binary: bool) -> Any:
    """Returns targets as numbers that can be blended: distributions for labels, floats for bits."""
    targets = jnp.asarray(targets)
    if binary:
        return targets.astype(jnp.float32)
    if jnp.issubdtype(targets.dtype, jnp.floating):
        if classes is not None and (targets.ndim != 2 or targets.shape[1] != classes):
            raise InputError(
                f"targets of floats must be distributions (examples, {classes}), found {shape_text(targets)}. For "
                "regression leave classes out."
            )
        return targets
    if targets.ndim != 1:
        said = f"mixup takes one label an example, found targets {shape_text(targets)}."
        raise InputError(f"{said} If they are 0 or 1, several an example, say binary=True.")
    if classes is None:
        said = f"mixup needs the number of classes for integer labels {shape_text(targets)}: classes=10."
        raise InputError(f"{said} If they are 0 or 1 for vx.binary, say binary=True.")
    return jax.nn.one_hot(targets, classes, dtype=jnp.float32)
