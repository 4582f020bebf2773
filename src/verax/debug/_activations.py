"""What each layer of a network does to a batch: read from the program, so the same for every library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from verax.debug._activation_reader import Fact, Reader
from verax.debug._activation_result import Activations
from verax.findings import InputError
from verax.jaxpr import evaluate
from verax.trees import is_key, leaves_by_path


def activations(function: Callable[..., Any], weights: Any, *inputs: Any) -> Activations:
    """Returns statistics of the activations of a network's layers on a batch.

    An activation is whatever elementwise function follows a product with weights, however it is spelled: `jax.nn.relu`,
    `jnp.maximum(x, 0)` and `jnp.where(x > 0, x, 0)` are one. Its slope at each unit and row is computed along with it,
    so that silent units (slope 0 on every row) and saturated ones (slopes below 1e-3) are told alike for all functions.
    Layers in a `scan` are seen too: of a recurrent network all steps together, of layers with stacked weights each by
    itself. The program is evaluated operation by operation, which holds all intermediate values; a few hundred rows
    tell enough.

    Args:
      function: `function(weights, *inputs)`, the forward pass, pure: `model.apply`, `lambda model, x: model(x)`.
      weights: parameters and whatever else does not depend on the inputs; any tree. Layers without a name of their own
        are named by the paths of these.
      inputs: a batch, in any trees; random keys among them are no inputs.

    Raises:
      InputError: if it is called under `jit`, `grad` or `vmap`.

    Example:
      >>> def network(params, x):
      ...     return jax.nn.relu(x @ params["hidden"] - 5.0) @ params["out"]
      >>> params = {"hidden": jnp.eye(3), "out": jnp.ones((3, 1))}
      >>> seen = activations(network, params, jax.random.normal(jax.random.key(0), (64, 3)))
      >>> [(layer.name, layer.function, layer.role, layer.silent) for layer in seen]
      [('hidden', 'relu', 'hidden', 1.0), ('out', 'linear', 'output', None)]
    """
    return read(function, weights, *inputs).activations


def read(function: Callable[..., Any], weights: Any, *inputs: Any) -> Reader:
    """Returns what was read from an evaluation; see `activations`."""
    flat, structure = jax.tree.flatten((weights, inputs))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in flat):  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError("activations needs values, got a traced array. Call it outside of jit, grad and vmap.")
    places = [place for place, leaf in enumerate(flat) if hasattr(leaf, "dtype")]
    leaves = [jnp.asarray(flat[place]) for place in places]
    paths = list(leaves_by_path(weights))

    def of_arrays(*arrays: Any) -> Any:
        everything = list(flat)
        for place, array in zip(places, arrays, strict=True):
            everything[place] = array
        weights, inputs = jax.tree.unflatten(structure, everything)
        return function(weights, *inputs)

    closed = jax.make_jaxpr(of_arrays)(*leaves)
    given = [
        Fact(leaf=paths[place]) if place < len(paths) else Fact(data=not is_key(leaf))
        for place, leaf in zip(places, leaves, strict=True)
    ]
    reader = Reader(leaves, given)
    reader.finish(evaluate(closed, leaves, reader.visit, over=reader.over))
    return reader
