"""The runs of many lanes as one frozen value: what they have in common, and how far they lie apart."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.data._folds import Fold
from verax.evaluate import Estimate, Evaluation, evaluate
from verax.findings import InputError
from verax.network import Variables
from verax.train._run import Run


class LaneEstimate(NamedTuple):
    """A metric over lanes.

    Attributes:
      mean: over the lanes, with its 95 % interval (Student's t): where the mean over ever more lanes would lie.
      sd: standard deviation of one lane; NaN for a single one.
      lanes: how many were counted.
    """

    mean: Estimate
    sd: float
    lanes: int

    def to_json(self) -> dict[str, float | int | None]:
        """Returns `value`, `low`, `high`, `sd`, `lanes`; None stands for what is not finite."""
        return {**self.mean.to_json(), "sd": self.sd if math.isfinite(self.sd) else None, "lanes": self.lanes}

    def __str__(self) -> str:
        return f"{self.mean}, sd {self.sd:.4f}"


def lane_estimate(values: Sequence[float]) -> LaneEstimate:
    """Returns the mean of one number a lane, with Student's interval and the standard deviation.

    Args:
      values: one a lane, finite.

    Raises:
      ValueError: if there is none.

    Example:
      >>> print(lane_estimate([0.90, 0.92, 0.94]))
      0.9200 [0.8703, 0.9697], sd 0.0200

    References:
      Student (1908), "The Probable Error of a Mean".
    """
    from scipy.special import stdtrit

    if not len(values):
        raise ValueError("an estimate needs at least one lane, got none.")
    lanes, mean = len(values), float(np.mean(values))
    if lanes == 1:
        return LaneEstimate(Estimate(mean, -math.inf, math.inf), math.nan, 1)
    sd = float(np.std(values, ddof=1))
    half = float(stdtrit(lanes - 1, 0.975)) * sd / math.sqrt(lanes)
    return LaneEstimate(Estimate(mean, mean - half, mean + half), sd, lanes)


@dataclass(frozen=True)
class LaneSummary:
    """What the lanes came to.

    Attributes:
      lanes: how many there are.
      last: metrics at the end of the last epoch, by name.
      best: metrics at each lane's best epoch, by name; empty without a validation split.
      left_out: names of the lanes that are not counted, each with the reason: they did not stay finite.
    """

    lanes: int
    last: Mapping[str, LaneEstimate]
    best: Mapping[str, LaneEstimate]
    left_out: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        return {
            "lanes": self.lanes,
            "last": {name: each.to_json() for name, each in self.last.items()},
            "best": {name: each.to_json() for name, each in self.best.items()},
            "left_out": dict(self.left_out),
        }

    def __str__(self) -> str:
        counted = self.lanes - len(self.left_out)
        lines = [f"{counted} of {self.lanes} lanes" if self.left_out else f"{self.lanes} lanes"]
        lines[0] += f"{'':<{max(0, 29 - len(lines[0]))}} mean [95 % interval]          sd"
        for kind, metrics in (("last", self.last), ("best", self.best)):
            lines += [f"  {kind} {name:<23} {each.mean!s:<29} {each.sd:.4f}" for name, each in metrics.items()]
        lines += [f"  left out: {name}, {reason}" for name, reason in self.left_out.items()]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of many lanes: one experiment with several seeds, or on several folds of its data.

    Attributes:
      runs: one a lane, each as if it had been trained alone.
      folds: the row numbers of each lane's splits; empty where the lanes differ in their seeds.
    """

    runs: tuple[Run, ...]
    folds: tuple[Fold, ...] = ()

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, lane: int) -> Run:
        return self.runs[lane]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each lane."""
        return tuple(run.experiment.seed for run in self.runs)

    @property
    def names(self) -> tuple[str, ...]:
        """What each lane is called: `seed 0` or `fold 0`."""
        if self.folds:
            return tuple(f"fold {number}" for number in range(len(self.runs)))
        return tuple(f"seed {seed}" for seed in self.seeds)

    @functools.cached_property
    def stacked(self) -> Variables:
        """The weights to use of all lanes, each leaf with a leading axis of lanes: for `jax.vmap`."""
        return jax.tree.map(_stacked, *(run.variables for run in self.runs))

    def summary(self) -> LaneSummary:
        """Returns the mean over lanes of every epoch metric, with its interval, at the last and at the best epoch.

        Lanes that did not stay finite are left out, and named.
        """
        broken = {
            name: run.stop_reason
            for name, run in zip(self.names, self.runs, strict=True)
            if run.stop_reason.startswith("not finite")
        }
        whole = [run for name, run in zip(self.names, self.runs, strict=True) if name not in broken]
        last = [_epoch_values(run, None) for run in whole]
        best = [_epoch_values(run, int(run.best.step)) for run in whole if run.best is not None]
        return LaneSummary(len(self.runs), _estimates(last), _estimates(best), broken)

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `lanes.json`: the summary, and of each lane its last values."""
        lanes = [
            {
                "name": name,
                "seed": run.experiment.seed,
                "steps": int(run.state.step),
                "best_step": None if run.best is None else int(run.best.step),
                "stop_reason": run.stop_reason,
                "last": {key: _number(value) for key, value in _epoch_values(run, None).items()},
                "best": {
                    key: _number(value)
                    for key, value in ({} if run.best is None else _epoch_values(run, int(run.best.step))).items()
                },
            }
            for name, run in zip(self.names, self.runs, strict=True)
        ]
        return {"kind": "folds" if self.folds else "seeds", "summary": self.summary().to_json(), "runs": lanes}

    def __str__(self) -> str:
        return str(self.summary())


def _stacked(*leaves: Any) -> Any:
    if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves]))


def _epoch_values(run: Run, step: int | None) -> dict[str, float]:
    """Returns the values of the epoch that ended with a step; of the last epoch for None."""
    epochs = [record for record in run.history if record.kind == "epoch" and step in (None, record.step)]
    return dict(epochs[-1].values) if epochs else {}


def _estimates(values: Sequence[Mapping[str, float]]) -> dict[str, LaneEstimate]:
    names = values[0] if values else {}
    return {name: lane_estimate([each[name] for each in values if name in each]) for name in names}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class LaneScores:
    """What each lane achieves on a split, and their mean.

    Attributes:
      split: which one.
      lanes: the evaluation of each lane; the intervals in it are about the examples.
      metrics: over the lanes, by name; the intervals are about the lanes.
    """

    split: str
    lanes: tuple[Evaluation, ...]
    metrics: dict[str, LaneEstimate]

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        return {
            "split": self.split,
            "metrics": {name: each.to_json() for name, each in self.metrics.items()},
            "lanes": [each.to_json() for each in self.lanes],
        }

    def __str__(self) -> str:
        lines = [f"{self.split}, {len(self.lanes)} lanes: mean [95 % interval], sd"]
        return "\n".join([*lines, *(f"  {name:<20} {each}" for name, each in self.metrics.items())])


def score_lanes(runs: Runs, split: str = "test") -> LaneScores:
    """Returns what each lane achieves on a split, and the mean over lanes with its interval.

    Opens the split: training never does. Of folds each lane is scored on its own held-out rows. The program is compiled
    once for all lanes.

    The interval of a mean over seeds says how it varies with the seed, on these examples; another sample of examples is
    in the intervals of `lanes[i].metrics`. Folds share most of their training rows, so that the interval of a mean over
    folds is a little too short (Bengio and Grandvalet 2004).

    Args:
      runs: of `vx.train(..., seeds=)` or `vx.train(..., folds=)`.
      split: `train`, `validation`, `calibration` or `test`.

    Raises:
      InputError: if the data have no such split, or a lane did not stay finite.
    """
    broken = [name for name, run in zip(runs.names, runs.runs, strict=True) if run.stop_reason.startswith("not finite")]
    if broken:
        raise InputError(f"{', '.join(broken)} did not stay finite and cannot be scored. Lower the learning rate.")
    scored = tuple(
        evaluate(
            run.network, run.experiment.objective, run.variables, run.dataset.examples(split),
            classes=run.dataset.schema.classes,
        )
        for run in runs.runs
    )  # fmt: skip
    names = [name for name in scored[0].metrics if all(name in each.metrics for each in scored)]
    return LaneScores(
        split, scored, {name: lane_estimate([each.metrics[name].value for each in scored]) for name in names}
    )
