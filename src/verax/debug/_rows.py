"""The rows that an overfit check trains on: few, distinct, and without contradictions."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from verax.data import Batch
from verax.findings import InputError


class Chosen(NamedTuple):
    """Rows of a batch, and what was left out: repeats, and rows whose targets contradict an equal row."""

    batch: Batch
    repeats: int
    contradictions: int


def distinct_rows(batch: Batch, limit: int) -> Chosen:
    """Returns the first distinct rows of a batch, at most `limit`.

    Rows of weight 0 are padding and left out. Of rows with equal inputs one is kept; if their targets differ, no
    function of the inputs can fit them all.

    Raises:
      InputError: if no row is left.
    """
    inputs, targets, weight = (jax.tree.map(np.asarray, part) for part in batch)
    count = len(jax.tree.leaves(inputs)[0])
    weights = np.broadcast_to(weight, (count,)) if np.ndim(weight) == 0 else weight
    kept: dict[bytes, bytes] = {}
    chosen, repeats, contradictions = [], 0, 0
    for row in range(count):
        if not np.any(weights[row]):
            continue
        key, target = _bytes(inputs, row), _bytes(targets, row)
        if key in kept:
            repeats += kept[key] == target
            contradictions += kept[key] != target
            continue
        kept[key] = target
        if len(chosen) < limit:
            chosen.append(row)
    if not chosen:
        raise InputError("batch must hold at least one row of positive weight, got none.")
    take = np.array(chosen)
    parts = (jax.tree.map(lambda leaf: leaf[take], part) for part in (inputs, targets, weights))
    return Chosen(Batch(*parts), int(repeats), int(contradictions))


def _bytes(tree: Any, row: int) -> bytes:
    return b"".join(np.ascontiguousarray(leaf[row]).tobytes() for leaf in jax.tree.leaves(tree))
