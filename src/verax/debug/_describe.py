"""What a tree of parameters holds, as a table."""

from __future__ import annotations

from collections.abc import Sequence
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
        return aligned(cells, right=(3,))


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


def aligned(rows: Sequence[tuple[str, ...]], *, right: Sequence[int] = ()) -> str:
    """Returns rows of text as lines with aligned columns; those whose numbers are in `right` end together.

    Example:
      >>> print(aligned([("name", "count"), ("a", "12")], right=(1,)))
      name  count
      a        12
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [f"{cell:>{width}}" if place in right else f"{cell:<{width}}" for place, (cell, width) in enumerate(cells)]
        for cells in (zip(row, widths, strict=True) for row in rows)
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _leaf(path: str, leaf: Any) -> LeafDescription:
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    shape = tuple(np.shape(array))
    return LeafDescription(path, shape, str(array.dtype), prod(shape))
