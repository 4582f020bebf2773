"""Where a study is kept: Optuna's storage, which its dashboard opens, or nowhere."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from verax.findings import InputError
from verax.tune._opened import shown, study_in
from verax.tune._search import distribution_of, quiet_optuna, told_name
from verax.tune._space import Interval, Space, drawn
from verax.tune._study import Trial
from verax.tune._task import TaskResult

IDENTITY = "verax:identity"
MEMORY = "verax:memory"
TASK = "verax:task:"
NUMBER = "verax:number"


class Memory:
    """A study that is kept nowhere.

    Args:
      memory: the most bytes of a program.

    Attributes:
      results: what came of tasks, by name.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.results: dict[str, TaskResult] = {}

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def record(self, result: TaskResult) -> None:
        """Keeps what came of a task, without its states."""
        self.results[result.name] = without_states(result)

    def finish(self, trial: Trial) -> None:
        """Does nothing: whoever drives the study has the trial, and nobody else asks."""


class OptunaStorage:
    """A study in Optuna's storage: each finished task is one record, written at once; each finished trial one trial.

    A study that was killed goes on from its tasks; a trial that was not written for a task that was is written then.
    Only one process at a time drives a study, so no trial is written twice: a file has a lock beside it, a PostgreSQL
    server an advisory lock, both of which end with the process that holds them. Used as a context, it is closed at the
    end.

    Args:
      url: SQLite or PostgreSQL as SQLAlchemy names them, or `journal:PATH` for a journal file.
      name: of the study.
      space: checked.
      objective: what chooses.
      maximise: whether more of it is better.
      identity: what must be the same for a study to go on.
      memory: the most bytes of a program; a study that goes on keeps its own.

    Raises:
      InputError: if another study of this name is there, it is driven by another process, its records are damaged, or
        the storage cannot be opened.
      ImportError: if the driver of a database is not installed.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        space: Space,
        objective: str,
        maximise: bool,
        identity: Mapping[str, Any],
        memory: int,
    ):
        self.url, self.name, self.space, self.objective = url, name, space, objective
        self.results: dict[str, TaskResult] = {}
        self.finished: set[int] = set()
        with contextlib.ExitStack() as stack, quiet_optuna():
            try:
                self.study = stack.enter_context(study_in(url, name, _direction(maximise)))
                attributes, trials = self.study.user_attrs, self.study.get_trials(deepcopy=False)
            except (InputError, ImportError):
                raise
            except Exception as error:  # of SQLAlchemy, of a driver, or of the file system
                raise InputError(
                    f"the storage {shown(url)!r} cannot be opened: {_said(error)}. Give a folder as a Path, or a URL "
                    "such as sqlite:///study.db, journal:study.log or postgresql+psycopg://user@host/database."
                ) from error
            if IDENTITY in attributes:
                self.memory = self.read(attributes, identity, trials)
            else:
                self.memory = memory
                self.begin(identity, maximise, trials)
            self.stack = stack.pop_all()

    def __enter__(self) -> OptunaStorage:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def begin(self, identity: Mapping[str, Any], maximise: bool, trials: Sequence[Any]) -> None:
        """Writes what a new study is; its identity last, so that one which was killed here begins anew."""
        if trials or self.study.directions != [_direction(maximise)]:
            raise InputError(
                f"the study {self.name!r} in {shown(self.url)!r} was not made by Verax. Choose another name."
            )
        self.study.set_metric_names([self.objective])
        self.study.set_user_attr(MEMORY, self.memory)
        self.study.set_user_attr(IDENTITY, json.dumps(identity))

    def read(self, attributes: Mapping[str, Any], identity: Mapping[str, Any], trials: Sequence[Any]) -> int:
        """Reads what is known of a study, and returns the most bytes of its programs.

        Raises:
          InputError: if it is another study, or damaged.
        """
        try:
            known, memory = dict(json.loads(attributes[IDENTITY])), int(attributes[MEMORY])
            records = {key.removeprefix(TASK): text for key, text in attributes.items() if key.startswith(TASK)}
            self.results = {name: TaskResult.from_json(text) for name, text in records.items()}
            self.finished = {int(trial.user_attrs[NUMBER]) for trial in trials if trial.state.is_finished()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"the records of the study {self.name!r} in {shown(self.url)!r} are damaged, or were changed by "
                f"another program: {_said(error)}. Choose another name for a new study."
            ) from error
        _check_same(known, identity, self.name)
        return memory

    def record(self, result: TaskResult) -> None:
        """Keeps what came of a task, in one transaction; states are not kept."""
        result = without_states(result)
        with quiet_optuna():
            self.study.set_user_attr(f"{TASK}{result.name}", result.to_json())
        self.results[result.name] = result

    def finish(self, trial: Trial) -> None:
        """Keeps a finished trial, in one transaction, unless it is there."""
        if trial.number in self.finished:
            return
        with quiet_optuna():
            self.study.add_trial(_frozen(trial, self.space, self.objective))
        self.finished.add(trial.number)


def without_states(result: TaskResult) -> TaskResult:
    """Returns what came of a task without the states of its trials, which may be large."""
    return replace(result, states=())


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0].rstrip('.')}"


def _direction(maximise: bool) -> Any:
    import optuna

    directions = optuna.study.StudyDirection
    return directions.MAXIMIZE if maximise else directions.MINIMIZE


def _check_same(known: Mapping[str, Any], now: Mapping[str, Any], name: str) -> None:
    for what in {**known, **now}:
        if known.get(what) != json.loads(json.dumps(now.get(what))):
            raise InputError(
                f"the study {name!r} was begun with {what} {known.get(what)!r} and cannot go on with "
                f"{now.get(what)!r}. Choose another name or folder for a new study."
            )


def _frozen(trial: Trial, space: Space, objective: str) -> Any:
    """Returns a trial as Optuna keeps it, with its curve, so that the dashboard draws it."""
    import optuna

    distributions: dict[str, Any] = {}
    params: dict[str, Any] = {}

    def choose(name: str, values: list[Any] | Interval) -> Any:
        value, told = trial.hyperparameters[name], told_name(space, name, values)
        if isinstance(values, Interval):
            distributions[told], params[told] = distribution_of(values), value
        else:
            distributions[told] = optuna.distributions.CategoricalDistribution([_choice(each) for each in values])
            params[told] = _choice(value)
        return value

    drawn(space, choose)
    states = optuna.trial.TrialState
    ended = {"complete": states.COMPLETE, "pruned": states.PRUNED}.get(trial.state, states.FAIL)
    seeds = trial.curves.get(objective, ())
    curve = {
        epoch: sum(values) / len(values)
        for epoch, values in enumerate(zip(*seeds, strict=True), start=1)
        if all(value is not None for value in values)
    }
    frozen = optuna.trial.create_trial(
        state=ended,
        value=trial.value if math.isfinite(trial.value) and trial.state == "complete" else None,
        params=params,
        distributions=distributions,
        intermediate_values=curve,
        user_attrs={NUMBER: trial.number, "stop_reason": trial.stop_reason, "task": trial.task},
    )
    if frozen.datetime_complete is not None:
        frozen.datetime_start = frozen.datetime_complete - timedelta(seconds=trial.seconds)
    return frozen


def _choice(value: Any) -> Any:
    """Returns a value as Optuna's lists have it: plain values as they are, others as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
