"""A study: trials over a space of hyperparameters, the choice by validation, the winner retrained."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verax.data import load
from verax.findings import InputError
from verax.train import EarlyStopping, Experiment, Run, fingerprint, fit, resolve
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
    space: Mapping[str, Sequence[Any] | np.ndarray],
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
    space: Mapping[str, Sequence[Any] | np.ndarray],
    *,
    metric: str = "validation/loss",
    **hyperparameters: Any,
) -> Generator[Trial, None, Study]:
    """Yields each trial as it ends, and returns the study: `search` with something to watch."""
    values = _values(space)
    settings = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    _check_space(experiment, values, settings, metric, hyperparameters)
    done = []
    for setting in settings:
        clock = time.perf_counter()
        try:
            run = fit(experiment, **hyperparameters, **setting)
            value, reason = _value(run, metric), run.stop_reason
        except InputError as error:  # this setting cannot be trained (a warm-up longer than the run); the others can
            value, reason = math.nan, f"not trained: {error}"
        done.append(Trial(setting, value, time.perf_counter() - clock, reason))
        yield done[-1]
    best = min(done, key=lambda trial: _rank(trial.value, metric))
    if math.isnan(best.value):
        untrained = [each.stop_reason for each in done if each.stop_reason.startswith("not trained")]
        if len(untrained) == len(done):
            raise InputError(f"none of the {len(done)} trials could be trained. The first: {untrained[0]}")
        raise InputError(f"none of the {len(done)} trials stayed finite. Try smaller learning rates.")
    return Study(tuple(done), metric, best, fit(experiment, **hyperparameters, **best.hyperparameters))


def _values(space: Mapping[str, Sequence[Any] | np.ndarray]) -> dict[str, list[Any]]:
    """Returns the values of each hyperparameter as a list of plain Python values."""
    if not space:
        raise InputError("the space must name at least one hyperparameter with its values, got none.")
    lists = {}
    for name, values in space.items():
        values = values.tolist() if isinstance(values, np.ndarray) else values
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise InputError(f"the space must give {name!r} a list of values to try, got {values!r}.")
        lists[name] = [value.item() if isinstance(value, np.generic) else value for value in values]
        if len({repr(value) for value in lists[name]}) < len(lists[name]):
            raise InputError(f"the space gives {name!r} a value twice: {lists[name]!r}.")
    return lists


def _check_space(
    experiment: Callable[..., Experiment],
    space: Mapping[str, list[Any]],
    settings: Sequence[Mapping[str, Any]],
    metric: str,
    fixed: Mapping[str, Any],
) -> None:
    """Refuses what cannot be searched, before the first trial."""
    both = set(space) & set(fixed)
    if both:
        raise InputError(f"{', '.join(sorted(both))} cannot be searched and held fixed at once.")
    made = [resolve(experiment, {**fixed, **setting}) for setting in settings]
    for one in made:
        splits = load(one.data).splits
        kinds = ("validation",) if one.ema is None else ("validation", "ema_validation")
        known = [f"{kind}/{name}" for kind in kinds for name in one.objective.metrics]
        known = known if "validation" in splits else []
        EarlyStopping(metric=metric).check_metric(known)
    identity = functools.cache(lambda index: fingerprint(made[index]))
    for name, values in space.items():
        if len(values) > 1 and not _changes_something(name, settings, identity):
            tried = ", ".join(map(repr, values))
            raise InputError(
                f"the hyperparameter {name!r} changes nothing: {tried} give the same program and data. "
                "Does the experiment function use it?"
            )


def _changes_something(name: str, settings: Sequence[Mapping[str, Any]], identity: Callable[[int], str]) -> bool:
    """Returns whether two settings that differ in one hyperparameter alone give different programs or data."""
    first: dict[str, int] = {}
    for index, setting in enumerate(settings):
        others = repr({other: value for other, value in setting.items() if other != name})
        if identity(index) != identity(first.setdefault(others, index)):
            return True
    return False


def _value(run: Run, metric: str) -> float:
    """Returns the metric at the epoch whose weights the run uses: its best one if it stops early, else its last."""
    steps, values = run.history.series(metric)
    if not values or run.stop_reason.startswith("not finite"):
        return math.nan
    best = run.best if run.experiment.stopping else None
    return values[-1] if best is None else values[steps.index(int(best.step))]


def _rank(value: float, metric: str) -> float:
    if math.isnan(value):
        return math.inf
    return -value if metric.rsplit("/", 1)[-1] in HIGHER_IS_BETTER else value


def _setting(hyperparameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in hyperparameters.items())
