"""Data in whatever form an experiment gives them, as a loaded data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verax.data._arrays import from_arrays
from verax.data._dataset import Dataset
from verax.data._schema import suggestion
from verax.data._source import Source
from verax.data._split import SPLITS
from verax.findings import InputError


def load(data: Any) -> Dataset:
    """Returns data as a loaded data set: a source is read (once a process), a dict of splits is taken as it is.

    Args:
      data: a `Source`, a `Dataset`, or `{"train": (inputs, targets), "test": (inputs, targets), ...}`.

    Raises:
      InputError: if it is none of these, or what the source's own `load` raises.

    Example:
      >>> load({"train": (np.ones((10, 2), "float32"), np.arange(10) % 2)}).splits
      ('train',)
    """
    if isinstance(data, Source):
        return data.load()
    if isinstance(data, Dataset):
        return data
    if isinstance(data, Mapping):
        for name in data:
            if name not in SPLITS:
                raise InputError(
                    f"data must have the splits {', '.join(SPLITS)}, got {name!r}. {suggestion(str(name), SPLITS)}"
                )
        return from_arrays(**data).split(0, 0, 0).load()
    raise InputError(
        f"data must be a source such as vx.data.from_arrays(x, y), or a dict of splits, got {type(data).__name__}. "
        "For a pair of arrays write vx.data.from_arrays(inputs, targets)."
    )
