"""Small networks and data whose true scores are known, and single items measured on them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import verax as vx
from verax.certify import Evidence, Outcome
from verax.certify._evidence import resolved
from verax.certify._judgement import better_than_chance, calibrated, held_out, tuned
from verax.certify._saved_model import inference_time, memory, reload
from verax.certify._subject import Subject
from verax.certify._training import converges, finite, gradients
from verax.train._limits import chosen_limits

CHECKS = {
    "converges": converges,
    "gradients": gradients,
    "finite": finite,
    "better_than_chance": better_than_chance,
    "calibrated": calibrated,
    "held_out": lambda subject: held_out(subject, 1),
    "tuned": tuned,
    "reload": reload,
    "inference_time": inference_time,
    "memory": memory,
}

FEATURES, WIDTH, CLASSES = 5, 64, 3
TRUE_KERNEL = np.random.default_rng(7).normal(size=(FEATURES, CLASSES)).astype(np.float32)


def measure(evidence: Evidence, name: str, **limits: float) -> Outcome:
    """Returns one item of the certificate alone."""
    with subject_of(evidence, **limits) as subject:
        return CHECKS[name](subject)


@contextmanager
def subject_of(evidence: Evidence, **limits: float) -> Iterator[Subject]:
    with tempfile.TemporaryDirectory() as folder:
        yield Subject(evidence, *resolved(evidence), chosen_limits(evidence.limits, limits), Path(folder))


def known_labels(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs, and labels drawn from `softmax(inputs @ TRUE_KERNEL)`: their true probabilities are known."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(rows, FEATURES)).astype(np.float32)
    noise = random.gumbel(size=(rows, CLASSES))
    return inputs, (inputs @ TRUE_KERNEL + noise).argmax(axis=1).astype(np.int32)


def known_splits(train: int = 400, calibration: int = 1000, test: int = 4000) -> dict[str, Any]:
    sizes = {"train": train, "calibration": calibration, "test": test}
    return {name: known_labels(size, seed) for seed, (name, size) in enumerate(sizes.items()) if size}


def small(scale: float = 1.0) -> tuple[Any, Any]:
    """Returns a small network as a pair of functions: linear, with a hidden layer beside it to learn noise by heart.

    Args:
      scale: of the logits.
    """

    def init(key, x):
        first, second, third = jax.random.split(key, 3)
        return {
            "kernel": 0.1 * jax.random.normal(first, (x.shape[1], CLASSES)),
            "bias": jnp.zeros(CLASSES),
            "hidden": jax.random.normal(second, (x.shape[1], WIDTH)),
            "output": 0.1 * jax.random.normal(third, (WIDTH, CLASSES)),
        }

    def apply(params, x):
        beside = jnp.tanh(x @ params["hidden"]) @ params["output"]
        return scale * (x @ params["kernel"] + params["bias"][None] + beside)

    return init, apply


TRUE_PARAMS = {
    "kernel": TRUE_KERNEL,
    "bias": np.zeros(CLASSES, np.float32),
    "hidden": np.random.default_rng(8).normal(size=(FEATURES, WIDTH)).astype(np.float32),
    "output": np.zeros((WIDTH, CLASSES), np.float32),
}


def known_evidence(**changes: Any) -> Evidence:
    """Returns the evidence of a network that states exactly the true probabilities."""
    parts = {
        "network": small(),
        "objective": vx.classification(),
        "variables": TRUE_PARAMS,
        "data": known_splits(),
        "optimizer": optax.adam(1e-2),
        "losses": np.linspace(1, 0.5, 100),
        "training_peak_bytes": 10**8,
    }
    return Evidence(**{**parts, **changes})


class MLP(nn.Module):
    """The network of the README."""

    hidden: int

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.relu(nn.Dense(self.hidden)(x.reshape((x.shape[0], -1))))
        x = nn.Dropout(0.1, deterministic=not training)(x)
        return nn.Dense(10)(x)


def digits_experiment(hidden: int = 64, learning_rate: float = 3e-3) -> vx.Experiment:
    return vx.Experiment(
        network=MLP(hidden),
        objective=vx.classification(),
        optimizer=optax.adamw(learning_rate),
        data=vx.data.digits().split(test=540, validation=180, calibration=180),
        batch_size=32,
        epochs=15,
    )


def haiku_network() -> Any:
    """Returns a Haiku network with batch statistics and dropout."""
    import haiku as hk

    def classifier(x, is_training):
        x = hk.Linear(64)(x.reshape((x.shape[0], -1)))
        x = hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.9)(x, is_training)
        x = jax.nn.relu(x)
        if is_training:
            x = hk.dropout(hk.next_rng_key(), 0.1, x)
        return hk.Linear(10)(x)

    return hk.transform_with_state(classifier)


def haiku_experiment(learning_rate: float = 3e-3) -> vx.Experiment:
    return vx.Experiment(
        network=haiku_network(),
        objective=vx.classification(),
        optimizer=optax.adam(learning_rate),
        data=vx.data.digits().split(test=540, validation=180, calibration=180),
        batch_size=32,
        epochs=10,
    )


class ConvNet(nn.Module):
    """A convolution with BatchNorm."""

    @nn.compact
    def __call__(self, images, training: bool):
        x = nn.Conv(16, (3, 3), use_bias=False)(images[..., None])
        x = nn.relu(nn.BatchNorm(use_running_average=not training, momentum=0.9)(x))
        x = nn.max_pool(x, (2, 2), (2, 2)).reshape((x.shape[0], -1))
        return nn.Dense(10)(x)


def convolution_experiment(learning_rate: float = 3e-3) -> vx.Experiment:
    return vx.Experiment(
        network=ConvNet(),
        objective=vx.classification(),
        optimizer=optax.adam(learning_rate),
        data=vx.data.digits().split(test=540, validation=180, calibration=180),
        batch_size=32,
        epochs=8,
    )


def write_houses(path: Path, rows: int = 8000) -> Path:
    """Writes a table with numbers, a category and missing values; the target is a smooth function and noise."""
    random = np.random.default_rng(3)
    area, age, town = random.uniform(40, 200, rows), random.uniform(0, 80, rows), random.integers(0, 3, rows)
    price = 2 * area - 0.8 * age + np.array([0, 40, 90])[town] + random.normal(0, 15, rows)
    ages = [f"{each:.2f}" if random.random() > 0.03 else "" for each in age]
    names = np.array(["Ahlen", "Bonn", "Celle"])[town]
    lines = [f"{a:.2f},{b},{c},{d:.2f}" for a, b, c, d in zip(area, ages, names, price, strict=True)]
    path.write_text("\n".join(["area,age,town,price", *lines]) + "\n")
    return path


def houses_experiment(path: Path, learning_rate: float = 1e-2) -> vx.Experiment:
    source = vx.data.from_csv(path, target="price").split(test=3000, validation=500, calibration=3000)
    return vx.Experiment(
        network=TableNet(1, scale=100.0, centre=250.0),
        objective=vx.regression(),
        optimizer=optax.adam(learning_rate),
        data=source.preprocess(vx.data.impute(), vx.data.standardise(), vx.data.one_hot()),
        batch_size=64,
        epochs=30,
    )


class TableNet(nn.Module):
    """One hidden layer; outputs are brought to the unit of the targets."""

    outputs: int
    scale: float = 1.0
    centre: float = 0.0

    @nn.compact
    def __call__(self, x):
        return self.centre + self.scale * nn.Dense(self.outputs)(nn.tanh(nn.Dense(32)(x)))


def binary_experiment(learning_rate: float = 1e-2) -> vx.Experiment:
    inputs, labels = known_labels(8000, seed=5)
    source = vx.data.from_arrays(inputs, (labels == 1).astype(np.int32), classes=("no", "yes"))
    return vx.Experiment(
        network=TableNet(1),
        objective=vx.binary(),
        optimizer=optax.adam(learning_rate),
        data=source.split(test=4000, validation=500, calibration=1500),
        batch_size=64,
        epochs=8,
    )


class ByHeart:
    """A network that knows its training rows by heart and answers as the nearest of them."""

    def __init__(self, inputs: np.ndarray, targets: np.ndarray, classes: int = CLASSES):
        self.variables = {"inputs": inputs, "answers": 5 * np.eye(classes, dtype=np.float32)[targets]}
        self.functions = (self._init, self._apply)

    def _init(self, key, x):
        return jax.tree.map(jnp.asarray, self.variables)

    def _apply(self, params, x):
        known = params["inputs"]
        distances = jnp.square(x[:, None, :] - known[None, :, :]).sum(axis=-1)
        return params["answers"][distances.argmin(axis=1)]
