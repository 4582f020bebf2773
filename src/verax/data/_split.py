"""Splits: which rows train, and which are kept for validation, calibration and test."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from verax.data._batch import Examples
from verax.data._order import SPLIT_EXAMPLES, permutation
from verax.findings import InputError

SPLITS = ("train", "validation", "calibration", "test")
_CARVED = ("test", "validation", "calibration")  # in this order


@dataclass(frozen=True)
class Division:
    """How to carve the splits that were not given out of the train rows; see `Source.split`."""

    test: float | int = 0.2
    validation: float | int = 0.1
    calibration: float | int = 0.1
    stratify: bool | None = None
    seed: int = 0

    def __post_init__(self):
        for name in _CARVED:
            size = getattr(self, name)
            if isinstance(size, bool) or not size >= 0 or (isinstance(size, float) and size >= 1):
                raise InputError(f"{name} must be a fraction in [0, 1) or a number of rows, got {size!r}.")
        fractions = {name: getattr(self, name) for name in _CARVED if isinstance(getattr(self, name), float)}
        if sum(fractions.values()) >= 1:
            raise InputError(
                f"the fractions must leave rows to train on, but they add up to {sum(fractions.values()):g}: "
                f"{fractions}."
            )
        if operator.index(self.seed) < 0:
            raise InputError(f"seed must not be negative, got {self.seed}.")


def divide(
    given: Mapping[str, Examples], division: Division
) -> tuple[dict[str, Examples], dict[str, Int[np.ndarray, "rows"]]]:
    """Returns all splits, and for those that were carved the row numbers within the `train` that was given.

    A split that was given is kept as it is. The others are carved from `train`, each a random sample of exactly the
    size asked for. Stratified, every class has its share in each split, up to one row: the rows are put in the order of
    their classes (random within a class) and picked at even distances.

    Raises:
      InputError: if nothing would be left to train on.
    """
    train = given["train"]
    wanted = {name: _rows(getattr(division, name), train.size) for name in _CARVED if name not in given}
    if sum(wanted.values()) >= max(train.size, 1):
        sizes = ", ".join(f"{name} {rows}" for name, rows in wanted.items())
        raise InputError(
            f"train has {train.size} rows, too few for the splits to carve from it ({sizes}). Ask for less with "
            ".split(...), 0 for none."
        )
    if not any(wanted.values()):
        return dict(given), {}
    order = permutation(train.size, division.seed, SPLIT_EXAMPLES)
    labels = classes_of(train.targets, division.stratify)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    rows = {}
    for name, size in wanted.items():
        if size:
            at = ((np.arange(size) + 0.5) * (len(order) / size)).astype(np.int64)
            rows[name] = np.sort(order[at])
            order = np.delete(order, at)
    rows["train"] = np.sort(order)
    carved = {name: take(train, picked) for name, picked in rows.items()}
    both = {**given, **carved}
    return {name: both[name] for name in SPLITS if name in both}, rows


def take(examples: Examples, rows: Int[np.ndarray, "rows"]) -> Examples:
    """Returns the given rows of a split, copied."""
    return Examples(*jax.tree.map(lambda leaf: leaf[rows], tuple(examples)))


def _rows(size: float | int, available: int) -> int:
    """A fraction in rows; at least one unless it is zero."""
    return max(1, round(size * available)) if isinstance(size, float) and size > 0 else int(size)


def classes_of(targets: Any, stratify: bool | None) -> np.ndarray | None:
    leaves = jax.tree.leaves(targets)
    is_classes = len(leaves) == 1 and leaves[0].ndim == 1 and leaves[0].dtype.kind in "iu"
    if stratify and not is_classes:
        found = (
            f"{leaves[0].dtype} of shape {leaves[0].shape}" if len(leaves) == 1 else f"a tree of {len(leaves)} arrays"
        )
        raise InputError(
            f"stratify=True needs integer classes, one a row, but the targets are {found}. Pass stratify=False."
        )
    return leaves[0] if is_classes and stratify is not False else None
