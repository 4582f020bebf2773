"""What the optimizer's weight decay reaches, leaf by leaf, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verax.findings import InputError
from verax.train._freeze import frozen_mask
from verax.train._optimizer import NEVER_DECAYED, decay_mask
from verax.trees import Tree, leaves_by_path, shape_text


@dataclass(frozen=True)
class DecayRow:
    """One parameter: its path, its dtype and shape, whether it decays, and why not where it does not."""

    path: str
    shape: str
    count: int
    decays: bool
    reason: str


@dataclass(frozen=True)
class DecayTable:
    """Which parameters weight decay reaches; its text is a table."""

    rows: tuple[DecayRow, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Returns a dict for each row."""
        return [vars(row) for row in self.rows]

    def __str__(self) -> str:
        width = max(len(row.path) for row in self.rows)
        wide = max(len(row.shape) for row in self.rows)
        lines = [
            f"{row.path:<{width}}  {row.shape:<{wide}}  {'decays' if row.decays else f'does not: {row.reason}'}"
            for row in self.rows
        ]
        decaying = sum(row.count for row in self.rows if row.decays)
        total = sum(row.count for row in self.rows)
        return "\n".join([*lines, f"{decaying:,} of {total:,} parameters decay"])


def decay_table(params: Tree, *, freeze: tuple[str, ...] = ()) -> DecayTable:
    """Returns which parameters `vx.decay_mask` lets decay, and so which decay in `vx.train` by default.

    Args:
      params: a tree of parameters.
      freeze: patterns of the paths of frozen parameters, as in `Experiment`.

    Raises:
      InputError: if it is no tree of arrays.

    Example:
      >>> print(decay_table({"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}))
      bias    float32[3]    does not: named like a bias or a scale
      kernel  float32[2,3]  decays
      6 of 9 parameters decay
    """
    for path, leaf in leaves_by_path(params).items():
        if not hasattr(leaf, "dtype"):
            found = f"{type(leaf).__name__} at {path}" if path else type(leaf).__name__
            raise InputError(f"params must be a tree of arrays, got {found}. Pass run.variables.params.")
    decays, frozen = leaves_by_path(decay_mask(params)), leaves_by_path(frozen_mask(params, freeze))
    rows = []
    for path, leaf in leaves_by_path(params).items():
        reason = ""
        if frozen[path]:
            reason = "frozen"
        elif path.rpartition("/")[2] in NEVER_DECAYED:
            reason = "named like a bias or a scale"
        elif not decays[path]:
            reason = "fewer than two axes"
        rows.append(DecayRow(path, shape_text(leaf), int(np.prod(np.shape(leaf))), not reason, reason))
    return DecayTable(tuple(rows))
