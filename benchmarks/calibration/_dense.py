"""Perceptrons that classify: unusual sizes, starts, activations and heads that are right where they stand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx

from calibration import _losses as losses
from calibration import _sets as sets
from calibration._healthy import binary, classification, healthy
from calibration._networks import (
    EquinoxPerceptron,
    NnxPerceptron,
    Perceptron,
    affine,
    dense,
    haiku_perceptron,
    perceptron_pair,
)


@healthy("missing-nonlinearity", "insufficient-capacity", "learning-rate-too-high", acc=0.93)
def linear_digits():
    """A linear model is a choice."""
    return classification("pair", perceptron_pair(10, scale=0.1), optax.sgd(0.2), sets.digits(1))


@healthy("learning-rate-too-high", "missing-nonlinearity", acc=0.93)
def large_rate_that_is_right():
    """SGD at 0.5 on a well-conditioned logistic regression."""
    return binary("linen", Perceptron(()), optax.sgd(0.5), sets.tumours(1), batch_size=32, epochs=10, seed=1)


@healthy("vanishing-gradient", "batch-size-too-small", "insufficient-training", acc=0.9)
def deep_tanh():
    """Five layers of tanh on few rows."""
    network = haiku_perceptron([32] * 5 + [3], jnp.tanh)
    return classification("haiku", network, optax.adam(2e-3), sets.wine(2), batch_size=16, epochs=6, seed=2)


@healthy("vanishing-gradient", "exploding-initialization", acc=0.93)
def deep_selu():
    """Eight layers that keep their scale by themselves (Klambauer et al. 2017)."""
    network = Perceptron((48,) * 8, 10, nn.selu)
    return classification("linen", network, optax.adam(1e-3), sets.digits(3), seed=3)


@healthy("overfitting", "dying-relu", "exploding-activation", acc=0.95)
def very_wide():
    """2,048 hidden units for 64 inputs."""
    network = NnxPerceptron((64, 2048, 10), seed=4)
    optimizer = optax.sgd(0.05, momentum=0.9, nesterov=True)
    return classification("nnx", network, optimizer, sets.digits(4), epochs=10, seed=4)


class Normalised(nn.Module):
    """Normalises its raw inputs by example, then each layer."""

    @nn.compact
    def __call__(self, x):
        x = nn.LayerNorm()(x)
        for _ in range(2):
            x = nn.LayerNorm()(nn.gelu(nn.Dense(32)(x)))
        return nn.Dense(1)(x)


@healthy("input-not-normalized", "extreme-outliers", acc=0.88)
def raw_inputs_layer_norm():
    """Columns from 0.001 to 4000, into a layer normalisation."""
    return binary("linen", Normalised(), optax.adam(2e-3), sets.tumours(5, raw=True), batch_size=32, epochs=25, seed=5)


class BatchNormalised(nn.Module):
    widths: tuple[int, ...] = (32, 32)
    outputs: int = 1
    first: bool = False

    @nn.compact
    def __call__(self, x, train: bool = False):
        def norm(x):
            return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)

        x = norm(x) if self.first else x
        for width in self.widths:
            x = nn.relu(norm(nn.Dense(width)(x)))
        return nn.Dense(self.outputs)(x)


@healthy("input-not-normalized", "stale-batch-stats", "cross-example-leak", "redundant-bias-before-norm", acc=0.93)
def raw_inputs_batch_norm():
    """The same columns into a batch normalisation; biases before it are harmless."""
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, 200))
    return binary("linen", BatchNormalised(first=True), optimizer, sets.tumours(6, raw=True), epochs=30, seed=6)


@healthy("batchnorm-small-batch", "train-eval-discrepancy", "loss-oscillation", acc=0.92)
def batch_norm_batches_of_sixteen():
    return classification(
        "linen", BatchNormalised((48,), 10), optax.adam(2e-3), sets.digits(7), batch_size=16, epochs=8, seed=7
    )


class WeightNormalised(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.WeightNorm(nn.Dense(64))(x))
        return nn.WeightNorm(nn.Dense(10))(x)


@healthy("exploding-gradient", "parameter-without-gradient", acc=0.94)
def weight_norm():
    """Salimans and Kingma (2016): length and direction of the weights apart."""
    return classification("linen", WeightNormalised(), optax.adam(3e-3), sets.digits(8), seed=8)


@healthy("excessive-dropout", "train-eval-discrepancy", "underfitting", acc=0.93)
def half_dropout():
    """The textbook's rate, in two layers: training scores below evaluation."""
    network = haiku_perceptron([256, 256, 10], dropout=0.5)
    return classification("haiku", network, optax.adam(1e-3), sets.digits(9), epochs=20, seed=9)


def residual(depth: int, width: int, outputs: int):
    """Residual blocks whose ends start at zero."""

    def init(key, x):
        keys = jax.random.split(key, 2 * depth + 2)
        blocks = [
            {"in": dense(keys[2 * i], width, width, 1.4), "out": dense(keys[2 * i + 1], width, width, 0.0)}
            for i in range(depth)
        ]
        return {"stem": dense(keys[-2], x.shape[-1], width), "blocks": blocks, "head": dense(keys[-1], width, outputs)}

    def apply(params, x, train=False, key=None):
        x = affine(params["stem"], x)
        for block in params["blocks"]:
            x = x + affine(block["out"], jax.nn.relu(affine(block["in"], x)))
        return affine(params["head"], x)

    return init, apply


@healthy("symmetric-initialization", "parameter-without-gradient", "vanishing-initialization", acc=0.94)
def zero_residual_ends():
    """Every block is the identity at first, and half of the weights have no gradient."""
    return classification("pair", residual(4, 48, 10), optax.adam(1e-3), sets.digits(10), seed=10)


@healthy("symmetric-initialization", "input-ignored", "parameter-without-gradient", "vanishing-gradient", acc=0.92)
def zero_head():
    """The output does not depend on the input at the start."""
    network = Perceptron((64,), 10, nn.silu, head_init=nn.initializers.zeros)
    return classification("linen", network, optax.adam(3e-3), sets.digits(11), epochs=15, seed=11)


class LowRank(nn.Module):
    """A factorised layer: two products with nothing between."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(128)(nn.Dense(12, use_bias=False)(x)))
        return nn.Dense(10)(nn.Dense(16, use_bias=False)(x))


@healthy("missing-nonlinearity", "insufficient-capacity", acc=0.93)
def low_rank_factors():
    return classification("linen", LowRank(), optax.adam(3e-3), sets.digits(12), seed=12)


@healthy("output-size-mismatch", "class-imbalance", "dying-relu", acc=0.92)
def spare_outputs():
    """Sixteen outputs for ten classes, as where a vocabulary is filled up."""
    network = EquinoxPerceptron(64, 16, 96, 2, seed=13)
    return classification("equinox", network, optax.adam(2e-3), sets.digits(13), seed=13)


@healthy("loss-not-decreasing", "underfitting", "label-noise", "bad-initial-loss", acc=0.94)
def smoothed_labels():
    """A loss that cannot go below 0.5."""
    network = NnxPerceptron((64, 96, 10), nnx.gelu, seed=14)
    return classification("nnx", network, optax.adamw(3e-3), sets.digits(14), loss=losses.smoothed, epochs=15, seed=14)


@healthy("loss-mismatch", "dying-relu", "parameter-without-gradient", "non-differentiable-loss", acc=0.93)
def support_vectors():
    """The hinge loss: most examples have no gradient at the end."""
    return binary(
        "linen", Perceptron((24,)), optax.adam(1e-2), sets.moons(seed=15), loss=losses.hinge, epochs=25, seed=15
    )


@healthy("saturated-activation", "vanishing-gradient", acc=0.93)
def sigmoid_units():
    network = haiku_perceptron([64, 10], jax.nn.sigmoid)
    return classification("haiku", network, optax.adam(8e-3), sets.digits(16), epochs=15, seed=16)


@healthy("double-softmax", "log-of-zero", "wrong-softmax-axis", acc=0.94)
def stated_probabilities():
    """A softmax in the model, and a loss that takes its guarded logarithm."""

    def loss(probabilities, labels):
        return -jnp.log(jnp.take_along_axis(probabilities, labels[:, None], 1)[:, 0] + 1e-7)

    network = Perceptron((64,), 10, head=nn.softmax)
    return classification(
        "linen", network, optax.adam(3e-3), sets.digits(17), loss=loss, probabilities=lambda outputs: outputs, seed=17
    )


@healthy("double-sigmoid", "log-of-zero", acc=0.93)
def stated_probability():
    """A sigmoid in the model, and a loss on what it states, kept from zero and one."""

    def loss(outputs, labels):
        stated = jnp.clip(outputs.reshape(-1), 1e-6, 1 - 1e-6)
        return -jnp.where(labels == 1, jnp.log(stated), jnp.log1p(-stated))

    return binary(
        "linen",
        Perceptron((24,), head=nn.sigmoid),
        optax.adam(5e-3),
        sets.tumours(18),
        loss=loss,
        batch_size=32,
        predict=lambda outputs: (outputs > 0.5).astype(int).reshape(-1),
        probabilities=lambda outputs: outputs.reshape(-1),
        epochs=8,
        seed=18,
    )


class Gated(nn.Module):
    """A gated linear unit."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(nn.Dense(64)(x) * nn.sigmoid(nn.Dense(64)(x)))


@healthy("saturated-activation", "missing-nonlinearity", acc=0.94)
def gated_units():
    return classification("linen", Gated(), optax.adam(3e-3), sets.digits(19), seed=19)


@healthy("exploding-initialization", "symmetric-initialization", acc=0.94)
def orthogonal_start():
    network = Perceptron((64, 64), 10, nn.relu, nn.initializers.orthogonal(2**0.5), nn.initializers.constant(0.1))
    return classification("linen", network, optax.adam(1e-3), sets.digits(20), seed=20)


def experts(count: int, width: int, outputs: int):
    """Small networks side by side, drawn under `vmap` with a key each, mixed by a gate."""

    def init(key, x):
        gate_key, expert_key = jax.random.split(key)

        def one(key):
            first, second = jax.random.split(key)
            return {"in": dense(first, x.shape[-1], width, 1.4), "out": dense(second, width, outputs)}

        return {
            "gate": dense(gate_key, x.shape[-1], count),
            "experts": jax.vmap(one)(jax.random.split(expert_key, count)),
        }

    def apply(params, x, train=False, key=None):
        gate = jax.nn.softmax(affine(params["gate"], x))
        answers = jax.vmap(lambda each: affine(each["out"], jax.nn.relu(affine(each["in"], x))))(params["experts"])
        return jnp.einsum("be,ebo->bo", gate, answers)

    return init, apply


@healthy("key-reuse", "unintended-weight-sharing", "symmetric-initialization", "cross-example-leak", acc=0.92)
def soft_experts():
    return classification("pair", experts(4, 24, 10), optax.adam(3e-3), sets.digits(21), seed=21)
