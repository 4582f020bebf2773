"""The states of trials: before the first step, and as bytes between two tasks."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.network import as_network
from verax.train._initial import first_state
from verax.train._state import TrainState
from verax.trees import Tree, is_key
from verax.tune._program import GroupProgram
from verax.tune._quick import ONCE, compiled


class FirstStates:
    """The states of trials before their first step.

    They are drawn by a program for one trial, which compiles several times faster than one for all, and once for trials
    that differ in nothing that it reads: those of one seed have the same first weights.

    Args:
      program: what the trials have in common.
      given: the hyperparameters of one trial that are inputs of the program.
      key: words of its base key.
      inputs: of a batch.
    """

    def __init__(self, program: GroupProgram, given: Mapping[str, Any], key: np.ndarray, inputs: Tree):
        def begin(given: Mapping[str, Any], key: Any, inputs: Tree) -> TrainState:
            experiment = program.make(given)
            typed = jax.random.wrap_key_data(key, impl="threefry2x32")
            return first_state(experiment, as_network(experiment.network), typed, inputs)

        self.inputs = inputs
        self.traced = jax.jit(begin).trace(given, key, inputs)
        jaxpr = self.traced.jaxpr.jaxpr
        read = _behind_results(jaxpr)
        self.is_read = {name: id(each) in read for name, each in zip(sorted(given), jaxpr.invars, strict=False)}

    @functools.cached_property
    def _program(self) -> Any:
        return compiled(self.traced.lower(), ONCE)

    def compile(self) -> None:
        """Compiles the program, if that was not done; otherwise the first call does."""
        _ = self._program

    @property
    def one(self) -> TrainState:
        """The state of one trial, as shapes and dtypes."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), self.traced.out_info)

    def shapes(self, lanes: int) -> TrainState:
        """Returns the states of so many trials as shapes and dtypes, with words in the place of keys."""
        plain = jax.eval_shape(_without_keys, self.one)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape), leaf.dtype), plain)

    def __call__(self, given: Mapping[str, np.ndarray], keys: np.ndarray) -> TrainState:
        """Returns the states of some trials, stacked, with words in the place of keys.

        Args:
          given: their hyperparameters that are inputs of the program, by name.
          keys: words of their base keys.
        """
        drawn: dict[bytes, Any] = {}
        states = []
        for lane, key in enumerate(keys):
            own = {name: each[lane] for name, each in given.items()}
            name = b"".join([key.tobytes(), *(own[at].tobytes() for at in own if self.is_read[at])])
            if name not in drawn:
                drawn[name] = jax.device_get(_without_keys(self._program(own, key, self.inputs)))
            states.append(drawn[name])
        return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


def _behind_results(jaxpr: Any) -> set[int]:
    """Returns the ids of the variables on which a result depends: an optimizer that is made leaves others."""
    behind = {id(each) for each in jaxpr.outvars}
    for equation in reversed(jaxpr.eqns):
        if any(id(each) in behind for each in equation.outvars):
            behind |= {id(each) for each in equation.invars}
    return behind


def written_states(states: Sequence[TrainState], order: Sequence[int], size: int) -> list[bytes]:
    """Returns the states of trials as bytes, each with its `size` lanes: arrays alone, no code.

    Args:
      states: of some lanes after others, with words in the place of keys.
      order: which lanes these are.
      size: lanes of a trial.
    """
    parts = zip(*map(jax.tree.leaves, states), strict=True)
    leaves = [np.concatenate(each)[np.argsort(order)] for each in parts]
    written = []
    for first in range(0, leaves[0].shape[0], size):
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{str(at): leaf[first : first + size] for at, leaf in enumerate(leaves)})
        written.append(file.getvalue())
    return written


def read_states(written: Sequence[bytes], like: TrainState) -> TrainState:
    """Returns the states of some trials, stacked, in the structure of others, with words in the place of keys."""
    files = [np.load(io.BytesIO(each), allow_pickle=False) for each in written]
    leaves, structure = jax.tree.flatten(like)
    read = [np.concatenate([file[str(at)] for file in files]) for at in range(len(leaves))]
    return jax.tree.unflatten(structure, read)


def in_words(run: Callable[..., tuple[TrainState, Tree]], like: TrainState) -> Callable[..., tuple[TrainState, Tree]]:
    """Returns `run((states, own), common)` that takes and returns states with words in the place of keys.

    Words go to and from a program as they are, where each array of keys takes a program of its own.

    Args:
      run: of states with keys.
      like: a state with keys, as shapes and dtypes.
    """

    def lanes(each: tuple[TrainState, Any], common: Any) -> tuple[TrainState, Tree]:
        states, records = run((_with_keys(each[0], like), each[1]), common)
        return _without_keys(states), records

    return lanes


def _without_keys(tree: Tree) -> Tree:
    """Returns a tree with words in the place of keys."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


def _with_keys(tree: Tree, like: Tree) -> Tree:
    """Returns a tree with keys in the place of words, where another tree, of arrays or of shapes, has them."""

    def key(leaf: Any, known: Any) -> Any:
        if not jax.dtypes.issubdtype(known.dtype, jax.dtypes.prng_key):
            return leaf
        return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(jnp.empty(0, known.dtype)))

    return jax.tree.map(key, tree, like)
