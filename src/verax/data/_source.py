"""A lazy source of data: says where data are, how to split and how to prepare them; reads nothing before `load`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from verax.data._dataset import Dataset
from verax.data._preprocess import Step
from verax.data._reader import Contents, Reader
from verax.data._schema import Column, Schema
from verax.data._split import Division, divide
from verax.data._structure import check_structure
from verax.findings import InputError, raise_errors


@dataclass(frozen=True)
class Source:
    """A lazy source of data; make one with `from_arrays`, `from_csv`, `digits` and so on.

    Attributes:
      name: of the data, for reports.
      reader: knows how to read the data.
      division: how to carve the splits that are not given.
      steps: the preprocessing.
    """

    name: str
    reader: Reader
    division: Division = field(default_factory=Division)
    steps: tuple[Step, ...] = ()

    def split(
        self,
        test: float | int = 0.2,
        validation: float | int = 0.1,
        calibration: float | int = 0.1,
        *,
        stratify: bool | None = None,
        seed: int = 0,
    ) -> Source:
        """Returns the source with another way to carve the splits that are not given; the last call counts.

        A split that exists is kept, whatever is said here. The others are carved from the train rows: disjoint,
        together all of them, the same for the same seed. All fractions are of the rows that there were before carving.

        Args:
          test: a fraction, or a number of rows; 0 for none.
          validation: likewise; it decides when to stop and which hyperparameters win.
          calibration: likewise; it sets the temperature, on rows that nothing else was chosen by.
          stratify: whether every class has its share in each split; by default if the targets are integer classes.
          seed: another seed is another division.

        Raises:
          InputError: if a size is impossible.
        """
        return replace(self, division=Division(test, validation, calibration, stratify, seed))

    def preprocess(self, *steps: Step | Callable[..., Step]) -> Source:
        """Returns the source with these steps of preprocessing in place of those it had; they become part of the model.

        Example:
          >>> from verax.data import digits, standardise
          >>> digits().preprocess(standardise()).steps
          (Standardise(columns=None),)
        """
        fitting = tuple(step for step in steps if isinstance(step, Step))
        for step in steps:
            if not isinstance(step, Step):
                called = f" Call it: {step.__name__}()." if hasattr(step, "__name__") else ""
                raise InputError(f"preprocess takes steps such as standardise(), got {step!r}.{called}")
        return replace(self, steps=fitting)

    def load(self) -> Dataset:
        """Returns the data; read once a process, until a file changes.

        Raises:
          InputError: if a file is missing, truncated or of another kind, or the arrays in it do not fit together.
        """
        stamp = self.reader.stamp()
        return self._loaded if stamp is None else _load_files(self, stamp)

    @functools.cached_property
    def _loaded(self) -> Dataset:
        return _load(self)


@functools.lru_cache(maxsize=4)
def _load_files(source: Source, stamp: Hashable) -> Dataset:
    """Equal sources over unchanged files share one Dataset; a few are kept, since each holds all its rows."""
    return _load(source)


def _load(source: Source) -> Dataset:
    contents = source.reader.read()
    raise_errors(check_structure(contents.splits))
    splits, rows = divide(contents.splits, source.division)
    for leaf in jax.tree.leaves(splits):
        leaf.flags.writeable = False
    schema = _schema(contents, splits["train"].inputs, source.steps)
    return Dataset(source.name, schema, splits, source.steps, rows)


def _schema(contents: Contents, inputs: Any, steps: Sequence[Step]) -> Schema:
    common: dict[str, Any] = {"classes": contents.classes, "target": contents.target, "markers": contents.markers}
    if not isinstance(inputs, np.ndarray):
        return Schema("tree", (), "", **common)
    columns = tuple(
        Column(column.name, column.categories, _has_nan(inputs[:, index]) or any(step.fills(column) for step in steps))
        for index, column in enumerate(contents.columns)
    )
    missing = not columns and (_has_nan(inputs) or any(step.fills(None) for step in steps))
    is_image = inputs.dtype == np.uint8 and inputs.ndim in (3, 4)
    kind = "table" if columns else contents.kind or ("image" if is_image else "array")
    return Schema(kind, inputs.shape[1:], inputs.dtype.name, columns, missing=missing, **common)


def _has_nan(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" and bool(np.isnan(values.min()))  # min hands NaN on
