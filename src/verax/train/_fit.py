"""The loop over chunks written once: early stopping, the best state, findings, and the run's folder."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from verax.findings import Finding, Moment
from verax.train._clipping import read_clipping
from verax.train._experiment import Experiment, resolve
from verax.train._folder import append_record, begin_folder, check_free, finish_folder
from verax.train._history import History, Record
from verax.train._loop import precision_gap, session_chunks
from verax.train._precision import LOSS_SCALE
from verax.train._run import Run
from verax.train._session import Session, prepare
from verax.train._state import LoopState, TrainState
from verax.train._stopping import EarlyStopping


def fit(
    experiment: Experiment | Callable[..., Experiment],
    *,
    out: str | Path | None = None,
    initial: Any = None,
    **hyperparameters: Any,
) -> Run:
    """Trains an experiment to its end and returns the run.

    Nothing is printed, and nothing written unless `out` is given. Training stops by itself when a loss or a parameter
    is no longer finite.

    Args:
      experiment: a finished Experiment, or the function that makes one.
      out: a folder to make for the run, written while it trains.
      initial: weights to start from: parameters, `Variables`, a state or a run.
      **hyperparameters: for the function; `seed` is always accepted.

    Raises:
      InputError: for anything that is wrong with data, hyperparameters or shapes, before the first step.
    """
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
            findings.append(_nonfinite_loss(Moment(record.values["nonfinite_step"], record.epoch)))
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
        findings.append(_nonfinite_gradient(hidden))
    seconds = time.perf_counter() - clock
    facts = {
        **session.facts,
        "train_seconds": seconds,
        "steps": int(state.step),
        "best_step": loop.best_step,
        "examples_per_second": int(state.step) * chosen.batch_size / max(seconds, 1e-9),
        "process_peak_bytes": process_peak_bytes(),
        **_measured(session, state),
    }
    yield keep(Record("event", int(state.step), kept[-1].epoch, {"stopped": stop_reason, "facts": facts}, seconds))
    history = History(tuple(kept))
    run = Run(chosen, session.network, session.dataset, state, best, history, tuple(findings), stop_reason, facts)
    if folder is not None:
        finish_folder(folder, run)
    return run


def _measured(session: Session, state: TrainState) -> dict[str, Any]:
    """Returns what clipping, loss scale and precision came to, where the experiment has them."""
    facts: dict[str, Any] = {}
    clipping = read_clipping(state.opt_state)
    if clipping is not None:
        facts["clipping"] = clipping
    if LOSS_SCALE in state.extras:
        scale = state.extras[LOSS_SCALE]
        facts["loss_scale"] = {"scale": float(scale.scale), "skipped_steps": int(scale.skipped)}
    gap = precision_gap(session, state)
    return {**facts, "precision_gap": gap} if gap else facts


def process_peak_bytes() -> int:
    """Returns the most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _nonfinite_loss(moment: Moment) -> Finding:
    said = f"the loss or a parameter is NaN or Inf after step {moment.step}."
    advice = (
        "Lower the learning rate, clip gradients with optax.clip_by_global_norm(1.0), look for log or division of 0."
    )
    return Finding("non-finite-loss", "error", said, advice, moment)


def _nonfinite_gradient(moments: list[Moment]) -> Finding:
    steps = "1 step" if len(moments) == 1 else f"{len(moments)} steps"
    said = f"gradients are NaN or Inf at {steps}, first at step {moments[0].step}; the optimizer hides it."
    advice = "Find the operation that makes them; an optimizer that skips them leaves the cause in place."
    return Finding("non-finite-gradient", "error", said, advice, moments[0])
