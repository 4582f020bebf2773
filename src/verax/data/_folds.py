"""Folds: the rows of one table divided again and again into training and test rows, each division a data set."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from verax.data._batch import Examples
from verax.data._dataset import Dataset
from verax.data._load import load
from verax.data._order import SPLIT_EXAMPLES, permutation
from verax.data._schema import Schema
from verax.data._source import Source
from verax.data._split import Division, classes_of, divide, take
from verax.data._text import TextSource
from verax.findings import InputError

FOLD_EXAMPLES = SPLIT_EXAMPLES + 1  # the purpose of these orders; never given to another


class Fold(NamedTuple):
    """Row numbers of one division of a table; no row is in two of the parts.

    Attributes:
      train: what is trained on.
      validation: what decides when to stop; may be empty.
      calibration: what sets the temperature; may be empty.
      test: what is held out.
    """

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    calibration: Int[np.ndarray, " calibration"]
    test: Int[np.ndarray, " test"]


def folds(data: Any, k: int, *, seed: int = 0, stratify: bool | None = None) -> list[Fold]:
    """Returns `k` divisions of a table in which every row is held out exactly once.

    The table is made of the rows that the splits were carved from. Splits that came apart from it (the test file of
    MNIST) are no part of it and stay unopened. The parts that are held out differ by one row at most; of each class
    they have the same number, up to one row. Where the source carves validation and calibration splits, the rows that a
    fold trains on give them up in the same shares.

    Args:
      data: a source, a loaded data set, or a dict of splits.
      k: how many, at least 2.
      seed: another seed is another division.
      stratify: whether every class has its share in each part; by default if the targets are integer classes.

    Raises:
      InputError: if `k` is below 2 or above the number of rows.

    Example:
      >>> parts = folds({"train": (np.zeros((10, 2), "float32"), np.arange(10) % 2)}, 5)
      >>> [len(fold.train) for fold in parts], sorted(np.concatenate([fold.test for fold in parts]).tolist())
      ([8, 8, 8, 8, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    if isinstance(data, TextSource):
        raise InputError(
            "folds of a text would train on the words around each window that is tested. Give the row numbers of parts "
            "that lie apart: folds=[(train_rows, test_rows), ...]."
        )
    whole = table(load(data))
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 2 <= k <= whole.size:
        raise InputError(f"k must be a whole number of folds between 2 and the {whole.size} rows, got {k!r}.")
    if operator.index(seed) < 0:
        raise InputError(f"seed must not be negative, got {seed}.")
    division = replace(data.division, test=0) if isinstance(data, Source) else Division(0, 0, 0)
    division = replace(division, stratify=division.stratify if stratify is None else stratify)
    order = permutation(whole.size, int(seed), FOLD_EXAMPLES)
    labels = classes_of(whole.targets, division.stratify)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    return [_carved(whole, np.sort(order[first::k]), division) for first in range(k)]


def _carved(whole: Examples, test: Int[np.ndarray, " test"], division: Division) -> Fold:
    """Returns the fold that holds these rows out; validation and calibration rows are carved from the others."""
    rest = np.setdiff1d(np.arange(whole.size, dtype=np.int32), test)
    targets = take(whole, rest).targets
    parts, _ = divide({"train": Examples(rest, targets)}, division)
    none = rest[:0]
    rows = {split: part.inputs for split, part in parts.items()}
    return Fold(rows["train"], rows.get("validation", none), rows.get("calibration", none), test)


def table(dataset: Dataset) -> Examples:
    """Returns the rows that a data set's splits were carved from, in their first order; its train rows if none was."""
    if not dataset.rows:
        return dataset.raw("train")
    size = sum(len(rows) for rows in dataset.rows.values())

    def whole(*leaves: np.ndarray) -> np.ndarray:
        joined = np.empty((size, *leaves[0].shape[1:]), leaves[0].dtype)
        for rows, leaf in zip(dataset.rows.values(), leaves, strict=True):
            joined[rows] = leaf
        return joined

    return Examples(*jax.tree.map(whole, *(tuple(dataset.raw(split)) for split in dataset.rows)))


def as_folds(given: Sequence[Any], size: int) -> list[Fold]:
    """Returns split indices as folds.

    Args:
      given: of each division the row numbers `(train, test)` or `(train, validation, test)`, or a `Fold`.
      size: rows in the table.

    Raises:
      InputError: naming the division and what is wrong with it: no row numbers, rows outside the table, a row in two
        parts, no row to train on or to test.
    """
    if not isinstance(given, list | tuple) or not given or isinstance(given, Fold):
        raise InputError(
            f"folds must be a number, or a list of (train rows, test rows), got {type(given).__name__}. One division "
            "is a list of one pair."
        )
    made = []
    for number, parts in enumerate(given):
        if not isinstance(parts, list | tuple) or len(parts) not in (2, 3, 4):
            raise InputError(
                f"folds[{number}] must be (train rows, test rows) or (train rows, validation rows, test rows), got "
                f"{type(parts).__name__}{f' of length {len(parts)}' if isinstance(parts, list | tuple) else ''}."
            )
        names = (
            Fold._fields
            if len(parts) == 4
            else ("train", "test")
            if len(parts) == 2
            else ("train", "validation", "test")
        )
        rows = {name: _rows(f"folds[{number}] {name}", part, size) for name, part in zip(names, parts, strict=True)}
        none = np.zeros(0, np.int32)
        fold = Fold(**{name: rows.get(name, none) for name in Fold._fields})
        _check_fold(number, fold)
        made.append(fold)
    return made


def _rows(name: str, given: Any, size: int) -> Int[np.ndarray, " rows"]:
    rows = np.asarray(given)
    if rows.size == 0:
        return np.zeros(0, np.int32)
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        hint = " A mask of bools becomes row numbers with np.flatnonzero(mask)." if rows.dtype.kind == "b" else ""
        raise InputError(f"{name} must be row numbers on one axis, got {rows.dtype} of shape {rows.shape}.{hint}")
    outside = np.flatnonzero((rows < 0) | (rows >= size))
    if len(outside):
        raise InputError(
            f"{name} must be row numbers in [0, {size}), got {rows[outside[0]]} at index {outside[0]}. They count the "
            "rows of the whole table."
        )
    return rows.astype(np.int32)


def _check_fold(number: int, fold: Fold) -> None:
    for name in ("train", "test"):
        if not len(getattr(fold, name)):
            raise InputError(f"folds[{number}] {name} must have at least one row, got none.")
    for index, name in enumerate(Fold._fields):
        for other in Fold._fields[:index]:
            both = np.intersect1d(getattr(fold, other), getattr(fold, name))
            if len(both):
                raise InputError(
                    f"folds[{number}] must have each row in one part, but row {both[0]} is in {other} and {name} "
                    f"({len(both)} rows are)."
                )


def fold_datasets(dataset: Dataset, divisions: Sequence[Fold]) -> list[Dataset]:
    """Returns a data set for each division of a data set's table, its preprocessing fitted on its own train rows.

    The fitted programs are shared where the folds differ in the fitted numbers alone.

    Args:
      dataset: whose table is divided.
      divisions: row numbers of that table.
    """
    whole = table(dataset)
    made: list[Dataset] = []
    for number, fold in enumerate(divisions):
        parts = {split: take(whole, rows) for split, rows in fold._asdict().items() if len(rows)}
        for leaf in jax.tree.leaves(parts):
            leaf.flags.writeable = False
        ordered = {split: parts[split] for split in ("train", "validation", "calibration", "test") if split in parts}
        schema = _schema(dataset, ordered["train"].inputs)
        made.append(Dataset(f"{dataset.name}, fold {number}", schema, ordered, dataset.steps))
    first = made[0].preprocessing
    for each in made[1:]:
        if each.preprocessing.steps == first.steps:
            vars(each.preprocessing)["_program"] = first._program  # statistics are its arguments: compiled once for all
    return made


def _schema(dataset: Dataset, inputs: Any) -> Schema:
    """Returns the schema with what depends on the train rows: where values may be missing."""
    schema = dataset.schema
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind != "f":
        return schema
    columns = tuple(
        replace(
            column, missing=bool(np.isnan(inputs[:, index]).any()) or any(step.fills(column) for step in dataset.steps)
        )
        for index, column in enumerate(schema.columns)
    )
    missing = not columns and (bool(np.isnan(inputs).any()) or any(step.fills(None) for step in dataset.steps))
    return replace(schema, columns=columns, missing=missing)
