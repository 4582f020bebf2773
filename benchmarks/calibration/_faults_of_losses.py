"""Programs whose loss is at fault."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from calibration import _losses as losses
from calibration import _sets as sets
from calibration._faulty import faulty
from calibration._healthy import binary, classification, regression, sequence
from calibration._networks import Block, Perceptron


@faulty("double-sigmoid", part="model")
def sigmoid_twice():
    network = Perceptron((16,), head=nn.sigmoid)
    return binary(
        "linen", network, optax.adam(3e-3), sets.tumours(34), predict=lambda o: (o.reshape(-1) > 0.5).astype(int)
    )


@faulty("loss-sign-error", part="loss")
def upside_down():
    def loss(outputs, labels):
        return jnp.take_along_axis(jax.nn.log_softmax(outputs), labels[:, None], axis=1)[:, 0]

    return classification("linen", Perceptron((32,), 10), optax.adam(1e-3), sets.digits(35), loss)


@faulty("non-differentiable-loss", "parameter-without-gradient", part="loss")
def error_rate_as_loss():
    def loss(outputs, labels):
        return (jnp.argmax(outputs, -1) != labels).astype(jnp.float32) + 0.0 * outputs.sum(-1)

    return classification("linen", Perceptron((32,), 10), optax.adam(1e-3), sets.digits(36), loss)


@faulty("loss-mismatch", part="loss")
def squared_class_number():
    def loss(outputs, labels):
        return (outputs[:, 0] - labels) ** 2

    return classification(
        "linen",
        Perceptron((64,), 1),
        optax.adam(2e-3),
        sets.digits(37),
        loss,
        predict=lambda o: np.clip(np.round(o[:, 0]), 0, 9).astype(int),
    )


@faulty("exp-overflow", part="loss")
def softmax_by_hand():
    def loss(outputs, labels):
        powers = jnp.exp(100 * outputs)
        return -jnp.log(jnp.take_along_axis(powers, labels[:, None], 1)[:, 0] / powers.sum(-1))

    return classification("linen", Perceptron((64,), 10), optax.adam(1e-2), sets.digits(38), loss)


@faulty("misscaled-loss-term", part="loss")
def penalty_that_drowns():
    def loss(outputs, targets):
        return (outputs.reshape(-1) - targets) ** 2 + 100.0 * outputs.reshape(-1) ** 2

    return regression("linen", Perceptron((32,)), optax.adam(5e-3), sets.waves(seed=39), loss)


def padded(seed: int):
    """Sequences of tokens in which a label is the token itself turned around, and most positions are padding."""
    rng = np.random.default_rng(seed)
    x = np.zeros((900, 20), np.int32)
    y = np.zeros((900, 20), np.int32)
    for row in range(900):
        length = rng.integers(3, 8)
        x[row, :length] = rng.integers(1, 9, length)
        y[row, :length] = np.where(np.cumsum(x[row, :length]) % 2 == 0, x[row, :length], 9 - x[row, :length])
    return sets.split(x, y, seed=seed)


class Tagger(nn.Module):
    causal: bool = False

    @nn.compact
    def __call__(self, x):
        x = nn.Embed(10, 32)(x) + self.param("place", nn.initializers.normal(0.1), (x.shape[1], 32))
        return nn.Dense(10)(Block(causal=self.causal)(x))


@faulty("padding-in-loss", part="loss")
def padding_counts():
    return sequence(
        "linen", Tagger(), optax.adam(3e-3), padded(40), losses.cross_entropy, epochs=6, scored=lambda y: y > 0
    )


@faulty("causal-leak", part="model")
def sees_the_next_token():
    rng = np.random.default_rng(41)
    tokens = (np.cumsum(rng.integers(0, 3, (800, 17)), axis=1) + rng.integers(0, 8, (800, 1))) % 8
    x, y = tokens[:, :-1].astype(np.int32), tokens[:, 1:].astype(np.int32)
    return sequence("linen", Tagger(causal=False), optax.adam(3e-3), sets.split(x, y, seed=1), epochs=6)
