"""Where a study is kept: Optuna's storage, which its dashboard opens, or nowhere."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verax.findings import InputError
from verax.tune._search import quiet_optuna
from verax.tune._space import Interval, Space, drawn
from verax.tune._study import Trial
from verax.tune._task import TaskResult, plain_setting

IDENTITY = "verax:identity"
TASK = "verax:task:"
NUMBER = "verax:number"


class Memory:
    """A study that is kept nowhere.

    Attributes:
      results: what came of tasks, by name.
    """

    def __init__(self) -> None:
        self.results: dict[str, TaskResult] = {}

    def record(self, result: TaskResult) -> None:
        """Keeps what came of a task, without its states."""
        self.results[result.name] = result

    def finish(self, trial: Trial) -> None:
        """Keeps a finished trial."""


class OptunaStorage:
    """A study in Optuna's storage: each finished task is one record, written at once; each finished trial one trial.

    A study that was killed goes on from its tasks; a trial that was not written for a task that was is written then.

    Args:
      url: SQLite, PostgreSQL or MySQL as SQLAlchemy names them, or `journal:PATH` for a journal file.
      name: of the study.
      space: checked.
      objective: what chooses.
      maximise: whether more of it is better.
      identity: what must be the same for a study to go on.

    Raises:
      InputError: if another study of this name is there, or the storage cannot be opened.
    """

    def __init__(
        self, url: str, name: str, *, space: Space, objective: str, maximise: bool, identity: Mapping[str, Any]
    ):
        import optuna

        self.space, self.objective = space, objective
        with quiet_optuna():
            try:
                self.study = optuna.create_study(
                    storage=_opened(url),
                    study_name=name,
                    direction="maximize" if maximise else "minimize",
                    load_if_exists=True,
                )
                attributes = self.study.user_attrs
            except Exception as error:  # of SQLAlchemy, of a driver, or of the file system
                first = str(error).strip().splitlines()[0] if str(error).strip() else ""
                raise InputError(
                    f"the storage {url!r} cannot be opened: {type(error).__name__}: {first}. Give a URL such as "
                    "sqlite:///study.db, journal:study.log or postgresql+psycopg://user@host/database."
                ) from error
            if IDENTITY not in attributes:
                if self.study.trials:
                    raise InputError(f"the study {name!r} in {url!r} was not made by Verax. Choose another name.")
                self.study.set_user_attr(IDENTITY, json.dumps(identity))
                self.study.set_metric_names([objective])
            else:
                _check_same(json.loads(attributes[IDENTITY]), identity, name)
            self.results = {
                key.removeprefix(TASK): TaskResult.from_json(text)
                for key, text in attributes.items()
                if key.startswith(TASK)
            }
            self.finished = {trial.user_attrs.get(NUMBER) for trial in self.study.get_trials(deepcopy=False)}

    def record(self, result: TaskResult) -> None:
        """Keeps what came of a task, in one transaction; states are not kept."""
        with quiet_optuna():
            self.study.set_user_attr(f"{TASK}{result.name}", without_states(result).to_json())
        self.results[result.name] = result

    def finish(self, trial: Trial) -> None:
        """Keeps a finished trial, unless it is there."""
        if trial.number in self.finished:
            return
        with quiet_optuna():
            self.study.add_trial(_frozen(trial, self.space, self.objective))
        self.finished.add(trial.number)


def without_states(result: TaskResult) -> TaskResult:
    """Returns what came of a task without the states of its trials, which may be large."""
    from dataclasses import replace

    return replace(result, states=())


def _opened(url: str) -> Any:
    """Returns a storage of Optuna."""
    import optuna

    if url.startswith("journal:"):
        backend = optuna.storages.journal.JournalFileBackend(url.removeprefix("journal:"))
        return optuna.storages.JournalStorage(backend)
    return optuna.storages.RDBStorage(url)


def storage_in(folder: Path) -> str:
    """Returns the URL of the study in a folder."""
    return f"sqlite:///{folder.resolve() / 'study.db'}"


def _check_same(known: Mapping[str, Any], now: Mapping[str, Any], name: str) -> None:
    for what in {**known, **now}:
        if known.get(what) != json.loads(json.dumps(now.get(what))):
            raise InputError(
                f"the study {name!r} was begun with {what} {known.get(what)!r} and cannot go on with {now.get(what)!r}. "
                "Choose another name or folder for a new study."
            )


def _frozen(trial: Trial, space: Space, objective: str) -> Any:
    """Returns a trial as Optuna keeps it, with its curve, so that the dashboard draws it."""
    import optuna

    distributions: dict[str, Any] = {}
    params: dict[str, Any] = {}

    def choose(name: str, values: list[Any] | Interval) -> Any:
        value = trial.hyperparameters[name]
        if isinstance(values, Interval):
            kind = optuna.distributions.IntDistribution if values.whole else optuna.distributions.FloatDistribution
            distributions[name] = kind(values.low, values.high, log=values.log)  # type: ignore[arg-type]
            params[name] = value
        else:
            distributions[name] = optuna.distributions.CategoricalDistribution([_choice(each) for each in values])
            params[name] = _choice(value)
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
    return optuna.trial.create_trial(
        state=ended,
        value=trial.value if math.isfinite(trial.value) and trial.state == "complete" else None,
        params=params,
        distributions=distributions,
        intermediate_values=curve,
        user_attrs={NUMBER: trial.number, "stop_reason": trial.stop_reason, "task": trial.task},
    )


def _choice(value: Any) -> Any:
    """Returns a value as Optuna's lists have it: plain values as they are, others as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def identity_of(space: Space, search: str, seed: int, objective: str, others: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what must be the same for a study to go on."""
    described = {name: _described(name, given) for name, given in space.items()}
    return {"space": described, "search": search, "seed": seed, "objective": objective, **others}


def _described(name: str, given: Any) -> Any:
    if isinstance(given, Interval):
        return str(given)
    if callable(given):
        return f"a function: {getattr(given, '__qualname__', name)}"
    return plain_setting({name: given})[name]
