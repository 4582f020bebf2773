"""Small data, networks and experiments for the tests of training; pairs of functions compile fastest."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import verax as vx

COLUMNS, CLASSES = 4, 3


def split(size, seed):
    """Inputs and the classes that a fixed linear rule gives them, with a little noise."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(size, COLUMNS)).astype(np.float32)
    rule = np.random.default_rng(99).normal(size=(COLUMNS, CLASSES))
    return inputs, (inputs @ rule + 0.5 * random.normal(size=(size, CLASSES))).argmax(axis=1).astype(np.int32)


def data(train=50, validation=20, test=20):
    sizes = {"train": train, "validation": validation, "test": test}
    return {name: split(size, seed) for seed, (name, size) in enumerate(sizes.items()) if size}


def regression_data(train=50, validation=20):
    return {
        name: (inputs, (inputs @ np.arange(1.0, COLUMNS + 1) + targets).astype(np.float32))
        for name, (inputs, targets) in data(train, validation, 0).items()
    }


def init(key, x):
    return {"kernel": 0.1 * jax.random.normal(key, (x.shape[1], CLASSES)), "bias": jnp.zeros(CLASSES)}


def apply(params, x):
    return x @ params["kernel"] + params["bias"][None]


def apply_noisy(params, x, key=None):
    if key is not None:
        x = 2 * x * jax.random.bernoulli(key, 0.5, x.shape).astype(x.dtype)
    return apply(params, x)


def init_value(key, x):
    return {"kernel": 0.1 * jax.random.normal(key, (x.shape[1], 1)), "bias": jnp.zeros(1)}


LINEAR = (init, apply)
NOISY = (init, apply_noisy)
REGRESSOR = (init_value, apply)


class MLP(nn.Module):
    hidden: int = 8
    dropout_rate: float = 0.25

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.relu(nn.Dense(self.hidden)(x.reshape((x.shape[0], -1))))
        x = nn.Dropout(self.dropout_rate, deterministic=not training)(x)
        return nn.Dense(CLASSES)(x)


class WithNorm(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(CLASSES)(nn.BatchNorm(use_running_average=not train, momentum=0.8)(nn.Dense(4)(x)))


class CNN(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(2, (2, 2))(x.reshape((x.shape[0], 2, 2, 1)))
        return nn.Dense(CLASSES)(x.reshape((x.shape[0], -1)))


DATA = data()


def experiment(**changes):
    """A linear classifier with SGD on 50 rows: 6 full batches of 8 an epoch, and one of 2."""
    parts = {
        "network": LINEAR,
        "objective": vx.classification(),
        "optimizer": optax.sgd(0.1),
        "data": DATA,
        "batch_size": 8,
        "epochs": None if "steps" in changes else 2,
    }
    return vx.Experiment(**{**parts, **changes})


def same_bits(first, second):
    from verax.trees import digest

    return digest(first) == digest(second)


@contextlib.contextmanager
def compilations():
    """Yields a list that fills with the names of the programs JAX compiles: a counter independent of Verax."""
    names = []

    def listen(event, seconds, **details):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(details["fun_name"])

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
