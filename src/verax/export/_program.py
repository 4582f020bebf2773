"""The program that is exported: raw inputs through preprocessing and network to predictions, all arrays arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Preprocessing
from verax.findings import Finding, InputError, Leaf, raise_errors
from verax.network import Variables, as_network
from verax.trees import Tree, leaves_by_path, path_text

WITH_THRESHOLD = ("binary", "multilabel")
_INTEGERS = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
_STORED = {"bool", *_INTEGERS, "float16", "bfloat16", "float32", "float64", "complex64"}


@runtime_checkable
class Predicts(Protocol):
    """What an export needs of an objective; every `vx.Objective` has it."""

    @property
    def task(self) -> str:
        """The name of the task."""
        ...

    @property
    def recalibrates(self) -> bool:
        """Whether the outputs are logits, which a temperature may divide."""
        ...

    def heads(self, outputs: Tree) -> dict[str, Any]:
        """Returns what the model gives besides its raw outputs, by name, from those outputs."""
        ...


class Program(NamedTuple):
    """A program and what it is called with.

    Attributes:
      function: `(weights, raw) -> {"outputs": ..., "probabilities": ...}`, with the heads of the task; pure, traceable.
      weights: parameters, model state, preprocessing statistics, temperature and threshold, all leaves by path, on the
        host.
    """

    function: Callable[[dict[str, Any], Tree], dict[str, Any]]
    weights: dict[str, np.ndarray]


def make_program(
    network: Any,
    objective: Predicts,
    variables: Variables,
    preprocessing: Preprocessing,
    temperature: float | None = None,
    threshold: Any = None,
) -> Program:
    """Returns a trained network in evaluation mode as one program over raw inputs.

    Args:
      network: a `vx.Network`, or any model that `vx.as_network` knows.
      objective: says what the outputs mean; its loss is not used.
      variables: the trained weights.
      preprocessing: fitted; becomes part of the program.
      temperature: divides the logits before they become probabilities; None for the network's own probabilities.
      threshold: from which probability on a label is there, one number or one a label; None for none.

    Raises:
      InputError: if a leaf cannot be stored, or a temperature or a threshold does not fit the task.
    """
    network = as_network(network)
    if not isinstance(variables, Variables):
        raise InputError(
            f"variables must be vx.Variables(params, model_state), got {type(variables).__name__}. "
            "For a network without state: vx.Variables(params, {})."
        )
    if temperature is not None and not objective.recalibrates:
        raise InputError(f"temperature is for tasks with logits, got one for task {objective.task!r}.")
    if temperature is not None and not 0 < float(temperature) < float("inf"):
        raise InputError(f"temperature must be positive and finite, got {temperature}.")

    tree: dict[str, Any] = {
        "params": variables.params,
        "model_state": variables.model_state,
        "preprocessing": preprocessing.arrays,
    }
    if temperature is not None:
        tree["temperature"] = np.array(temperature, np.float32)
    if threshold is not None:
        tree["threshold"] = checked_threshold(objective.task, threshold)
    weights = _weights_by_path(tree)
    structure, paths = jax.tree.structure(tree), list(weights)

    def program(weights: dict[str, Any], raw: Tree) -> dict[str, Any]:
        held = jax.tree.unflatten(structure, [weights[path] for path in paths])
        inputs = preprocessing.apply(held["preprocessing"], raw)
        outputs, _ = network.apply(Variables(held["params"], held["model_state"]), inputs)
        logits = outputs / held["temperature"].astype(outputs.dtype) if "temperature" in held else outputs
        heads = objective.heads(logits)
        if "threshold" in held:
            scored = heads["probabilities"]
            positive = scored[..., 1] if objective.task == "binary" else scored
            cut = held["threshold"].astype(positive.dtype)
            cut = cut.reshape((1,) * (positive.ndim - cut.ndim) + cut.shape)
            heads = {**heads, "labels": (positive >= cut).astype(jnp.int32)}
        return {"outputs": outputs, **heads}

    return Program(program, weights)


def checked_threshold(task: str, threshold: Any) -> np.ndarray:
    """Returns a threshold as an array: one number, or one a label.

    Raises:
      InputError: if the task decides nothing by one, or a number is outside [0, 1].
    """
    if task not in WITH_THRESHOLD:
        raise InputError(f"threshold is for {' and '.join(WITH_THRESHOLD)}, got one for task {task!r}.")
    values = np.asarray(getattr(threshold, "values", threshold), np.float32)
    values = values.reshape(()) if values.size == 1 else values
    if values.ndim > 1 or (task == "binary" and values.ndim) or not ((values >= 0) & (values <= 1)).all():
        several = "" if task == "binary" else ", or one for each label"
        raise InputError(f"threshold must be a number in [0, 1]{several}, got {values.tolist()}.")
    return values


def specs(arrays: Tree) -> Tree:
    """Returns shapes and dtypes in place of arrays."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype), arrays)


def is_x64() -> bool:
    """Returns whether 64-bit types are enabled here."""
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def _weights_by_path(tree: Tree) -> dict[str, np.ndarray]:
    if len(leaves_by_path(tree)) != len(jax.tree.leaves(tree)):
        paths = [path_text(path) for path, _ in jax.tree.leaves_with_path(tree)]
        twice = next(path for path in paths if paths.count(path) > 1)
        raise InputError(f"paths of weights must be distinct, found {twice!r} twice. Rename a layer without '/'.")
    weights, problems = {}, []
    for path, leaf in leaves_by_path(tree).items():
        found = _unstorable(leaf)
        if found:
            problems.append(Finding("unstorable-leaf", "error", *found, where=Leaf(path)))
        else:
            weights[path] = np.asarray(jnp.asarray(leaf), order="C")
    raise_errors(problems)
    return weights


def _unstorable(leaf: Any) -> tuple[str, str] | None:
    """Returns what is wrong with a leaf and what to do, or None."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return (
            f"an array of numbers is expected, found a random key ({leaf.dtype}).",
            "Keep keys out of the model state: a model is exported in evaluation mode, without noise.",
        )
    try:
        dtype = jnp.asarray(leaf).dtype
    except TypeError:
        return f"an array of numbers is expected, found {type(leaf).__name__}.", "Keep it out of the variables."
    if dtype.name not in _STORED:
        return f"a dtype that safetensors can hold is expected, found {dtype.name}.", "Cast it to bfloat16 or float32."
    return None
