"""The training step of an experiment, made ready to be profiled: the program that `vx.train` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.debug._profile_compile import compile_times
from verax.debug._profile_subject import Resized, Subject, bytes_accessed
from verax.train import Experiment, Session, prepare, resolve, run_chunk
from verax.train._compile import program_memory
from verax.train._loop import session_chunks

LABELS = {"chunk": "training steps", "step": "evaluation step", "<lambda>": "initial state and optimizer"}


def experiment_subject(
    experiment: Experiment | Callable[..., Experiment], hyperparameters: Mapping[str, Any]
) -> Subject:
    """Returns the training of an experiment as something to measure; trains nothing that is kept.

    Raises:
      InputError: for anything that is wrong with data, hyperparameters or shapes.
    """
    made = resolve(experiment, hyperparameters)
    with compile_times() as programs:
        session = prepare(made)
    chunk = session.compiled.chunk
    equal, rest = session.epoch_data(0)

    def run(steps: int) -> None:
        state, record = session.state, None
        for is_rest, position, count in _pieces(session, steps):
            program, data = (session.compiled.rest, rest) if is_rest and rest is not None else (chunk, equal)
            state, record = program(state, data._replace(start=np.int32(position)), np.int32(count))
        jax.block_until_ready((state, record))

    def loop(steps: int) -> None:
        for _ in session_chunks(_without_validation(session, steps)):
            pass

    one = replace(session.program, chunk_steps=1, leaf_statistics=False)

    def step(state: Any, data: Any) -> Any:
        return run_chunk(one, {}, state, data, 1)

    single = jax.jit(step).lower(session.state, equal).compile()
    return Subject(
        name=f"{session.network.name}, batch size {made.batch_size}",
        text=chunk.as_text(),
        programs=tuple(row._replace(name=LABELS.get(name, name)) for name, row in programs.items()),
        run=run,
        loop=loop,
        step=jax.make_jaxpr(step)(session.state, equal),
        step_bytes=bytes_accessed(single),
        memory=program_memory(chunk),
        is_on_device=True,
        batch_size=made.batch_size,
        multiple=made.accumulate,
        most_examples=session.plan.size,
        resized=lambda size: _resized(session, size),
    )


def _pieces(session: Session, steps: int) -> Iterator[tuple[bool, int, int]]:
    """Yields the chunks of some steps as the loop cuts them: whether of the epoch's rest, position, and how many."""
    plan, most = session.plan, session.program.chunk_steps
    position = 0
    while steps > 0:
        is_rest = bool(plan.rest) and position == plan.equal_steps
        count = 1 if is_rest else min(most - position % most, plan.equal_steps - position, steps)
        yield is_rest, 0 if is_rest else position, count
        steps -= count
        position = (position + count) % plan.steps


def _without_validation(session: Session, steps: int) -> Session:
    """Returns a session of some steps; the time of its validation is not waiting for input."""
    short = replace(session.experiment, epochs=None, steps=steps, seconds=None)
    return replace(session, experiment=short, validation=(), total_steps=steps)


def _resized(session: Session, size: int) -> Resized:
    """Returns the training step at another batch size, over rows of the same split."""
    equal, _ = session.epoch_data(0)
    steps = session.program.chunk_steps
    rows = np.resize(np.random.default_rng(0).permutation(session.plan.size).astype(np.int32), (steps, size))
    data = equal._replace(rows=jnp.asarray(rows), weight=None, start=np.int32(0))

    def chunk(state: Any, data: Any, count: Any) -> Any:
        return run_chunk(session.program, {}, state, data, count)

    compiled = jax.jit(chunk).lower(session.state, data, np.int32(0)).compile()

    def run(count: int) -> None:
        state, record = session.state, None
        while count > 0:
            state, record = compiled(state, data, np.int32(min(steps, count)))
            count -= steps
        jax.block_until_ready((state, record))

    return Resized(run, program_memory(compiled)["peak_bytes"])
