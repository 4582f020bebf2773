"""One minibatch, and a split of a data set."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from verax.trees import Tree


class Batch(NamedTuple):
    """One minibatch.

    Attributes:
      inputs: what goes in; any tree whose leaves have a leading axis of examples.
      targets: what is wanted; likewise.
      weight: the share of each example in every average; 0 marks padding. Broadcasts to the loss's leading axes.
    """

    inputs: Tree
    targets: Tree
    weight: Any


class Examples(NamedTuple):
    """A split of a data set, on the host: inputs and targets with a common leading axis of examples."""

    inputs: Tree
    targets: Tree

    @property
    def size(self) -> int:
        """The number of examples."""
        return int(np.shape(jax.tree.leaves(self.inputs)[0])[0])
