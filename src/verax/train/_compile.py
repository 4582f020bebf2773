"""The programs of a run, compiled at the same time: a chunk of steps, the rest of an epoch, an evaluation step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from verax.data import Batch
from verax.network import Network
from verax.train._objective import Objective
from verax.train._program import ChunkData, Program, run_chunk
from verax.train._state import TrainState
from verax.train._step import make_eval_step


class Compiled(NamedTuple):
    """The compiled programs.

    Attributes:
      chunk: `chunk(state, data, steps) -> (state, record)`.
      rest: the same for the last batch of an epoch where it has a shape of its own, or None.
      evaluate: `evaluate(variables, batch) -> sums`, or None without a validation split.
    """

    chunk: Any
    rest: Any
    evaluate: Any


def compile_programs(
    program: Program,
    state: TrainState,
    equal: ChunkData,
    rest: ChunkData | None,
    network: Network,
    objective: Objective,
    validation: Batch | None,
) -> Compiled:
    """Returns the compiled programs of a run. Nothing is donated: a state that was handed out stays valid.

    Args:
      program: of a chunk.
      state: of the structure that all states have.
      equal: an epoch's data for steps of one shape.
      rest: its last batch in a shape of its own, or None.
      network: for the evaluation step.
      objective: likewise.
      validation: a batch of the validation split, or None.
    """

    def lowered(program: Program, data: ChunkData) -> Any:
        def chunk(state: TrainState, data: ChunkData, steps: Any) -> Any:
            return run_chunk(program, {}, state, data, steps)

        return jax.jit(chunk).lower(state, data, np.int32(0))

    def lowered_evaluation(batch: Batch) -> Any:
        return jax.jit(make_eval_step(network, objective)).lower(state.variables, batch)

    programs = [
        lowered(program, equal),
        None if rest is None else lowered(replace(program, chunk_steps=1, leaf_statistics=False), rest),
        None if validation is None else lowered_evaluation(validation),
    ]
    with ThreadPoolExecutor(len(programs)) as pool:
        return Compiled(*pool.map(lambda each: None if each is None else each.compile(), programs))


def program_memory(compiled: Any) -> dict[str, int]:
    """Returns the memory that a compiled program needs, in bytes, as the compiler states it."""
    analysis = compiled.memory_analysis()
    parts = {
        "arguments_bytes": analysis.argument_size_in_bytes,
        "outputs_bytes": analysis.output_size_in_bytes,
        "temporary_bytes": analysis.temp_size_in_bytes,
        "aliased_bytes": analysis.alias_size_in_bytes,
    }
    peak = parts["arguments_bytes"] + parts["outputs_bytes"] + parts["temporary_bytes"] - parts["aliased_bytes"]
    return {**{name: int(value) for name, value in parts.items()}, "peak_bytes": int(peak)}
