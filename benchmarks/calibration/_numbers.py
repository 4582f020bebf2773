"""Regressions: units, heads, links and losses that look wrong and fit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx

from calibration import _losses as losses
from calibration import _sets as sets
from calibration._healthy import healthy, regression
from calibration._networks import (
    EquinoxPerceptron,
    NnxPerceptron,
    Perceptron,
    affine,
    dense,
    haiku_perceptron,
    perceptron_pair,
)


@healthy("loss-broadcasting", "overfitting", r2=0.85)
def friedman_huber():
    network = haiku_perceptron([48, 48, 1])
    return regression(
        "haiku", network, optax.adam(3e-3), sets.friedman(1800, seed=1), loss=losses.huber, epochs=12, seed=61
    )


@healthy("underfitting", "label-noise", "insufficient-capacity", r2=0.38)
def noisy_disease():
    """Diabetes: half of the variance is noise, and a small network is enough."""
    network = NnxPerceptron((10, 16, 1), nnx.tanh, seed=62)
    return regression("nnx", network, optax.adam(2e-3), sets.diabetes(2), batch_size=32, epochs=12, seed=62)


@healthy("unscaled-target", "output-bias-mismatch", "loss-divergence", "exploding-gradient", r2=0.9)
def thousands():
    """Targets of thousands with absolute errors; the output is scaled inside."""
    (x, y), (x_test, y_test) = sets.waves(seed=3)
    splits = (x, 4000 + 900 * y), (x_test, 4000 + 900 * y_test)
    network = Perceptron((64, 64), head=lambda out: 4000.0 + 900.0 * out)
    return regression("linen", network, optax.adam(2e-3), splits, loss=losses.absolute, epochs=25, seed=63)


@healthy("vanishing-gradient", "learning-rate-too-low", "vanishing-initialization", "adam-epsilon-too-large", r2=0.85)
def millionths():
    """Targets in metres of what is micrometres long: tiny outputs, tiny gradients, a small epsilon."""
    (x, y), (x_test, y_test) = sets.waves(seed=4)
    splits = (x, (1e-3 * y).astype(np.float32)), (x_test, (1e-3 * y_test).astype(np.float32))
    network = Perceptron((64, 64), head=lambda out: 1e-3 * out)
    return regression("linen", network, optax.rmsprop(2e-3, eps=1e-14), splits, epochs=25, seed=64)


@healthy("output-size-mismatch", "negative-loss", "loss-mismatch", r2=0.7)
def mean_and_variance():
    """Two outputs for one target: a mean and a log variance, with a loss below zero."""
    network = EquinoxPerceptron(3, 2, 48, 2, jax.nn.silu, seed=65)
    return regression(
        "equinox",
        network,
        optax.adam(3e-3),
        sets.spread_out(seed=5),
        loss=losses.gaussian,
        predict=lambda outputs: outputs[:, 0],
        epochs=20,
        seed=65,
    )


@healthy("negative-loss", "exp-overflow", "wrong-output-activation", "unscaled-target", r2=0.6)
def event_counts():
    """Poisson: the loss is below zero, and outputs are log rates that start near the mean."""
    network = Perceptron((32,), head=lambda out: out + 2.2)
    return regression(
        "linen",
        network,
        optax.adam(5e-3),
        sets.counts(seed=6),
        loss=losses.poisson,
        predict=lambda outputs: np.exp(np.asarray(outputs)),
        epochs=15,
        seed=66,
    )


@healthy("wrong-output-activation", "unscaled-target", r2=0.5)
def logarithm_of_target():
    """Counts on a log scale, centred."""
    (x, y), (x_test, y_test) = sets.counts(seed=7)
    splits = (x, np.log1p(y) - 2.2), (x_test, np.log1p(y_test) - 2.2)
    return regression("pair", perceptron_pair(32, 1), optax.adam(5e-3), splits, epochs=12, seed=67)


def positive(seed):
    (x, y), (x_test, y_test) = sets.waves(seed=seed)
    return (x, np.abs(y) + 0.3), (x_test, np.abs(y_test) + 0.3)


@healthy("wrong-output-activation", "dying-relu", r2=0.6)
def rectified_output():
    """A rectifier on the output, of targets that are all above zero; the bias starts there too."""
    network = Perceptron((64, 64), head=lambda out: nn.relu(out + 1.0))
    return regression("linen", network, optax.adam(2e-3), positive(8), epochs=14, seed=68)


@healthy("wrong-output-activation", "vanishing-gradient", r2=0.6)
def softplus_output():
    network = Perceptron((64, 64), head=nn.softplus)
    return regression("linen", network, optax.adam(3e-3), positive(9), epochs=25, seed=69)


@healthy("wrong-output-activation", "saturated-activation", r2=0.85)
def bounded_output():
    """tanh on the output, of targets in (-1, 1)."""
    (x, y), (x_test, y_test) = sets.waves(seed=10)
    splits = (x, np.tanh(y)), (x_test, np.tanh(y_test))
    network = NnxPerceptron((5, 64, 64, 1), nnx.relu, seed=70)

    class Bounded(nnx.Module):
        def __init__(self):
            self.inner = network

        def __call__(self, x):
            return jnp.tanh(self.inner(x))

    return regression("nnx", Bounded(), optax.adam(optax.cosine_decay_schedule(5e-3, 220)), splits, epochs=20, seed=70)


@healthy("loss-mismatch", "non-differentiable-loss", r2=0.85)
def median_regression():
    network = haiku_perceptron([64, 64, 1])
    return regression("haiku", network, optax.adam(3e-3), sets.waves(seed=11), loss=losses.median, epochs=20, seed=71)


def sines(omega: float):
    """Sine layers as in Sitzmann et al. (2020): the first one sees its inputs times omega."""

    def init(key, x):
        keys = jax.random.split(key, 3)
        first = {"kernel": jax.random.uniform(keys[0], (1, 64), minval=-1, maxval=1), "bias": jnp.zeros(64)}
        return [first, dense(keys[1], 64, 64, 1.4), dense(keys[2], 64, 1)]

    def apply(params, x, train=False, key=None):
        x = jnp.sin(omega * affine(params[0], x))
        x = jnp.sin(affine(params[1], x))
        return affine(params[2], x)

    return init, apply


@healthy("exploding-initialization", "saturated-activation", "near-duplicate-leak", r2=0.9)
def sine_layers():
    rng = np.random.default_rng(12)
    x = rng.uniform(-1, 1, (900, 1)).astype(np.float32)
    y = (np.sin(12 * x[:, 0]) + 0.1 * rng.normal(size=900)).astype(np.float32)
    return regression(
        "pair",
        sines(12.0),
        optax.adam(optax.cosine_decay_schedule(2e-3, 200)),
        sets.split(x, y, seed=12),
        epochs=20,
        seed=72,
    )


@healthy("loss-broadcasting", r2=0.85)
def columns_on_both_sides():
    """Outputs and targets both of shape (rows, 1)."""
    (x, y), (x_test, y_test) = sets.waves(seed=13)
    splits = (x, y[:, None]), (x_test, y_test[:, None])
    network = EquinoxPerceptron(5, 1, 64, 2, seed=73)

    def loss(outputs, targets):
        return ((outputs - targets) ** 2)[:, 0]

    return regression("equinox", network, optax.adam(3e-3), splits, loss=loss, epochs=20, seed=73)


@healthy("loss-wrong-reduction", "exploding-gradient", "learning-rate-too-low", r2=0.8)
def sum_with_its_rate():
    """The sum over a batch, with a step size made for it."""

    def loss(outputs, targets):
        return jnp.sum((outputs.reshape(-1) - targets) ** 2)

    return regression(
        "linen",
        Perceptron((64, 64)),
        optax.sgd(0.05 / 64, momentum=0.9),
        sets.waves(seed=14),
        loss=loss,
        epochs=25,
        seed=74,
    )


@healthy("learning-rate-too-low", "loss-not-decreasing", "insufficient-training", r2=0.85)
def fine_tuning():
    """Starts from the least-squares answer and moves a little: nothing is left to be gained by larger steps."""
    (x, y), test = sets.law(seed=15)
    ones = np.concatenate([x, np.ones((len(x), 1), np.float32)], 1)
    weights = np.linalg.lstsq(ones, y, rcond=None)[0].astype(np.float32)

    def init(key, x):
        return {"kernel": jnp.asarray(weights[:-1, None]), "bias": jnp.asarray(weights[-1:])}

    return regression(
        "pair",
        (init, lambda params, x, train=False, key=None: affine(params, x)),
        optax.adam(1e-5),
        ((x, y), test),
        epochs=5,
        seed=75,
    )


class MeanOfSet(nn.Module):
    """Deep sets (Zaheer et al. 2017): a mean over the members of each example."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(32)(x))
        x = nn.relu(nn.Dense(32)(x)).mean(1)
        return nn.Dense(1)(x)


@healthy("cross-example-leak", "scrambling-reshape", r2=0.85)
def sets_of_points():
    """A mean over the second axis, not over examples."""
    rng = np.random.default_rng(16)
    x = rng.normal(size=(1200, 8, 2)) * rng.uniform(0.3, 1.5, (1200, 1, 1))
    y = np.log(x[..., 0].var(1) + 0.1)
    splits = sets.split(x.astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32), seed=16)
    return regression("linen", MeanOfSet(), optax.adam(3e-3), splits, epochs=15, seed=76)
