"""Preprocessing as part of the model: steps fitted on the train split alone, then applied by one pure function.

The fitted statistics are arrays and the rest is JSON, so that an exported model carries its own preparation.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.data._schema import Column, Schema
from verax.findings import InputError

# What a column is after one_hot: a number as before, a category (of a column where a value may be missing, or not), a
# mark that the value is missing.
NUMBER, LENIENT, STRICT, MARKER = range(4)
BLOCK = 8192  # rows prepared at once: large enough to keep the machine busy, small enough to need little memory


class Feature(NamedTuple):
    """A column between two steps: its name, its categories while it holds codes, whether one_hot made it."""

    name: str
    categories: tuple[str, ...] | None = None
    indicator: bool = False


@dataclass(frozen=True)
class Step(abc.ABC):
    """A step of preprocessing, not fitted yet; made by `standardise()`, `impute()`, `one_hot()`, `scale_uint8()`."""

    @abc.abstractmethod
    def fit(self, features: Sequence[Feature], inputs: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns what is learnt from the train inputs: settings (JSON) and arrays; no features means no table."""

    def fills(self, column: Column | None) -> bool:
        """Returns whether the step fills missing values in a column, or (None) in inputs that are no table."""
        return False


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Steps fitted on the train split. Without steps it is the identity, for any tree of inputs.

    Attributes:
      steps: the settings of each step, plain JSON values.
      arrays: the fitted statistics by step (`"0"`, `"1"`, ...) and name.
    """

    steps: tuple[dict[str, Any], ...] = ()
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def apply(self, arrays: Mapping[str, Mapping[str, Any]], raw: Any) -> Any:
        """Returns what the network sees, float32. Pure and traceable, also with a symbolic number of examples.

        Args:
          arrays: the fitted statistics, normally `self.arrays`; an argument so that an export can pass them as weights.
          raw: a batch of raw examples.
        """
        for index, config in enumerate(self.steps):
            raw = _apply(jnp, config, arrays[str(index)], raw)
        return raw

    @functools.cached_property
    def _program(self) -> Callable[..., Any]:
        return jax.jit(self.apply)

    def on_host(self, raw: np.ndarray) -> np.ndarray:
        """Returns `apply` of a few raw rows, in NumPy: nothing is compiled."""
        for index, config in enumerate(self.steps):
            raw = _apply(np, config, self.arrays[str(index)], raw)
        return raw

    def transform(self, raw: Any, block: int = BLOCK) -> Any:
        """Returns `apply` of raw host arrays as host arrays, computed in blocks of rows by one compiled program."""
        if not self.steps:
            return raw
        size, prepared = raw.shape[0], None
        with jax.ensure_compile_time_eval():
            arrays = jax.device_put(self.arrays)
            for start in range(0, size, block):
                rows = raw[start : start + block]
                padding = np.repeat(rows[-1:], block - rows.shape[0], axis=0)
                piece = np.asarray(self._program(arrays, np.concatenate([rows, padding]) if len(padding) else rows))
                prepared = np.empty((size, *piece.shape[1:]), piece.dtype) if prepared is None else prepared
                prepared[start : start + block] = piece[: rows.shape[0]]
        return prepared

    def feature_names(self, schema: Schema) -> tuple[str, ...]:
        """Returns the names of the columns that the network sees; empty if the raw inputs are not a table.

        One-hot groups stand in the place of their column: `age`, `work=Private`, `work=State`, `work missing`.
        """
        features = table_features(schema)
        for config in self.steps:
            features = _features_after(config, features)
        return tuple(feature.name for feature in features)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as a value that `json.dumps` takes; `arrays` is kept beside it."""
        return {"format": 1, "steps": [dict(config) for config in self.steps]}

    @classmethod
    def from_json(cls, config: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]]) -> Preprocessing:
        """Returns the preprocessing whose settings `to_json` wrote.

        Raises:
          InputError: if it was written by a newer Verax, or the arrays of a step are missing.
        """
        if config.get("format") != 1:
            raise InputError(
                f"preprocessing must have format 1, got {config.get('format')!r}. Is it from a newer version of Verax?"
            )
        steps = tuple(dict(step) for step in config["steps"])
        for index, step in enumerate(steps):
            if step.get("kind") not in _ARRAYS:
                raise InputError(
                    f"preprocessing step {index} must be one of {sorted(_ARRAYS)}, got {step.get('kind')!r}."
                )
            missing = _ARRAYS[step["kind"]] - set(arrays.get(str(index), {}))
            if missing:
                raise InputError(f"preprocessing step {index} ({step['kind']}) lacks its arrays {sorted(missing)}.")
        kept = {
            str(index): {name: np.asarray(leaf) for name, leaf in arrays.get(str(index), {}).items()}
            for index in range(len(steps))
        }
        return cls(steps, kept)


def fit(steps: Sequence[Step], schema: Schema, inputs: Any) -> Preprocessing:
    """Returns the steps fitted, one after another, to the raw inputs of the train split.

    Raises:
      InputError: if a step cannot be applied to such inputs.
    """
    if steps and schema.kind == "tree":
        raise InputError(
            "preprocessing steps need inputs that are one array, but these are a tree. Prepare them before from_arrays."
        )
    features, configs, arrays = table_features(schema), [], {}
    for index, step in enumerate(steps):
        with np.errstate(all="ignore"):  # Inf in the data is for check_data to report
            config, fitted = step.fit(features, inputs)
        configs.append(config)
        arrays[str(index)] = fitted
        if index + 1 < len(
            steps
        ):  # the next step is fitted to what this one gives; in NumPy, so that nothing is compiled
            inputs, features = _apply(np, config, fitted, inputs), _features_after(config, features)
    return Preprocessing(tuple(configs), arrays)


def table_features(schema: Schema) -> tuple[Feature, ...]:
    """Returns the columns of a raw table; empty for other inputs."""
    return tuple(Feature(column.name, column.categories) for column in schema.columns)


def _apply(xp: Any, config: Mapping[str, Any], arrays: Mapping[str, Any], inputs: Any) -> Any:
    return _APPLY[config["kind"]](xp, config, arrays, inputs.astype(np.float32))


def _apply_standardise(xp: Any, config: Mapping[str, Any], arrays: Mapping[str, Any], inputs: Any) -> Any:
    # Times the inverse: XLA divides a little otherwise in one batch shape than in another, products are the same bits.
    return (inputs - arrays["mean"][None]) * arrays["factor"][None]


def _apply_impute(xp: Any, config: Mapping[str, Any], arrays: Mapping[str, Any], inputs: Any) -> Any:
    return xp.where(xp.isnan(inputs), arrays["fill"][None], inputs)


def _apply_scale_uint8(xp: Any, config: Mapping[str, Any], arrays: Mapping[str, Any], inputs: Any) -> Any:
    return inputs * arrays["factor"]


def _apply_one_hot(xp: Any, config: Mapping[str, Any], arrays: Mapping[str, Any], inputs: Any) -> Any:
    role = arrays["role"][None]  # 1 features
    values = xp.take(inputs, arrays["source"], axis=1)  # examples features
    absent = xp.isnan(values)
    hot = (values == arrays["code"][None]).astype(np.float32)
    # Where training knows no missing value NaN goes on: never a silent row of zeros.
    hot = xp.where(absent & (role == STRICT), np.float32(np.nan), hot)
    return xp.where(role == NUMBER, values, xp.where(role == MARKER, absent.astype(np.float32), hot))


def _features_after(config: Mapping[str, Any], features: Sequence[Feature]) -> tuple[Feature, ...]:
    if config["kind"] != "one_hot" or not features:
        return tuple(features)
    groups = {group["index"]: group for group in config["columns"]}
    after = []
    for index, feature in enumerate(features):
        if index in groups:
            after += [Feature(f"{feature.name}={category}", None, True) for category in groups[index]["categories"]]
            after += [Feature(f"{feature.name} missing", None, True)] * groups[index]["missing"]
        else:
            after.append(feature)
    return tuple(after)


_APPLY = {
    "standardise": _apply_standardise,
    "impute": _apply_impute,
    "scale_uint8": _apply_scale_uint8,
    "one_hot": _apply_one_hot,
}
_ARRAYS = {
    "standardise": {"mean", "factor"},
    "impute": {"fill"},
    "scale_uint8": {"factor"},
    "one_hot": {"source", "code", "role"},
}
