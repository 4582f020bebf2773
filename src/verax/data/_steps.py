"""The steps of preprocessing: what each learns from the train split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from verax.data._preprocess import LENIENT, MARKER, NUMBER, STRICT, Feature, Step
from verax.data._schema import Column, suggestion
from verax.findings import InputError

Strategy = Literal["mean", "median", "most_frequent"]
_ROWS = 4096  # summed at once in float64, so that a copy of the whole split is never made


def standardise(columns: Sequence[str] | None = None) -> Step:
    """Returns a step that brings every feature to mean 0 and standard deviation 1 over the train split.

    Statistics are summed in float64 and leave missing values out; a constant feature is only centred (its scale is 1).

    Args:
      columns: of a table, by name; by default those that hold numbers (not categories, not one-hot columns).
    """
    return Standardise(_names(columns))


def impute(strategy: str = "mean", columns: Sequence[str] | None = None) -> Step:
    """Returns a step that fills missing values (NaN) with a statistic of the train split.

    Args:
      strategy: `mean`, `median` or `most_frequent` (the smallest of several).
      columns: of a table, by name; by default those that hold numbers. Categorical ones take `most_frequent` only.

    Raises:
      InputError: if the strategy is unknown.
    """
    if strategy not in get_args(Strategy):
        raise InputError(
            f"strategy must be 'mean', 'median' or 'most_frequent', got {strategy!r}. "
            f"{suggestion(str(strategy), get_args(Strategy))}"
        )
    return Impute(strategy, _names(columns))


def one_hot(columns: Sequence[str] | None = None) -> Step:
    """Returns a step that replaces each categorical column, in its place, by one 0/1 column per category.

    A column with missing values in the train split gets one more 0/1 column that marks them.

    Args:
      columns: by name; by default all categorical ones.
    """
    return OneHot(_names(columns))


def scale_uint8(maximum: int = 255) -> Step:
    """Returns a step that divides uint8 images by their largest possible value, so that they lie in `[0, 1]`.

    Args:
      maximum: white; 255 but for unusual images (digits: 16).
    """
    if not 1 <= maximum <= 255:
        raise InputError(f"maximum must lie in [1, 255], got {maximum}.")
    return ScaleUint8(maximum)


@dataclass(frozen=True)
class Standardise(Step):
    """See `standardise`."""

    columns: tuple[str, ...] | None = None

    def fit(self, features: Sequence[Feature], inputs: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        mean, scale = _moments(inputs)
        if features:
            chosen = _numbers(self.columns, features, "standardise")
            mean[~chosen], scale[~chosen] = 0, 1
        elif self.columns is not None:
            raise InputError("standardise(columns=...) needs a table with named columns. Leave columns out.")
        return {"kind": "standardise"}, {"mean": mean.astype(np.float32), "factor": (1 / scale).astype(np.float32)}


@dataclass(frozen=True)
class Impute(Step):
    """See `impute`."""

    strategy: str = "mean"
    columns: tuple[str, ...] | None = None

    def fit(self, features: Sequence[Feature], inputs: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if not features and self.columns is not None:
            raise InputError("impute(columns=...) needs a table with named columns. Leave columns out.")
        categorical = self.strategy == "most_frequent"
        chosen = (
            _numbers(self.columns, features, f"impute({self.strategy!r})", categorical)
            if features
            else np.ones(inputs.shape[1:], bool)
        )
        fill = np.full(inputs.shape[1:], np.nan, np.float32)
        for index in map(tuple, np.argwhere(chosen)):
            values = inputs[(slice(None), *index)].astype(np.float64)
            values = values[~np.isnan(values)]
            if not values.size:
                name = features[index[0]].name if features else "/".join(map(str, index))
                raise InputError(
                    f"impute needs at least one value in each column, but column {name!r} of train has none. Leave it "
                    "out of the data."
                )
            fill[index] = _statistic(values, self.strategy)
        return {"kind": "impute", "strategy": self.strategy}, {"fill": fill}

    def fills(self, column: Column | None) -> bool:
        if column is None or self.columns is None:
            return column is None or column.categories is None
        return column.name in self.columns


@dataclass(frozen=True)
class OneHot(Step):
    """See `one_hot`."""

    columns: tuple[str, ...] | None = None

    def fit(self, features: Sequence[Feature], inputs: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if not any(feature.categories for feature in features):
            raise InputError(
                "one_hot needs a table with categorical columns, but these inputs have none. Leave the step out."
            )
        chosen = _chosen(
            self.columns, features, "one_hot", [feature.categories is not None for feature in features], "categorical"
        )
        groups = [
            {
                "index": index,
                "categories": list(feature.categories or ()),
                "missing": bool(np.isnan(inputs[:, index]).any()),
            }
            for index, feature in enumerate(features)
            if chosen[index]
        ]
        return {"kind": "one_hot", "columns": groups}, _one_hot_arrays(groups, len(features))


@dataclass(frozen=True)
class ScaleUint8(Step):
    """See `scale_uint8`."""

    maximum: int = 255

    def fit(self, features: Sequence[Feature], inputs: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if inputs.dtype != np.uint8:
            raise InputError(
                f"scale_uint8 needs uint8 images, got {inputs.dtype}. For other numbers use standardise()."
            )
        return {"kind": "scale_uint8", "maximum": self.maximum}, {"factor": np.array(1 / self.maximum, np.float32)}


def _one_hot_arrays(groups: Sequence[dict[str, Any]], size: int) -> dict[str, np.ndarray]:
    """For each column that comes out: where it comes from, the code that it marks, and its role."""
    by_index = {group["index"]: group for group in groups}
    rows: list[tuple[int, int, int]] = []
    for index in range(size):
        group = by_index.get(index)
        if group is None:
            rows.append((index, 0, NUMBER))
        else:
            role = LENIENT if group["missing"] else STRICT
            rows += [(index, code, role) for code in range(len(group["categories"]))]
            rows += [(index, 0, MARKER)] * group["missing"]
    source, code, role = np.array(rows, np.int32).T
    return {"source": source.copy(), "code": code.astype(np.float32), "role": role.copy()}


def _moments(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of each feature in float64, NaN left out; scale 1 where all values are the same."""
    blocks = [inputs[start : start + _ROWS] for start in range(0, inputs.shape[0], _ROWS)]
    count = np.maximum(sum((~np.isnan(block)).sum(axis=0) for block in blocks), 1)
    mean = sum(np.nansum(block, axis=0, dtype=np.float64) for block in blocks) / count
    squares = sum(np.nansum((block - mean) ** 2, axis=0) for block in blocks)
    low, high = np.fmin.reduce(inputs, axis=0), np.fmax.reduce(inputs, axis=0)
    scale = np.sqrt(squares / count)
    return mean, np.where((low < high) & (scale > 0), scale, 1.0)


def _statistic(values: np.ndarray, strategy: str) -> float:
    if strategy == "most_frequent":
        distinct, counts = np.unique(values, return_counts=True)
        return float(distinct[counts.argmax()])
    return float(values.mean() if strategy == "mean" else np.median(values))


def _numbers(
    columns: tuple[str, ...] | None, features: Sequence[Feature], step: str, categorical: bool = False
) -> np.ndarray:
    """Marks the chosen columns, by default those that hold numbers."""
    numbers = [feature.categories is None and not feature.indicator for feature in features]
    allowed = [categorical or feature.categories is None for feature in features]
    return np.array(numbers) if columns is None else _chosen(columns, features, step, allowed, "number")


def _chosen(
    columns: tuple[str, ...] | None, features: Sequence[Feature], step: str, allowed: Sequence[bool], what: str
) -> np.ndarray:
    if columns is None:
        return np.array(allowed)
    names = [feature.name for feature in features]
    for name in columns:
        if name not in names:
            raise InputError(f"{step} has no column {name!r} to work on. {suggestion(name, names)}")
        if not allowed[names.index(name)]:
            raise InputError(f"{step} needs {what} columns, but {name!r} is not one.")
    return np.array([name in columns for name in names])


def _names(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(columns, str):
        raise InputError(f"columns must be a list of names, got the text {columns!r}. Pass ({columns!r},).")
    return None if columns is None else tuple(columns)
