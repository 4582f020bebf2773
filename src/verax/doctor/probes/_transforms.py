"""The transform that sets two splits apart: a factor, a line, or a scaler that one of them went through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from verax.doctor.probes._tables import Table, without_extremes

FACTOR = 2.0  # of a column's deviation in the splits: a sample of 30 has 1.3 at most, nearly always
OFFSET = 3.0  # deviations by which a column's mean is off
NEARLY_ALL = 0.8  # of the columns
MOST = 0.6  # of the columns must differ as they are, for one line to be looked for that maps all,
LEFT = 0.1  # and no more than these with it
CLOSE = 0.05  # to a mean of 0 and a deviation of 1, or to 0 and 1 for the ends
EXACT = 1e-3
ROWS = 3000  # of each split that are compared
RATE = 1e-3  # p value of a column that differs


class Transform(NamedTuple):
    """How held-out columns are brought to those of training: `x * factor + offset`.

    Attributes:
      name: in words.
      factor: of each column.
      offset: likewise.
    """

    name: str
    factor: Float[np.ndarray, " columns"]
    offset: Float[np.ndarray, " columns"]


def found_transform(train: Table, held: Table, varied: Bool[np.ndarray, " columns"]) -> Transform | None:
    """Returns the transform that sets the splits apart, None if there is none.

    It is one and the same for all columns, or a scaler that one of the splits went through and the other did not.
    """
    if not varied.any():
        return None
    one, other = without_extremes(train.values[:, varied]), without_extremes(held.values[:, varied])
    wide, narrow = one.std(axis=0), other.std(axis=0)
    if (narrow == 0).all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(narrow > 0, wide / narrow, 1.0)
    off = np.abs(other.mean(axis=0) - one.mean(axis=0)) > OFFSET * np.maximum(wide, narrow)
    scaled = (factor > FACTOR) | (factor < 1 / FACTOR)
    if (off | scaled).mean() < NEARLY_ALL:
        return _one_map(train, held, varied)
    name = _scalers(train.values[:, varied], held.values[:, varied])  # their ends as they are
    constant = _constant_factor(one, other)
    size = train.values.shape[1]
    if constant and name.count(" are ") < 2:
        return Transform(f"a factor of {constant:.4g}", np.full(size, constant), np.zeros(size))
    if not name and train.is_of_one_kind:
        return None
    factors, offsets = np.ones(size), np.zeros(size)
    factors[varied] = factor
    offsets[varied] = one.mean(axis=0) - factor * other.mean(axis=0)
    return Transform(name or "another scale and origin of nearly every column", factors, offsets)


def _one_map(train: Table, held: Table, varied: Bool[np.ndarray, " columns"]) -> Transform | None:
    """Returns the one line that brings all columns of a split to those of the other, where they differ without it."""
    one, other = train.values[:, varied], held.values[:, varied]
    before = _differ(one, other)
    if before < MOST or one.shape[1] < 3:
        return None
    size = train.values.shape[1]
    for factor, offset in _lines(one, other):
        if _differ(one, other * factor + offset) <= LEFT:
            name = f"x becomes {factor:.3g} x {offset:+.3g}"
            return Transform(name, np.full(size, factor), np.full(size, offset))
    return None


def _lines(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yields lines that map the ends, or the means and deviations, of all columns together; upside down too."""
    reach = np.ptp(one) / np.ptp(other)  # exact for pixels, which have few levels
    yield reach, one.min() - reach * other.min()
    yield -reach, one.max() + reach * other.min()
    for sign in (1, -1):
        factor = sign * _common(one.std(axis=0) / np.maximum(other.std(axis=0), 1e-30))
        yield factor, _common(one.mean(axis=0) - factor * other.mean(axis=0))


def _common(values: Float[np.ndarray, " columns"]) -> float:
    return float(np.median(values))


def _differ(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the share of columns with other laws."""
    from scipy.stats import ks_2samp

    columns = range(min(one.shape[1], 100))
    tests = [ks_2samp(one[:ROWS, column], other[:ROWS, column], method="asymp").pvalue for column in columns]
    return float((np.array(tests) < RATE).mean())


def _constant_factor(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the one factor that brings the columns of a split to those of the other; 0 if there is none."""
    sizes = np.sqrt(np.square(one).mean(axis=0)), np.sqrt(np.square(other).mean(axis=0))
    known = (sizes[0] > 0) & (sizes[1] > 0)
    if not known.any():
        return 0.0
    ratios = sizes[0][known] / sizes[1][known]
    middle = float(np.median(ratios))
    means = np.abs(one.mean(axis=0) - middle * other.mean(axis=0))[known] / np.maximum(one.std(axis=0)[known], 1e-30)
    spreads = one.std(axis=0)[known], middle * other.std(axis=0)[known]
    alike = (np.abs(np.log(ratios / middle)) < np.log(1.5)) & (means < 1)
    alike &= np.maximum(*spreads) < 1.5 * np.minimum(*spreads)
    if alike.mean() < NEARLY_ALL:
        return 0.0
    whole = round(1 / middle) if middle < 1 else round(middle)
    for known_factor in (255, 256, 128, 127.5, 16, 15, 100, 1000, whole):
        exact = 1 / known_factor if middle < 1 else known_factor
        if abs(np.log(exact / middle)) < 0.1:
            return float(exact)
    return middle


def _scalers(one: np.ndarray, other: np.ndarray) -> str:
    names = [(_scaler(values), split) for values, split in ((one, "training"), (other, "held-out"))]
    said = [f"{split} columns {name}" for name, split in names if name]
    if not said or names[0][0] == names[1][0]:
        return ""
    return ", ".join(said) + ("" if len(said) == 2 else f", {'held-out' if names[0][0] else 'training'} ones not")


def _scaler(values: np.ndarray) -> str:
    """Returns which scaler the columns of a split went through: they are exactly what it leaves."""
    if (np.abs(values.mean(axis=0)) < CLOSE).mean() > 0.9 and (np.abs(values.std(axis=0) - 1) < CLOSE).mean() > 0.9:
        return "are standardised"
    ends = values.min(axis=0), values.max(axis=0)
    for low in (0, -1):
        if (np.abs(ends[0] - low) < EXACT).mean() > 0.9 and (np.abs(ends[1] - 1) < EXACT).mean() > 0.9:
            return f"are scaled to [{low}, 1]"
    return ""
