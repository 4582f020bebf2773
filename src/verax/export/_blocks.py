"""Rows in blocks of the sizes that a program takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from verax.export._signature import Signature
from verax.findings import InputError
from verax.trees import Tree


class Block(NamedTuple):
    """Rows `start` to `stop`, repeated at the end up to `size` rows."""

    start: int
    stop: int
    size: int


def blocks_of(signature: Signature, rows: int, batch_size: int) -> list[Block]:
    """Returns the blocks in which a model runs some rows.

    Where any number of rows fits, these are blocks of `batch_size`; else the exported sizes, the last block filled up
    to the next size. A model whose rows may depend on each other is never filled up.

    Raises:
      InputError: if the model has fixed sizes and rows that may depend on each other, and no size is `rows`.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}.")
    if signature.batch_sizes is None:
        sizes: Sequence[int] = (rows,) if rows <= batch_size else (batch_size,)
    else:
        sizes = sorted(signature.batch_sizes)
        sizes = [size for size in sizes if size <= batch_size] or sizes[:1]
        if not signature.rows_independent and rows not in signature.batch_sizes:
            raise InputError(
                f"inputs must have as many rows as the model was exported for, {sorted(signature.batch_sizes)}, got "
                f"{rows}. The rows may depend on each other, so none can be added. Export it with this size in "
                "batch_sizes."
            )
        if not signature.rows_independent:
            return [Block(0, rows, rows)]
    return list(_cut(sizes, rows, fill=signature.batch_sizes is not None or signature.rows_independent))


def _cut(sizes: Sequence[int], rows: int, fill: bool) -> Any:
    start = 0
    while start < rows:
        left = rows - start
        size = next((size for size in sizes if size >= left), sizes[-1])
        stop = min(start + size, rows)
        yield Block(start, stop, size if fill else stop - start)
        start = stop


def run_in_blocks(function: Callable[[Tree], Tree], raw: Tree, blocks: Sequence[Block]) -> Tree:
    """Returns the outputs of all rows, as NumPy arrays."""
    pieces = []
    for block in blocks:
        outputs = function(jax.tree.map(lambda leaf, block=block: _rows(leaf, block), raw))
        pieces.append(jax.tree.map(lambda leaf, block=block: np.asarray(leaf)[: block.stop - block.start], outputs))
    return pieces[0] if len(pieces) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)


def _rows(leaf: np.ndarray, block: Block) -> np.ndarray:
    rows = leaf[block.start : block.stop]
    missing = block.size - rows.shape[0]
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
