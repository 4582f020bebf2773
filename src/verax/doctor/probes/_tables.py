"""Inputs as tables of numbers, targets as classes or numbers: how the probes of the data read a split."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from verax.data import Examples, epoch_order
from verax.doctor._probe import NotApplicable
from verax.doctor._subject import Subject
from verax.doctor.probes._consumers import index_leaves
from verax.trees import Tree, leaves_by_path

ROWS = 50_000  # of a split that are scanned
CELLS = 4_000_000  # numbers that are scanned: 32 MiB
PIXELS = 16  # columns that may be those of a picture
CLASSIFIED = ("classification", "binary")
MEASURED = "regression"

Result = TypeVar("Result")
Argument = TypeVar("Argument", bound=Hashable)


def remembered(function: Callable[[Subject, Argument], Result]) -> Callable[[Subject, Argument], Result]:
    """Returns a function of a subject and another argument that is computed once for each, and shared by the probes."""
    known: WeakKeyDictionary[Subject, dict[Any, Result]] = WeakKeyDictionary()

    @functools.wraps(function)
    def once(subject: Subject, argument: Argument) -> Result:
        results = known.setdefault(subject, {})
        if argument not in results:
            results[argument] = function(subject, argument)
        return results[argument]

    return once


@dataclass(frozen=True, eq=False)
class Table:
    """Inputs of a split, a column for each number of an example.

    Attributes:
      values: the numbers, for up to ROWS rows.
      rows: their places in the split.
      leaves: of the inputs' tree, that became columns: path, place among the leaves and shape of an example.
    """

    values: Float[np.ndarray, "rows columns"]
    rows: Int[np.ndarray, " rows"]
    leaves: tuple[tuple[str, int, tuple[int, ...]], ...]

    def name(self, column: int | np.integer) -> str:
        """Returns the name of a column: its indices within an example, after the path where inputs are a tree."""
        for path, _, shape in self.leaves:
            size = int(np.prod(shape, dtype=int))
            if column < size:
                indices = ",".join(str(index) for index in np.unravel_index(int(column), shape)) if shape else ""
                return "/".join(part for part in (path, indices) if part) or "0"
            column = column - size
        raise IndexError(column)

    @property
    def is_of_one_kind(self) -> bool:
        """Whether all columns are of one kind, as the pixels of images are: an example has two axes or more."""
        return all(len(shape) > 1 for _, _, shape in self.leaves)


@remembered
def table(subject: Subject, split: str) -> Table:
    """Returns the inputs of a split as numbers; `"read"` is the training split as its reader gives it.

    Raises:
      NotApplicable: if no input is a number: what a network looks up in a table is none.
    """
    inputs = examples(subject, split).inputs
    leaves = numeric_leaves(subject, inputs)
    if not leaves:
        raise NotApplicable("no input is a number.")
    size = len(jax.tree.leaves(inputs)[0])
    width = sum(int(np.prod(shape, dtype=int)) for _, _, shape in leaves)
    rows = np.sort(epoch_order(size, seed=0, epoch=0)[: max(1, min(ROWS, CELLS // max(1, width)))])
    arrays = jax.tree.leaves(inputs)
    columns = [arrays[place][rows].reshape(len(rows), -1).astype(np.float64) for _, place, _ in leaves]
    return Table(np.concatenate(columns, axis=1), rows, tuple(leaves))


@remembered
def standard_tables(subject: Subject, split: str) -> tuple[Table, Table]:
    """Returns training inputs, as read, and those of a split in standard deviations of the training inputs.

    Where all columns are of one kind and size, as the pixels of images are, their common deviation is taken: the noise
    of a dark pixel is no more than that of a bright one. What is not finite stands at the mean.
    """
    train, other = table(subject, "read"), table(subject, split)
    finite = np.isfinite(train.values)
    count = np.maximum(finite.sum(axis=0), 1)
    known = without_extremes(np.where(finite, train.values, 0.0))
    mean = np.where(finite, known, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(finite, np.square(known - mean), 0.0).sum(axis=0) / count)
    if train.is_of_one_kind or _are_alike(known):
        spread = np.full_like(spread, np.sqrt(np.mean(np.square(spread))))
    spread = np.where(spread > 1e-9 * np.maximum(1e-30, np.abs(mean)), spread, 1.0)

    def standard(of: Table) -> Table:
        values = (of.values - mean) / spread
        return Table(np.where(np.isfinite(values), values, 0.0), of.rows, of.leaves)

    return standard(train), standard(other)


def _are_alike(values: Float[np.ndarray, "rows columns"]) -> bool:
    """Returns whether there are many columns with ranges that differ little."""
    ranges = np.ptp(values, axis=0)
    return values.shape[1] >= PIXELS and bool(np.quantile(ranges, 0.9) < 3 * np.median(ranges))


def without_extremes(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Returns the columns with what is more than 10 robust deviations off brought there, unless it is a part of them.

    That is, unless more than 5 % of a column are, or half of it is one value.
    """
    middle = np.median(values, axis=0)
    reach = 10 * 1.4826 * np.median(np.abs(values - middle), axis=0)
    few = (np.abs(values - middle) > reach).mean(axis=0) <= 0.05
    reach = np.where(few & (reach > 0), reach, np.inf)
    return np.clip(values, middle - reach, middle + reach)


@remembered
def _read(subject: Subject, name: str) -> Examples:
    batches = subject.first_epoch
    try:
        stack = jax.tree.map(lambda *leaves: np.concatenate(leaves), *[(b.inputs, b.targets) for b in batches])
    except ValueError:  # batches of several widths
        return subject.train
    return Examples(*stack)


def examples(subject: Subject, split: str) -> Examples:
    """Returns a split; `"read"` is the training split as the program's own reader gives it in the first epoch."""
    if split != "read":
        return subject.splits[split]
    return _read(subject, split) if subject.own_batches and subject.first_epoch else subject.train


def numeric_leaves(subject: Subject, inputs: Tree) -> list[tuple[str, int, tuple[int, ...]]]:
    """Returns path, place and shape of an example of each leaf of the inputs that holds numbers."""
    looked_up = index_leaves(subject)
    leaves = enumerate(leaves_by_path(inputs).items())
    return [
        (path, place, tuple(leaf.shape[1:]))
        for place, (path, leaf) in leaves
        if leaf.dtype.kind in "fbiu" and place not in looked_up and leaf.size
    ]


def classes(subject: Subject, split: str) -> Int[np.ndarray, " rows"] | None:
    """Returns the class of each example, also of one-hot targets; None if targets are no classes, one an example."""
    if subject.task not in CLASSIFIED:
        return None
    leaves = jax.tree.leaves(examples(subject, split).targets)
    if len(leaves) != 1 or leaves[0].dtype.kind not in "fbiu":
        return None
    targets = leaves[0]
    if targets.ndim == 2 and targets.shape[1] > 1:
        ones = np.isclose(targets.sum(axis=1), 1).all() and np.isclose(targets.max(axis=1), 1).all()
        return targets.argmax(axis=1) if ones else None
    if targets.size != len(targets):
        return None
    flat = targets.reshape(-1)
    whole = np.isfinite(flat).all() and (flat == np.round(flat)).all()
    return flat.astype(np.int64) if whole else None


def numbers(subject: Subject, split: str) -> Float[np.ndarray, " rows"] | None:
    """Returns the target of each example where it is one finite number; else None."""
    leaves = jax.tree.leaves(examples(subject, split).targets)
    if subject.task != MEASURED or len(leaves) != 1 or leaves[0].dtype.kind not in "fiu":
        return None
    if leaves[0].size != len(leaves[0]):
        return None
    flat = leaves[0].reshape(-1).astype(np.float64)
    return flat if np.isfinite(flat).all() else None


def answers(subject: Subject, split: str) -> tuple[Num[np.ndarray, " rows"], bool]:
    """Returns classes or numbers, one an example, and whether they are classes.

    Raises:
      NotApplicable: if targets are neither.
    """
    found = classes(subject, split)
    if found is not None:
        return found, True
    measured = numbers(subject, split)
    if measured is None:
        raise NotApplicable(f"targets of the task {subject.task} are not one class or number for each example.")
    return measured, False


def is_dense(values: Float[np.ndarray, "rows columns"]) -> Bool[np.ndarray, " columns"]:
    """Returns which columns take their commonest value in less than half of the rows; others are sparse or constant.

    The commonest value of a sparse column is its median.
    """
    return (values == np.median(values, axis=0)).mean(axis=0) < 0.5
