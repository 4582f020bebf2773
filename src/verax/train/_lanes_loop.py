"""The loop over the chunks of many lanes: each lane's records, its best state and the reason why it stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from verax.data import Batch
from verax.findings import Finding, Moment
from verax.train._health import LEAVES, leaf_rows
from verax.train._history import History, Record
from verax.train._lanes_program import Lanes, kept, lane_of
from verax.train._lanes_session import LaneSession, evaluation_arguments
from verax.train._loop import one_ahead
from verax.train._outcome import nonfinite_gradient, nonfinite_loss, process_peak_bytes, step_facts
from verax.train._program import ChunkData
from verax.train._run import Run
from verax.train._state import LoopState, TrainState
from verax.train._step import mean_metrics
from verax.train._stopping import EarlyStopping


@dataclass
class _Log:
    """What is known about one lane so far."""

    findings: list[Finding]
    records: list[Record] = field(default_factory=list)
    hidden: list[Moment] = field(default_factory=list)
    loop: LoopState = field(default_factory=LoopState)
    stop_reason: str = ""


class Sent(NamedTuple):
    """A chunk of all lanes that was handed to the device; the fields of `verax.train._loop.Sent`."""

    step: int
    steps: int
    before: TrainState
    own: ChunkData
    shared: ChunkData
    is_rest: bool
    state: TrainState
    record: Any


class Ended(NamedTuple):
    """An epoch that ended within a chunk: its last step, its number from 1, and the mean loss of each lane."""

    step: int
    epoch: int
    loss: Float[np.ndarray, " lanes"]


def train_session(session: LaneSession) -> tuple[Run, ...]:
    """Returns the runs of all lanes, each as if it had been trained alone.

    A lane that has stopped keeps its state and its best state, and what its steps come to afterwards is left out.
    Training ends when all have stopped.
    """
    experiment = session.experiments[0]
    watch = experiment.stopping or EarlyStopping()
    logs = [_Log(list(each)) for each in session.findings]
    known = ("steps_per_epoch", "parameters", "compile_seconds")
    begun = {"total_steps": session.total_steps, **{name: session.facts[name] for name in known}}
    for log in logs:
        log.records.append(Record("event", 0, 0, begun, 0.0))
    active = np.ones(session.size, bool)
    state = final = best = session.states
    sums = np.zeros((2, session.size))  # losses and weights of the epoch so far
    clock = time.perf_counter()
    for sent in one_ahead(_send(session)):
        state, step = sent.state, sent.step + sent.steps
        total, weight, watched, finite, leaves = _read(sent)
        over = experiment.seconds is not None and time.perf_counter() - clock >= experiment.seconds
        ended, sums = _epochs_ended(session, sent, total, weight, sums, over)
        losses = (total / weight).tolist()
        last = ended[-1] if ended and ended[-1].step == step else None
        metrics = _validation_metrics(session, session.evaluate, state) if last and session.validation else None
        seconds = time.perf_counter() - clock
        epoch = (step - 1) // session.plans[0].steps + 1
        improved, stopped = np.zeros(session.size, bool), np.zeros(session.size, bool)
        for lane in np.flatnonzero(active):
            log = logs[lane]
            bad_step = None if finite[lane] else sent.step + _first_bad(session, sent, int(lane))
            for each in ended:
                if each.step < (step if bad_step is None else bad_step):
                    values = {"train/loss": float(each.loss[lane])}
                    log.records.append(Record("epoch", each.step, each.epoch, values, seconds))
            values: dict[str, Any] = {"train/loss": tuple(losses[lane])}
            if not watched[lane].all():
                values["nonfinite_gradient_steps"] = tuple((sent.step + 1 + np.flatnonzero(~watched[lane])).tolist())
                log.hidden += [Moment(each, epoch) for each in values["nonfinite_gradient_steps"]]
            if bad_step is not None:
                values["nonfinite_step"] = bad_step
                log.findings.append(nonfinite_loss(Moment(bad_step, (bad_step - 1) // session.plans[0].steps + 1)))
                log.stop_reason = f"not finite at step {bad_step}"
            if leaves is not None:
                values[LEAVES] = leaf_rows(state.variables.params, leaves[lane])
            log.records.append(Record("chunk", step, epoch, values, seconds))
            if bad_step is None and last is not None:
                values = {"train/loss": float(last.loss[lane]), **(metrics[lane] if metrics else {})}
                log.records.append(Record("epoch", step, last.epoch, values, seconds))
                if watch.metric in values:
                    log.loop = watch.update(log.loop, watch.value(values), step)
                    improved[lane] = log.loop.best_step == step
                    log.stop_reason = (watch.reason(log.loop) if experiment.stopping else None) or ""
            stopped[lane] = bool(log.stop_reason)
        best = kept(improved, state, best) if improved.any() else best
        final = kept(stopped, state, final) if stopped.any() else final
        active &= ~stopped
        if over or not active.any():
            break
    final = state if active.all() else kept(active, state, final)
    return _runs(session, logs, final, best, time.perf_counter() - clock)


def _send(session: LaneSession) -> Iterator[Sent]:
    """Yields the chunks of all lanes, each handed to the device when it is asked for."""
    plan, state, step = session.plans[0], session.states, 0
    length, shared, own = session.span * plan.equal_steps, session.shared, session.own
    while step < session.total_steps:
        rows, rest = session.rows(step // plan.steps)
        equal, position = own._replace(rows=jax.device_put(rows)), 0
        while position < length and step < session.total_steps:
            until_cut = session.chunk_steps - position % session.chunk_steps
            steps = min(until_cut, length - position, session.total_steps - step)
            at = shared._replace(start=np.int32(position))
            sent = _advance(session, Sent(step, steps, state, equal, at, False, state, None))
            yield sent
            state, position, step = sent.state, position + steps, step + steps
        if rest is not None and step < session.total_steps:
            sent = _advance(session, Sent(step, 1, state, own._replace(rows=rest), shared, True, state, None))
            yield sent
            state, step = sent.state, step + 1


def _advance(session: LaneSession, sent: Sent) -> Sent:
    program = session.rest if sent.is_rest else session.chunk
    state, record = program(Lanes(sent.before, sent.own, session.hyperparameters), sent.shared, np.int32(sent.steps))
    return sent._replace(state=state, record=record)


def _read(
    sent: Sent,
) -> tuple[
    Float[np.ndarray, "lanes steps"],
    Float[np.ndarray, "lanes steps"],
    Bool[np.ndarray, "lanes steps"],
    Bool[np.ndarray, " lanes"],
    Float[np.ndarray, "lanes leaves statistics"] | None,
]:
    """Returns losses, weights, whether gradients were finite, whether all is finite at the end, and the statistics of
    the leaves; waits for it."""
    read = jax.device_get(sent.record)
    total, weight, watched = (each[:, : sent.steps] for each in read[:3])
    return total, weight, watched, read.params_finite & np.isfinite(total).all(axis=1), read.leaves


def _first_bad(session: LaneSession, sent: Sent, lane: int) -> int:
    """Returns the number of steps after which a lane is first not finite, by bisection of the chunk."""
    low, high = 0, sent.steps  # after `low` steps all is finite, after `high` it is not
    while high - low > 1:
        middle = (low + high) // 2
        finite = _read(_advance(session, sent._replace(steps=middle)))[3][lane]
        low, high = (middle, high) if finite else (low, middle)
    return high


def _epochs_ended(
    session: LaneSession,
    sent: Sent,
    total: Float[np.ndarray, "lanes steps"],
    weight: Float[np.ndarray, "lanes steps"],
    sums: Float[np.ndarray, "2 lanes"],
    over: bool,
) -> tuple[list[Ended], Float[np.ndarray, "2 lanes"]]:
    """Returns the epochs that end within a chunk, and the sums of losses and weights of the one that goes on.

    The last epoch ends with the run, even in its middle.
    """
    per_epoch, end = session.plans[0].steps, sent.step + sent.steps
    ended, first = [], sent.step
    while first < end:
        upto = min(end, (first // per_epoch + 1) * per_epoch)
        piece = slice(first - sent.step, upto - sent.step)
        sums = sums + np.stack([each[:, piece].sum(axis=1, dtype=np.float64) for each in (total, weight)])
        if upto % per_epoch == 0 or (upto == end and (over or end == session.total_steps)):
            ended.append(Ended(upto, first // per_epoch + 1, sums[0] / sums[1]))
            sums = np.zeros_like(sums)
        first = upto
    return ended, sums


def _validation_metrics(session: LaneSession, evaluate: Any, state: TrainState) -> list[dict[str, float]]:
    """Returns the exact averages over the validation split for each lane."""
    parts = [evaluate(*_arguments(session, state, batch)) for batch in session.validation]
    parts = jax.device_get(parts)
    sums = {name: np.stack([part[name] for part in parts]).sum(axis=0, dtype=np.float64) for name in parts[0]}
    lanes = []
    for lane in range(session.size):
        values: dict[str, float] = {}
        for split in dict.fromkeys(name.partition("/")[0] for name in sums):
            own = {name.partition("/")[2]: each[lane] for name, each in sums.items() if name.startswith(f"{split}/")}
            values |= {f"{split}/{name}": value for name, value in mean_metrics(own).items()}
        lanes.append(values)
    return lanes


def _precision_gaps(session: LaneSession, state: TrainState) -> list[dict[str, Any]]:
    """Returns for each lane what `precision_gap` measures of a single run, as a fact; nothing in float32."""
    if session.evaluate_narrow is None:
        return [{}] * session.size
    in_training = _validation_metrics(session, session.evaluate_narrow, state)
    in_float32 = _validation_metrics(session, session.evaluate, state)
    pairs = zip(in_training, in_float32, strict=True)
    return [{"precision_gap": {name: narrow[name] - wide[name] for name in narrow}} for narrow, wide in pairs]


def _arguments(session: LaneSession, state: TrainState, batch: Batch) -> tuple[Any, Any]:
    return evaluation_arguments(state, session.hyperparameters, batch, session.has_own_data)


def _runs(
    session: LaneSession, logs: list[_Log], final: TrainState, best: TrainState, seconds: float
) -> tuple[Run, ...]:
    """Returns each lane as a run."""
    runs, gaps = [], _precision_gaps(session, final)
    for lane, log in enumerate(logs):
        experiment, dataset = session.experiments[lane], session.datasets[lane]
        state = lane_of(final, lane)
        steps = int(state.step)
        best_state = lane_of(best, lane) if log.loop.best_value is not None else None
        reason = log.stop_reason or (
            f"all {steps} steps were taken"
            if steps == session.total_steps
            else f"{experiment.seconds:g} seconds were over"
        )
        findings = [*log.findings, *([nonfinite_gradient(log.hidden)] if log.hidden else [])]
        facts = {
            **session.facts,
            "lane": lane,
            "train_seconds": seconds,
            "steps": steps,
            "best_step": log.loop.best_step,
            "examples_per_second": steps * experiment.batch_size / max(seconds, 1e-9),
            "process_peak_bytes": process_peak_bytes(),
            **step_facts(state),
            **gaps[lane],
        }
        event = Record("event", steps, log.records[-1].epoch, {"stopped": reason, "facts": facts}, seconds)
        history = History((*log.records, event))
        runs.append(
            Run(experiment, session.network, dataset, state, best_state, history, tuple(findings), reason, facts)
        )
    return tuple(runs)
