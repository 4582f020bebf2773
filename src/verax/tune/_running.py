"""A study while it runs: proposals, planned into tasks, trained by an executor, each result kept at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from verax.findings import InputError
from verax.tune._climb import climb
from verax.tune._given import Given
from verax.tune._judge import Judged, cost, judged
from verax.tune._plan import Plan
from verax.tune._search import Told, proposals
from verax.tune._storage import Memory, OptunaStorage
from verax.tune._study import Trial
from verax.tune._task import LaneResult, Task, TaskResult
from verax.tune.executors import Executor


@dataclass(eq=False)
class Running:
    """A study while it runs.

    Attributes:
      given: what it was asked for.
      runner: trains tasks.
      kept: where results are written.
      trials: that have ended, by number.
      plans: of the generations so far.
      results: of the tasks so far.
    """

    given: Given
    runner: Executor
    kept: Memory | OptunaStorage
    trials: dict[int, Trial] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    results: list[TaskResult] = field(default_factory=list)

    def events(self) -> Iterator[Plan | Trial]:
        """Yields plans, and trials as they end."""
        given = self.given
        size = given.generation or given.total
        for generation, first in enumerate(range(0, given.total, size)):
            told = [_told(trial, given.objective) for _, trial in sorted(self.trials.items())]
            count = min(size, given.total - first)
            settings = proposals(given.space, given.search, given.seed, first, count, told)
            for event in self.generation(generation, first, settings):
                if isinstance(event, Trial):
                    self.kept.finish(event)
                    self.trials[event.number] = event
                yield event

    def generation(self, generation: int, first: int, settings: Sequence[Mapping[str, Any]]) -> Iterator[Plan | Trial]:
        """Yields the plan of some trials, and the trials as they end."""
        given = self.given
        of_number: dict[int, Mapping[str, Any]] = {}
        for number, setting in enumerate(settings, start=first):
            error = given.made_or_error(setting)[1]
            if error:
                yield _untrained(number, setting, error, given.seeds)
            else:
                of_number[number] = setting
        if not of_number:
            return
        plan = given.planner.plan(
            generation,
            list(of_number),
            [given.without_seed(setting) for setting in of_number.values()],
            [given.seeds_of(setting) for setting in of_number.values()],
        )
        known = sum(len(task.numbers) for task in plan.tasks if task.name in self.kept.results)
        plan = replace(plan, known=known)
        self.plans.append(plan)
        yield plan
        yield from climb(
            plan.tasks,
            self.results_of,
            lambda result, task: trial_of(of_number[result.number], result, task, given.objective),
            epochs={number: given.epochs_of(setting) for number, setting in of_number.items()},
            pruner=given.pruner,
            objective=given.objective,
        )

    def results_of(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields what came of tasks: first of those that are known, then of the others as they end.

        Raises:
          InputError: if what is kept is of other trials.
        """
        left = [replace(task, memory=self.kept.memory) for task in tasks if task.name not in self.kept.results]
        for task in tasks:
            if task.name in self.kept.results:
                known = self.kept.results[task.name]
                if [lane.number for lane in known.trials] != list(task.numbers):
                    raise InputError(
                        "the trials of the study are not grouped as they were when it was begun. Did the experiment "
                        "function change? Choose another name or folder for a new study."
                    )
                self.results.append(known)
                yield known
        for result in self.runner.run(left) if left else ():
            self.kept.record(result)
            self.results.append(self.kept.results[result.name])
            yield result


def trial_of(setting: Mapping[str, Any], result: LaneResult, task: TaskResult, objective: str) -> Trial:
    """Returns a trial.

    Args:
      setting: its hyperparameters.
      result: what was measured of it in all of its tasks.
      task: the last of these.
      objective: what chooses.
    """
    if result.error:
        return _untrained(result.number, setting, result.error, len(result.broken), task.name)
    lanes = [judged(result.curves, broken, seed, objective, task.stopping) for seed, broken in enumerate(result.broken)]
    bad = next((lane for lane in lanes if math.isnan(lane.value)), None)
    value = math.nan if bad else sum(lane.value for lane in lanes) / len(lanes)
    told: Judged = bad or lanes[0]
    return Trial(
        dict(setting),
        value,
        result.seconds,
        told.reason,
        result.number,
        "not finite" if bad else "complete",
        tuple(lane.value for lane in lanes),
        {
            name: tuple(curve[: lane.epochs] for curve, lane in zip(curves, lanes, strict=True))
            for name, curves in result.curves.items()
        },
        result.parameters,
        task.name,
    )


def _untrained(number: int, setting: Mapping[str, Any], error: str, seeds: int, task: str = "") -> Trial:
    reason = f"not trained: {error}"
    return Trial(dict(setting), math.nan, 0.0, reason, number, "not trained", (math.nan,) * seeds, {}, 0, task)


def _told(trial: Trial, objective: str) -> Told:
    """Returns a trial as a model sees it; of a pruned one the epochs that count."""
    pruned = max(map(len, trial.curves[objective])) if trial.state == "pruned" else None
    return Told(trial.hyperparameters, cost(trial.value, objective), pruned)
