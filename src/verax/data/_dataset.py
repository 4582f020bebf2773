"""A data set in memory: raw splits, and what the network sees of them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from verax.data._batch import Examples
from verax.data._preprocess import BLOCK, Preprocessing, Step, fit
from verax.data._schema import Schema, suggestion
from verax.data._split import SPLITS
from verax.data._structure import named_leaves
from verax.findings import InputError


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory, normally made by `Source.load`.

    Attributes:
      name: for reports.
      schema: what one raw example looks like.
      parts: the raw splits by name; arrays are read-only.
      steps: the preprocessing, not fitted yet.
      rows: for splits that were carved, the row numbers within the train rows that were given.
    """

    name: str
    schema: Schema
    parts: Mapping[str, Examples]
    steps: tuple[Step, ...] = ()
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    _prepared: dict[str, Examples] = field(default_factory=dict, init=False, repr=False)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {self.parts[split].size}" for split in self.splits)
        return f"Dataset({self.name!r}, {self.schema.kind} {self.schema.dtype}{list(self.schema.shape)}, {sizes})"

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there, in the order train, validation, calibration, test."""
        return tuple(split for split in SPLITS if split in self.parts)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the bytes of all raw splits and the schema, in hexadecimal; preprocessing is left out."""
        total = hashlib.sha256(json.dumps(self.schema.to_json(), sort_keys=True).encode())
        for split in self.splits:
            for name, leaf in named_leaves(self.parts[split]).items():
                total.update(f"\0{split}\0{name}\0{leaf.dtype.name}\0{leaf.shape}\0".encode())
                for start in range(0, len(leaf), BLOCK):  # a view, such as overlapping windows, is never copied whole
                    block = np.ascontiguousarray(leaf[start : start + BLOCK])
                    total.update(block.reshape(-1).view(np.uint8).data)
        return total.hexdigest()

    @functools.cached_property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing, fitted on the train split the first time it is asked for."""
        return fit(self.steps, self.schema, self.raw("train").inputs)

    def raw(self, split: str) -> Examples:
        """Returns a split as the user has it.

        Raises:
          InputError: if there is no such split.
        """
        if split in SPLITS and split not in self.parts:
            raise InputError(
                f"the data have no {split} split, they have {', '.join(self.splits)}. Carve one with "
                f".split({split}=...), or pass one."
            )
        if split not in self.parts:
            raise InputError(
                f"split must be one of {list(self.splits)}, got {split!r}. {suggestion(split, self.splits)}"
            )
        return self.parts[split]

    def examples(self, split: str) -> Examples:
        """Returns a split as the network sees it: preprocessed once, then kept; without steps, the raw arrays."""
        if split not in self._prepared:
            raw = self.raw(split)
            block = min(BLOCK, self.raw("train").size)  # the same for every split: one compiled program
            inputs = self.preprocessing.transform(raw.inputs, block)
            if self.preprocessing.steps:
                inputs.flags.writeable = False
            self._prepared[split] = Examples(inputs, raw.targets)
        return self._prepared[split]
