"""A study: its trials, what chose among them, and the winner trained anew."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from verax.evaluate import Estimate
from verax.train import LaneEstimate, Run
from verax.tune._judge import cost
from verax.tune._task import Curves, plain_setting
from verax.tune._trace import Verdict

State = Literal["complete", "pruned", "not finite", "not trained"]


@dataclass(frozen=True)
class Trial:
    """One setting and what came of it.

    Attributes:
      hyperparameters: what was tried.
      value: the objective, the mean over seeds, at the best epoch where training stops early, else at the last; NaN if
        training did not stay finite. Of a pruned trial it is that of its last epoch.
      seconds: its share of the time of the program that trained it.
      stop_reason: why it ended.
      number: in the order of proposal, from 0.
      state: `complete`, `pruned`, `not finite` or `not trained`.
      values: the objective of each seed.
      curves: by metric, for each seed its value after each epoch; None where it was not finite.
      parameters: how many numbers the network has.
      task: the name of the task that trained it: trials of one task shared a program.
    """

    hyperparameters: Mapping[str, Any]
    value: float
    seconds: float
    stop_reason: str
    number: int = 0
    state: State = "complete"
    values: tuple[float, ...] = ()
    curves: Curves = field(default_factory=dict)
    parameters: int = 0
    task: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the trial as plain values; None stands for what is not finite."""
        return {
            "number": self.number,
            "hyperparameters": plain_setting(self.hyperparameters),
            "value": _number(self.value),
            "values": [_number(value) for value in self.values],
            "state": self.state,
            "stop_reason": self.stop_reason,
            "seconds": self.seconds,
            "parameters": self.parameters,
            "task": self.task,
            "curves": {name: [list(seed) for seed in seeds] for name, seeds in self.curves.items()},
        }


@dataclass(frozen=True, eq=False)
class Winner:
    """What the winner is worth, measured with fresh seeds: those that chose it say too much.

    Attributes:
      seeds: that it was trained with; none of them was in the search.
      values: the objective with each of them.
      value: their mean with its 95 % interval (Student's t).
      luck: how much better the search saw the winner than it is, with the same interval: the bias of having chosen the
        best of many. Positive is flattering.
      test: of each metric on the test split, which was opened once, the mean over the seeds; empty without the split.
      ties: numbers of the trials that the noise does not tell from the winner, fewest parameters first; the winner is
        among them.
    """

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    value: LaneEstimate
    luck: Estimate
    test: Mapping[str, LaneEstimate]
    ties: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain values."""
        return {
            "seeds": list(self.seeds),
            "values": list(self.values),
            "value": self.value.to_json(),
            "luck": self.luck.to_json(),
            "test": {name: each.to_json() for name, each in self.test.items()},
            "ties": list(self.ties),
        }


@dataclass(frozen=True, eq=False)
class Study:
    """The trials of a search, and the winner trained anew.

    Attributes:
      trials: in the order of their numbers.
      objective: what chose among them; always of the validation split.
      best: the trial that won.
      best_run: the winner's setting trained alone, from the beginning, with a fresh seed; None with `retrain=0`.
      winner: what it is worth; None with `retrain=0`.
      verdicts: what each hyperparameter was to the compiled program.
      facts: how it was made: search, seed, time, programs.
    """

    trials: tuple[Trial, ...]
    objective: str
    best: Trial
    best_run: Run | None = None
    winner: Winner | None = None
    verdicts: tuple[Verdict, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = sorted(self.trials, key=lambda trial: (cost(trial.value, self.objective), trial.number))
        return "\n".join(
            f"{trial.value:10.5g}  {setting_text(trial.hyperparameters)}"
            + ("" if trial.state == "complete" else f"  ({trial.state})")
            for trial in rows
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `study.json`."""
        return {
            "objective": self.objective,
            "best": self.best.to_json(),
            "winner": None if self.winner is None else self.winner.to_json(),
            "verdicts": [str(verdict) for verdict in self.verdicts],
            "facts": dict(self.facts),
            "trials": [trial.to_json() for trial in self.trials],
        }

    def to_csv(self) -> str:
        """Returns the content of `study.csv`: a row a trial."""
        names = list(dict.fromkeys(name for trial in self.trials for name in trial.hyperparameters))
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["number", "state", self.objective, "seconds", "parameters", *names, "stop_reason"])
        for trial in self.trials:
            value = "" if math.isnan(trial.value) else repr(trial.value)
            setting = [trial.hyperparameters.get(name, "") for name in names]
            numbers = [f"{trial.seconds:.3f}", trial.parameters]
            writer.writerow([trial.number, trial.state, value, *numbers, *setting, trial.stop_reason])
        return file.getvalue()


def so_far(
    trials: Sequence[Trial], objective: str, verdicts: Sequence[Verdict] = (), facts: Mapping[str, Any] | None = None
) -> Study:
    """Returns the study of the trials that have ended, its best one the best so far; there must be one."""
    order = sorted(trials, key=lambda trial: (trial.state != "complete", cost(trial.value, objective), trial.number))
    in_turn = tuple(sorted(trials, key=lambda trial: trial.number))
    told = {"finished": False, **(facts or {})}
    return Study(in_turn, objective, order[0], None, None, tuple(verdicts), told)


def setting_text(hyperparameters: Mapping[str, Any]) -> str:
    """Returns hyperparameters as text: `learning_rate=0.001, hidden=64`."""
    return ", ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in hyperparameters.items()
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
