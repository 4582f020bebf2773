"""How wrong each answer of a network is: one number a row, the same for every kind of task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from verax.data import Batch, Examples
from verax.doctor._subject import Subject
from verax.network import Variables
from verax.trees import Tree


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network gave for some rows, and how wrong it was.

    Attributes:
      outputs: as the network gave them, on the host.
      targets: what was wanted.
      losses: of each row, where the loss is one of each row; else None.
      loss: the mean loss.
      errors: of each row, from 0: whether a class is wrong (for sequences, of each position that counts); the squared
        error over the variance of the training targets; the loss where the task is custom.
      classes: the wanted class of each error, where there are classes; else None.
    """

    outputs: Tree
    targets: Tree
    losses: Float[np.ndarray, " rows"] | None
    loss: float
    errors: Float[np.ndarray, " errors"]
    classes: np.ndarray | None

    @property
    def error(self) -> float:
        """The mean error; of classes, each class counts the same."""
        return float(np.average(self.errors, weights=self.balance))

    @property
    def balance(self) -> Float[np.ndarray, " errors"]:
        """What each error counts, so that all classes count the same; their mean is 1."""
        if self.classes is None or not len(self.errors):
            return np.ones(len(self.errors))
        _, place, counts = np.unique(self.classes, return_inverse=True, return_counts=True)
        return len(self.errors) / (len(counts) * counts[place.reshape(-1)])

    @property
    def finite(self) -> bool:
        """Whether loss and errors are finite."""
        return bool(np.isfinite(self.loss) and np.isfinite(self.errors).all())


def answers_of(subject: Subject, variables: Variables, rows: Examples | Batch) -> Answers:
    """Returns what a network gives for some rows, asked as the trained program is."""
    return judged(subject, subject.outputs_on(variables, rows.inputs), rows.targets)


def judged(subject: Subject, outputs: Tree, targets: Tree) -> Answers:
    """Returns how wrong given outputs are."""
    outputs, targets = jax.tree.map(np.asarray, (outputs, targets))
    count = len(jax.tree.leaves(targets)[0])
    batch = Batch(None, jax.tree.map(jax.numpy.asarray, targets), np.ones(count, np.float32))
    losses = np.asarray(subject.losses(jax.tree.map(jax.numpy.asarray, outputs), batch), np.float64)
    by_row = losses.reshape(count, -1).mean(axis=1) if losses.ndim and losses.shape[0] == count else None
    errors, classes = errors_of(subject, outputs, targets)
    if errors is None:
        errors = by_row if by_row is not None else np.full(count, losses.mean())
    return Answers(outputs, targets, by_row, float(losses.mean()), np.asarray(errors, np.float64), classes)


def errors_of(subject: Subject, outputs: Tree, targets: Tree) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns the error of each row or position, and its class; None and None where the task does not say."""
    if subject.task == "custom" or not isinstance(targets, np.ndarray):
        return None, None
    if subject.task == "regression":
        predicted = np.asarray(outputs if subject.predict is None else subject.predict(outputs))
        if not isinstance(predicted, np.ndarray) or predicted.size != targets.size:
            return None, None
        squares = np.square(predicted.reshape(targets.shape).astype(np.float64) - targets)
        return squares.reshape(len(targets), -1).mean(axis=1) / max(target_variance(subject), 1e-30), None
    predicted = hard_predictions(subject, outputs)
    if predicted is None:
        return None, None
    wanted = targets.argmax(-1) if targets.ndim > predicted.ndim and targets.ndim > 1 else targets
    if wanted.size != predicted.size:
        return None, None
    wanted, predicted = wanted.reshape(-1), predicted.reshape(-1)
    counts = counted(subject, targets).reshape(-1) if subject.task == "sequence" else np.ones(len(wanted), bool)
    wrong = (predicted != wanted).astype(np.float64)
    if subject.task == "multilabel":
        return wrong.reshape(len(targets), -1).mean(axis=1), None
    return wrong[counts], wanted[counts]


def hard_predictions(subject: Subject, outputs: Tree) -> np.ndarray | None:
    """Returns the classes that a classifier answers with; None where its outputs do not say."""
    if subject.predict is not None:
        return np.asarray(subject.predict(outputs))
    if not isinstance(outputs, np.ndarray):
        return None
    if subject.task == "binary" and (outputs.ndim == 1 or outputs.shape[-1] == 1):
        return (outputs.reshape(-1) > 0).astype(np.int32)
    if subject.task == "multilabel":
        return (outputs > 0).astype(np.int32)
    return outputs.argmax(-1)


def stated_probabilities(subject: Subject, outputs: Tree) -> np.ndarray | None:
    """Returns the probabilities of the classes (rows, classes) that a classifier states; None where it states none."""
    if subject.task not in ("classification", "binary") or not isinstance(outputs, np.ndarray):
        return None
    if subject.probabilities is not None:
        stated = np.asarray(subject.probabilities(outputs), np.float64)
    elif subject.predict is not None:
        return None  # a program with predictions of its own does not say that its outputs are logits
    elif subject.task == "binary" and (outputs.ndim == 1 or outputs.shape[-1] == 1):
        stated = 1 / (1 + np.exp(-np.clip(outputs.astype(np.float64), -500, 500)))
    else:
        shifted = outputs.astype(np.float64) - outputs.max(-1, keepdims=True)
        stated = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
    if stated.ndim == 1 or stated.shape[-1] == 1:
        stated = np.stack([1 - stated.reshape(-1), stated.reshape(-1)], axis=1)
    return stated


def counted(subject: Subject, targets: np.ndarray) -> np.ndarray:
    """Returns which positions of a sequence count in its score."""
    mask = targets >= 0 if subject.scored is None else np.asarray(subject.scored(targets), bool)
    return np.broadcast_to(mask, targets.shape)


def target_variance(subject: Subject) -> float:
    """Returns the variance of the training targets, each output for itself."""
    return float(np.var(np.asarray(subject.train.targets, np.float64), axis=0).mean())


def constant_error(subject: Subject, rows: Examples | Batch) -> float:
    """Returns the error of the best constant answer: the commonest class for all, the mean."""
    if subject.task == "regression":
        wanted, known = (np.asarray(each, np.float64) for each in (rows.targets, subject.train.targets))
        return float(np.square(wanted - known.mean(axis=0)).mean() / max(target_variance(subject), 1e-30))
    classes = np.unique(np.asarray(subject.train.targets)[counted_rows(subject)])
    return 1 - 1 / max(1, len(classes))  # of balanced classes, whichever is answered


def counted_rows(subject: Subject) -> Any:
    """Returns the training targets that count, as an index."""
    targets = np.asarray(subject.train.targets)
    return counted(subject, targets) if subject.task == "sequence" else slice(None)
