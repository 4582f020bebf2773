"""The loop over chunks written once: early stopping, the best state, findings, and the run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, overload

from verax.findings import Moment
from verax.train._experiment import Experiment, resolve
from verax.train._folder import append_record, begin_folder, check_free, finish_folder
from verax.train._history import History, Record
from verax.train._lanes import train_lanes
from verax.train._loop import session_chunks
from verax.train._outcome import measured, nonfinite_gradient, nonfinite_loss, process_peak_bytes
from verax.train._run import Run
from verax.train._runs import Runs
from verax.train._session import prepare
from verax.train._state import LoopState
from verax.train._stopping import EarlyStopping


@overload
def fit(
    experiment: Experiment | Callable[..., Experiment],
    *,
    out: str | Path | None = None,
    initial: Any = None,
    seeds: None = None,
    folds: None = None,
    **hyperparameters: Any,
) -> Run: ...


@overload
def fit(
    experiment: Experiment | Callable[..., Experiment],
    *,
    out: str | Path | None = None,
    initial: Any = None,
    seeds: int | Sequence[Any],
    folds: None = None,
    **hyperparameters: Any,
) -> Runs: ...


@overload
def fit(
    experiment: Experiment | Callable[..., Experiment],
    *,
    out: str | Path | None = None,
    initial: Any = None,
    seeds: None = None,
    folds: int | Sequence[Any],
    **hyperparameters: Any,
) -> Runs: ...


def fit(
    experiment: Experiment | Callable[..., Experiment],
    *,
    out: str | Path | None = None,
    initial: Any = None,
    seeds: int | Sequence[Any] | None = None,
    folds: int | Sequence[Any] | None = None,
    **hyperparameters: Any,
) -> Run | Runs:
    """Trains an experiment to its end and returns the run; with `seeds` or `folds` many runs, in one program.

    Nothing is printed, and nothing written unless `out` is given. Training stops by itself when a loss or a parameter
    is no longer finite.

    Args:
      experiment: a finished Experiment, or the function that makes one.
      out: a folder to make for the run, written while it trains.
      initial: weights to start from: parameters, `Variables`, a state or a run.
      seeds: how many seeds to train with, from 0, or a list of them; see `train_lanes`.
      folds: how many parts of the data to hold out in turn, or a list of row numbers; see `train_lanes`.
      **hyperparameters: for the function; `seed` is always accepted.

    Returns:
      A `Run`; with `seeds` or `folds` the `Runs`, whose `summary()` has mean and interval of each metric.

    Raises:
      InputError: for anything that is wrong with data, hyperparameters or shapes, before the first step.
    """
    if seeds is not None or folds is not None:
        return train_lanes(experiment, seeds=seeds, folds=folds, out=out, initial=initial, **hyperparameters)
    steps = records(experiment, out=out, initial=initial, **hyperparameters)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def records(
    experiment: Experiment | Callable[..., Experiment],
    *,
    out: str | Path | None = None,
    initial: Any = None,
    **hyperparameters: Any,
) -> Generator[Record, None, Run]:
    """Yields each record of a run as it is made, and returns the run: `fit` with something to watch.

    The first record is an event with `total_steps`, `steps_per_epoch`, `parameters` and `compile_seconds`; the last one
    says in `stopped` why training ended.
    """
    if out is not None:
        check_free(out)
    session = prepare(resolve(experiment, hyperparameters), initial)
    chosen = session.experiment
    folder = None if out is None else begin_folder(out, experiment, chosen, session.dataset.fingerprint)
    kept: list[Record] = []

    def keep(record: Record) -> Record:
        kept.append(record)
        if folder is not None:
            append_record(folder, record)
        return record

    known = ("steps_per_epoch", "parameters", "compile_seconds")
    begun = {"total_steps": session.total_steps, **{name: session.facts[name] for name in known}}
    yield keep(Record("event", 0, 0, begun, 0.0))
    watch = chosen.stopping or EarlyStopping()
    loop, state, best = LoopState(), session.state, None
    stop_reason = ""
    findings, hidden = list(session.findings), []
    clock = time.perf_counter()
    for state, record in session_chunks(session):
        yield keep(record)
        hidden += [Moment(step, record.epoch) for step in record.values.get("nonfinite_gradient_steps", ())]
        if "nonfinite_step" in record.values:
            findings.append(nonfinite_loss(Moment(record.values["nonfinite_step"], record.epoch)))
            stop_reason = f"not finite at step {record.values['nonfinite_step']}"
            break
        if record.kind == "epoch" and watch.metric in record.values:
            loop = watch.update(loop, watch.value(record.values), record.step)
            best = state if loop.best_step == record.step else best
            reason = watch.reason(loop) if chosen.stopping else None
            if reason:
                stop_reason = reason
                break
    if not stop_reason and int(state.step) < session.total_steps:
        stop_reason = f"{chosen.seconds:g} seconds were over"
    stop_reason = stop_reason or f"all {session.total_steps} steps were taken"
    if hidden:
        findings.append(nonfinite_gradient(hidden))
    seconds = time.perf_counter() - clock
    facts = {
        **session.facts,
        "train_seconds": seconds,
        "steps": int(state.step),
        "best_step": loop.best_step,
        "examples_per_second": int(state.step) * chosen.batch_size / max(seconds, 1e-9),
        "process_peak_bytes": process_peak_bytes(),
        **measured(session, state),
    }
    yield keep(Record("event", int(state.step), kept[-1].epoch, {"stopped": stop_reason, "facts": facts}, seconds))
    history = History(tuple(kept))
    run = Run(
        chosen, session.network, session.dataset, state, best, history, tuple(findings), stop_reason, facts, folder
    )  # fmt: skip
    if folder is not None:
        finish_folder(folder, run)
    return run
