"""What an executor is given and what it gives back: some trials that share a program, as plain values."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from verax.findings import InputError

Curves = Mapping[str, tuple[tuple[float | None, ...], ...]]


@dataclass(frozen=True)
class Task:
    """Some trials that share a program, from one epoch to another.

    Attributes:
      name: of the task in its study, such as `g0-3`: generation and group; after a rung, `g0-3-r1`.
      numbers: of the trials.
      settings: their hyperparameters.
      seeds: for each trial the seeds that it is trained with, as many for all.
      fixed: hyperparameters that all trials have.
      inputs: names of the hyperparameters that are inputs of the program.
      scaled: those of them by which the optimizer's updates at 1.0 are multiplied.
      begun: epochs that were trained before.
      until: epochs after which this task ends; None trains to the end.
      memory: the most bytes that a program may take. It is chosen where the study is driven and kept with it, so that
        every executor packs the lanes alike; a machine with less takes less. None is this machine's.
      keep: whether the states after the last epoch are wanted.
      states: what an earlier task kept of these trials, one a trial; empty to begin.
    """

    name: str
    numbers: tuple[int, ...]
    settings: tuple[Mapping[str, Any], ...]
    seeds: tuple[tuple[int, ...], ...]
    fixed: Mapping[str, Any]
    inputs: tuple[str, ...]
    scaled: tuple[str, ...]
    begun: int = 0
    until: int | None = None
    memory: int | None = None
    keep: bool = False
    states: tuple[bytes, ...] = field(default=(), repr=False)

    def of(self, places: Sequence[int]) -> Task:
        """Returns the task of some of its trials, by their places in it."""
        parts = {name: tuple(getattr(self, name)[at] for at in places) for name in ("numbers", "settings", "seeds")}
        return replace(self, **parts, states=tuple(self.states[at] for at in places) if self.states else ())

    def to_json(self) -> str:
        """Returns the task as text for another process.

        Raises:
          InputError: if a hyperparameter has no plain value.
        """
        content = dict(vars(self))
        content["settings"] = [plain_setting(setting) for setting in self.settings]
        content["fixed"] = plain_setting(self.fixed)
        content["states"] = _text_of(self.states)
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Returns the task of a text."""
        content = json.loads(text)
        content["states"] = _bytes_of(content["states"])
        content["settings"] = tuple(map(read_setting, content["settings"]))
        content["seeds"] = tuple(map(tuple, content["seeds"]))
        content["fixed"] = read_setting(content["fixed"])
        return cls(**content | {name: tuple(content[name]) for name in ("numbers", "inputs", "scaled")})


@dataclass(frozen=True)
class LaneResult:
    """What came of one trial in a task.

    Attributes:
      number: of the trial.
      curves: by metric (`train/loss`, `validation/accuracy`, ...) for each seed its value after each epoch of this
        task; None where it is not finite.
      broken: for each seed the step by which it was no longer finite, or None.
      parameters: how many numbers the network has.
      seconds: its share of the task's.
      error: why it could not be trained, or None.
    """

    number: int
    curves: Curves
    broken: tuple[int | None, ...]
    parameters: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class TaskResult:
    """What came of a task.

    Attributes:
      name: of the task.
      trials: one a trial, in the task's order.
      begun: epochs that were trained before.
      lanes: the most trainings side by side.
      programs: how many programs of steps were compiled.
      compile_seconds: of wall time.
      seconds: of wall time, compilation included.
      peak_bytes: of a program, as the compiler states it.
      stopping: the experiment's early stopping as keyword arguments, or None.
      states: of the trials after the last epoch, where they were asked for.
    """

    name: str
    trials: tuple[LaneResult, ...]
    begun: int = 0
    lanes: int = 0
    programs: int = 0
    compile_seconds: float = 0.0
    seconds: float = 0.0
    peak_bytes: int = 0
    stopping: Mapping[str, Any] | None = None
    states: tuple[bytes, ...] = field(default=(), repr=False)

    def to_json(self) -> str:
        """Returns the result as text."""
        return json.dumps({**asdict(self), "states": _text_of(self.states)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TaskResult:
        """Returns the result of a text."""
        content = json.loads(text)
        trials = tuple(map(_lane_result, content["trials"]))
        return cls(**{**content, "trials": trials, "states": _bytes_of(content["states"])})


def _lane_result(content: Mapping[str, Any]) -> LaneResult:
    curves = {name: tuple(map(tuple, seeds)) for name, seeds in content["curves"].items()}
    return LaneResult(**{**content, "curves": curves, "broken": tuple(content["broken"])})


def plain_setting(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Returns hyperparameters as JSON has them, tuples marked.

    Raises:
      InputError: if one has no plain value.
    """
    return {name: _plain(name, value) for name, value in setting.items()}


def read_setting(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the hyperparameters that `plain_setting` wrote."""
    return {name: _read(value) for name, value in content.items()}


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return {"tuple": [_plain(name, each) for each in value]}
    if isinstance(value, list):
        return [_plain(name, each) for each in value]
    raise InputError(
        f"trials in other processes, and studies on disk, need plain hyperparameters, but {name!r} is of type "
        f"{type(value).__name__}. Let the experiment function take a name or a number and make the rest of it."
    )


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(_read(each) for each in value["tuple"])
    return [_read(each) for each in value] if isinstance(value, list) else value


def _text_of(states: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(state).decode() for state in states]


def _bytes_of(texts: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(base64.b64decode(text) for text in texts)
