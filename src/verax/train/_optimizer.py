"""What Verax does around an Optax optimizer: which leaves decay, and probes of what the optimizer hides."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool

from verax.trees import Tree, all_finite, path_text

NEVER_DECAYED = ("bias", "b", "scale", "offset", "gamma", "beta")


def decay_mask(params: Tree) -> Tree:
    """Returns a tree of bools: True for the weights that decay, False for biases and normalisation scales.

    A leaf decays if it has at least two axes and is not named like a bias or a scale. Give it to Optax as
    `optax.adamw(1e-3, mask=vx.decay_mask)`; `vx.train` leaves the others alone by default.

    Example:
      >>> decay_mask({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)})
      {'bias': False, 'kernel': True}
    """

    def decays(path: tuple[Any, ...], leaf: Any) -> bool:
        return jnp.ndim(leaf) >= 2 and path_text(path[-1:]) not in NEVER_DECAYED

    return jax.tree.map_with_path(decays, params)


class OptimizerFacts(NamedTuple):
    """What a probe of an optimizer found.

    Attributes:
      hides_nonfinite: a NaN or Inf in the gradients leaves no trace in the updates.
      decays_all: with zero gradients, leaves that should not decay are moved.
      decay_is_additive: the parameters enter the update only as a decay term, so it can be left out leaf by leaf.
    """

    hides_nonfinite: Bool[Array, ""]
    decays_all: Bool[Array, ""]
    decay_is_additive: Bool[Array, ""]


def probe_optimizer(optimizer: optax.GradientTransformation, params: Tree) -> OptimizerFacts:
    """Returns what an optimizer does with bad gradients and with parameters, measured on a tiny tree of the same paths.

    Traceable; costs microseconds, because every axis is shortened to length 1 or 2.
    """
    shapes = jax.tree.map(lambda leaf: (min(2, size) for size in leaf.shape), params)
    tiny = jax.tree.map(
        lambda leaf, shape: jnp.full(tuple(shape), 0.5, leaf.dtype),
        params,
        shapes,
        is_leaf=lambda x: hasattr(x, "shape"),
    )
    update = optax.with_extra_args_support(optimizer).update
    state = optimizer.init(tiny)

    def updates(gradient: float, at: Tree) -> Tree:
        grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, gradient), at)
        loss = jnp.asarray(1.0)
        return update(grads, state, at, value=loss, grad=grads, value_fn=lambda _: loss)[0]

    zeros = jax.tree.map(jnp.zeros_like, tiny)
    hidden = jnp.array([all_finite(updates(bad, tiny)) for bad in (jnp.nan, jnp.inf)]).any()
    still, still_at_zero = updates(0.0, tiny), updates(0.0, zeros)
    moved = [
        jnp.any(leaf != 0)
        for leaf, decays in zip(jax.tree.leaves(still), jax.tree.leaves(decay_mask(params)), strict=True)
        if not decays
    ]
    decay = jax.tree.map(jnp.subtract, still, still_at_zero)
    effect = jax.tree.map(jnp.subtract, updates(0.25, tiny), updates(0.25, zeros))
    alike = jax.tree.map(lambda a, b: jnp.allclose(a, b, rtol=1e-3, atol=1e-7), decay, effect)
    return OptimizerFacts(
        hidden, jnp.array(moved).any() if moved else jnp.array(False), jnp.array(jax.tree.leaves(alike)).all()
    )


def decay_weights_only(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer with its weight decay kept from biases and normalisation scales.

    The optimizer is shown zeros in place of those leaves, so its decay term vanishes there and nothing else changes:
    right for optimizers in which parameters enter by decay alone (`OptimizerFacts.decay_is_additive`).
    """
    inner = optax.with_extra_args_support(optimizer)

    def update(updates: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
        if params is None:
            return inner.update(updates, state, params, **extra)
        shown = jax.tree.map(lambda leaf, decays: leaf if decays else jnp.zeros_like(leaf), params, decay_mask(params))
        return inner.update(updates, state, shown, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update)
