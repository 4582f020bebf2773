"""A training program in its parts: what the doctor examines. It need not have been trained by Verax."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
import optax

from verax.data import Examples
from verax.findings import InputError
from verax.network import as_network
from verax.trees import Tree

Kind = Literal["classification", "binary", "multilabel", "regression", "sequence", "custom"]
KINDS = ("classification", "binary", "multilabel", "regression", "sequence", "custom")
Pair = tuple[Tree, Tree]


@dataclass(frozen=True, eq=False)
class TrainingProgram:
    """A training program in its parts, as they stand in a script with a loop of its own.

    Attributes:
      network: a model of Flax Linen or NNX, Haiku or Equinox, a pair of functions, or a `vx.Network`.
      loss: `(outputs, targets) -> losses`, one for each example, or one number; what is minimised is their mean.
      optimizer: any Optax transformation.
      train: inputs and targets of the training split, arrays (or trees of them) with a leading axis of examples.
      test: likewise of the split by which the program is judged; None where there is none.
      task: `classification` (targets are classes), `binary` (0 and 1), `multilabel`, `regression`, `sequence` (a class
        at every position; negative targets do not count) or `custom`, of which outputs and targets say nothing.
      batch_size: examples a step.
      epochs: passes over the training split.
      seed: of initial weights, noise and the order of the data.
      batches: `(inputs, targets, epoch) -> pairs of inputs and targets`, the batches of an epoch; None shuffles the
        rows in each epoch and drops the remainder.
      evaluate: `(variables, inputs, key) -> outputs`, how the program is asked once it is trained; None applies the
        network in evaluation mode, without a key.
      evaluation_batch: rows that are evaluated together; None for all at once.
      predict: `outputs -> predictions`, classes or numbers; None takes the largest output, or outputs above zero where
        the task is binary.
      probabilities: `outputs -> probabilities` of the classes (of class 1, where binary); None takes the softmax (the
        sigmoid).
      scored: `targets -> mask`, the positions that count in the score; None takes all, of sequences those not negative.

    Raises:
      InputError: if a part is of the wrong kind, or inputs and targets differ in length.

    Example:
      >>> import optax
      >>> inputs, targets = np.ones((8, 3), np.float32), np.zeros(8, np.float32)
      >>> linear = (lambda key, x: jnp.zeros(3), lambda params, x: x @ params)
      >>> loss = lambda outputs, targets: (outputs - targets) ** 2
      >>> TrainingProgram(linear, loss, optax.sgd(0.1), (inputs, targets), task="regression").batch_size
      32
    """

    network: Any
    loss: Callable[[Tree, Tree], Any]
    optimizer: optax.GradientTransformation
    train: Pair
    test: Pair | None = None
    task: str = "custom"  # one of KINDS; any other is an InputError that says so
    batch_size: int = 32
    epochs: int = 1
    seed: int = 0
    batches: Callable[[Tree, Tree, int], Iterable[Pair]] | None = None
    evaluate: Callable[[Any, Tree, Any], Tree] | None = None
    evaluation_batch: int | None = None
    predict: Callable[[Tree], Any] | None = None
    probabilities: Callable[[Tree], Any] | None = None
    scored: Callable[[Tree], Any] | None = None

    def __post_init__(self) -> None:
        if self.task not in KINDS:
            raise InputError(f"task must be one of {', '.join(KINDS)}, got {self.task!r}.")
        try:
            as_network(self.network)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from error
        for name in ("loss", "batches", "evaluate", "predict", "probabilities", "scored"):
            value = getattr(self, name)
            if not (callable(value) or (value is None and name != "loss")):
                raise InputError(f"{name} must be a function, got {type(value).__name__} {value!r}.")
        if not isinstance(self.optimizer, optax.GradientTransformation):
            raise InputError(f"optimizer must be an Optax transformation, got {type(self.optimizer).__name__}.")
        for name in ("batch_size", "epochs", "evaluation_batch"):
            value = getattr(self, name)
            if not (value is None and name == "evaluation_batch") and (not isinstance(value, int) or value < 1):
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}.")
        for name in ("train", "test"):
            if getattr(self, name) is not None:
                _check_pair(name, getattr(self, name))


def _check_pair(name: str, pair: Any) -> None:
    """Raises an InputError unless a split is a pair of trees of arrays with one leading axis."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"{name} must be a pair (inputs, targets), got {type(pair).__name__}.")
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in jax.tree.leaves(tuple(pair))}
    if len(lengths) != 1 or None in lengths or 0 in lengths:
        shapes = ", ".join(str(np.shape(leaf)) for leaf in jax.tree.leaves(tuple(pair)))
        raise InputError(f"inputs and targets of {name} must have the same number of rows, at least 1, got {shapes}.")


def examples_of(pair: Pair) -> Examples:
    """Returns a split on the host."""
    return Examples(jax.tree.map(np.asarray, pair[0]), jax.tree.map(np.asarray, pair[1]))
