"""The states of trials: before the first step, and as bytes between two tasks."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.network import as_network
from verax.train._initial import first_state
from verax.train._state import TrainState
from verax.trees import Tree, is_key
from verax.tune._program import GroupProgram, Own
from verax.tune._quick import ONCE, compiled


class FirstStates:
    """The states of trials before their first step.

    They are drawn by a program for one trial, which compiles several times faster than one for all, and once for trials
    that differ in nothing that it reads: those of one seed have the same first weights.

    Args:
      program: what the trials have in common.
      own: what each has of its own.
      inputs: of a batch.
    """

    def __init__(self, program: GroupProgram, own: Own, inputs: Tree):
        def begin(given: Mapping[str, Any], key: Any, inputs: Tree) -> TrainState:
            experiment = program.make(given)
            return first_state(experiment, as_network(experiment.network), key, inputs)

        self.inputs = inputs
        self.traced = jax.jit(begin).trace(*_of(own, 0), inputs)
        jaxpr = self.traced.jaxpr.jaxpr
        read = _behind_results(jaxpr)
        self.is_read = {name: id(each) in read for name, each in zip(sorted(own.given), jaxpr.invars, strict=False)}

    @functools.cached_property
    def _program(self) -> Any:
        return compiled(self.traced.lower(), ONCE)

    def compile(self) -> None:
        """Compiles the program, if that was not done; otherwise the first call does."""
        _ = self._program

    def shapes(self, lanes: int) -> TrainState:
        """Returns the states of so many trials as shapes and dtypes."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape), leaf.dtype), self.traced.out_info)

    def __call__(self, own: Own) -> TrainState:
        """Returns the states of some trials, stacked."""
        drawn: dict[bytes, Any] = {}
        states = []
        for lane in range(own.key.shape[0]):
            given, key = _of(own, lane)
            read = [each for name, each in given.items() if self.is_read[name]]
            name = b"".join(np.asarray(each).tobytes() for each in (jax.random.key_data(key), *read))
            if name not in drawn:
                drawn[name] = jax.device_get(_without_keys(self._program(given, key, self.inputs)))
            states.append(drawn[name])
        return _with_keys(jax.tree.map(lambda *leaves: np.stack(leaves), *states), self.shapes(len(states)))


def _behind_results(jaxpr: Any) -> set[int]:
    """Returns the ids of the variables on which a result depends: an optimizer that is made leaves others."""
    behind = {id(each) for each in jaxpr.outvars}
    for equation in reversed(jaxpr.eqns):
        if any(id(each) in behind for each in equation.outvars):
            behind |= {id(each) for each in equation.invars}
    return behind


def _of(own: Own, lane: int) -> tuple[dict[str, Any], Any]:
    """Returns the inputs and the key of one trial."""
    return {name: each[lane] for name, each in own.given.items()}, own.key[lane]


def written_states(states: TrainState, size: int) -> list[bytes]:
    """Returns the states of trials as bytes, each with its `size` lanes: arrays alone, no code."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(_without_keys(states))]
    written = []
    for first in range(0, leaves[0].shape[0], size):
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{str(at): leaf[first : first + size] for at, leaf in enumerate(leaves)})
        written.append(file.getvalue())
    return written


def read_states(written: Sequence[bytes], like: TrainState) -> TrainState:
    """Returns the states of some trials, stacked, in the structure of other states."""
    files = [np.load(io.BytesIO(each), allow_pickle=False) for each in written]
    leaves, structure = jax.tree.flatten(like)
    read = [np.concatenate([file[str(at)] for file in files]) for at in range(len(leaves))]
    return _with_keys(jax.tree.unflatten(structure, read), like)


def _without_keys(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


def _with_keys(tree: Tree, like: Tree) -> Tree:
    """Returns a tree of arrays whose key words are keys where they are in another tree, of arrays or of shapes."""

    def key(leaf: Any, known: Any) -> Any:
        if not jax.dtypes.issubdtype(known.dtype, jax.dtypes.prng_key):
            return jnp.asarray(leaf)
        return jax.random.wrap_key_data(jnp.asarray(leaf), impl=jax.random.key_impl(jnp.empty(0, known.dtype)))

    return jax.tree.map(key, tree, like)
