"""Which examples each step of an epoch takes, and a split cut into padded batches for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from verax.data import Batch, Examples, epoch_order
from verax.trees import Tree


class EpochPlan(NamedTuple):
    """How an epoch is cut into steps.

    Attributes:
      size: examples in the training split.
      batch_size: examples a step.
      remainder: `partial`, `wrap` or `drop`.
      padded: whether a partial batch is filled up with rows of weight 0; otherwise it is a program of its own shape.
    """

    size: int
    batch_size: int
    remainder: str
    padded: bool

    @property
    def rest(self) -> int:
        """Examples in a last batch of its own shape; 0 if there is none."""
        return 0 if self.padded or self.remainder != "partial" else self.size % self.batch_size

    @property
    def equal_steps(self) -> int:
        """Steps of an epoch that share one shape."""
        whole, over = divmod(self.size, self.batch_size)
        return whole + (1 if over and not self.rest and self.remainder != "drop" else 0)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.equal_steps + (1 if self.rest else 0)

    def rows(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Returns the rows of the equal steps (steps, batch), their weights or None for ones, and the rows of the rest.

        A pure function of (seed, epoch).
        """
        order = epoch_order(self.size, seed, epoch)
        length = self.equal_steps * self.batch_size
        missing = max(0, length - self.size)
        filled = np.concatenate([order, order[:missing]]) if missing else order[:length]
        weight = None
        if missing and self.remainder == "partial":
            weight = np.ones(length, np.float32)
            weight[self.size :] = 0.0
            weight = weight.reshape(self.equal_steps, self.batch_size)
        return filled.reshape(self.equal_steps, self.batch_size), weight, order[length:] if self.rest else order[:0]


def evaluation_batches(examples: Examples, batch_size: int) -> Iterator[Batch]:
    """Yields a split as batches of one shape; the last is padded with its first row at weight 0."""
    for start in range(0, examples.size, batch_size):
        rows = np.arange(start, start + batch_size)
        inside = rows < examples.size
        rows = np.where(inside, rows, start)
        yield Batch(_take(examples.inputs, rows), _take(examples.targets, rows), inside.astype(np.float32))


def full_batches(examples: Examples, batch_size: int) -> Iterator[Batch]:
    """Yields a split as full batches, for losses of a whole batch; the rows that are left over do not count.

    A split smaller than a batch is one batch of its own size.
    """
    batch_size = min(batch_size, examples.size)
    for start in range(0, examples.size - batch_size + 1, batch_size):
        rows = np.arange(start, start + batch_size)
        yield Batch(_take(examples.inputs, rows), _take(examples.targets, rows), np.ones(batch_size, np.float32))


def even_batch_size(size: int, most: int = 512) -> int:
    """Returns the batch size, at most `most`, that cuts a split into equal batches with the least padding."""
    batches = -(-size // most)
    return -(-size // batches)


def _take(tree: Tree, rows: np.ndarray) -> Tree:
    return jax.tree.map(lambda leaf: leaf[rows], tree)
