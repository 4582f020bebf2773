"""A study: trials over a space of hyperparameters, the choice by validation, the winner retrained."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verax.findings import InputError
from verax.train import Experiment, Run, fingerprint, fit, resolve
from verax.train._stopping import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Trial:
    """One setting and what came of it.

    Attributes:
      hyperparameters: what was tried.
      value: the validation metric at its best epoch; NaN if training did not stay finite.
      seconds: of training.
      stop_reason: why it ended.
    """

    hyperparameters: Mapping[str, Any]
    value: float
    seconds: float
    stop_reason: str

    def to_json(self) -> dict[str, Any]:
        """Returns the trial as plain values."""
        value = self.value if math.isfinite(self.value) else None
        return {
            "hyperparameters": dict(self.hyperparameters),
            "value": value,
            "seconds": self.seconds,
            "stop_reason": self.stop_reason,
        }


@dataclass(frozen=True, eq=False)
class Study:
    """The trials of a search, and the winner trained anew.

    Attributes:
      trials: in the order they were run.
      metric: what chose among them; always of the validation split.
      best: the trial that won.
      best_run: the winner's setting, trained from the beginning.
    """

    trials: tuple[Trial, ...]
    metric: str
    best: Trial
    best_run: Run

    def __str__(self) -> str:
        rows = sorted(self.trials, key=lambda trial: _rank(trial.value, self.metric))
        return "\n".join(f"{trial.value:10.5g}  {_setting(trial.hyperparameters)}" for trial in rows)

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `study.json`."""
        return {
            "metric": self.metric,
            "best": self.best.to_json(),
            "trials": [trial.to_json() for trial in self.trials],
        }


def search(
    experiment: Callable[..., Experiment],
    space: Mapping[str, Sequence[Any]],
    *,
    metric: str = "validation/loss",
    **hyperparameters: Any,
) -> Study:
    """Returns the study of every combination in a grid: each is trained, validation chooses, the winner is retrained.

    The test split is never touched.

    Args:
      experiment: the function from hyperparameters to an Experiment.
      space: for each hyperparameter the values to try, such as `{"learning_rate": [1e-3, 1e-2], "hidden": [64, 128]}`.
      metric: what chooses: `validation/loss`, `validation/accuracy` or `validation/rmse`.
      **hyperparameters: held fixed in all trials.

    Raises:
      InputError: if a hyperparameter is unknown, has no values, changes nothing, or the data has no validation split;
        all before the first trial. Also if no trial stayed finite.
    """
    steps = trials(experiment, space, metric=metric, **hyperparameters)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def trials(
    experiment: Callable[..., Experiment],
    space: Mapping[str, Sequence[Any]],
    *,
    metric: str = "validation/loss",
    **hyperparameters: Any,
) -> Generator[Trial, None, Study]:
    """Yields each trial as it ends, and returns the study: `search` with something to watch."""
    settings = _settings(space)
    _check_space(experiment, space, metric, hyperparameters)
    done = []
    for setting in settings:
        clock = time.perf_counter()
        run = fit(experiment, **hyperparameters, **setting)
        done.append(Trial(setting, _value(run, metric), time.perf_counter() - clock, run.stop_reason))
        yield done[-1]
    best = min(done, key=lambda trial: _rank(trial.value, metric))
    if math.isnan(best.value):
        raise InputError(f"none of the {len(done)} trials stayed finite. Try smaller learning rates.")
    return Study(tuple(done), metric, best, fit(experiment, **hyperparameters, **best.hyperparameters))


def _settings(space: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    if not space:
        raise InputError("the space must name at least one hyperparameter with its values, got none.")
    for name, values in space.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise InputError(f"the space must give {name!r} a list of values to try, got {values!r}.")
        if len({repr(value) for value in values}) < len(values):
            raise InputError(f"the space gives {name!r} a value twice: {list(values)!r}.")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def _check_space(
    experiment: Callable[..., Experiment], space: Mapping[str, Sequence[Any]], metric: str, fixed: Mapping[str, Any]
) -> None:
    """Refuses what cannot be searched, before the first trial."""
    both = set(space) & set(fixed)
    if both:
        raise InputError(f"{', '.join(sorted(both))} cannot be searched and held fixed at once.")
    first = {name: values[0] for name, values in space.items()}
    made = resolve(experiment, {**fixed, **first})
    from verax.data import load
    from verax.train import EarlyStopping

    names = {"classification": ["accuracy"], "binary": ["accuracy"], "regression": ["rmse"]}.get(
        made.objective.task, []
    )
    known = [f"validation/{name}" for name in ("loss", *names)] if "validation" in load(made.data).splits else []
    EarlyStopping(metric=metric).check_metric(known)
    reference = fingerprint(made)
    for name, values in space.items():
        others = (resolve(experiment, {**fixed, **first, name: value}) for value in values[1:])
        if len(values) > 1 and all(fingerprint(other) == reference for other in others):
            raise InputError(
                f"the hyperparameter {name!r} changes nothing: {', '.join(map(repr, values))} give the same program and data. "
                "Does the experiment function use it?"
            )


def _value(run: Run, metric: str) -> float:
    """Returns the metric at the epoch whose weights the run would use: its best one if it stops early, else its last."""
    values = run.history.series(metric)[1]
    if not values or run.stop_reason.startswith("not finite"):
        return math.nan
    return min(values, key=lambda value: _rank(value, metric)) if run.experiment.stopping else values[-1]


def _rank(value: float, metric: str) -> float:
    if math.isnan(value):
        return math.inf
    return -value if metric.rsplit("/", 1)[-1] in HIGHER_IS_BETTER else value


def _setting(hyperparameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in hyperparameters.items())
