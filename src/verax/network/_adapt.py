"""Recognises a model by its type and adapts it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from verax.network._functions import from_functions
from verax.network._haiku import from_haiku
from verax.network._linen import from_linen
from verax.network._network import Network


def as_network(model: Any) -> Network:
    """Returns a model as a network: a Linen module, a Haiku transform, a pair of functions, or a Network as it is.

    Raises:
      TypeError: if the model is none of these.
      InputError: if it needs arguments that are neither inputs nor mode.

    Example:
      >>> network = as_network((lambda key, x: jnp.ones(x.shape[1:]), lambda params, x: x @ params))
      >>> network.library
      'functions'
    """
    adapted = _adapt(model, by_keyword=False, mode=None)
    if adapted is not None:
        return adapted
    if type(model) is tuple and len(model) == 2 and all(callable(each) for each in model):
        return from_functions(*model)
    found, advice = type(model).__name__, "Wrap other models with vx.Network(init, apply_fn)."
    if isinstance(model, type):
        found, advice = f"the class {model.__name__}", f"Make one of it: {model.__name__}(...)."
    raise TypeError(
        f"network must be a Flax Linen module, a Haiku transform, a pair of functions (init, apply) or a vx.Network, "
        f"got {found}. {advice}"
    )


def call_with_kwargs(model: Any, *, mode: Mapping[str, bool] | None = None) -> Network:
    """Returns a model that takes several inputs as a network whose inputs are a dict of keyword arguments.

    Args:
      model: a Linen module or a Haiku transform.
      mode: argument names with their values in training, where detection is wrong.

    Raises:
      TypeError: if the model is neither.

    Example:
      >>> from flax import linen as nn
      >>> class Add(nn.Module):
      ...     @nn.compact
      ...     def __call__(self, left, right):
      ...         return nn.Dense(1)(left) + right
      >>> network = call_with_kwargs(Add())
      >>> inputs = {"left": jnp.ones((2, 3)), "right": jnp.ones((2, 1))}
      >>> network.apply(network.init(jax.random.key(0), inputs), inputs)[0].shape
      (2, 1)
    """
    adapted = _adapt(model, by_keyword=True, mode=mode)
    if adapted is None or isinstance(model, Network):
        raise TypeError(f"call_with_kwargs takes a Linen module or a Haiku transform, got {type(model).__name__}.")
    return adapted


def _adapt(model: Any, *, by_keyword: bool, mode: Mapping[str, bool] | None) -> Network | None:
    """Returns the adapted model, or None if it is of no library that has been imported."""
    if isinstance(model, Network):
        return model
    linen, haiku = sys.modules.get("flax.linen"), sys.modules.get("haiku")
    if linen is not None and isinstance(model, linen.Module):
        return from_linen(model, mode=mode, by_keyword=by_keyword)
    if haiku is not None and isinstance(model, haiku.Transformed | haiku.TransformedWithState):
        return from_haiku(model, mode=mode, by_keyword=by_keyword)
    return None
