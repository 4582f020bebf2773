"""The training loop as a generator: states and records, one chunk of steps at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from verax.findings import InputError
from verax.network import Variables
from verax.train._average import averaged_variables
from verax.train._experiment import Experiment, resolve
from verax.train._health import LEAVES, leaf_rows
from verax.train._history import Record
from verax.train._precision import with_precision
from verax.train._program import ChunkData, ChunkRecord
from verax.train._session import Session, prepare
from verax.train._state import TrainState
from verax.train._step import make_eval_step, mean_metrics
from verax.trees import differences

AnySent = TypeVar("AnySent")  # a chunk of one run, or of many lanes


def chunks(
    experiment: Experiment | Callable[..., Experiment],
    *,
    initial: Any = None,
    start: TrainState | None = None,
    **hyperparameters: Any,
) -> Iterator[tuple[TrainState, Record]]:
    """Yields `(state, record)` after every chunk of steps, and once more with the averages at the end of an epoch.

    Saving, logging and stopping are the body of the caller's `for`. A state that was yielded stays valid. The last
    epoch has its averages even where `steps` or `seconds` ends within it; `train/loss` is over the steps taken here, so
    in an epoch that was resumed halfway over its second half.

    Args:
      experiment: a finished Experiment, or the function that makes one.
      initial: weights to start from.
      start: a state to go on from; its `step` says where in the data the run continues.
      **hyperparameters: for the function.

    Raises:
      InputError: for anything that is wrong, before the first step.
    """
    yield from session_chunks(prepare(resolve(experiment, hyperparameters), initial), start)


def epochs(
    experiment: Experiment | Callable[..., Experiment],
    *,
    initial: Any = None,
    start: TrainState | None = None,
    **hyperparameters: Any,
) -> Iterator[tuple[TrainState, Record]]:
    """Yields `(state, record)` at the end of every epoch; takes what `chunks` takes."""
    for state, record in chunks(experiment, initial=initial, start=start, **hyperparameters):
        if record.kind == "epoch":
            yield state, record


def session_chunks(session: Session, start: TrainState | None = None) -> Iterator[tuple[TrainState, Record]]:
    """Yields what `chunks` yields, for a session.

    Where a loss or a parameter stops being finite, the chunk's record has `nonfinite_step`, the first step at whose end
    it was so, found by repeating the chunk from its beginning.
    """
    clock = time.perf_counter()
    total = weight = 0.0
    first = session.state if start is None else _checked(start, session.state)
    for sent in one_ahead(_send(session, first)):
        read = _read(sent)
        values: dict[str, Any] = {"train/loss": tuple((read.total / read.weight).tolist())}
        if not read.grads_finite.all():
            values["nonfinite_gradient_steps"] = tuple((sent.step + 1 + np.flatnonzero(~read.grads_finite)).tolist())
        if not _is_finite(read):
            values["nonfinite_step"] = sent.step + _first_bad(session, sent)
        if read.leaves is not None:
            values[LEAVES] = leaf_rows(sent.state.variables.params, read.leaves)
        total += float(read.total.sum(dtype=np.float64))
        weight += float(read.weight.sum(dtype=np.float64))
        step = sent.step + sent.steps
        yield sent.state, Record("chunk", step, sent.epoch + 1, values, time.perf_counter() - clock)
        limit = session.experiment.seconds
        over = limit is not None and time.perf_counter() - clock >= limit
        if step % session.plan.steps == 0 or step == session.total_steps or over:
            averages = {"train/loss": total / weight, **validation_metrics(session, sent.state)}
            total = weight = 0.0
            yield sent.state, Record("epoch", step, sent.epoch + 1, averages, time.perf_counter() - clock)
        if over:
            return


def _checked(start: TrainState, expected: TrainState) -> TrainState:
    lines = differences(expected, start)
    if lines:
        raise InputError("the state to start from does not fit:\n" + "\n".join(f"  {line}" for line in lines))
    return start


class Sent(NamedTuple):
    """A chunk that was handed to the device and may not have been computed yet.

    Attributes:
      step: steps taken before it.
      steps: how many it takes.
      epoch: which one it is of, from 0.
      before: the state that it started from.
      data: of its epoch, and its position there.
      is_rest: whether it is the last batch of an epoch, in a shape of its own.
      state: after it.
      record: what it measured, on the device.
    """

    step: int
    steps: int
    epoch: int
    before: TrainState
    data: ChunkData
    is_rest: bool
    state: TrainState
    record: Any


def _send(session: Session, state: TrainState) -> Iterator[Sent]:
    """Yields the chunks of a run, each handed to the device when it is asked for."""
    plan, chunk_steps = session.plan, session.program.chunk_steps
    step = int(state.step)
    while step < session.total_steps:
        epoch, position = divmod(step, plan.steps)
        equal, last = session.epoch_data(epoch)
        while position < plan.steps and step < session.total_steps:
            is_rest = last is not None and position == plan.equal_steps
            data = last if last is not None and is_rest else equal._replace(start=np.int32(position))
            until_cut = chunk_steps - position % chunk_steps
            steps = 1 if is_rest else min(until_cut, plan.equal_steps - position, session.total_steps - step)
            sent = _advance(session, Sent(step, steps, epoch, state, data, is_rest, state, None))
            yield sent
            state, position, step = sent.state, position + steps, step + steps


def one_ahead(chunks: Iterator[AnySent]) -> Iterator[AnySent]:
    """Yields each chunk after the next one was handed over, so that the device has work while the host reads."""
    current = next(chunks, None)
    while current is not None:
        following = next(chunks, None)
        yield current
        current = following


def _advance(session: Session, chunk: Sent) -> Sent:
    """Returns a chunk handed to the device; the state that it started from stays valid."""
    program = session.compiled.rest if chunk.is_rest else session.compiled.chunk
    state, record = program(chunk.before, chunk.data, np.int32(chunk.steps))
    return chunk._replace(state=state, record=record)


def _read(chunk: Sent) -> ChunkRecord:
    """Returns what a chunk measured, on the host: waits until it is computed."""
    read = jax.device_get(chunk.record)
    total, weight, finite = (column[: chunk.steps] for column in read[:3])
    return read._replace(total=total, weight=weight, grads_finite=finite)


def _is_finite(read: ChunkRecord) -> bool:
    return bool(read.params_finite) and bool(np.isfinite(read.total).all())


def _first_bad(session: Session, chunk: Sent) -> int:
    """Returns the number of steps after which a loss or a parameter is first not finite, by bisection of the chunk."""
    low, high = 0, chunk.steps  # after `low` steps all is finite, after `high` it is not
    while high - low > 1:
        middle = (low + high) // 2
        finite = _is_finite(_read(_advance(session, chunk._replace(steps=middle))))
        low, high = (middle, high) if finite else (low, middle)
    return high


def validation_metrics(session: Session, state: TrainState) -> dict[str, float]:
    """Returns the exact averages over the validation split, by name: `validation/loss`, `validation/accuracy`, ...

    Of the weights themselves, and where they are averaged of the averaged ones too: `ema_validation/loss`, ...
    """
    if not session.validation:
        return {}
    values = _averages(session, session.compiled.evaluate, state.variables)
    metrics = {f"validation/{name}": value for name, value in values.items()}
    if session.experiment.ema is not None:
        averaged = averaged_variables(state)
        values = _averages(session, session.compiled.evaluate, averaged)
        metrics |= {f"ema_validation/{name}": value for name, value in values.items()}
    return metrics


def precision_gap(session: Session, state: TrainState) -> dict[str, float]:
    """Returns by how much each validation metric is larger in the precision of training than in float32."""
    if session.experiment.precision == "float32" or not session.validation:
        return {}
    narrow = with_precision(session.network, session.experiment.precision)
    evaluate = jax.jit(make_eval_step(narrow, session.experiment.objective))
    in_training = _averages(session, evaluate, state.variables)
    in_float32 = _averages(session, session.compiled.evaluate, state.variables)
    return {f"validation/{name}": in_training[name] - in_float32[name] for name in in_float32}


def _averages(session: Session, evaluate: Callable[..., Any], variables: Variables) -> dict[str, float]:
    parts = jax.device_get([evaluate(variables, batch) for batch in session.validation])
    return mean_metrics({name: sum(float(part[name]) for part in parts) for name in parts[0]})
