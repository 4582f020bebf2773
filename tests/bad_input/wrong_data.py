"""Data, labels and shapes that are wrong, with what must be said about them.

A row is a name, a function that gives the wrong parts of an experiment, and patterns of the message.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import verax as vx
from tests.bad_input.networks import Images, Net

ROWS = 120
POINTS = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
LABELS = np.arange(ROWS, dtype=np.int32) % 3
SIDES = LABELS % 2
HEIGHTS = POINTS.sum(axis=1)


class Wrong(NamedTuple):
    name: str
    parts: Callable[[], dict[str, Any]]
    said: tuple[str, ...]


def source(inputs: Any = POINTS, targets: Any = LABELS, **names: Any) -> Any:
    return vx.data.from_arrays(inputs, targets, **names)


def data(inputs: Any = POINTS, targets: Any = LABELS, **names: Any) -> dict[str, Any]:
    return {"data": source(inputs, targets, **names)}


def changed(array: Any, row: int, value: Any, dtype: Any = None) -> Any:
    copied = np.array(array, dtype)
    copied[row] = value
    return copied


def binary(inputs: Any = POINTS, targets: Any = SIDES, outputs: int = 1) -> dict[str, Any]:
    return {**data(inputs, targets), "network": Net(outputs), "objective": vx.binary()}


def regression(inputs: Any = POINTS, targets: Any = HEIGHTS, outputs: int = 1) -> dict[str, Any]:
    return {**data(inputs, targets), "network": Net(outputs), "objective": vx.regression()}


LABELLED = (
    Wrong(
        "a label as high as the classes",
        lambda: data(targets=changed(LABELS, 7, 3)),
        (r"label-out-of-range: labels must lie in \[0, 3\), found 3", r"row 7 of the data", "more outputs or correct"),
    ),
    Wrong(
        "a negative label",
        lambda: data(targets=changed(LABELS, 7, -1)),
        (r"labels must lie in \[0, 3\), found -1", r"\(1 label outside\)", "remove these rows"),
    ),
    Wrong(
        "labels counted from 1",
        lambda: data(targets=LABELS + 1),
        (r"labels must lie in \[0, 3\), found 3", "counted from 1", r"Pass labels - 1\."),
    ),
    Wrong(
        "one-hot labels",
        lambda: data(targets=np.eye(3, dtype=np.float32)[LABELS]),
        ("labels must be integer classes", r"found float32 of shape \(\d+, 3\): one-hot", r"argmax\(-1\)"),
    ),
    Wrong(
        "labels as floats",
        lambda: data(targets=LABELS.astype(np.float32)),
        ("labels must be integer classes", "found float32", r"Pass targets\.astype\(int\)"),
    ),
    Wrong(
        "numbers to a classifier",
        lambda: data(targets=HEIGHTS),
        ("labels must be integer classes", "found float32", r"use regression\(\)"),
    ),
    Wrong(
        "labels in a column",
        lambda: data(targets=LABELS[:, None]),
        (r"labels must have shape \(batch\)", r"found int32 of shape \(\d+, 1\)", r"targets\[:, 0\]"),
    ),
    Wrong(
        "text labels that are not among the classes",
        lambda: data(targets=np.array(["red", "gren", "blue"])[LABELS], classes=("red", "green", "blue")),
        ("targets must be among the classes", "got 'gren' at index 1", "Did you mean 'green'"),
    ),
    Wrong(
        "more classes by name than outputs",
        lambda: data(targets=np.array(["a", "b", "c", "d"])[np.arange(ROWS) % 4]),
        (r"labels must lie in \[0, 3\), found 3", "more outputs or correct"),
    ),
    Wrong(
        "a missing label",
        lambda: data(targets=np.array([None, "a", "b"], object)[LABELS]),
        ("targets must be numbers", "found object", "mixed types"),
    ),
    Wrong(
        "binary labels of -1 and 1",
        lambda: binary(targets=2 * SIDES - 1),
        (r"labels must lie in \[0, 2\), found -1", r"\(labels \+ 1\) // 2"),
    ),
    Wrong(
        "three classes to a binary classifier",
        lambda: binary(targets=LABELS),
        (r"labels must lie in \[0, 2\), found 2", r"use classification\(\)"),
    ),
    Wrong(
        "binary labels as floats",
        lambda: binary(targets=SIDES.astype(np.float32)),
        ("targets must be the integers 0 and 1", "found float32", "astype"),
    ),
)

VALUES = (
    Wrong(
        "a NaN among the inputs",
        lambda: data(changed(POINTS, 5, np.nan)),
        ("inputs must be finite", r"found nan in 1 of \d+ rows", r"row 5 of the data before splitting", "impute"),
    ),
    Wrong(
        "an Inf among the inputs",
        lambda: data(changed(POINTS, 5, np.inf)),
        ("inputs must be finite", "found inf", "Remove these rows, or correct them"),
    ),
    Wrong(
        "a NaN among the targets",
        lambda: regression(targets=changed(HEIGHTS, 5, np.nan)),
        ("targets must be finite", r"found nan in 1 of \d+ rows", "Remove these rows, or correct them"),
    ),
    Wrong(
        "numbers beyond float32",
        lambda: regression(targets=changed(HEIGHTS, 5, 1e300, np.float64)),
        ("targets must fit into float32", "found 1e\\+300", "Change the unit"),
    ),
    Wrong(
        "inputs of objects",
        lambda: data(POINTS.astype(object)),
        ("inputs must be numbers", r"found object of shape \(120, 4\)", "from_csv"),
    ),
    Wrong(
        "inputs of texts",
        lambda: data(POINTS.astype(str)),
        ("inputs must be numbers", "found <U", "from_csv"),
    ),
    Wrong(
        "complex inputs",
        lambda: data(POINTS.astype(np.complex64)),
        ("inputs must be numbers", "found complex64", "two columns"),
    ),
    Wrong(
        "rows of different lengths",
        lambda: data([[1.0, 2.0], [3.0]], [0, 1]),
        ("inputs must have rows of the same length", "different lengths"),
    ),
    Wrong(
        "all numbers missing in a standardised column",
        lambda: {
            "data": source(changed(POINTS, slice(None), np.nan)).preprocess(vx.data.impute(), vx.data.standardise())
        },
        ("impute needs at least one value in each column", "column '0' of train has none", "Leave it out"),
    ),
)

SHAPES = (
    Wrong(
        "more inputs than targets",
        lambda: data(targets=LABELS[:-1]),
        ("same number of rows", "found inputs 120, targets 119", "filtered alone"),
    ),
    Wrong(
        "no rows",
        lambda: data(POINTS[:0], LABELS[:0]),
        ("empty-split", r"inputs has no rows, shape \(0, 4\)", "Pass rows"),
    ),
    Wrong(
        "an empty validation split",
        lambda: {"data": {"train": (POINTS, LABELS), "validation": (POINTS[:0], LABELS[:0])}},
        ("validation: empty-split", r"inputs has no rows", "leave the split out"),
    ),
    Wrong(
        "a split of another width",
        lambda: {"data": {"train": (POINTS, LABELS), "test": (POINTS[:, :3], LABELS)}},
        ("test: split-mismatch", r"inputs must be float32\[4\] a row as in train, found float32\[3\]", "alike"),
    ),
    Wrong(
        "an unknown split",
        lambda: {"data": {"train": (POINTS, LABELS), "valid": (POINTS, LABELS)}},
        ("train, validation, calibration, test", "got 'valid'", "Did you mean 'validation'"),
    ),
    Wrong(
        "inputs alone in a split",
        lambda: {"data": {"train": POINTS}},
        (r"train must be a pair \(inputs, targets\)", "got ndarray"),
    ),
    Wrong(
        "a pair of arrays instead of a source",
        lambda: {"data": (POINTS, LABELS)},
        ("data must be a source", "got tuple", r"vx\.data\.from_arrays\(inputs, targets\)"),
    ),
    Wrong(
        "a batch larger than the data",
        lambda: {"batch_size": 500},
        (r"batch_size must lie in \[1, \d+\]", "found 500", "Choose a smaller batch"),
    ),
    Wrong(
        "splits that leave nothing to train on",
        lambda: {"data": source().split(test=60, validation=60)},
        ("120 rows, too few", "test 60, validation 60", r"\.split\("),
    ),
    Wrong(
        "a split fraction of percents",
        lambda: {"data": source().split(test=20.0)},
        ("test must be a fraction", r"got 20\.0"),
    ),
    Wrong(
        "rows to a network of pictures",
        lambda: {"network": Images()},
        (
            r"the network Images fails with inputs float32\[16,4\]",
            r"ValueError: not enough values to unpack \(expected 4, got 2\)",
            r"networks\.py, line \d+: batch, height, width, channels = x\.shape",
            "Compare the shapes",
        ),
    ),
    Wrong(
        "targets in a column against flat outputs",
        lambda: {**regression(targets=HEIGHTS[:, None]), "network": (lambda key, x: x[0], lambda w, x: x @ w)},
        ("targets must have the shape of the outputs", r"found \(batch, 1\)", r"targets\[:, 0\]"),
    ),
)

DATA = (*LABELLED, *VALUES, *SHAPES)
