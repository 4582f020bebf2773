"""The trials of one plan, trained to their ends: in one go, or from rung to rung with the worse ones left behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from verax.tune._halving import Halving
from verax.tune._judge import best_first, joined
from verax.tune._study import Trial
from verax.tune._task import LaneResult, Task, TaskResult


def climb(
    tasks: Sequence[Task],
    results_of: Callable[[Sequence[Task]], Iterable[TaskResult]],
    trial_of: Callable[[LaneResult, TaskResult], Trial],
    *,
    epochs: Mapping[int, int],
    pruner: Halving | None,
    objective: str,
) -> Iterator[Trial]:
    """Yields the trials of some tasks as they end.

    Survivors of a rung go on from their states, packed anew with those of their own program. A study that goes on has
    no states of tasks that ended before; its survivors begin anew, and come to the same.

    Args:
      tasks: of a plan.
      results_of: runs tasks, or finds what came of them.
      trial_of: what was measured of a trial, and its last task, as a trial.
      epochs: of each trial, by number.
      pruner: where there are rungs; None trains all to the end.
      objective: what chooses.
    """
    earlier: dict[int, LaneResult] = {}
    rungs: list[int | None] = [*(pruner.rungs(max(epochs.values())) if pruner else []), None]
    for rung, until in enumerate(rungs):
        measured: dict[int, tuple[LaneResult, TaskResult]] = {}
        states: dict[int, bytes] = {}  # empty for what was trained before the study went on
        for result in results_of([_to(task, rung, until) for task in tasks]):
            states |= {lane.number: state for lane, state in zip(result.trials, result.states)}  # noqa: B905
            for lane in result.trials:
                before = earlier.get(lane.number) if result.begun else None
                measured[lane.number] = joined(before, lane), result
                if until is None or lane.error or epochs[lane.number] <= until:
                    yield trial_of(*measured.pop(lane.number))
        if until is None or not measured:
            return
        assert pruner is not None
        trials = [trial_of(*measured[number]) for number in sorted(measured)]
        order = best_first([trial.value for trial in trials], objective)
        first = order[: pruner.survivors(len(trials))]
        going = {trials[at].number for at in first if not math.isnan(trials[at].value)}
        yield from (_left(trial, until, len(trials)) for trial in trials if trial.number not in going)
        earlier = {number: measured[number][0] for number in going}
        survivors = (_going_on(task, going, states, until) for task in tasks)
        tasks = [task for task in survivors if task.numbers]


def _to(task: Task, rung: int, until: int | None) -> Task:
    """Returns a task up to a rung."""
    name = task.name if not rung else f"{task.name.partition('-r')[0]}-r{rung}"
    return replace(task, name=name, until=until, keep=until is not None)


def _left(trial: Trial, rung: int, among: int) -> Trial:
    """Returns a trial that does not go on."""
    if trial.state == "not finite":
        return trial
    return replace(
        trial, state="pruned", stop_reason=f"not among the best of {among} after {rung} epoch{'s' * (rung > 1)}"
    )


def _going_on(task: Task, going: set[int], states: Mapping[int, bytes], begun: int) -> Task:
    """Returns the survivors of a task, from where they are, or from the beginning where that is not known."""
    places = [at for at, number in enumerate(task.numbers) if number in going]
    held = tuple(states[task.numbers[at]] for at in places if task.numbers[at] in states)
    is_known = len(held) == len(places)
    return replace(task.of(places), begun=begun if is_known else 0, states=held if is_known else ())
