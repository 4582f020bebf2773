"""Random networks of many kinds for `benchmarks/gradient_check.py`, with a place for an error in every leaf."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

ACTIVATIONS = {
    "relu": nn.relu, "tanh": jnp.tanh, "gelu": nn.gelu, "silu": nn.silu, "elu": nn.elu, "softplus": nn.softplus,
    "sigmoid": nn.sigmoid, "leaky": nn.leaky_relu, "abs": jnp.abs,
}  # fmt: skip
# kind, activation, loss
FAMILIES = (
    *((f"mlp-{name}-cross_entropy") for name in ACTIVATIONS),
    "mlp-relu-squares", "mlp-tanh-huber", "mlp-gelu-binary", "norm-relu-cross_entropy", "norm-silu-squares",
    "conv-relu-cross_entropy", "conv-gelu-huber", "batchnorm-relu-cross_entropy", "groupnorm-elu-squares",
    "attention-gelu-cross_entropy", "attention-relu-binary", "lstm-tanh-squares", "dropout-relu-cross_entropy",
)  # fmt: skip


class Network(NamedTuple):
    """A loss of parameters, factors of the gradients of its leaves, and a batch; `right` are factors of 1."""

    loss: Callable[..., Any]
    params: Any
    right: np.ndarray
    args: tuple[Any, ...]


@jax.custom_vjp
def with_factor(leaf: Any, factor: Any) -> Any:
    """The identity, whose gradient is multiplied by a factor."""
    return leaf


with_factor.defvjp(lambda leaf, factor: (leaf, factor), lambda factor, g: (g * factor.astype(g.dtype), None))


def initial(sizes: tuple[int, ...], random: np.random.Generator) -> list[dict[str, Any]]:
    """Returns the layers of a dense network."""
    return [
        {
            "kernel": jnp.asarray(random.normal(size=(i, o)) / np.sqrt(i), jnp.float32),
            "bias": jnp.asarray(0.1 * random.normal(size=o), jnp.float32),
        }
        for i, o in itertools.pairwise(sizes)
    ]


def dense(layers: list[dict[str, Any]], inputs: Any, activation: str) -> Any:
    """Returns the outputs of a dense network."""
    for layer in layers[:-1]:
        inputs = ACTIVATIONS[activation](inputs @ layer["kernel"] + layer["bias"])
    return inputs @ layers[-1]["kernel"] + layers[-1]["bias"]


def cross_entropy(outputs: Any, labels: Any) -> Any:
    """Returns the mean cross-entropy of logits."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), labels[:, None], axis=1))


def squares(outputs: Any, labels: Any) -> Any:
    return jnp.mean((outputs - jax.nn.one_hot(labels, outputs.shape[-1])) ** 2)


def huber(outputs: Any, labels: Any) -> Any:
    error = jnp.abs(outputs - jax.nn.one_hot(labels, outputs.shape[-1]))
    return jnp.mean(jnp.where(error < 0.5, error**2, error - 0.25))


def binary(outputs: Any, labels: Any) -> Any:
    targets = jax.nn.one_hot(labels, outputs.shape[-1])
    return jnp.mean(jax.nn.softplus(outputs) - targets * outputs)


class Net(nn.Module):
    """One hidden part of some kind between two linear layers."""

    kind: str
    activation: str

    @nn.compact
    def __call__(self, x: Any, key: Any) -> Any:
        activation = ACTIVATIONS[self.activation]
        if self.kind in ("conv", "batchnorm", "groupnorm"):
            x = nn.Conv(4, (3, 3))(x.reshape(len(x), 4, 4, 1))
            if self.kind == "batchnorm":
                x = nn.BatchNorm(use_running_average=False)(x)
            if self.kind == "groupnorm":
                x = nn.GroupNorm(2)(x)
            x = activation(x).mean(axis=(1, 2))
        elif self.kind == "attention":
            x = nn.Dense(8)(x.reshape(len(x), 4, 4))
            x = nn.LayerNorm()(x + nn.MultiHeadDotProductAttention(2)(x, x))
            x = activation(nn.Dense(8)(x)).mean(axis=1)
        elif self.kind == "lstm":
            x = activation(nn.RNN(nn.OptimizedLSTMCell(6))(x.reshape(len(x), 4, 4))[:, -1])
        else:
            x = nn.Dense(12)(x)
            x = activation(nn.LayerNorm()(x) if self.kind == "norm" else x)
            if self.kind == "dropout":
                x = nn.Dropout(0.3, deterministic=False)(x, rng=key)
            x = activation(nn.Dense(8)(x))
        return nn.Dense(3)(x)


def make(family: str, random: np.random.Generator) -> Network:
    """Returns a random network of a family: its weights, the scale of its weights and inputs, and its batch."""
    kind, activation, of = family.split("-")
    module = Net(kind, activation)
    inputs = jnp.asarray(random.choice([0.1, 1.0, 10.0]) * random.normal(size=(6, 16)), jnp.float32)
    labels, key = jnp.asarray(random.integers(0, 3, 6), jnp.int32), jax.random.key(int(random.integers(2**31)))
    params = module.init(key, inputs, key)["params"]
    scale = random.choice([0.3, 1.0, 2.0])
    params = jax.tree.map(lambda leaf: scale * leaf + 0.05 * random.normal(size=leaf.shape).astype(np.float32), params)
    score = {"cross_entropy": cross_entropy, "squares": squares, "huber": huber, "binary": binary}[of]
    leaves, structure = jax.tree.flatten(params)

    def loss(params: Any, factors: Any, inputs: Any, labels: Any, key: Any) -> Any:
        spoiled = [with_factor(leaf, factors[index]) for index, leaf in enumerate(jax.tree.leaves(params))]
        variables = {"params": jax.tree.unflatten(structure, spoiled)}
        outputs, _ = module.apply(variables, inputs, key, mutable=["batch_stats"])
        return score(outputs, labels)

    return Network(loss, params, np.ones(len(leaves)), (inputs, labels, key))
