"""Which examples of a batch bring something about: found by halving, in places where the others stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.trees import Tree, is_key

MOST_ROWS = 8
MOST_TRIALS = 200


def batch_size_of(args: Sequence[Tree]) -> int:
    """Returns the length of the leading axis that all arrays of the arguments have; 0 where there is no such length.

    Example:
      >>> batch_size_of([{"inputs": np.zeros((32, 4)), "weight": np.ones(32)}]), batch_size_of([np.ones(3), np.ones(4)])
      (32, 0)
    """
    leading = {np.shape(leaf)[0] for leaf in jax.tree.leaves(args) if np.ndim(leaf) and not _is_random_key(leaf)}
    return leading.pop() if len(leading) == 1 else 0


def culprits(fails: Callable[[np.ndarray], bool], batch_size: int) -> tuple[int, ...]:
    """Returns the rows that fail each by itself, the first few.

    Args:
      fails: whether a batch of the rows with these numbers fails; always as many as there are.
      batch_size: how many rows there are.

    Example:
      >>> culprits(lambda rows: bool(np.isin(rows, [3, 11]).any()), 16)
      (3, 11)
    """
    found: list[int] = []
    trials = iter(range(MOST_TRIALS))
    for row in _failing(fails, np.arange(batch_size), batch_size, trials):
        found.append(row)
        if len(found) == MOST_ROWS:
            break
    return tuple(found)


def with_rows(leaf: Any, rows: np.ndarray) -> Any:
    """Returns an array whose leading axis holds these rows; one without that axis as it is."""
    if not np.ndim(leaf) or np.shape(leaf)[0] != len(rows) or _is_random_key(leaf):
        return leaf
    return jnp.asarray(np.asarray(leaf)[rows])


def _failing(
    fails: Callable[[np.ndarray], bool], rows: np.ndarray, batch_size: int, trials: Iterator[int]
) -> Iterator[int]:
    if next(trials, None) is None:
        return
    places = np.arange(batch_size)  # each row stays in its place: noise that is drawn by place stays with it
    if not fails(np.where(np.isin(places, rows), places, rows[places % len(rows)])):
        return
    if len(rows) == 1:
        yield int(rows[0])
        return
    for half in np.array_split(rows, 2):
        yield from _failing(fails, half, batch_size, trials)


def _is_random_key(leaf: Any) -> bool:
    """Returns whether a leaf is a random key, typed or as two raw words."""
    return is_key(leaf) or (np.shape(leaf) == (2,) and getattr(leaf, "dtype", None) == np.uint32)
