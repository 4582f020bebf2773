"""What an experiment computes, as one digest: two settings with the same digest train the same."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import jax
import jax.numpy as jnp

from verax.data import Examples, load
from verax.network import as_network
from verax.train._experiment import Experiment
from verax.train._initial import effective_optimizer, first_state, run_parts
from verax.train._keys import base_key
from verax.train._program import ChunkData, Parts, Program, run_chunk
from verax.train._session import traced
from verax.trees import digest

ADDRESS = re.compile(r"0x[0-9a-f]+")


def fingerprint(experiment: Experiment) -> str:
    """Returns the SHA-256 of everything that decides what an experiment computes.

    That is: the traced programs of initialisation and of a step with their constants, the data, and the numbers that
    steer the loop. The same experiment made twice has the same fingerprint; nothing is compiled or run.
    """
    network = as_network(experiment.network)
    dataset = load(experiment.data)
    train = dataset.examples("train")
    examples = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), train)
    few = jax.tree.map(lambda leaf: leaf[: experiment.batch_size], train)

    def parts(_: Any) -> Parts:
        return run_parts(experiment, network, experiment.objective.fitted(train), effective_optimizer(experiment))

    program = Program(parts, chunk_steps=1)

    def everything(key: Any, examples: Examples) -> Any:
        state = first_state(experiment, network, key, jax.tree.map(jnp.asarray, few.inputs))
        rows = jnp.zeros((1, experiment.batch_size), jnp.int32)
        return run_chunk(program, {}, state, ChunkData(*examples, rows, None, jnp.int32(0)), 1)

    try:
        program_text = jax.make_jaxpr(everything)(base_key(0), examples)
    except Exception:
        traced(experiment, network, dataset)  # says what is wrong with data, network or loss
        raise
    numbers = ("batch_size", "epochs", "steps", "seconds", "seed", "stopping", "remainder", "decay", "freeze", "ema")
    total = hashlib.sha256(ADDRESS.sub("", str(program_text.jaxpr)).encode())
    total.update(digest(list(program_text.consts)).encode())
    total.update(repr([getattr(experiment, name) for name in numbers]).encode())
    total.update(f"{dataset.fingerprint}{dataset.steps!r}".encode())
    return total.hexdigest()
