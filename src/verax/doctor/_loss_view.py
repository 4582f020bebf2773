"""A program's loss as a function of its outputs alone: what the loss probes ask."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch
from verax.doctor._probe import NotApplicable
from verax.doctor._subject import Subject, on_device
from verax.jaxpr import Range, output_ranges
from verax.trees import Tree

Layout = Literal["classes", "logits", "numbers", "other"]
CLASS_TASKS = ("classification", "binary", "sequence")


class Asked(NamedTuple):
    """The loss at some outputs, with its derivative by them.

    Attributes:
      loss: of each example, or of the batch.
      slope: the derivative of these losses by the outputs; of their shape.
    """

    loss: np.ndarray
    slope: np.ndarray


class LossView:
    """The loss of a batch for outputs that a probe chooses.

    The rows are as many as in a training batch (a loss may rely on that), taken from all over the first epoch, since
    the first batch of a sorted file holds one class.

    Attributes:
      subject: the program.
      batch: inputs and targets, as the program's reader gives them.
      outputs: what the network gives for them in training, at its initial weights.
    """

    def __init__(self, subject: Subject):
        self.subject = subject
        self.batch = _spread_rows(subject.first_epoch)
        params, model_state = subject.variables
        (_, (outputs, _)), _ = subject.gradient(params, model_state, self.batch, subject.noise(0))
        self.outputs_tree = outputs

    @property
    def outputs(self) -> np.ndarray:
        """The outputs in training, in float64.

        Raises:
          NotApplicable: if the network gives a tree of arrays, or no floating-point numbers.
        """
        leaves = jax.tree.leaves(self.outputs_tree)
        if len(leaves) != 1 or not jnp.issubdtype(leaves[0].dtype, jnp.floating) or not leaves[0].ndim:
            raise NotApplicable(f"the network gives {len(leaves)} arrays; the question is for one of numbers.")
        return np.asarray(leaves[0], np.float64)

    @cached_property
    def evaluated(self) -> np.ndarray:
        """The outputs in evaluation for the same rows, in float64."""
        subject = self.subject
        leaves = jax.tree.leaves(subject.evaluated(subject.variables, self.batch.inputs, subject.noise(0)))
        return np.asarray(leaves[0], np.float64)

    @cached_property
    def targets(self) -> np.ndarray:
        """The targets as they are given."""
        leaves = jax.tree.leaves(self.batch.targets)
        if len(leaves) != 1:
            raise NotApplicable(f"there are {len(leaves)} arrays of targets; the question is for one.")
        return np.asarray(leaves[0])

    @cached_property
    def layout(self) -> Layout:
        """What the outputs are: scores of `classes` along the last axis, one of the `logits` of a yes or no, `numbers`
        to be compared with the targets, or `other`."""
        outputs, targets, task = self.outputs, self.targets, self.subject.task
        if task in CLASS_TASKS and outputs.ndim > 1 and outputs.shape[-1] > 1:
            known = targets.shape in (outputs.shape, outputs.shape[:-1], (*outputs.shape[:-1], 1))
            return "classes" if known else "other"
        if task in ("binary", "multilabel") and outputs.size == targets.size:
            return "logits"
        return "numbers" if task == "regression" and outputs.size == targets.size else "other"

    @cached_property
    def labels(self) -> np.ndarray:
        """The class of each row (each position) of outputs with classes along the last axis."""
        if self.layout != "classes":
            raise NotApplicable("the outputs are no scores of classes.")
        one_hot = self.targets.shape == self.outputs.shape
        labels = self.targets.argmax(-1) if one_hot else self.targets
        return labels.reshape(self.outputs.shape[:-1]).astype(np.int64)

    @cached_property
    def yes(self) -> np.ndarray:
        """Whether the answer is yes, the larger of the two labels; of the outputs' shape, for `logits`."""
        if self.layout != "logits":
            raise NotApplicable("the outputs are no logits of a yes or no.")
        return (self.targets > (self.targets.min() + self.targets.max()) / 2).reshape(self.outputs.shape)

    def right(self, size: float, wrong: bool = False) -> np.ndarray:
        """Returns outputs whose score of the right answer (or of a wrong one) lies `size` above all others, or above 0
        of a yes and below it of a no."""
        if self.layout == "logits":
            return size * np.where(self.yes != wrong, 1.0, -1.0)
        classes = self.outputs.shape[-1]
        return size * np.eye(classes)[(self.labels + wrong) % classes]

    def reads_right(self, answers: np.ndarray, rows: np.ndarray) -> bool:
        """Returns whether the program reads its own targets from outputs, for most of some rows.

        Labels may be coded anew in the loss and back again in the reading: then the loss likes what is read rightly.
        """
        subject, targets = self.subject, self.targets
        if subject.predict is not None:
            read = np.asarray(subject.predict(np.asarray(answers, np.float32)))
        elif self.layout == "logits":
            read = answers > 0
        else:
            read = answers.argmax(-1)
        one_hot = self.layout == "classes" and targets.shape == self.outputs.shape
        wanted = self.labels if one_hot else targets
        fits = read.size == wanted.size
        return fits and bool(np.mean((read.reshape(wanted.shape) == wanted)[rows.reshape(wanted.shape)]) > 0.5)

    @property
    def labelled(self) -> np.ndarray:
        """Which rows have a label that names an output: not those that are marked to be left out."""
        return (self.labels >= 0) & (self.labels < self.outputs.shape[-1])

    @cached_property
    def range(self) -> Range:
        """The range that the outputs can take in training, whatever weights and inputs are."""
        closed = self.subject.training_program
        return output_ranges(closed)[0]

    @cached_property
    def are_probabilities(self) -> bool:
        """Whether the network gives probabilities in training: within [0, 1], of classes with the sum 1."""
        if self.layout != "classes":
            return 0 <= self.range.low < self.range.high <= 1
        outputs = self.outputs
        return bool(np.all(outputs >= 0) and np.all(np.abs(outputs.sum(-1) - 1) < 1e-3))

    def sample(self, seed: int) -> np.ndarray:
        """Returns random outputs of the kind that the network gives: probabilities, scores, or numbers among the
        targets."""
        generator = np.random.default_rng(seed)
        if self.layout == "numbers":
            return generator.choice(self.targets.reshape(self.outputs.shape).astype(np.float64), len(self.targets))
        scores = 2.0 * generator.normal(size=self.outputs.shape)
        if not self.are_probabilities:
            return scores
        if self.layout == "logits":
            return 1 / (1 + np.exp(-scores))
        return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)

    def together(self, outputs: Any, targets: Any = None) -> Asked:
        """Returns the mean loss of the batch for other outputs (and targets), as a training step computes it."""
        batch = self.batch if targets is None else self.batch._replace(targets=self._targets(targets))
        return Asked(*(np.asarray(each, np.float64) for each in self._together(self.tree(outputs), batch)))

    def alone(self, outputs: Any, targets: Any = None) -> Asked:
        """Returns the loss of each example as if it were a batch of its own."""
        batch = self.batch if targets is None else self.batch._replace(targets=self._targets(targets))
        return Asked(*(np.asarray(each, np.float64) for each in self._alone(self.tree(outputs), batch)))

    @cached_property
    def _together(self) -> Any:
        return jax.jit(lambda outputs, batch: _with_slope(self.subject, outputs, batch))

    @cached_property
    def _alone(self) -> Any:
        def one(outputs: Tree, batch: Batch) -> Any:
            outputs, batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (outputs, batch))
            loss, slope = _with_slope(self.subject, outputs, batch)
            return loss, slope[0]

        return jax.jit(jax.vmap(one))

    def tree(self, outputs: Any) -> Tree:
        """Returns numbers in the form and type of the network's outputs."""
        leaves, structure = jax.tree.flatten(self.outputs_tree)
        return jax.tree.unflatten(structure, [jnp.asarray(outputs, leaves[0].dtype).reshape(leaves[0].shape)])

    def _targets(self, targets: Any) -> Tree:
        leaves, structure = jax.tree.flatten(self.batch.targets)
        return jax.tree.unflatten(structure, [jnp.asarray(targets, leaves[0].dtype)])


def loss_view(subject: Subject) -> LossView:
    """Returns the view of a program's loss, the same for all probes."""
    return _view(subject)


@lru_cache(maxsize=1)
def _view(subject: Subject) -> LossView:
    return LossView(subject)


def _with_slope(subject: Subject, outputs: Tree, batch: Batch) -> tuple[Any, Any]:
    loss, slope = jax.value_and_grad(subject.mean_loss)(outputs, batch)
    return loss, jax.tree.leaves(slope)[0]


def _spread_rows(batches: list[Batch]) -> Batch:
    """Returns as many rows as the first batch has, taken evenly from all batches of its shapes."""
    alike = [batch for batch in batches if _shapes(batch) == _shapes(batches[0])]
    rows = len(batches[0].weight)
    chosen = np.linspace(0, len(alike) * rows - 1, rows).round().astype(int)
    taken = [jax.tree.map(lambda leaf: np.asarray(leaf)[row % rows], alike[row // rows]) for row in chosen]  # noqa: B023
    return on_device(jax.tree.map(lambda *leaves: np.stack(leaves), *taken))


def _shapes(batch: Batch) -> list[tuple[int, ...]]:
    return [np.shape(leaf) for leaf in jax.tree.leaves(batch)]
