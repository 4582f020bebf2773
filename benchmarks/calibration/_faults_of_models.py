"""Programs whose network is at fault: structure, mode, noise, numbers."""

from __future__ import annotations

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from calibration import _sets as sets
from calibration._faulty import changed, faulty
from calibration._healthy import classification, regression
from calibration._networks import NnxPerceptron, Perceptron, perceptron_pair


@faulty("input-ignored", part="model")
def shape_of_the_input():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(10)(nn.relu(nn.Dense(32)(jnp.zeros_like(x))))

    return classification("linen", Net(), optax.adam(1e-3), sets.digits(42))


@faulty("insufficient-capacity", part="model")
def through_one_number():
    return classification("linen", Perceptron((64, 1, 64), 10), optax.adam(3e-3), sets.digits(43), epochs=25)


@faulty("exploding-initialization", "saturated-activation", part="model")
def weights_of_ten():
    network = Perceptron((64, 64), 10, kernel_init=nn.initializers.normal(3.0))
    return classification("linen", network, optax.adam(1e-3), sets.digits(44))


@faulty("vanishing-initialization", "vanishing-gradient", "symmetric-initialization", part="model")
def weights_of_a_thousandth():
    network = Perceptron((64, 64, 64), 10, nn.tanh, kernel_init=nn.initializers.normal(1e-3))
    return classification("linen", network, optax.sgd(0.1), sets.digits(45))


@faulty("normalization-wrong-axis", "cross-example-leak", part="model")
def layer_norm_over_the_batch():
    def init(key, x):
        return perceptron_pair(32, 10)[0](key, x)

    def apply(params, x, train=False, key=None):
        x = x @ params[0]["kernel"] + params[0]["bias"]
        x = (x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5)
        return jax.nn.relu(x) @ params[1]["kernel"] + params[1]["bias"]

    return classification("pair", (init, apply), optax.adam(2e-3), sets.digits(46), evaluation_batch=1)


class Switched(nn.Module):
    """Batch normalisation and dropout, with a mistake of choice."""

    momentum: float = 0.9
    inverted: bool = False
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, train: bool = False):
        train = train != self.inverted
        x = nn.Dense(64)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(x)
        x = nn.Dropout(self.rate, deterministic=not train)(nn.relu(x))
        return nn.Dense(10)(x)


@faulty("stale-batch-stats", part="model")
def statistics_that_hardly_move():
    def change(x, y):
        return 5 + 3 * x, y

    splits = changed(sets.digits(47), change, held=True)
    return classification("linen", Switched(momentum=0.9999), optax.adam(2e-3), splits)


@faulty("eval-mode-in-training", "train-mode-at-eval", "stale-batch-stats", part="model")
def modes_exchanged():
    return classification("linen", Switched(inverted=True, rate=0.5), optax.adam(2e-3), sets.digits(48))


@faulty("excessive-dropout", part="model")
def keeps_one_in_fifty():
    return classification("nnx", NnxPerceptron((64, 128, 10), dropout=0.98), optax.adam(2e-3), sets.digits(49))


@faulty("nondeterministic-eval", "train-mode-at-eval", part="model")
def noise_at_all_times():
    def forward(x, is_training):
        x = jax.nn.relu(hk.Linear(64)(x))
        return hk.Linear(10)(hk.dropout(hk.next_rng_key(), 0.6, x))

    return classification("haiku", hk.transform(forward), optax.adam(2e-3), sets.digits(50))


@faulty("unseeded-randomness", "fixed-dropout-key", "impure-function", part="model")
def numpy_inside():
    def apply(params, x, train=False, key=None):
        x = jax.nn.relu(x @ params[0]["kernel"] + params[0]["bias"])
        if train:
            x = x * (np.random.random(x.shape[1]) < 0.3) / 0.3  # noqa: NPY002
        return x @ params[1]["kernel"] + params[1]["bias"]

    return classification("pair", (perceptron_pair(64, 10)[0], apply), optax.adam(2e-3), sets.digits(51))


@faulty("batchnorm-small-batch", part="batches model")
def statistics_of_two_rows():
    return classification("linen", Switched(), optax.adam(2e-3), sets.digits(52), batch_size=2, epochs=1)


@faulty("miscalibration", part="model")
def temperature_in_evaluation():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool = False):
            x = nn.Dense(4)(nn.relu(nn.Dense(32)(x)))
            return x if train else 6.0 * x

    return classification("linen", Net(), optax.adam(3e-3), sets.blobs(seed=53))


@faulty("scrambling-reshape", "cross-example-leak", part="model")
def channels_from_rows():
    def apply(params, x, train=False, key=None):
        rows = x.reshape(64, x.shape[0]).T if x.shape[0] != 64 else x.reshape(64, 64).T
        return jax.nn.relu(rows @ params[0]["kernel"]) @ params[1]["kernel"]

    return classification("pair", (perceptron_pair(64, 10)[0], apply), optax.adam(2e-3), sets.digits(54))


@faulty("wrong-custom-gradient", part="model")
def derivative_by_hand():
    @jax.custom_vjp
    def soft(x):
        return jnp.log1p(jnp.exp(x))

    soft.defvjp(lambda x: (soft(x), x), lambda x, g: (g * (1 - jax.nn.sigmoid(x)) * -1.0,))

    return regression("linen", Perceptron((32,), activation=soft), optax.adam(3e-3), sets.waves(seed=55))


@faulty("division-by-zero", "where-gradient-nan", part="model")
def length_of_a_blank_row():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = x.reshape(-1, 8, 8)
            x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
            return nn.Dense(10)(nn.relu(nn.Dense(32)(x.reshape(-1, 64))))

    return classification("linen", Net(), optax.adam(1e-3), sets.digits(56))


@faulty("low-precision-overflow", part="model loss data")
def squares_in_half_precision():
    def change(x, y):
        return 300 * x, y

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = x.astype(jnp.float16)
            x = x / jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1)
            return nn.Dense(10)(nn.relu(nn.Dense(32)(x.astype(jnp.float32))))

    return classification("linen", Net(), optax.adam(1e-3), changed(sets.digits(57), change, held=True))


@faulty("unintended-weight-sharing", "symmetric-initialization", "key-reuse", part="model")
def one_key_for_all_experts():
    def init(key, x):
        return {"experts": [perceptron_pair(3, 1)[0](key, x) for _ in range(12)]}

    def apply(params, x, train=False, key=None):
        outputs = [jnp.tanh(x @ p[0]["kernel"] + p[0]["bias"]) @ p[1]["kernel"] for p in params["experts"]]
        return sum(outputs)[:, 0]

    return regression("pair", (init, apply), optax.adam(1e-2), sets.waves(seed=58))


@faulty("wrong-output-activation", part="model")
def tanh_for_large_targets():
    def change(x, y):
        return x, 3 * y

    network = Perceptron((32,), head=nn.tanh)
    return regression("linen", network, optax.adam(3e-3), changed(sets.waves(seed=59), change, held=True))
