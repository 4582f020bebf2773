"""A network over a whole split: its outputs, and its evaluation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch, Examples
from verax.evaluate._estimate import Estimate, mean_estimate
from verax.evaluate._evaluation import Evaluation
from verax.evaluate._score import score
from verax.findings import Finding, raise_errors
from verax.network import Network, Variables
from verax.trees import Tree, leaves_by_path


def predict(network: Network, variables: Variables, inputs: Tree, *, batch_size: int = 512) -> Tree:
    """Returns the outputs of a network in evaluation mode, as NumPy arrays.

    One program is compiled for all batches: the last is filled up with copies of the first example, cut off afterwards.

    Args:
      network: what is applied; without a key, so noise is off and batch statistics are not touched.
      variables: its parameters and model state.
      inputs: any tree whose leaves have a leading axis of examples.
      batch_size: how many examples at once; memory grows with it.

    Raises:
      InputError: if there is no example, or the leaves have different numbers of them.
      ValueError: if `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    size = _size(inputs, "inputs")
    batch_size = min(batch_size, size)
    parts = []
    for first in range(0, size, batch_size):
        count = min(batch_size, size - first)
        outputs = _forward(network, variables, _padded(_rows(inputs, first, count), inputs, batch_size - count))
        parts.append(_rows(outputs, 0, count))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def evaluate(
    network: Network,
    objective: Any,
    variables: Variables,
    examples: Examples,
    *,
    classes: tuple[str, ...] | list[str] | None = None,
    batch_size: int = 512,
) -> Evaluation:
    """Returns what a network achieves on a split: the metrics of its task, and the objective's own loss.

    Every average weights each example equally, whatever the size of the last batch. The loss has no penalty in it.

    Args:
      network: what is evaluated.
      objective: has `task`, `predictions(outputs)`, `losses(outputs, batch)` and `per_example`.
      variables: the network's parameters and model state.
      examples: inputs and targets.
      classes: the names of the classes.
      batch_size: how many examples at once. A loss of a whole batch is averaged over batches of this size.

    Raises:
      InputError: if inputs and targets have different numbers of examples, or do not fit the task.
    """
    size = _size(Examples(examples.inputs, examples.targets), "inputs and targets")
    outputs = predict(network, variables, examples.inputs, batch_size=batch_size)
    evaluation = Evaluation("custom", size, {})
    if objective.task != "custom":
        predictions = np.asarray(objective.predictions(outputs))
        evaluation = score(objective.task, predictions, examples.targets, classes=classes)
    loss = _own_loss(objective, outputs, examples, batch_size)
    return replace(evaluation, metrics={"loss": loss, **{k: v for k, v in evaluation.metrics.items() if k != "loss"}})


@partial(jax.jit, static_argnums=0)
def _forward(network: Network, variables: Variables, inputs: Tree) -> Tree:
    return network.apply(variables, inputs)[0]


def _rows(tree: Tree, first: int, count: int) -> Tree:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[first : first + count], tree)


def _padded(batch: Tree, inputs: Tree, missing: int) -> Tree:
    if missing == 0:
        return batch
    return jax.tree.map(
        lambda part, whole: np.concatenate([part, np.repeat(np.asarray(whole)[:1], missing, 0)]), batch, inputs
    )


def _own_loss(objective: Any, outputs: Tree, examples: Examples, batch_size: int) -> Estimate:
    """Returns the mean loss. Of a whole-batch loss, each batch is one observation, weighted by its size."""
    losses, sizes = [], []
    size = _size(examples.inputs, "inputs")
    for first in range(0, size, batch_size):
        rows = _rows((outputs, examples.inputs, examples.targets), first, batch_size)
        part, inputs, targets = jax.tree.map(jnp.asarray, rows)
        count = min(batch_size, size - first)
        loss = np.asarray(objective.losses(part, Batch(inputs, targets, jnp.ones(count))), np.float64)
        losses.append(loss.reshape(count, -1).mean(axis=1) if objective.per_example else loss.reshape(1))
        sizes.append(np.ones(count) if objective.per_example else np.array([float(count)]))
    return mean_estimate(np.concatenate(losses), np.concatenate(sizes))


def _size(tree: Tree, name: str) -> int:
    """Returns the number of examples of a tree.

    Raises:
      InputError: if there is none, or its leaves differ in it.
    """
    sizes = {path: np.shape(leaf)[0] if np.ndim(leaf) else None for path, leaf in leaves_by_path(tree).items()}
    values = set(sizes.values())
    if len(values) != 1 or None in values:
        found = ", ".join(
            f"{path or 'array'}: {size if size is not None else 'a scalar'}" for path, size in sizes.items()
        )
        problem = (
            f"{name} must have one number of examples on the leading axis of every leaf, got {found or 'no leaf'}."
        )
        raise_errors([Finding("length-mismatch", "error", problem, "Are all of the same split?")])
    if values == {0}:
        raise_errors([Finding("empty-split", "error", f"{name} must have at least one example, got none.")])
    return int(np.shape(jax.tree.leaves(tree)[0])[0])
