"""Tasks trained in this process: compiled for as many lanes as memory takes, run, and told lane by lane."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import jax
import numpy as np
import psutil

from verax.findings import InputError
from verax.train import Experiment, mean_metrics
from verax.train._compile import program_memory
from verax.train._state import TrainState
from verax.train._tracing_errors import explained
from verax.tune._group import Group, prepared
from verax.tune._packing import Lanes, calls
from verax.tune._program import group_program
from verax.tune._quick import ONE_CORE, QUICK, QUICK_OPERATIONS, compiled
from verax.tune._record import EpochRecord, Measured, measured
from verax.tune._states import FirstStates, in_words, read_states, written_states
from verax.tune._task import LaneResult, Task, TaskResult

MEMORY = 0.5  # of the machine or the device, for the programs that run at once
AT_ONCE = 2  # programs on an accelerator: one has it while another is made ready
ROWS_BYTES = 2**28  # of row numbers in one call; longer trials take several
TURN = threading.RLock()  # tracing holds Python's lock: one after another, the first compiles while others trace
TRACING = (jax.errors.JAXTypeError, jax.errors.JAXIndexError)  # the value of a traced number was asked for


def run_task(
    function: Callable[..., Experiment], task: Task, *, at_once: int = 1, device: threading.Lock | None = None
) -> TaskResult:
    """Returns what came of the trials of a task; what is wrong with a trial is an error in its result.

    Args:
      function: the user's, from hyperparameters to an Experiment.
      task: the trials.
      at_once: how many tasks share the machine: its memory, where that is more than `program_bytes` reckons with, and
        its cores.
      device: held while a program runs, where only one may at a time; None lets all run.
    """
    clock = time.perf_counter()
    try:
        with TURN:
            group = prepared(function, task)
        own = program_bytes(at_once)
        limit = own if task.memory is None else min(task.memory, own)
        result = _trained(group, task, limit, at_once >= cores(), device or contextlib.nullcontext())
    except InputError as error:
        if task.inputs and isinstance(error.__cause__, TRACING):  # what was traced with other choices is not with these
            result = _one_by_one(function, replace(task, inputs=(), scaled=()), at_once, device)
        elif len(task.numbers) > 1:
            result = _one_by_one(function, task, at_once, device)  # something is wrong with one of them: with which?
        else:
            return TaskResult(task.name, (_untrained(task, str(error)),), states=(b"",) if task.keep else ())
    return replace(result, name=task.name, begun=task.begun, seconds=time.perf_counter() - clock)


def _one_by_one(function: Any, task: Task, at_once: int, device: Any) -> TaskResult:
    results = [run_task(function, task.of([at]), at_once=at_once, device=device) for at in range(len(task.numbers))]
    return TaskResult(
        task.name,
        tuple(trial for each in results for trial in each.trials),
        lanes=max(each.lanes for each in results),
        programs=sum(each.programs for each in results),
        compile_seconds=sum(each.compile_seconds for each in results),
        peak_bytes=max(each.peak_bytes for each in results),
        stopping=next((each.stopping for each in results if each.stopping), None),
        states=tuple(state for each in results for state in each.states),
    )


def _untrained(task: Task, error: str) -> LaneResult:
    return LaneResult(task.numbers[0], {}, (None,) * len(task.seeds[0]), 0, 0.0, error)


def _trained(group: Group, task: Task, limit: int, one_core: bool, device: Any) -> TaskResult:
    """Returns the trials trained from where the task begins to where it ends, in as few programs as memory allows."""
    clock, compile_seconds, peak = time.perf_counter(), 0.0, 0
    size = len(task.seeds[0])
    epochs = min(task.until or group.epochs, group.epochs) - task.begun
    with _explained(group):
        first = {name: values[0] for name, values in group.inputs.items()}
        begin = FirstStates(group.program, first, group.keys[0], group.batch)
    programs: dict[Lanes, Any] = {}
    records: list[list[EpochRecord]] = []
    states: list[TrainState] = []
    order: list[int] = []
    given = read_states(task.states, begin.one) if task.states else None
    left = calls(group.seeds, begin.one, len(group.seeds), group.in_turn)
    span = _span(epochs, group.row_bytes(left[0]))
    while left:
        lanes = left[0]
        kind = Lanes(len(lanes), len({group.seeds[lane] for lane in lanes}) == 1)
        if kind not in programs:
            started = time.perf_counter()
            programs[kind] = _compiled(group, begin, lanes, kind, span, one_core)
            if given is None:
                begin.compile()  # now, not while the device is held
            compile_seconds += time.perf_counter() - started
            peak = program_memory(programs[kind])["peak_bytes"]
            if kind.count > 1 and peak > limit and not records:
                left = calls(group.seeds, begin.one, kind.count // 2, group.in_turn)
                continue
        with device:
            starts = range(task.begun, task.begun + epochs, span)
            state, record = _run(group, begin, given, lanes, programs[kind], starts)
            records.append(jax.device_get(record))
            if task.keep:
                states.append(jax.device_get(state))
        order += lanes
        left = left[1:]
    whole = measured(records, order)
    share = (time.perf_counter() - clock) / len(task.numbers)
    trials = tuple(
        _told(group, whole, number, range(at * size, (at + 1) * size), task.begun, share)
        for at, number in enumerate(task.numbers)
    )
    stopping = group.experiment.stopping
    return TaskResult(
        name=task.name,
        trials=trials,
        lanes=max(spans[0].ends.shape[1] for spans in records),
        programs=len(programs),
        compile_seconds=compile_seconds,
        peak_bytes=peak,
        stopping=None if stopping is None else asdict(stopping),
        states=tuple(written_states(states, order, size)) if task.keep else (),
    )


def _run(
    group: Group, begin: FirstStates, given: TrainState | None, lanes: Sequence[int], program: Any, starts: range
) -> tuple[TrainState, list[EpochRecord]]:
    """Returns the states of some lanes after some epochs, and what was measured in each span of them.

    Args:
      group: of the trials.
      begin: draws first states.
      given: the states of all lanes before the first of these epochs; None to draw them.
      lanes: which of them.
      program: of these lanes, for a span of epochs.
      starts: the first epoch of each span.
    """
    own, places = group.own(lanes), list(lanes)
    drawn = given is None
    state = begin(own.given, group.keys[places]) if drawn else jax.tree.map(lambda leaf: leaf[places], given)
    records = []
    for start in starts:
        own_rows, common = group.with_rows(own, lanes, start, starts.step)
        state, record = program((state, own_rows), common)
        records.append(record)
    return state, records


def _compiled(group: Group, begin: FirstStates, lanes: Sequence[int], kind: Lanes, span: int, one_core: bool) -> Any:
    """Returns the program of some epochs.

    Args:
      group: of the trials.
      begin: of their first states.
      lanes: which of them.
      kind: of these lanes.
      span: how many epochs it takes.
      one_core: whether loops stay on one core, as other programs have the others.
    """
    quick = group.operations * len(group.seeds) < QUICK_OPERATIONS
    options = {**(QUICK if quick else {}), **(ONE_CORE if one_core else {})}
    with TURN, _explained(group):
        own, common = group.with_rows(group.own(lanes), lanes, 0, span)
        run = group_program(group.program, span, kind, updates_last=not quick)
        lowered = jax.jit(in_words(run, begin.one)).lower((begin.shapes(kind.count), own), common)
    return compiled(lowered, options)


def _explained(group: Group) -> contextlib.AbstractContextManager[None]:
    return explained("a trial", {"inputs": group.common.inputs, "targets": group.common.targets})


def _span(epochs: int, bytes_an_epoch: int) -> int:
    """Returns how many epochs a call takes: as many in each, so that one program is enough."""
    most = max(1, ROWS_BYTES // max(bytes_an_epoch, 1))
    return next(span for span in range(min(most, epochs), 0, -1) if epochs % span == 0)


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def program_bytes(at_once: int = 1) -> int:
    """Returns how many bytes one program may take here.

    That is the same whenever it is asked and however many tasks there are, so that the lanes of a program are too: a
    share of the machine for each core and one more, of an accelerator for each of two programs.

    Args:
      at_once: programs that run at once, where they are more.
    """
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    if limit:
        return int(MEMORY * limit / max(at_once, AT_ONCE))
    return int(MEMORY * psutil.virtual_memory().total / max(at_once, cores() + 1))


def _told(group: Group, whole: Measured, number: int, lanes: range, begun: int, seconds: float) -> LaneResult:
    """Returns what one trial measured, from what its lanes did."""
    curves: dict[str, list[list[float | None]]] = {}
    broken: list[int | None] = []
    for lane in lanes:
        metrics = [_metrics(whole, lane, epoch) for epoch in range(whole.total.shape[1])]
        for name in metrics[0]:
            curves.setdefault(name, []).append([_finite(each[name]) for each in metrics])
        is_bad = ~np.isfinite(whole.total[lane])
        is_bad[:, -1] |= ~whole.params_finite[lane]
        step = int(np.argmax(is_bad.ravel())) + 1 if is_bad.any() else None
        broken.append(None if step is None else begun * group.program.plan.steps + step)
    frozen = {name: tuple(map(tuple, each)) for name, each in curves.items()}
    return LaneResult(number, frozen, tuple(broken), group.parameters, seconds)


def _metrics(whole: Measured, lane: int, epoch: int) -> dict[str, float]:
    """Returns the exact averages of an epoch."""
    sums = {name: float(each[lane, epoch].sum(dtype=np.float64)) for name, each in whole.validation.items()}
    total, weight = (float(each[lane, epoch].sum(dtype=np.float64)) for each in (whole.total, whole.weight))
    values = {"train/loss": total / weight if weight else math.nan}
    for split in dict.fromkeys(name.partition("/")[0] for name in sums):
        own = {name.partition("/")[2]: value for name, value in sums.items() if name.startswith(f"{split}/")}
        values |= {f"{split}/{name}": value for name, value in mean_metrics(own).items()}
    return values


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
