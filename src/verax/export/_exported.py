"""A trained network that runs without its source."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from verax.data import Schema
from verax.export._blocks import blocks_of, run_in_blocks
from verax.export._check import check_raw
from verax.export._prediction import Prediction, predictions_of
from verax.export._signature import Signature
from verax.findings import InputError
from verax.trees import Tree

BATCH_SIZE = 1024  # rows computed at once: enough to keep a machine busy, few enough for images to fit in memory


@dataclass(frozen=True, eq=False)
class Exported:
    """A trained network that runs without its source; made by `save` or `load`.

    Attributes:
      path: the folder it lies in.
      signature: what it says about itself.
      weights: parameters, model state, preprocessing statistics and temperature by path, on the host.
      stablehlo: the programs by batch size, 0 for any; prefer `predict` or `call`.
    """

    path: Path
    signature: Signature
    weights: dict[str, np.ndarray] = field(repr=False)
    stablehlo: dict[int, jax_export.Exported] = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes by label, or None."""
        return self.signature.classes

    @functools.cached_property
    def schema(self) -> Schema:
        """What one raw example looks like."""
        return Schema.from_json(self.signature.schema)

    def predict(self, raw: Tree, batch_size: int = BATCH_SIZE) -> dict[str, Any]:
        """Returns what the model gives for raw inputs, by name, as NumPy arrays with a row for each.

        There are `outputs`, and what the task makes of them: `probabilities` of classes, labels or next tokens (and
        `labels` where a threshold was exported), `predictions` (and `std` of a Gaussian), or `reconstruction`.

        Args:
          raw: raw inputs as `Dataset.raw` holds them: images, codes and numbers of a table, or a tree of arrays.
          batch_size: rows that are computed at once. Rows of networks that mix them (`signature.rows_independent` is
            False) see those of their own batch.

        Raises:
          InputError: if a shape, dtype or value is not what training knew.
        """
        raw = self.check(raw)
        rows = jax.tree.leaves(raw)[0].shape[0]
        if rows == 0:
            return self._nothing()
        weights = self.device_weights

        def run(block: Tree) -> Tree:
            return self.compiled(jax.tree.leaves(block)[0].shape[0])(weights, block)

        return run_in_blocks(run, raw, blocks_of(self.signature, rows, batch_size))

    def predict_rows(self, rows: Any, batch_size: int = BATCH_SIZE) -> list[Prediction]:
        """Returns a prediction for each raw row: dicts of texts and numbers by column name, or an array of images.

        Raises:
          InputError: naming row, column and value, if a row cannot be read; or if the network's own outputs are not
            finite.
        """
        return predictions_of(self.signature, self.predict(self.schema.encode(rows), batch_size))

    def call(self, weights: dict[str, Any], raw: Tree) -> Any:
        """Returns the outputs for any weights and raw inputs, unchecked and in one call; traceable.

        Args:
          weights: arrays by path, as in `weights`.
          raw: raw inputs.
        """
        return self._program(np.shape(jax.tree.leaves(raw)[0])[0]).call(weights, raw)

    def compiled(self, rows: int) -> jax.stages.Compiled:
        """Returns the compiled program for a number of rows, `(weights, raw) -> outputs`; compiled once."""
        if rows not in self._compiled:
            program = self._program(rows)
            (weights, raw), _ = program.in_tree.unflatten(program.in_avals)
            of_size = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype), raw)
            of_weights = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), weights)
            self._compiled[rows] = jax.jit(program.call).lower(of_weights, of_size).compile()
        return self._compiled[rows]

    def check(self, raw: Tree) -> Tree:
        """Returns raw inputs as the arrays that the program takes; see `predict` for what is refused."""
        checked = check_raw(self.signature, self.schema, raw)
        program = next(iter(self.stablehlo.values()))
        (_, wanted), _ = program.in_tree.unflatten(program.in_avals)
        found, expected = jax.tree.structure(checked), jax.tree.structure(wanted)
        if found != expected:
            raise InputError(f"raw inputs must have the structure {expected}, got {found}.")
        return checked

    @functools.cached_property
    def device_weights(self) -> dict[str, jax.Array]:
        """The weights on the device."""
        return jax.device_put(self.weights)

    @functools.cached_property
    def _compiled(self) -> dict[int, Any]:
        return {}

    def _program(self, rows: int) -> jax_export.Exported:
        program = self.stablehlo.get(0, self.stablehlo.get(rows))
        if program is None:
            raise InputError(
                f"inputs must have one of {sorted(self.stablehlo)} rows, got {rows}. Use predict, which adds rows."
            )
        return program

    def _nothing(self) -> dict[str, Any]:
        program = next(iter(self.stablehlo.values()))
        outputs = program.out_tree.unflatten(program.out_avals)
        return jax.tree.map(lambda leaf: np.zeros((0, *leaf.shape[1:]), leaf.dtype), outputs)
