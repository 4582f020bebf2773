"""A network over a whole split: its outputs, and its evaluation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from verax.data import Batch, Examples
from verax.evaluate._estimate import Estimate, mean_estimate
from verax.evaluate._evaluation import Evaluation
from verax.evaluate._score import Thresholds, score
from verax.evaluate._tokens import TokenScores, ratio_estimate, token_scores
from verax.findings import Finding, raise_errors
from verax.network import Network, Variables
from verax.trees import Tree, leaves_by_path

NUMBERS_AT_ONCE = 2**26  # of a language model's outputs: a quarter of a gigabyte in float32


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
    size = size_of(inputs, "inputs")
    batch_size = min(batch_size, size)
    parts = []
    for first in range(0, size, batch_size):
        count = min(batch_size, size - first)
        outputs = _forward(network, variables, padded(rows_of(inputs, first, count), inputs, batch_size - count))
        parts.append(rows_of(outputs, 0, count))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def evaluate(
    network: Network,
    objective: Any,
    variables: Variables,
    examples: Examples,
    *,
    classes: tuple[str, ...] | list[str] | None = None,
    batch_size: int = 512,
    threshold: Thresholds | None = None,
) -> Evaluation:
    """Returns what a network achieves on a split: the metrics of its task, and the objective's own loss.

    Every average weights each example equally, whatever the size of the last batch, unless the objective weighs classes
    or tokens itself. The loss has no penalty in it. Of a language model a batch's probabilities at most are held, never
    a text's; an autoencoder is held against its inputs.

    Args:
      network: what is evaluated.
      objective: has `task`, `predictions(outputs)`, `losses(outputs, batch)` and `per_example`; where it has them,
        `weights(batch)` says what counts how much, `wanted(examples)` what predictions are held against, and
        `spread(outputs)` gives a regressor's own uncertainty.
      variables: the network's parameters and model state.
      examples: inputs and targets.
      classes: the names of the classes, labels or outputs.
      batch_size: how many examples at once, at most; fewer where a language model's outputs would be too large. A loss
        of a whole batch is averaged over batches of this size.
      threshold: for binary and multilabel, from which probability on something is positive (see `score`).

    Raises:
      InputError: if inputs and targets have different numbers of examples, or do not fit the task.
    """
    size = size_of(Examples(examples.inputs, examples.targets), "inputs and targets")
    if objective.task == "language_model":
        return _evaluate_tokens(network, objective, variables, examples, batch_size)
    outputs = predict(network, variables, examples.inputs, batch_size=batch_size)
    evaluation = Evaluation("custom", size, {})
    if objective.task != "custom":
        predictions = np.asarray(objective.predictions(outputs))
        targets = _wanted(objective, examples)
        spread = getattr(objective, "spread", lambda outputs: None)(outputs)
        spread = None if spread is None else np.asarray(spread)
        evaluation = score(objective.task, predictions, targets, classes=classes, spread=spread, threshold=threshold)
    loss = _own_loss(objective, outputs, examples, batch_size)
    return replace(evaluation, metrics={"loss": loss, **{k: v for k, v in evaluation.metrics.items() if k != "loss"}})


@partial(jax.jit, static_argnums=0)
def _forward(network: Network, variables: Variables, inputs: Tree) -> Tree:
    return network.apply(variables, inputs)[0]


def rows_of(tree: Tree, first: int, count: int) -> Tree:
    """Returns some rows of every leaf, on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[first : first + count], tree)


def padded(batch: Tree, inputs: Tree, missing: int) -> Tree:
    """Returns a batch filled up with copies of the first example of the inputs that it is from."""
    if missing == 0:
        return batch
    return jax.tree.map(
        lambda part, whole: np.concatenate([part, np.repeat(np.asarray(whole)[:1], missing, 0)]), batch, inputs
    )


def _own_loss(objective: Any, outputs: Tree, examples: Examples, batch_size: int) -> Estimate:
    """Returns the mean loss. Of a whole-batch loss, each batch is one observation, weighted by its size."""
    totals, sizes = [], []
    size = size_of(examples.inputs, "inputs")
    for first in range(0, size, batch_size):
        rows = rows_of((outputs, examples.inputs, examples.targets), first, batch_size)
        part, inputs, targets = jax.tree.map(jnp.asarray, rows)
        count = min(batch_size, size - first)
        batch = Batch(inputs, targets, jnp.ones(count))
        loss = np.asarray(objective.losses(part, batch), np.float64)
        if not objective.per_example:
            totals.append(loss.reshape(1) * count)
            sizes.append(np.array([float(count)]))
            continue
        share = _shares(objective, batch, loss.shape)
        each = loss[0].size  # further axes of the loss are averaged over
        totals.append((loss * share).reshape(count, -1).sum(axis=1) / each)
        sizes.append(share.reshape(count, -1).sum(axis=1) / each)
    total, weight = np.concatenate(totals), np.concatenate(sizes)
    if np.ptp(weight[weight > 0]) == 0 or not objective.per_example:  # no need to estimate a ratio
        return mean_estimate(total[weight > 0] / weight[weight > 0], weight[weight > 0])
    return ratio_estimate(total[weight > 0], weight[weight > 0])


def _shares(objective: Any, batch: Batch, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Returns what each loss counts: the batch's weight, or the objective's own (class weights, padding)."""
    weights = getattr(objective, "weights", None)
    share = np.asarray(batch.weight if weights is None else weights(batch), np.float64)
    return np.broadcast_to(share.reshape(share.shape + (1,) * (len(shape) - share.ndim)), shape)


def _evaluate_tokens(
    network: Network, objective: Any, variables: Variables, examples: Examples, batch_size: int
) -> Evaluation:
    """Returns the evaluation of a language model, a batch at a time: its outputs never leave the compiled program."""
    size = size_of(examples.inputs, "inputs")
    one = jax.eval_shape(lambda rows: network.apply(variables, rows)[0], rows_of(examples.inputs, 0, 1))
    largest = max(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(one))
    batch_size = max(1, min(batch_size, size, NUMBERS_AT_ONCE // largest))
    scores, shares = [], []
    for first in range(0, size, batch_size):
        count = min(batch_size, size - first)
        rows = rows_of((examples.inputs, examples.targets), first, count)
        inputs, targets = padded(rows, (examples.inputs, examples.targets), batch_size - count)
        said = _token_scores(network, variables, inputs, targets)
        own_inputs, own_targets = jax.tree.map(jnp.asarray, rows)
        batch = Batch(own_inputs, own_targets, jnp.ones(count))
        scores.append(rows_of(said, 0, count))
        shares.append(_shares(objective, batch, np.shape(rows[1])))
    whole = TokenScores(*(np.concatenate(parts) for parts in zip(*scores, strict=True)))
    return score("language_model", whole, examples.targets, weight=np.concatenate(shares))


@partial(jax.jit, static_argnums=0)
def _token_scores(network: Network, variables: Variables, inputs: Tree, targets: Any) -> TokenScores:
    return token_scores(network.apply(variables, inputs)[0], targets)


def _wanted(objective: Any, examples: Examples) -> Any:
    """Returns what predictions are held against: the objective says, else targets, or an autoencoder's inputs."""
    wanted = getattr(objective, "wanted", None)
    if wanted is not None:
        return np.asarray(wanted(examples))
    return examples.inputs if objective.task == "autoencoder" else examples.targets


def size_of(tree: Tree, name: str) -> int:
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
