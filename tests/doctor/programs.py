"""Small healthy training programs; a test changes one part of one to plant a fault."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from verax.doctor import TrainingProgram
from verax.doctor._subject import Subject, subject_of


class MLP(nn.Module):
    """A perceptron; `head` is applied to its last layer."""

    widths: tuple[int, ...] = (32,)
    outputs: int = 10
    activation: Callable[[Any], Any] = nn.relu
    head: Callable[[Any], Any] | None = None

    @nn.compact
    def __call__(self, x):
        x = x.reshape((x.shape[0], -1))
        for width in self.widths:
            x = self.activation(nn.Dense(width)(x))
        x = nn.Dense(self.outputs)(x)
        return x if self.head is None else self.head(x)


@functools.cache
def digits() -> tuple[Any, Any]:
    """Train and test of the handwritten digits, in [0, 1]."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int32)
    return (x[:1300], y[:1300]), (x[1300:], y[1300:])


@functools.cache
def waves(rows: int = 800, columns: int = 6, noise: float = 0.1) -> tuple[Any, Any]:
    """Train and test of a smooth regression with standardised inputs and target."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    y = np.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + noise * rng.normal(size=rows)
    y = ((y - y.mean()) / y.std()).astype(np.float32)
    half = rows * 3 // 4
    return (x[:half], y[:half]), (x[half:], y[half:])


@functools.cache
def clouds(rows: int = 800, columns: int = 8, share: float = 0.5) -> tuple[Any, Any]:
    """Train and test of two overlapping Gaussian clouds, classes 0 and 1."""
    rng = np.random.default_rng(0)
    y = (rng.random(rows) < share).astype(np.int32)
    x = (rng.normal(size=(rows, columns)) + 1.0 * y[:, None] * (np.arange(columns) < 3)).astype(np.float32)
    half = rows * 3 // 4
    return (x[:half], y[:half]), (x[half:], y[half:])


def classes_loss(outputs, targets):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def binary_loss(outputs, targets):
    return optax.sigmoid_binary_cross_entropy(outputs.reshape(-1), targets.astype(jnp.float32))


def squared_loss(outputs, targets):
    return (outputs.reshape(-1) - targets) ** 2


def classifier(**changes: Any) -> TrainingProgram:
    """A healthy program: digits, a perceptron, cross entropy, Adam."""
    train, test = digits()
    parts = {"network": MLP(), "loss": classes_loss, "optimizer": optax.adam(2e-3), "train": train, "test": test}
    return TrainingProgram(**{**parts, "task": "classification", "batch_size": 64, "epochs": 8, **changes})


def regressor(**changes: Any) -> TrainingProgram:
    """A healthy program: waves, a perceptron, squared errors, Adam."""
    train, test = waves()
    parts = {"network": MLP(outputs=1), "loss": squared_loss, "optimizer": optax.adam(1e-2), "train": train}
    return TrainingProgram(**{**parts, "test": test, "task": "regression", "batch_size": 32, "epochs": 15, **changes})


def binary(**changes: Any) -> TrainingProgram:
    """A healthy program: clouds, a perceptron, binary cross entropy, Adam."""
    train, test = clouds()
    parts = {"network": MLP(outputs=1), "loss": binary_loss, "optimizer": optax.adam(5e-3), "train": train}
    return TrainingProgram(**{**parts, "test": test, "task": "binary", "batch_size": 32, "epochs": 10, **changes})


HEALTHY = (classifier, regressor, binary)


def subject(program: TrainingProgram) -> Subject:
    return subject_of(program)


def ids(seen) -> list[str]:
    """The ids of a probe's alarms."""
    return [finding.id for finding in seen.findings if finding.is_alarm]


def suspected(seen) -> list[str]:
    """The ids that a probe would report if a repair helped."""
    return [suspicion.finding.id for suspicion in seen.suspicions]


def random_key():
    return jax.random.key(0)
