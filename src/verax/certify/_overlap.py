"""Rows of the test split that the network may have seen: exact and near duplicates of rows it was given before."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from verax.trees import Tree

SAMPLE = 2000  # rows of the training split from which its own duplication is estimated
WIDTH = 32  # dimensions that distances are first compared in
NEAR_SHARE = 0.005  # a near duplicate is nearer than all but this share of training rows are to one another


class Overlap(NamedTuple):
    """How the test split overlaps with what was seen before.

    Attributes:
      exact: for each test row, whether an equal row was seen.
      near: for each test row, whether a nearly equal one was.
      exact_within: the share of seen rows that have an equal one among the other seen rows.
      near_within: likewise for nearly equal ones, on a sample.
      distance: below which rows are nearly equal, in units of the features' standard deviations.
    """

    exact: Bool[np.ndarray, " test"]
    near: Bool[np.ndarray, " test"]
    exact_within: float
    near_within: float
    distance: float


def overlap(seen: Tree, test: Tree, *, seed: int = 0) -> Overlap:
    """Returns which test rows are copies of seen ones, and how usual copies are among the seen rows themselves.

    Near duplicates are found by distance, in units of each feature's standard deviation, after a random projection to 32
    dimensions (Johnson and Lindenstrauss). The distance that counts as near is the one that 0.5 % of seen rows have to
    their own nearest seen row, so that data that are alike by nature do not look like a leak.

    Args:
      seen: inputs of the splits that training or choosing used; any tree with a leading axis of examples.
      test: inputs of the test split, likewise.
      seed: of the projection and the sample.
    """
    before, after = _rows(seen), _rows(test)
    seen_digests, test_digests = _digests(before), _digests(after)
    known, counts = np.unique(seen_digests, return_counts=True)
    exact = np.isin(test_digests, known)
    exact_within = float(counts[counts > 1].sum() / len(seen_digests))

    centre, scale = before.mean(axis=0), before.std(axis=0)
    scale[scale == 0] = 1.0
    generator = np.random.default_rng(seed)
    features = before.shape[1]
    if features > WIDTH:
        projection = generator.normal(size=(features, WIDTH)).astype(np.float32) / np.float32(np.sqrt(WIDTH))
    else:
        projection = np.eye(features, dtype=np.float32)
    before, after = ((rows - centre) / scale @ projection for rows in (before, after))
    sample = generator.choice(len(before), min(SAMPLE, len(before)), replace=False)
    within = _nearest(before, before[sample], skip=sample)
    positive = within[within > 0]
    distance = float(np.quantile(positive, NEAR_SHARE)) if len(positive) else 0.0
    near = _nearest(before, after) <= distance
    return Overlap(exact, near | exact, exact_within, float((within <= distance).mean()), distance)


def _rows(inputs: Tree) -> Float[np.ndarray, "examples features"]:
    """Returns all leaves side by side as numbers, a row an example; a missing value is far from every number."""
    leaves = [np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(inputs)]
    rows = np.concatenate([leaf.astype(np.float32) for leaf in leaves], axis=1)
    missing = np.isnan(rows)
    if missing.any():
        rows = np.where(missing, np.float32(np.nanmin(rows) - 3 * np.nanstd(rows)), rows)
    return rows


def _digests(rows: Float[np.ndarray, "examples features"]) -> np.ndarray:
    return np.array([hashlib.blake2b(row.tobytes(), digest_size=12).hexdigest() for row in np.ascontiguousarray(rows)])


def _nearest(
    known: Float[np.ndarray, "known features"],
    rows: Float[np.ndarray, "examples features"],
    skip: np.ndarray | None = None,
) -> Float[np.ndarray, " examples"]:
    """Returns the distance from each row to its nearest known row; `skip` names, for each row, itself among the known."""
    squares = np.square(known).sum(axis=1)
    result = np.empty(len(rows), known.dtype)
    block = max(1, 2**24 // len(known))
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        between = squares - 2 * (part @ known.T)
        if skip is not None:
            between[np.arange(len(part)), skip[start : start + block]] = np.inf
        result[start : start + block] = between.min(axis=1) + np.square(part).sum(axis=1)
    return np.sqrt(np.maximum(result, 0))
