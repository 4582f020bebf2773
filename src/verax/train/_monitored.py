"""What `vx.monitor` has seen, read from the state of an optimizer."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from verax.findings import InputError
from verax.train._leaf_statistics import STATISTICS, watched_paths
from verax.train._monitor import MonitorState
from verax.trees import Tree

HEADS = {"norm": "norm", "largest": "largest", "zeros": "zeros", "update_ratio": "upd/weight", "drift": "drift"}


@dataclass(frozen=True, eq=False)
class Monitored:
    """The statistics of every leaf; prints as a table.

    What they mean, and which values are worrying, is in docs/guide/monitor.md.

    Attributes:
      paths: of the leaves, in the order of the columns below.
      count: updates so far.
      taken: how many of them were looked at.
      steps: those whose statistics are in `recent`, counted from 1, oldest first.
      recent: by statistic, float32 (steps, leaves): `norm`, `mean`, `largest`, `zeros`, `nan`, `inf` of the gradient,
        `update_ratio` and `drift`. NaN where it is not defined, such as a ratio to weights that are all 0.
      mean: by statistic, over all looks, float32 (leaves,); NaN where it was never defined.
      largest: by statistic, over all looks, likewise.
      first_nonfinite: by path, the first look at which the gradient had NaN or Inf; only of leaves that had any.
    """

    paths: tuple[str, ...]
    count: int
    taken: int
    steps: Int[np.ndarray, " steps"]
    recent: dict[str, Float[np.ndarray, "steps leaves"]]
    mean: dict[str, Float[np.ndarray, " leaves"]]
    largest: dict[str, Float[np.ndarray, " leaves"]]
    first_nonfinite: dict[str, int]

    def latest(self, path: str) -> dict[str, float]:
        """Returns the statistics of a leaf at the last look, by name.

        Raises:
          InputError: if there is no such leaf, or nothing was looked at yet.
        """
        if path not in self.paths:
            raise InputError(f"path must be one of {', '.join(self.paths)}, got {path!r}.")
        if not len(self.steps):
            raise InputError("nothing was looked at yet: the first update is.")
        return {name: float(values[-1, self.paths.index(path)]) for name, values in self.recent.items()}

    def to_json(self) -> dict[str, Any]:
        """Returns all of it as plain lists and numbers, None where a number is not defined."""
        tables = {name: _plain(getattr(self, name)) for name in ("recent", "mean", "largest")}
        known = {"paths": list(self.paths), "count": self.count, "taken": self.taken, "steps": self.steps.tolist()}
        return {**known, **tables, "first_nonfinite": dict(self.first_nonfinite)}

    def __str__(self) -> str:
        if not self.taken:
            return f"{len(self.paths)} leaves, nothing looked at yet after {self.count} updates."
        width = max((len(path) for path in self.paths), default=0)
        lines = [f"{'at step ' + str(self.steps[-1]):<{width}}" + "".join(f"  {head:>10}" for head in HEADS.values())]
        for path in self.paths:
            values = self.latest(path)
            bad = int(values["nan"] + values["inf"])
            cells = "".join(f"  {_cell(name, values[name]):>10}" for name in HEADS)
            lines.append(f"{path:<{width}}{cells}" + (f"  {bad} not finite" if bad else ""))
        since = sorted(self.first_nonfinite.items(), key=operator.itemgetter(1))
        lines += [f"{path}: gradients not finite, first seen at step {step}." for path, step in since]
        return "\n".join([*lines, f"{self.taken} of {self.count} updates were looked at."])


def read_monitor(opt_state: Tree, *, lane: int | None = None) -> Monitored | tuple[Monitored, ...]:
    """Returns what `vx.monitor` has seen, from anywhere inside the state of an optimizer.

    Args:
      opt_state: the state; of several monitors in it the first is read.
      lane: of a state with an axis of lanes (`jax.vmap`), which one to read.

    Returns:
      A `Monitored`; without `lane`, for a state with an axis of lanes a tuple of one for each.

    Raises:
      InputError: if there is no monitor in the state, or no such lane.

    Example:
      >>> import optax
      >>> optimizer = optax.chain(optax.clip_by_global_norm(1.0), vx.monitor(optax.sgd(0.1)))
      >>> print(read_monitor(optimizer.init({"w": jnp.ones(2)})))
      1 leaves, nothing looked at yet after 0 updates.
    """
    states = [each for each in jax.tree.leaves(opt_state, is_leaf=_is_state) if _is_state(each)]
    if not states:
        raise InputError(
            "opt_state has no monitor in it. Wrap the optimizer before its init: "
            "optimizer = vx.monitor(optax.adamw(1e-3)); opt_state = optimizer.init(params)."
        )
    state = states[0]
    paths = watched_paths(state.first)
    state = jax.device_get(state._replace(inner_state=(), first=(), last=()))
    if not np.ndim(state.count):
        if lane is not None:
            raise InputError(f"opt_state has no axis of lanes, got lane={lane}. Leave out lane.")
        return _monitored(state, paths)
    if np.ndim(state.count) > 1:
        raise InputError(f"opt_state must have at most one axis of lanes, got {np.ndim(state.count)}.")
    lanes = len(state.count)
    if lane is None:
        return tuple(_monitored(jax.tree.map(operator.itemgetter(each), state), paths) for each in range(lanes))
    if not 0 <= lane < lanes:
        raise InputError(f"lane must lie in [0, {lanes}), got {lane}.")
    return _monitored(jax.tree.map(operator.itemgetter(lane), state), paths)


def _monitored(state: MonitorState, paths: tuple[str, ...]) -> Monitored:
    """Returns the state of one monitor, on the host, as tables by statistic; the ring unrolled."""
    taken, window = int(state.taken), len(state.steps)
    order = np.arange(max(0, taken - window), taken) % window
    recent = state.recent[order]
    undefined = np.where(state.known > 0, np.float32(0), np.float32(np.nan))
    return Monitored(
        paths=paths,
        count=int(state.count),
        taken=taken,
        steps=state.steps[order],
        recent=_by_statistic(recent),
        mean=_by_statistic(state.mean + undefined),
        largest=_by_statistic(state.largest + undefined),
        first_nonfinite={path: int(step) for path, step in zip(paths, state.first_nonfinite, strict=True) if step},
    )


def _by_statistic(table: np.ndarray) -> dict[str, np.ndarray]:
    return {name: table[..., place] for place, name in enumerate(STATISTICS)}


def _plain(tables: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: _without_nan(table).tolist() for name, table in tables.items()}


def _without_nan(table: np.ndarray) -> np.ndarray:
    held = table.astype(object)
    held[~np.isfinite(table)] = None
    return held


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.1%}" if name == "zeros" else f"{value:.2e}"


def _is_state(tree: Tree) -> bool:
    return isinstance(tree, MonitorState)
