"""What the optimizer makes of a loss that is measured in other units: whether it matters, and whether it does harm."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.doctor._subject import Subject, on_device
from verax.trees import Tree, all_finite, is_floating

SAME = 0.1  # relative; Adam's epsilon and clipping leave a few per cent


def minds_scale(subject: Subject, factor: float) -> bool:
    """Returns whether the first updates change with the unit of the loss: of SGD they do, of Adam they do not."""
    (_, _), grads = subject.gradient(*subject.variables, subject.batch, subject.noise(0))
    plain, scaled = (_updates(subject, _times(grads, number), steps=3) for number in (1.0, factor))
    length = float(optax.tree.norm(plain))
    return float(optax.tree.norm(jax.tree.map(jnp.subtract, plain, scaled))) > SAME * max(length, 1e-30)


def climbs(subject: Subject) -> bool:
    """Returns whether the optimizer's own updates go along the gradient: it maximises."""
    (_, _), grads = subject.gradient(*subject.variables, subject.batch, subject.noise(0))
    updates = _updates(subject, grads, steps=3)
    products = jax.tree.map(lambda a, b: float(jnp.vdot(a, b)), updates, grads)
    return sum(jax.tree.leaves(products)) > 0


def steps_raise_loss(subject: Subject, factor: float, *, steps: int = 3) -> bool:
    """Returns whether a few steps from the start on one batch, the loss times a factor, raise the loss of that batch,
    for each of the first three batches."""
    return all(_raises(subject, on_device(batch), factor, steps) for batch in subject.first_epoch[:3])


def _raises(subject: Subject, batch: Any, factor: float, steps: int) -> bool:
    params, model_state = subject.variables
    opt_state, key = subject.opt_state, subject.noise(0)
    (first, (_, _)), grads = subject.gradient(params, model_state, batch, key)
    loss = first
    for _ in range(steps):
        updates, opt_state = subject.optimizer.update(_times(grads, factor), opt_state, params)
        params = optax.apply_updates(params, updates)
        (loss, (_, _)), grads = subject.gradient(params, model_state, batch, key)
    return not (np.isfinite(loss) and bool(all_finite(params)) and float(loss) <= float(first))


def _updates(subject: Subject, grads: Tree, steps: int) -> Tree:
    """Returns the sum of the first updates for one gradient again and again: a warm-up starts at 0."""
    opt_state, params, total = subject.opt_state, subject.variables.params, None
    for _ in range(steps):
        updates, opt_state = subject.optimizer.update(grads, opt_state, params)
        total = updates if total is None else jax.tree.map(jnp.add, total, updates)
    assert total is not None
    return total


def _times(tree: Tree, factor: float) -> Tree:
    return jax.tree.map(lambda leaf: leaf * jnp.asarray(factor, leaf.dtype) if is_floating(leaf) else leaf, tree)
