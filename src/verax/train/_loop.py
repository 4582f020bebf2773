"""The training loop as a generator: states and records, one chunk of steps at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.network import Variables
from verax.train._experiment import Experiment, resolve
from verax.train._history import Record
from verax.train._program import ChunkData, ChunkRecord
from verax.train._session import Session, prepare
from verax.train._state import TrainState
from verax.train._step import mean_metrics


def chunks(
    experiment: Experiment | Callable[..., Experiment],
    *,
    initial: Any = None,
    start: TrainState | None = None,
    **hyperparameters: Any,
) -> Iterator[tuple[TrainState, Record]]:
    """Yields `(state, record)` after every chunk of steps, and once more with an epoch's averages at its end.

    Saving, logging and stopping are the body of the caller's `for`. A state that was yielded stays valid.

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
    plan, program = session.plan, session.program
    state = session.state if start is None else start
    step = int(state.step)
    clock = time.perf_counter()
    while step < session.total_steps:
        epoch, position = divmod(step, plan.steps)
        equal, last = session.epoch_data(epoch)
        total = weight = 0.0
        while position < plan.steps and step < session.total_steps:
            in_rest = last is not None and position == plan.equal_steps
            until_cut = program.chunk_steps - position % program.chunk_steps
            steps = 1 if in_rest else min(until_cut, plan.equal_steps - position, session.total_steps - step)
            before = state
            data = last if in_rest else equal._replace(start=jnp.int32(position))
            state, read = _advance(session, before, data, steps, in_rest)
            position, step = position + steps, step + steps
            losses = read.total / read.weight
            values: dict[str, Any] = {"train/loss": tuple(losses.tolist())}
            if not read.grads_finite.all():
                values["nonfinite_gradient_steps"] = tuple(
                    (step - steps + 1 + np.flatnonzero(~read.grads_finite)).tolist()
                )
            if not (read.params_finite and np.isfinite(read.total).all()):
                values["nonfinite_step"] = step - steps + _first_bad(session, before, data, steps, in_rest)
            total, weight = (
                total + float(read.total.sum(dtype=np.float64)),
                weight + float(read.weight.sum(dtype=np.float64)),
            )
            yield state, Record("chunk", step, epoch + 1, values, time.perf_counter() - clock)
        if position == plan.steps:
            averages = {"train/loss": total / weight, **validation_metrics(session, state.variables)}
            yield state, Record("epoch", step, epoch + 1, averages, time.perf_counter() - clock)


def validation_metrics(session: Session, variables: Variables) -> dict[str, float]:
    """Returns the exact averages over the validation split, by name: `validation/loss`, `validation/accuracy`, ..."""
    if not session.validation:
        return {}
    parts = jax.device_get([session.evaluate(variables, batch) for batch in session.validation])
    sums = {name: sum(float(part[name]) for part in parts) for name in parts[0]}
    return {f"validation/{name}": value for name, value in mean_metrics(sums).items()}


def _advance(
    session: Session, state: TrainState, data: ChunkData, steps: int, in_rest: bool
) -> tuple[TrainState, ChunkRecord]:
    """Returns the state after some steps and their record on the host; the state that was given stays valid."""
    if session.program.rolled and not in_rest:
        state, record = session.chunk(state, data, jnp.int32(steps))
        read = jax.device_get(record)
        return state, ChunkRecord(*(column[:steps] for column in read[:3]), read.params_finite)
    call = session.rest if in_rest else session.chunk
    state = jax.tree.map(lambda leaf: leaf.copy(), state)  # each step donates its input
    records = []
    for offset in range(steps):
        state, record = call(state, data._replace(start=data.start + offset))
        records.append(record)
    read = jax.device_get(records)
    columns = (np.concatenate(column) for column in list(zip(*read, strict=True))[:3])
    return state, ChunkRecord(*columns, read[-1].params_finite)


def _first_bad(session: Session, state: TrainState, data: ChunkData, steps: int, in_rest: bool) -> int:
    """Returns the number of steps after which a loss or a parameter is first not finite, by bisection of the chunk."""
    low, high = 0, steps  # after `low` steps all is finite, after `high` it is not
    while high - low > 1:
        middle = (low + high) // 2
        _, read = _advance(session, state, data, middle, in_rest)
        finite = bool(read.params_finite) and bool(np.isfinite(read.total).all())
        low, high = (middle, high) if finite else (low, middle)
    return high
