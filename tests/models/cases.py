"""Each model of `vx.models`, small, with inputs that suit it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import verax as vx
from verax.models import MLP, ConvNet, ResNet, Transformer

CLASSES = 3


class Case(NamedTuple):
    """A model with inputs for it and targets."""

    model: Any
    inputs: np.ndarray
    targets: np.ndarray


def fast_key(seed=0):
    """JAX's own bits from the generator that compiles four times faster."""
    return jax.random.wrap_key_data(jax.random.key_data(jax.random.key(seed)), impl=vx.train.straight_threefry())


def init(model, inputs, seed=0):
    return jax.jit(model.init)(fast_key(seed), jnp.asarray(inputs))


def count(tree):
    return vx.trees.count(tree)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def labels(size):
    return (np.arange(size) % CLASSES).astype(np.int32)


TOKENS = np.random.default_rng(1).integers(0, 11, (6, 8)).astype(np.uint8)

CASES = {
    "mlp": Case(MLP((8, CLASSES), dropout_rate=0.25), numbers(6, 2, 3), labels(6)),
    "mlp-group": Case(MLP((8, CLASSES), activation=jnp.tanh, norm="group"), numbers(6, 5), labels(6)),
    "convnet": Case(ConvNet(CLASSES, (4,), (8,), norm="batch", dropout_rate=0.25), numbers(6, 6, 6), labels(6)),
    "resnet": Case(ResNet(CLASSES, (4, 8), (1, 1), dropout_rate=0.25), numbers(6, 6, 6, 2), labels(6)),
    "encoder": Case(Transformer(1, 2, 8, 8, classes=CLASSES, dropout_rate=0.25), numbers(6, 8, 5), labels(6)),
    "padded-encoder": Case(Transformer(1, 2, 8, 8, vocabulary=11, classes=CLASSES, padding=0), TOKENS, labels(6)),
    "language-model": Case(
        Transformer(1, 2, 8, 8, vocabulary=11, bias=False, dropout_rate=0.25),
        TOKENS,
        np.roll(TOKENS, -1, 1).astype(np.int32),
    ),
}
