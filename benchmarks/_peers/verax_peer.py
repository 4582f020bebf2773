"""Verax, through its public generator of chunks; finite counting is always on. `--nnx`: the network in Flax NNX."""

from __future__ import annotations

import sys
import time
from typing import Any

import jax
import optax
from _linen import network
from _task import LEARNING_RATE, Task, data
from _worker import Run, Span, serve

import verax as vx


def make(task: Task) -> Run:
    experiment = vx.Experiment(
        network=_nnx() if "--nnx" in sys.argv else network(task),
        objective=vx.train.language_model() if task.network == "gpt" else vx.classification(),
        optimizer=optax.adam(LEARNING_RATE),
        data=vx.data.from_arrays(train=data(task)).split(test=0, validation=0, calibration=0),
        batch_size=task.batch_size,
        epochs=1_000_000,
    )
    stream = vx.train.chunks(experiment)

    def next_chunk() -> tuple[Any, int]:
        while True:
            state, record = next(stream)
            if record.kind == "chunk":
                return state, record.step

    def run(epochs: int) -> Span:
        # From one chunk's record to a later one's: what Verax has sent ahead by then is the same at both ends.
        state, first = next_chunk()
        jax.block_until_ready(state)
        started, step = time.perf_counter(), first
        while step < first + epochs * task.steps:
            state, step = next_chunk()
        jax.block_until_ready(state)
        return step - first, time.perf_counter() - started

    return run


def _nnx() -> Any:
    """Returns the class of the perceptron in NNX; Verax draws its weights."""
    from _nnx import MLP

    return MLP


if __name__ == "__main__":
    serve(make, ["verax", "jax", "flax", "optax"])
