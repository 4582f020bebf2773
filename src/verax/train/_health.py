"""The health of every parameter leaf along a run: written into the records of chunks, read back as tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from verax.train._history import History
from verax.train._leaf_statistics import STATISTICS, watched_paths
from verax.train._optimizer import NEVER_DECAYED
from verax.trees import Tree

LEAVES = "leaves"  # of a chunk's record: the statistics of its last step, in the order of STATISTICS, by path
DIGITS = 4  # of a number in a record


@dataclass(frozen=True, eq=False)
class Health:
    """What every leaf did along a run, at the last step of each chunk.

    What the numbers mean, and which are worrying, is in docs/guide/monitor.md.

    Attributes:
      paths: of the leaves.
      steps: at which they were measured.
      values: by statistic, (steps, leaves): `norm`, `mean`, `largest`, `zeros`, `nan` and `inf` of the gradient,
        `update_ratio` and `drift`. NaN where it is not defined, such as a ratio to weights that are all 0.
    """

    paths: tuple[str, ...]
    steps: Int[np.ndarray, " steps"]
    values: dict[str, Float[np.ndarray, "steps leaves"]]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def is_weight(self) -> tuple[bool, ...]:
        """Whether each leaf is a weight by its name, and no bias or normalisation scale."""
        return tuple(path.rpartition("/")[2] not in NEVER_DECAYED for path in self.paths)


def health(history: History) -> Health:
    """Returns the health of the leaves along a run, of its history.

    Chunks that are the smaller last batch of an epoch have none.

    Example:
      >>> from verax.train import Record
      >>> values = {"leaves": {"kernel": (0.5, 0.1, 0.2, 0.0, 0, 0, 0.001, 0.02)}}
      >>> found = health(History((Record("chunk", 100, 1, values, 0.1),)))
      >>> found.paths, found.steps.tolist(), found.values["norm"].tolist()
      (('kernel',), [100], [[0.5]])
    """
    records = [record for record in history if LEAVES in record.values]
    paths = tuple(dict.fromkeys(path for record in records for path in record.values[LEAVES]))
    missing = (np.nan,) * len(STATISTICS)
    rows = [[record.values[LEAVES].get(path, missing) for path in paths] for record in records]
    table = np.array(rows, float).reshape(len(records), len(paths), len(STATISTICS))
    values = {name: table[..., place] for place, name in enumerate(STATISTICS)}
    return Health(paths, np.array([record.step for record in records], int), values)


def leaf_rows(params: Tree, table: Float[np.ndarray, "leaves statistics"]) -> dict[str, tuple[float | None, ...]]:
    """Returns statistics by path as a record holds them: in few digits, None where one is not defined."""
    rows = ([None if math.isnan(each) else float(f"{each:.{DIGITS}g}") for each in row] for row in table.tolist())
    return {path: tuple(row) for path, row in zip(watched_paths(params), rows, strict=True)}
