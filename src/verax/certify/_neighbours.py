"""How far rows of any data are from their nearest others: rows as points, and the distances between points."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from verax.trees import Tree

WIDTH = 32  # dimensions that points have at most
SCALED_BY = 10_000  # rows from which the units of the features are taken
BLOCK = 4096  # rows at once
CELLS = 2**23  # distances at once: 64 MiB

Points = Float[np.ndarray, "examples width"]


class _Units(NamedTuple):
    """Of the features of one leaf: what is taken off, what it is divided by, and what stands for a missing value."""

    centre: Float[np.ndarray, " features"]
    scale: Float[np.ndarray, " features"]
    missing: Float[np.ndarray, " features"]


def make_points(rows: Tree, generator: np.random.Generator) -> Callable[[Tree], Points]:
    """Returns a function from rows to points, whose distances are in standard deviations of the features.

    Args:
      rows: whose standard deviations are the units; any tree with a leading axis of examples.
      generator: draws the rows they are taken from, and the projection.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(rows)]
    size = len(leaves[0])
    chosen = np.sort(generator.choice(size, min(SCALED_BY, size), replace=False))
    units = [_units(leaf[chosen], of_one_kind=leaf.ndim > 2 or leaf.dtype == np.uint8) for leaf in leaves]
    features = sum(len(unit.centre) for unit in units)
    projection = generator.normal(size=(features, WIDTH)) / np.sqrt(WIDTH) if features > WIDTH else np.eye(features)

    def to_points(rows: Tree) -> Points:
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(rows)]
        blocks = []
        for start in range(0, len(leaves[0]), BLOCK):
            parts = [_standard(leaf[start : start + BLOCK], unit) for leaf, unit in zip(leaves, units, strict=True)]
            blocks.append(np.concatenate(parts, axis=1) @ projection)
        return np.concatenate(blocks)

    return to_points


def nearest(
    known: Float[np.ndarray, "known width"],
    points: Float[np.ndarray, "points width"],
    skip: Int[np.ndarray, " points"] | None = None,
) -> Float[np.ndarray, " points"]:
    """Returns the distance from each point to its nearest known one, infinite if there is none.

    Args:
      known: where to look.
      points: whose neighbours are looked for.
      skip: for each point, its own place among the known ones.
    """
    squares = np.square(known).sum(axis=1)
    table = np.concatenate([-2 * known, squares[:, None]], axis=1).T  # one product gives all but the point's own square
    result = np.empty(len(points))
    block = max(1, CELLS // len(known))
    for start in range(0, len(points), block):
        part = points[start : start + block]
        between = np.concatenate([part, np.ones((len(part), 1))], axis=1) @ table
        if skip is not None:
            between[np.arange(len(part)), skip[start : start + block]] = np.inf
        result[start : start + block] = between.min(axis=1) + np.square(part).sum(axis=1)
    return np.sqrt(np.maximum(result, 0))


def _units(rows: np.ndarray, *, of_one_kind: bool) -> _Units:
    flat = _flat(rows)
    known = np.isfinite(flat)
    count = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, flat, 0)
    centre = values.sum(axis=0) / count
    away = np.where(known, values - centre, 0)
    if of_one_kind:
        scale = np.full(len(centre), np.sqrt(np.square(away).sum() / max(1, known.sum())))
    else:
        scale = np.sqrt(np.square(away).sum(axis=0) / count)
    scale = np.where(scale <= 1e-9 * np.abs(centre), 1.0, scale)  # a constant, or its rounding
    return _Units(centre, scale, away.min(axis=0) / scale - 3)


def _standard(rows: np.ndarray, units: _Units) -> Float[np.ndarray, "examples features"]:
    flat = _flat(rows)
    return np.where(np.isfinite(flat), (flat - units.centre) / units.scale, units.missing)


def _flat(rows: np.ndarray) -> Float[np.ndarray, "examples features"]:
    return rows.reshape(len(rows), -1).astype(np.float64)
