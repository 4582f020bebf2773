"""Rows of the test split that the network may have seen: exact and near duplicates of rows it was given before."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Shaped

from verax.certify._neighbours import make_points, nearest
from verax.trees import Tree, is_floating

SAMPLE = 2000  # seen rows whose own nearest neighbours say how near is usual
NEAR_SHARE = 0.005  # a near duplicate is nearer than all but this share of seen rows are to one another
BLOCK = 4096  # rows at once, so that a copy of all data is never held


class Overlap(NamedTuple):
    """How the test split overlaps with what was seen before.

    Attributes:
      exact: for each test row, whether an equal row was seen.
      near: for each test row, whether a nearly equal or an equal one was.
      exact_within: the share of seen rows that have an equal one among the other seen rows. It estimates the same share
        of new rows (Good and Turing): a row that is left out is as new as any.
      near_within: likewise for nearly equal or equal ones, on a sample.
      distance: below which rows are nearly equal, in standard deviations of the features.
      exact_trials: how many independent rows `exact_within` is worth.
      near_trials: likewise for `near_within`.
    """

    exact: Bool[np.ndarray, " test"]
    near: Bool[np.ndarray, " test"]
    exact_within: float
    near_within: float
    distance: float
    exact_trials: float
    near_trials: float


def overlap(seen: Tree, test: Tree, *, seed: int = 0) -> Overlap:
    """Returns which test rows are copies of seen ones, and how usual copies are among the seen rows themselves.

    Near duplicates are found by distance, after a random projection to 32 dimensions (Johnson and Lindenstrauss). The
    unit is the standard deviation of a feature; of an image as a whole, since its pixels are of one kind. The distance
    that counts as near is the one that 0.5 % of the seen rows without a copy have to their own nearest seen row: so$
    that are alike by nature do not look like a leak. Missing values equal one another and are far from any number.

    Args:
      seen: inputs of the splits that training or choosing used; any tree with a leading axis of examples.
      test: inputs of the test split, likewise.
      seed: of the projection and the sample.

    Example:
      >>> rows = np.random.default_rng(0).normal(size=(300, 5))
      >>> found = overlap(rows[:250], np.concatenate([rows[250:], rows[:2], rows[2:3] + 1e-6]))
      >>> int(found.exact.sum()), int(found.near.sum()), found.exact_within
      (2, 3, 0.0)

    References:
      Good (1953), "The Population Frequencies of Species and the Estimation of Population Parameters"; the variance is
      that of Esty (1983), "A Normal Limit Law for a Nonparametric Estimator of the Coverage of a Random Sample".
    """
    seen_digests, test_digests = _digests(seen, test), _digests(test, seen)
    _, value, counts = np.unique(seen_digests, return_inverse=True, return_counts=True)
    exact, has_copy = np.isin(test_digests, seen_digests), counts[value] > 1
    exact_within, exact_trials = _share(has_copy, int((counts == 2).sum()))

    generator = np.random.default_rng(seed)
    to_points = make_points(seen, generator)
    known = to_points(seen)
    sample = generator.choice(len(known), min(SAMPLE, len(known)), replace=False)
    within = nearest(known, known[sample], skip=sample)
    alone = within[~has_copy[sample] & np.isfinite(within)]
    distance = float(np.quantile(alone, NEAR_SHARE)) if len(alone) else 0.0
    near = exact | (nearest(known, to_points(test)) <= distance)
    near_within = float((has_copy[sample] | (within <= distance)).mean())
    near_trials = len(sample) / 2 * exact_trials / len(known)  # nearest rows come in pairs, and copies in groups
    return Overlap(exact, near, exact_within, near_within, distance, exact_trials, near_trials)


def _share(has_copy: Bool[np.ndarray, " seen"], pairs: int) -> tuple[float, float]:
    """Returns the share of rows with a copy, and how many independent rows would tell it as precisely."""
    size, share = len(has_copy), float(has_copy.mean())
    spread = share * (1 - share)
    return share, size * spread / (spread + 2 * pairs / size) if spread else float(size)


def _digests(rows: Tree, others: Tree) -> Shaped[np.ndarray, " examples"]:
    """Returns a digest for each row: equal for equal values, whatever their types, the sign of 0, the bits of a NaN.

    Args:
      rows: what is digested.
      others: rows that they are to be compared with, for the types of both.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(rows)]
    dtypes = [np.result_type(leaf, other) for leaf, other in zip(leaves, jax.tree.leaves(others), strict=True)]
    digests = []
    for start in range(0, len(leaves[0]), BLOCK):
        parts = [_bytes(leaf[start : start + BLOCK].astype(dtype)) for leaf, dtype in zip(leaves, dtypes, strict=True)]
        digests += [hashlib.blake2b(row.data, digest_size=12).hexdigest() for row in np.concatenate(parts, axis=1)]
    return np.array(digests)


def _bytes(values: np.ndarray) -> Shaped[np.ndarray, "examples bytes"]:
    if is_floating(values):
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values + np.zeros((), values.dtype))
    return np.ascontiguousarray(values.reshape(len(values), -1)).view(np.uint8)
