"""Many forward passes: of one network with its noise on (Monte Carlo dropout), or of several networks (an ensemble)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.evaluate._predict import padded, rows_of, size_of
from verax.evaluate._uncertainty import CATEGORICAL, LABELS, Predictive, entropy
from verax.findings import Finding, InputError
from verax.jaxpr import straight_threefry
from verax.network import Network, Variables
from verax.trees import Tree

AT_ONCE = 64  # passes in one program: more are no faster on a CPU
NUMBERS_AT_ONCE = 2**20  # inputs and outputs of these passes together; activations are a multiple of it


def mc_dropout(
    network: Network,
    variables: Variables,
    inputs: Tree,
    *,
    key: Any,
    samples: int = 100,
    batch_size: int = 512,
    objective: Any = None,
    keep_samples: bool | None = None,
) -> Predictive:
    """Returns distributions from many passes with dropout on and batch statistics frozen.

    One program is compiled, for a few passes over a batch at once; memory does not grow with their number, unless they
    are kept. The draws follow from the key and from `batch_size`, whatever the machine.

    Args:
      network: has noise, that of dropout or of its own.
      variables: its parameters and model state.
      inputs: any tree whose leaves have a leading axis of examples.
      key: a typed random key.
      samples: how many passes; the error of a mean falls with the root of it.
      batch_size: how many examples at once.
      objective: makes probabilities, or values in their own unit, of outputs; without, the outputs are values.
      keep_samples: whether every draw is kept, which the log-likelihood of a regressor needs; None keeps values and
        drops probabilities.

    Raises:
      InputError: if there is no example, the key is no typed key, or the network has no noise.
      ValueError: if `samples` is below 2 or `batch_size` below 1, or the network's library cannot switch noise on with
        statistics frozen.

    Example:
      >>> network = vx.Network(
      ...     lambda key, inputs: vx.Variables({}, {}),
      ...     lambda variables, inputs, key, training: (2 * jax.random.uniform(key, inputs.shape), {}),
      ... )
      >>> found = mc_dropout(network, vx.Variables({}, {}), jnp.ones(3), key=jax.random.key(0), samples=400)
      >>> found.draws.shape, bool(abs(found.mean - 1).max() < 0.1)
      ((400, 3), True)

    References:
      Gal and Ghahramani (2016), "Dropout as a Bayesian Approximation".
    """
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}.")
    keys = jax.random.split(_fast(key), samples)
    task = "regression" if objective is None else objective.task
    keep = task not in CATEGORICAL + LABELS if keep_samples is None else keep_samples
    parts = []
    for index, rows, count in _batches(inputs, batch_size):
        width = _width(network, variables, rows, samples)
        moments = _Moments(task, keep)
        for first in range(0, samples, width):
            some = keys[jnp.minimum(jnp.arange(first, first + width), samples - 1)]
            outputs = rows_of(_noisy(network, variables, rows, some, index), 0, min(width, samples - first))
            moments.add(outputs, objective, count)
        parts.append(moments.predictive())
    found = _joined(parts)
    if not found.std.any():
        problem = f"{network.name} must have noise, but {samples} passes with different keys gave the same outputs."
        advice = "Does it have dropout, with a rate above 0? Without noise, use vx.evaluate.predict or an ensemble."
        raise InputError([Finding("no-noise", "error", problem, advice)])
    return found


def sample_outputs(
    network: Network, variables: Variables, inputs: Tree, key: Any, *, samples: int, at_once: int = AT_ONCE
) -> Tree:
    """Returns the outputs of many passes with noise on and batch statistics frozen: (samples, examples, ...).

    Pure, to be used inside `jax.jit` and `jax.vmap`: over stacked variables, inputs and keys, lanes of seeds or splits
    are sampled in one program. Turn what comes back into distributions lane by lane with `predictive_from_draws`.

    Args:
      network: has noise.
      variables: its parameters and model state.
      inputs: any tree whose leaves have a leading axis of examples; all are taken at once.
      key: a typed random key; a pass has its own, derived from it, and equal to that of `mc_dropout`'s first batch.
      samples: how many passes.
      at_once: how many of them run side by side; the rest one group after another.
    """

    def one(each: Any) -> Tree:
        return network.apply(variables, inputs, key=jax.random.fold_in(each, 0), training=False)[0]

    return jax.lax.map(one, jax.random.split(_fast(key), samples), batch_size=min(at_once, samples))


def ensemble(
    network: Network,
    members: Variables | Sequence[Variables],
    inputs: Tree,
    *,
    objective: Any = None,
    batch_size: int = 512,
) -> Predictive:
    """Returns distributions from several networks of one kind: seeds of one training, folds, checkpoints.

    Args:
      network: of which all are.
      members: their variables, in a sequence or stacked on a leading axis.
      inputs: any tree whose leaves have a leading axis of examples.
      objective: makes probabilities, or values in their own unit, of outputs; without, the outputs are values.
      batch_size: how many examples at once.

    Raises:
      InputError: if there is no example or no member, or the members differ in their leaves.
      ValueError: if `batch_size` is below 1.

    Example:
      >>> network = vx.Network(lambda key, inputs: None, lambda v, inputs, key, training: (inputs * v.params, {}))
      >>> found = ensemble(network, [vx.Variables(jnp.array(scale), {}) for scale in (1.0, 3.0)], jnp.ones(4))
      >>> found.mean.tolist(), found.std.tolist()
      ([2.0, 2.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0])

    References:
      Lakshminarayanan, Pritzel and Blundell (2017), "Simple and Scalable Predictive Uncertainty Estimation using Deep
      Ensembles".
    """
    stacked = _stacked(members)
    task = "regression" if objective is None else objective.task
    parts = []
    for _, rows, count in _batches(inputs, batch_size):
        outputs = _each_member(network, stacked, rows)
        moments = _Moments(task, keep=True)
        moments.add(outputs, objective, count)
        parts.append(moments.predictive())
    return _joined(parts)


@partial(jax.jit, static_argnums=0)
def _noisy(network: Network, variables: Variables, inputs: Tree, keys: Any, batch: Any) -> Tree:
    def one(key: Any) -> Tree:
        return network.apply(variables, inputs, key=jax.random.fold_in(key, batch), training=False)[0]

    return jax.vmap(one)(keys)


@partial(jax.jit, static_argnums=0)
def _each_member(network: Network, stacked: Variables, inputs: Tree) -> Tree:
    return jax.vmap(lambda variables: network.apply(variables, inputs)[0])(stacked)


class _Moments:
    """Sums over passes, from which mean, standard deviation and entropy follow; and the passes, if they are kept."""

    def __init__(self, task: str, keep: bool) -> None:
        self.task, self.keep, self.samples = task, keep, 0
        self.mean: Any = 0.0
        self.squares: Any = 0.0  # of distances from the mean: no cancellation
        self.doubt: Any = 0.0
        self.draws: list[np.ndarray] = []
        self.noise: list[np.ndarray] = []

    def add(self, outputs: Tree, objective: Any, examples: int) -> None:
        """Adds passes: outputs (samples, examples, ...), of which so many examples are no padding."""
        values, noise = _predictions(outputs, objective)
        values, noise = values[:, :examples], None if noise is None else noise[:, :examples]
        count, wide = len(values), values.astype(np.float64)
        mean, total = wide.mean(axis=0), self.samples + count
        apart = mean - self.mean
        self.squares = self.squares + ((wide - mean) ** 2).sum(axis=0) + apart**2 * (self.samples * count / total)
        self.mean = self.mean + apart * (count / total)
        if self.task in CATEGORICAL + LABELS:
            self.doubt = self.doubt + entropy(wide, self.task).sum(axis=0)
        if self.keep:
            self.draws.append(values)
            self.noise += [] if noise is None else [noise]
        self.samples = total

    def predictive(self) -> Predictive:
        """Returns the distributions of the examples seen."""
        return Predictive(
            self.task,
            self.mean,
            np.sqrt(self.squares / self.samples),
            self.samples,
            np.concatenate(self.draws) if self.draws else None,
            self.doubt / self.samples if self.task in CATEGORICAL + LABELS else None,
            np.concatenate(self.noise) if self.noise else None,
        )


def _predictions(outputs: Tree, objective: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns predictions and a regressor's own spread of outputs (samples, examples, ...)."""
    if objective is None:
        if not jax.tree_util.all_leaves([outputs]):
            problem = f"outputs must be one array without an objective, got {type(outputs).__name__}."
            raise InputError([Finding("wrong-rank", "error", problem, "Pass objective= to make predictions of them.")])
        return np.asarray(outputs), None
    shape = np.shape(jax.tree.leaves(outputs)[0])[:2]
    flat = jax.tree.map(lambda leaf: leaf.reshape((-1, *leaf.shape[2:])), outputs)
    spread = getattr(objective, "spread", lambda outputs: None)(flat)

    def restored(values: Any) -> np.ndarray:
        return np.asarray(values).reshape((*shape, *np.shape(values)[1:]))

    return restored(objective.predictions(flat)), None if spread is None else restored(spread)


def _batches(inputs: Tree, batch_size: int) -> Iterator[tuple[int, Tree, int]]:
    """Yields number, rows and count of each batch; the last is filled up with copies of the first example."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    size = size_of(inputs, "inputs")
    batch_size = min(batch_size, size)
    for index, first in enumerate(range(0, size, batch_size)):
        count = min(batch_size, size - first)
        yield index, padded(rows_of(inputs, first, count), inputs, batch_size - count), count


def _width(network: Network, variables: Variables, rows: Tree, samples: int) -> int:
    """Returns how many passes run side by side."""
    outputs = jax.eval_shape(lambda: network.apply(variables, rows, key=jax.random.key(0), training=False)[0])
    numbers = sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves((rows, outputs)))
    return max(1, min(AT_ONCE, samples, NUMBERS_AT_ONCE // numbers))


def _joined(parts: list[Predictive]) -> Predictive:
    """Returns the distributions of the examples of all batches."""
    first = parts[0]

    def joined(name: str, axis: int) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values, axis=axis)

    return Predictive(
        first.task,
        joined("mean", 0),
        joined("std", 0),
        first.samples,
        joined("draws", 1),
        joined("expected_entropy", 0),
        joined("noise", 1),
    )


def _stacked(members: Variables | Sequence[Variables]) -> Variables:
    if isinstance(members, Variables):
        size_of(members.params, "members")
        return members
    if not members:
        problem = "members must have at least one network, got none."
        raise InputError([Finding("empty-ensemble", "error", problem, "Train with several seeds.")])
    try:
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    except (ValueError, TypeError) as error:
        problem = f"members must have the same leaves of the same shapes: {error}."
        advice = "Are all variables of one network?"
        raise InputError([Finding("length-mismatch", "error", problem, advice)]) from error


def _fast(key: Any) -> Any:
    """Returns a key that draws the same bits; JAX's default generator in the form that is fast on a CPU."""
    if not jnp.issubdtype(getattr(key, "dtype", np.dtype(int)), jax.dtypes.prng_key):
        problem = f"key must be a typed random key, got {type(key).__name__}."
        raise InputError([Finding("wrong-key", "error", problem, "Make one with jax.random.key(0).")])
    default = key.dtype == jax.random.key(0, impl="threefry2x32").dtype
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=straight_threefry()) if default else key
