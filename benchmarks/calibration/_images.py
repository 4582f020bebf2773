"""Convolutions: layouts, normalisations and shapes that look wrong and are right."""

from __future__ import annotations

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx

from calibration import _sets as sets
from calibration._healthy import classification, healthy
from calibration._networks import Block


class Pooled(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(16, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(nn.Conv(24, (3, 3))(x)), (2, 2), (2, 2))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


@healthy("constant-feature", "excessive-downsampling", "input-not-normalized", acc=0.94)
def small_convnet():
    return classification(
        "linen",
        Pooled(),
        optax.sgd(optax.cosine_decay_schedule(0.05, 168), momentum=0.9),
        sets.digits(1, True),
        epochs=8,
        seed=81,
    )


def residual_images(x, is_training):
    """Convolutions with batch normalisation and a way around; the mean over places at the end."""

    def norm(x):
        return hk.BatchNorm(True, True, 0.9)(x, is_training or hk.running_init())

    x = jax.nn.relu(norm(hk.Conv2D(16, 3, with_bias=False)(x)))
    for _ in range(2):
        inner = jax.nn.relu(norm(hk.Conv2D(16, 3, with_bias=False)(x)))
        x = jax.nn.relu(x + norm(hk.Conv2D(16, 3, with_bias=False)(inner)))
    return hk.Linear(10)(x.mean((1, 2)))


@healthy("cross-example-leak", "train-mode-at-eval", "stale-batch-stats", "train-eval-discrepancy", acc=0.9)
def residual_batch_norm():
    network = hk.transform_with_state(residual_images)
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, 210))
    return classification("haiku", network, optimizer, sets.digits(2, True), epochs=10, seed=82)


class Grouped(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(83)
        self.first = nnx.Conv(1, 16, (3, 3), rngs=rngs)
        self.norm = nnx.GroupNorm(16, num_groups=4, rngs=rngs)
        self.second = nnx.Conv(16, 16, (3, 3), strides=2, rngs=rngs)
        self.out = nnx.Linear(16 * 36, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.first(x)))
        x = nnx.relu(self.second(x))
        return self.out(x.reshape(x.shape[0], -1))


@healthy("normalization-wrong-axis", "cross-example-leak", "redundant-bias-before-norm", acc=0.9)
def group_norm_bars():
    """Statistics over places and groups of channels of each example."""
    return classification("nnx", Grouped(), optax.adam(2e-3), sets.bars(seed=3), epochs=8, seed=83)


class ChannelsFirst(eqx.Module):
    first: eqx.nn.Conv2d
    out: eqx.nn.Linear

    def __init__(self):
        first, second = jax.random.split(jax.random.key(84))
        self.first = eqx.nn.Conv2d(1, 16, 3, padding=1, key=first)
        self.out = eqx.nn.Linear(16 * 16, 10, key=second)

    def __call__(self, x, key=None):
        x = jax.nn.relu(self.first(x))
        x = eqx.nn.MaxPool2d(2, 2)(x)
        return self.out(x.reshape(-1))


@healthy("input-wrong-layout", "scrambling-reshape", acc=0.94)
def channels_first():
    """Equinox takes channels first; so do these images."""
    (x, y), (x_test, y_test) = sets.digits(4, True)
    splits = (x.transpose(0, 3, 1, 2), y), (x_test.transpose(0, 3, 1, 2), y_test)
    return classification("equinox", ChannelsFirst(), optax.adam(3e-3), splits, epochs=8, seed=84)


class Separable(nn.Module):
    """Depthwise and pointwise convolutions with nothing between."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(16, (3, 3))(x))
        x = nn.Conv(16, (3, 3), feature_group_count=16, use_bias=False)(x)
        x = nn.relu(nn.Conv(32, (1, 1))(x))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


@healthy("missing-nonlinearity", acc=0.94)
def separable_convolutions():
    return classification("linen", Separable(), optax.adam(2e-3), sets.digits(5, True), epochs=6, seed=85)


class Shrinking(nn.Module):
    """Strides down to one place, and no convolution after it."""

    @nn.compact
    def __call__(self, x):
        for width in (16, 24, 32):
            x = nn.relu(nn.Conv(width, (3, 3), strides=2)(x))
        return nn.Dense(10)(x[:, 0, 0])


@healthy("excessive-downsampling", acc=0.92)
def strides_to_one_place():
    return classification("linen", Shrinking(), optax.adam(4e-3), sets.digits(6, True), epochs=12, seed=86)


class Patches(nn.Module):
    """A small vision Transformer: patches by reshape and transpose, as it should be."""

    @nn.compact
    def __call__(self, x):
        rows = x.shape[0]
        x = x[..., 0].reshape(rows, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(rows, 16, 4)
        x = nn.Dense(24)(x) + self.param("places", nn.initializers.normal(0.1), (1, 16, 24))
        x = Block()(x)
        return nn.Dense(10)(nn.LayerNorm()(x).mean(1))


@healthy("scrambling-reshape", "cross-example-leak", "causal-leak", acc=0.88)
def patches():
    return classification(
        "linen",
        Patches(),
        optax.adam(optax.warmup_cosine_decay_schedule(0.0, 6e-3, 40, 420)),
        sets.digits(7, True),
        epochs=20,
        seed=87,
    )


class Augmented(nn.Module):
    """Noise and shifts drawn in training, inside the model."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        if train:
            noise_key, shift_key = jax.random.split(self.make_rng("dropout"))
            x = x + 0.1 * jax.random.normal(noise_key, x.shape)
            shifts = jax.random.randint(shift_key, (x.shape[0],), -1, 2)
            x = jax.vmap(lambda image, by: jnp.roll(image, by, 1))(x, shifts)
        x = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
        return nn.Dense(3)(nn.relu(nn.Dense(48)(x.reshape(x.shape[0], -1))))


@healthy("train-eval-discrepancy", "nondeterministic-eval", "key-reuse", "distribution-shift", acc=0.85)
def augmented_in_training():
    return classification("linen", Augmented(), optax.adam(3e-3), sets.bars(seed=8), epochs=10, seed=88)


@healthy("input-not-normalized", "exploding-activation", acc=0.9)
def pixels_to_255():
    """Floating-point pixels up to 255 into a network that normalises them by example."""

    class Scaled(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=-1)(x)
            x = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
            return nn.Dense(3)(nn.relu(nn.Dense(32)(x.reshape(x.shape[0], -1))))

    splits = sets.bars(seed=9, top=255.0)
    return classification("linen", Scaled(), optax.adam(2e-3), splits, epochs=8, seed=89)
