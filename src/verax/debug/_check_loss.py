"""All that can be checked of a loss in a few seconds: for a test of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch
from verax.debug._gradients import check_gradients
from verax.debug._key_reuse import key_reuse
from verax.debug._purity import purity
from verax.findings import Finding, InputError, Leaf
from verax.network import Variables, as_network
from verax.train import Objective
from verax.trees import Tree, is_floating, leaves_by_path


def check_loss(loss: Any, params: Any, *args: Any, network: Any = None, seed: int = 0) -> tuple[Finding, ...]:
    """Returns what is wrong with a loss: not finite, gradients wrong or absent, not pure, a random key used twice.

    Args:
      loss: `loss(params, *args) -> scalar`, any function; or an `Objective`, with the `network` that it is for: the
        network is then initialised and trained on as a step does, with noise and batch statistics.
      params: the tree to differentiate by; with an `Objective`, a batch in its place.
      args: further arguments of the loss: a batch, a key.
      network: for an `Objective`: a `Network`, or a model that `as_network` recognises.
      seed: of the initial weights, the noise, and the place where gradients that are zero are looked at again.

    Raises:
      InputError: if an `Objective` comes without a network or without a batch.

    Example:
      >>> def loss(params, inputs):
      ...     return jnp.mean(jnp.tanh(inputs @ params["kernel"]) ** 2)
      >>> check_loss(loss, {"kernel": jnp.ones((2, 1)), "forgotten": jnp.ones(3)}, jnp.ones((4, 2)))[0].id
      'parameter-without-gradient'
    """
    if isinstance(loss, Objective):
        if network is None or not isinstance(params, Batch) or args:
            raise InputError("an objective is checked on a batch, with its network: (objective, batch, network=...).")
        loss, params, args = _of_objective(loss, params, as_network(network), seed)
    elif network is not None:
        raise InputError("network= belongs to an objective; a plain loss takes (loss, params, *args).")
    found = [each for each in purity(loss, params, *args) if each.severity != "info"]
    if not found:
        found = [*_values(loss, params, args, seed)]
    if not found:
        found = [*check_gradients(loss, params, *args, seed=seed).findings]
    return (*found, *key_reuse(loss, params, *args))


def _of_objective(objective: Objective, batch: Batch, network: Any, seed: int) -> tuple[Any, Tree, tuple[Any, ...]]:
    init_key, key = jax.random.split(jax.random.key(seed))
    variables = network.init(init_key, batch.inputs)
    bound = objective.bind(network)

    def loss(params: Tree, model_state: Tree, batch: Batch, key: Any) -> Any:
        value = bound(Variables(params, model_state), batch, key)
        return value.total / value.weight

    return loss, variables.params, (variables.model_state, batch, key)


def _values(loss: Callable[..., Any], params: Tree, args: tuple[Any, ...], seed: int) -> list[Finding]:
    """Returns what is not finite; failing that, the leaves whose gradient is zero here and near here."""
    gradient = jax.jit(jax.value_and_grad(loss, allow_int=True))
    value, grads = gradient(params, *args)
    if not np.isfinite(value):
        return [Finding("non-finite-loss", "error", f"the loss is {value}.", "Look for log, sqrt and division at 0.")]
    floating = {path: np.asarray(leaf) for path, leaf in leaves_by_path(grads).items() if is_floating(leaf)}
    bad = {path: int((~np.isfinite(leaf)).sum()) for path, leaf in floating.items()}
    if any(bad.values()):
        advice = "Look for log or division at zero, sqrt at zero, or a jnp.where whose unused branch is not finite."
        return [
            Finding("non-finite-gradient", "error", f"{number} derivatives are NaN or infinite.", advice, Leaf(path))
            for path, number in bad.items()
            if number
        ]
    still = {path for path, leaf in floating.items() if leaf.size and not leaf.any()}
    if still:  # a head that starts at zero hides the layers before it: look from a little beside
        again = leaves_by_path(gradient(_shaken(params, seed), *args)[1])
        still = {path for path in still if not np.asarray(again[path]).any()}
    advice = "Is it used? Look for stop_gradient, a cast to integers, argmax or rounding between it and the loss."
    return [
        Finding("parameter-without-gradient", "error", "the gradient is exactly 0.", advice, Leaf(path))
        for path in sorted(still)
    ]


def _shaken(params: Tree, seed: int) -> Tree:
    generator = np.random.default_rng(seed)

    def shaken(leaf: Any) -> Any:
        return leaf + jnp.asarray(generator.normal(0.0, 0.1, np.shape(leaf)), leaf.dtype)

    return jax.tree.map(lambda leaf: shaken(leaf) if is_floating(leaf) else leaf, params)
