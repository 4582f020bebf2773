"""What a tree of parameters holds, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from verax.trees import Tree, leaves_by_path


@dataclass(frozen=True)
class LeafDescription:
    """One leaf: its path, shape, dtype and number of elements."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    count: int


@dataclass(frozen=True)
class Description:
    """The leaves of a tree and their total number of elements; prints as a table."""

    leaves: tuple[LeafDescription, ...]

    @property
    def total(self) -> int:
        """The number of elements in all leaves."""
        return sum(leaf.count for leaf in self.leaves)

    def __str__(self) -> str:
        cells = [("path", "shape", "dtype", "count")]
        cells += [(leaf.path, str(leaf.shape), leaf.dtype, f"{leaf.count:,}") for leaf in self.leaves]
        cells += [("total", "", "", f"{self.total:,}")]
        path, shape, dtype, count = (max(len(row[column]) for row in cells) for column in range(4))
        return "\n".join(f"{a:<{path}}  {b:<{shape}}  {c:<{dtype}}  {d:>{count}}" for a, b, c, d in cells)


def describe(tree: Tree) -> Description:
    """Returns paths, shapes, dtypes and counts of a tree's leaves: of `params`, of `Variables`, of any tree of arrays.

    Example:
      >>> print(describe({"hidden": {"bias": jnp.zeros(3), "kernel": jnp.zeros((4, 3))}}))
      path           shape   dtype    count
      hidden/bias    (3,)    float32      3
      hidden/kernel  (4, 3)  float32     12
      total                              15
    """
    return Description(tuple(_leaf(path, leaf) for path, leaf in leaves_by_path(tree).items()))


def _leaf(path: str, leaf: Any) -> LeafDescription:
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    shape = tuple(np.shape(array))
    return LeafDescription(path, shape, str(array.dtype), prod(shape))
