"""Nearest rows: of a split among its own other rows, or among the training rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from verax.data import epoch_order
from verax.doctor._subject import Subject
from verax.doctor.probes._tables import remembered, standard_tables

KNOWN = 5000  # rows among which neighbours are looked for, and whose neighbours are
WIDTH = 64  # dimensions that rows have at most; more are projected (Johnson and Lindenstrauss)
NEIGHBOURS = 30
BLOCK = 500

Rows = Float[np.ndarray, "rows columns"]


class Nearest(NamedTuple):
    """The nearest rows, the nearest first.

    Attributes:
      rows: whose neighbours these are: places in the split.
      indices: of the neighbours, places in the split they were looked for in.
      distances: to them, in standard deviations of the columns.
    """

    rows: Int[np.ndarray, " rows"]
    indices: Int[np.ndarray, "rows neighbours"]
    distances: Float[np.ndarray, "rows neighbours"]


@remembered
def nearest(subject: Subject, which: tuple[str, str]) -> Nearest:
    """Returns the nearest rows of `which = (split, among)`; a row is no neighbour of itself.

    Rows that are equal to the row in question count as neighbours.
    """
    split, among = which
    train, other = standard_tables(subject, split)
    known, points = (train, other) if among == "read" else (other, other)
    project = _projection(known.values.shape[1])
    places, values = _some(known.rows, known.values)
    if split == among:
        rows, own = places, values
    else:
        rows, own = _some(points.rows, points.values)
    count = min(NEIGHBOURS, len(places) - (split == among))
    indices, distances = _search(values @ project, own @ project, count, skip_same=split == among)
    return Nearest(rows, places[indices], distances)


def _some(rows: np.ndarray, values: Rows) -> tuple[np.ndarray, Rows]:
    if len(rows) <= KNOWN:
        return rows, values
    chosen = np.sort(epoch_order(len(rows), seed=1, epoch=0)[:KNOWN])
    return rows[chosen], values[chosen]


def _projection(columns: int) -> Float[np.ndarray, "columns width"]:
    if columns <= 4 * WIDTH:
        return np.eye(columns)
    return np.random.default_rng(0).normal(size=(columns, WIDTH)) / np.sqrt(WIDTH)


def _search(
    known: Rows, points: Float[np.ndarray, "points columns"], count: int, *, skip_same: bool
) -> tuple[np.ndarray, np.ndarray]:
    squares = np.square(known).sum(axis=1)
    indices, distances = [], []
    for start in range(0, len(points), BLOCK):
        part = points[start : start + BLOCK]
        between = squares - 2 * part @ known.T + np.square(part).sum(axis=1, keepdims=True)
        if skip_same:
            between[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        near = np.argpartition(between, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(between, near, axis=1), axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)
        indices.append(near)
        distances.append(np.linalg.norm(known[near] - part[:, None], axis=2))  # exact, where the product rounds
    return np.concatenate(indices), np.concatenate(distances)


def agreement(found: Nearest, own: Num[np.ndarray, " split"], others: Num[np.ndarray, " among"], k: int = 5) -> float:
    """Returns the share of the k nearest rows that have a row's own class."""
    return float((others[found.indices[:, :k]] == own[found.rows, None]).mean())


def correlation(found: Nearest, own: Num[np.ndarray, " split"], others: Num[np.ndarray, " among"], k: int = 5) -> float:
    """Returns the correlation of a row's target with the mean of the k nearest ones; 0 where one is constant."""
    means, targets = others[found.indices[:, :k]].mean(axis=1), own[found.rows]
    if means.std() == 0 or targets.std() == 0:
        return 0.0
    return float(np.corrcoef(means, targets)[0, 1])
