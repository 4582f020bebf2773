"""Points at which structure shows: weights without the zeros and repeats of an initialisation, and outputs as rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable
from verax.doctor._subject import Subject
from verax.network import Variables
from verax.trees import Tree, is_floating, is_key

SHARE = 0.1  # of the size of a leaf: enough to part what starts equal, too little to leave the working range
ROUNDING = 1e-5  # of the largest output: some tens of float32 units
FELT = 1e-3  # of the spread of the outputs: less is no dependence that anyone would notice


def stirred(subject: Subject) -> Variables:
    """Returns the initial variables with noise on the weights.

    What depends on what is a property of the program, not of its weights, but a head that starts at zero hides it.
    """
    rng = np.random.default_rng(0)

    def stir(leaf: Any) -> Any:
        if is_key(leaf) or not is_floating(leaf):
            return leaf
        values = np.asarray(leaf, np.float64)
        size = np.sqrt(np.mean(values**2)) if values.size and np.ptp(values) > 0 else 1.0
        return jnp.asarray(values + SHARE * size * rng.normal(size=values.shape), leaf.dtype)

    params, model_state = subject.variables
    return Variables(jax.tree.map(stir, params), model_state)


def rows_of(outputs: Tree, rows: int) -> np.ndarray:
    """Returns outputs as one matrix with a line for each row of the inputs.

    Raises:
      NotApplicable: if some output has no such axis.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(outputs) if not is_key(leaf)]
    if not leaves or any(leaf.ndim == 0 or len(leaf) != rows for leaf in leaves):
        raise NotApplicable("the outputs do not have one row for each row of the inputs.")
    return np.concatenate([leaf.reshape(rows, -1).astype(np.float64) for leaf in leaves], axis=1)


def shape_of(var: Any) -> tuple[int, ...]:
    """Returns the shape of a variable or literal of a jaxpr."""
    return tuple(var.aval.shape)


def number_of(value: Any) -> float | None:
    """Returns a constant of a program as a number; None if it is more than one."""
    if is_key(value) or np.size(value) != 1 or np.asarray(value).dtype.kind not in "fiub":
        return None
    return float(np.ravel(value)[0])


def row_count(inputs: Tree) -> int:
    """Returns the number of rows of a batch."""
    return np.shape(jax.tree.leaves(inputs)[0])[0]


def distance(one: np.ndarray, other: np.ndarray, among: np.ndarray) -> float:
    """Returns the largest difference of two outputs as a share of the spread of outputs; zero if it is rounding."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise NotApplicable("the outputs are not finite.")
    difference = float(np.max(np.abs(one - other), initial=0.0))
    if difference <= ROUNDING * float(np.max(np.abs(among), initial=0.0)):
        return 0.0
    spread = float(np.max(np.std(among, axis=0), initial=0.0))
    share = difference / spread if spread else np.inf
    return share if share > FELT else 0.0


def marks(
    subject: Subject, *, params: Any = None, model_state: Any = None, inputs: Any = None, key: Any = None
) -> list[Any]:
    """Returns what is known of each input of `evaluation_program` and `training_program`, part by part."""
    parts = (
        (subject.variables.params, params),
        (subject.variables.model_state, model_state),
        (subject.batch.inputs, inputs),
        (subject.noise(0), key),
    )
    return [known for tree, known in parts for _ in jax.tree.leaves(tree)]
