"""Updates of weights that wait for all gradients, so that XLA needs no copy of the weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from verax.trees import Tree, is_floating


def after_all(updates: Tree, grads: Tree) -> Tree:
    """Returns the same updates, on a CPU none of them ready before all gradients are.

    A layer's weights are read by the backward pass, but their update needs the layer's own gradient alone. As far as
    XLA knows it may come first, so in each step of a loop it copies all weights, to have the old ones to read. Here
    each update is multiplied by a 1 that is computed from one number of every gradient. That it is 1, XLA cannot see.

    Args:
      updates: of the parameters, as an optimizer gives them.
      grads: all gradients that were computed from the old parameters.
    """
    leaves = [leaf for leaf in jax.tree.leaves(grads) if is_floating(leaf) and leaf.size]
    if jax.default_backend() != "cpu" or len(leaves) < 2:
        return updates
    firsts = [lax.slice(leaf, (0,) * leaf.ndim, (1,) * leaf.ndim).reshape(()) for leaf in leaves]
    numbers = sum((first == first).astype(jnp.int32) for first in firsts)
    one = 1 + lax.div(numbers, jnp.int32(len(leaves) + 1))
    return jax.tree.map(lambda leaf: leaf * one.astype(leaf.dtype) if is_floating(leaf) else leaf, updates)
