"""Verax, through its public generator of chunks; finite counting is always on."""

from __future__ import annotations

import time

import jax
import optax
from _linen import network
from _task import LEARNING_RATE, Task, data
from _worker import Run, Span, serve

import verax as vx


def make(task: Task) -> Run:
    experiment = vx.Experiment(
        network=network(task),
        objective=vx.classification(),
        optimizer=optax.adam(LEARNING_RATE),
        data=vx.data.from_arrays(train=data(task)).split(test=0, validation=0, calibration=0),
        batch_size=task.batch_size,
        epochs=1_000_000,
    )
    stream = vx.train.chunks(experiment)
    state, record = next(stream)  # the first chunk

    def run(epochs: int) -> Span:
        # From one record to a later one: whatever Verax dispatches ahead has the same share of both ends.
        nonlocal state, record
        state, record = next(stream)
        jax.block_until_ready(state)
        first, started = record.step, time.perf_counter()
        while record.step < first + epochs * task.steps:
            state, record = next(stream)
        jax.block_until_ready(state)
        return record.step - first, time.perf_counter() - started

    return run


if __name__ == "__main__":
    serve(make, ["verax", "jax", "flax", "optax"])
