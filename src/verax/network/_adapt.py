"""Recognises a model by its type and adapts it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any

from verax.network._equinox import from_equinox
from verax.network._functions import from_functions
from verax.network._haiku import from_haiku
from verax.network._linen import from_linen
from verax.network._network import Network
from verax.network._nnx import from_nnx

MODULES = "a module of Flax Linen, Flax NNX or Equinox, or a Haiku transform"


def as_network(model: Any) -> Network:
    """Returns a model of any library as a network; a Network is returned as it is.

    It may be a Flax Linen module, a Haiku transform, a Flax NNX or Equinox module, or a pair of functions. In place of
    an NNX or Equinox module, which holds its weights, its class or a `functools.partial` of its class may be given: the
    weights are then drawn from the run's seed.

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
    elif type(model) is tuple and any(_adapt(each, by_keyword=False, mode=None) is not None for each in model):
        found = f"a tuple of {' and '.join(type(each).__name__ for each in model)}"
        advice = "Pass a stateful Equinox module as vx.from_equinox(module, state=state)."
    elif callable(model):
        advice += " Wrap a function that makes a module with vx.from_nnx or vx.from_equinox."
    raise TypeError(
        "network must be a Flax Linen module, a Haiku transform, a pair of functions (init, apply), a Flax NNX or "
        f"Equinox module or what makes one, or a vx.Network, got {found}. {advice}"
    )


def call_with_kwargs(model: Any, *, mode: Mapping[str, bool] | None = None) -> Network:
    """Returns a model that takes several inputs as a network whose inputs are a dict of keyword arguments.

    Args:
      model: a module or transform of any library.
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
        raise TypeError(f"call_with_kwargs takes {MODULES}, got {type(model).__name__}.")
    return adapted


def _adapt(model: Any, *, by_keyword: bool, mode: Mapping[str, bool] | None) -> Network | None:
    """Returns the adapted model, or None if it is of no library that has been imported."""
    if isinstance(model, Network):
        return model
    linen, nnx, haiku, equinox = map(sys.modules.get, ("flax.linen", "flax.nnx", "haiku", "equinox"))
    if linen is not None and isinstance(model, linen.Module):
        return from_linen(model, mode=mode, by_keyword=by_keyword)
    if haiku is not None and isinstance(model, haiku.Transformed | haiku.TransformedWithState):
        return from_haiku(model, mode=mode, by_keyword=by_keyword)
    if nnx is not None and _is_or_makes(model, nnx.Module):
        return from_nnx(model, mode=mode, by_keyword=by_keyword)
    if equinox is not None and _is_or_makes(model, equinox.Module):
        return from_equinox(model, mode=mode, by_keyword=by_keyword)
    return None


def _is_or_makes(model: Any, module_class: type) -> bool:
    """Returns whether a model is a module of a class, or its class, or a `functools.partial` of its class."""
    made = model.func if isinstance(model, functools.partial) else model
    return isinstance(model, module_class) or (isinstance(made, type) and issubclass(made, module_class))
