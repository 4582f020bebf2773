"""Programs with one fault each, which the public cases of the benchmark do not have: does the doctor name it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from calibration import _losses as losses
from calibration import _sets as sets
from calibration._healthy import binary, classification, regression, sequence
from calibration._networks import Block, NnxPerceptron, Perceptron, haiku_perceptron, perceptron_pair
from verax.doctor import TrainingProgram


@dataclass(frozen=True, eq=False)
class Faulty:
    """A program with a fault.

    Attributes:
      name: of the function that makes it.
      make: returns the program, the same each time.
      faults: the ids of which a right diagnosis names one, the most specific first.
      parts: the parts of the program that a repair would touch.
    """

    name: str
    make: Callable[[], TrainingProgram]
    faults: tuple[str, ...]
    parts: tuple[str, ...]


FAULTY: list[Faulty] = []


def faulty(*faults: str, part: str) -> Callable[[Callable[[], TrainingProgram]], Callable[[], TrainingProgram]]:
    """Enters a function into the list, with the ids of its fault and the parts of the program at fault."""

    def enter(make: Callable[[], TrainingProgram]) -> Callable[[], TrainingProgram]:
        FAULTY.append(Faulty(make.__name__, make, faults, tuple(part.split())))
        return make

    return enter


def changed(splits: Any, change: Callable[[Any, Any], Any], held: bool = False) -> Any:
    """Returns splits whose training rows (and held-out rows, where asked) went through a change."""
    train, test = splits
    return change(*train), change(*test) if held else test


# Data and labels


@faulty("non-finite-input", part="data")
def holes_in_the_table():
    def change(x, y):
        x = x.copy()
        x[::97, 2] = np.nan
        return x, y

    return regression("linen", Perceptron((32,)), optax.adam(5e-3), changed(sets.waves(seed=21), change))


@faulty("missing-value-sentinel", "extreme-outliers", "input-not-normalized", part="data")
def minus_999():
    def change(x, y):
        x = x.copy()
        x[np.random.default_rng(0).random(len(x)) < 0.06, 1] = -999.0
        return x, y

    return regression("linen", Perceptron((32,)), optax.adam(2e-3), changed(sets.waves(seed=22), change, held=True))


@faulty("label-noise", part="data")
def a_third_of_the_labels():
    def change(x, y):
        rng = np.random.default_rng(3)
        return x, np.where(rng.random(len(y)) < 0.35, rng.integers(0, 10, len(y)), y).astype(np.int32)

    return classification("nnx", NnxPerceptron((64, 64, 10)), optax.adam(2e-3), changed(sets.digits(23), change))


@faulty("label-misalignment", part="data")
def slipped_by_one():
    return regression(
        "linen", Perceptron((32,)), optax.adam(5e-3), changed(sets.waves(seed=24), lambda x, y: (x, np.roll(y, 1)))
    )


@faulty("label-encoding-mismatch", part="data loss")
def plus_and_minus_one():
    def change(x, y):
        return x, (2 * y - 1).astype(np.int32)

    splits = changed(sets.tumours(25), change, held=True)
    return binary(
        "linen", Perceptron((16,)), optax.adam(3e-3), splits, predict=lambda o: np.where(o.reshape(-1) > 0, 1, -1)
    )


@faulty("unscaled-target", part="data model")
def prices_in_units():
    def change(x, y):
        return x, (250_000 + 40_000 * y).astype(np.float32)

    splits = changed(sets.waves(seed=26), change, held=True)
    return regression("linen", Perceptron((32, 32)), optax.adam(1e-3), splits)


@faulty("target-leakage", part="data")
def the_answer_among_the_columns():
    def change(x, y):
        leak = y[:, None] + 0.01 * np.random.default_rng(1).normal(size=(len(y), 1))
        return np.concatenate([x, leak.astype(np.float32)], axis=1), y

    return regression("linen", Perceptron((32,)), optax.adam(5e-3), changed(sets.friedman(seed=27), change, held=True))


@faulty("near-duplicate-leak", "train-test-overlap", part="data")
def jittered_copies():
    (x, y), _ = sets.digits(28)
    rng = np.random.default_rng(2)
    many = np.concatenate([x[:300] + 0.01 * rng.normal(size=x[:300].shape) for _ in range(4)]).astype(np.float32)
    labels = np.tile(y[:300], 4)
    return classification("linen", Perceptron((64,), 10), optax.adam(2e-3), sets.split(many, labels, seed=1))


@faulty("distribution-shift", "train-test-preprocessing-mismatch", part="data")
def another_population():
    (x, y), (x_test, y_test) = sets.waves(seed=29)
    order = np.argsort(np.concatenate([x, x_test])[:, 0])
    x, y = np.concatenate([x, x_test])[order], np.concatenate([y, y_test])[order]
    cut = int(0.75 * len(x))
    return regression("linen", Perceptron((32,)), optax.adam(5e-3), ((x[:cut], y[:cut]), (x[cut:], y[cut:])))


@faulty("conflicting-labels", "label-noise", part="data")
def twice_with_two_labels():
    def change(x, y):
        wrong = (y + 1 + np.random.default_rng(0).integers(0, 9, len(y))) % 10
        return np.concatenate([x, x]), np.concatenate([y, wrong]).astype(np.int32)

    return classification("linen", Perceptron((64,), 10), optax.adam(2e-3), changed(sets.digits(30), change))


@faulty("output-size-mismatch", part="model")
def eight_outputs_for_ten_classes():
    def loss(outputs, labels):
        return optax.softmax_cross_entropy(outputs, jax.nn.one_hot(labels, 8))

    return classification("linen", Perceptron((64,), 8), optax.adam(2e-3), sets.digits(31), loss)


@faulty("input-not-normalized", part="data")
def far_from_zero():
    def change(x, y):
        return 1000 + 3 * x, y

    return regression(
        "haiku", haiku_perceptron([32, 1]), optax.adam(2e-3), changed(sets.waves(seed=32), change, held=True)
    )


@faulty("unshuffled-data", part="batches")
def in_order_of_the_target():
    def batches(x, y, epoch):
        order = np.argsort(y, kind="stable")
        for start in range(0, len(x) - 31, 32):
            rows = order[start : start + 32]
            yield x[rows], y[rows]

    return regression("linen", Perceptron((32,)), optax.sgd(0.05), sets.waves(seed=33), batches=batches, batch_size=32)


# Loss


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


# Model


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


# Optimizer


@faulty("over-clipping", part="optimizer")
def clipped_to_nothing():
    optimizer = optax.chain(optax.clip_by_global_norm(1e-4), optax.sgd(0.1))
    return classification("linen", Perceptron((64,), 10), optimizer, sets.digits(60))


@faulty("lr-decayed-early", part="optimizer")
def cooled_in_the_first_epoch():
    schedule = optax.cosine_decay_schedule(1e-3, 20)
    return classification("linen", Perceptron((64,), 10), optax.adam(schedule), sets.digits(61), epochs=20)


@faulty("momentum-too-high", "learning-rate-too-high", part="optimizer")
def memory_of_a_thousand_steps():
    return regression("linen", Perceptron((32,)), optax.sgd(0.05, momentum=0.999), sets.waves(seed=62))


@faulty("adam-epsilon-too-large", part="optimizer")
def epsilon_of_ten():
    return classification("linen", Perceptron((64,), 10), optax.adam(1e-3, eps=10.0), sets.digits(63))


@faulty("learning-rate-too-high", part="optimizer")
def sgd_of_five():
    return regression("haiku", haiku_perceptron([32, 32, 1]), optax.sgd(1.0), sets.waves(seed=64))


@faulty("learning-rate-too-low", part="optimizer")
def adam_of_a_millionth():
    return binary("linen", Perceptron((32,)), optax.adam(1e-6), sets.moons(seed=65))


@faulty("excessive-weight-decay", part="optimizer loss")
def penalty_of_all_weights():
    optimizer = optax.chain(optax.add_decayed_weights(1.0), optax.sgd(0.05))
    return classification("linen", Perceptron((64,), 10), optimizer, sets.digits(66))


@faulty("insufficient-training", part="schedule")
def one_epoch():
    return classification("linen", Perceptron((64,), 10), optax.adam(5e-4), sets.digits(67), epochs=1)


@faulty("update-sign-error", part="optimizer")
def uphill_sgd():
    return regression("linen", Perceptron((32,)), optax.sgd(-0.01), sets.waves(seed=68))


@faulty("overfitting", "overtraining", part="model schedule data")
def noise_by_heart():
    (x, y), test = sets.waves(rows=1000, noise=2.0, seed=69)
    return regression(
        "linen", Perceptron((256, 256)), optax.adam(1e-3), ((x[:80], y[:80]), test), batch_size=16, epochs=150
    )


@faulty("dying-relu", "learning-rate-too-high", part="model optimizer")
def negative_biases():
    network = Perceptron((48, 48), 10, bias_init=nn.initializers.constant(-2.0))
    return classification("linen", network, optax.sgd(0.1), sets.digits(70))


@faulty("saturated-activation", part="model data")
def tanh_of_large_weights():
    network = Perceptron((64, 64), 10, nn.tanh, kernel_init=nn.initializers.normal(8.0))
    return classification("linen", network, optax.adam(1e-3), sets.digits(71))


@faulty("class-imbalance", part="loss batches data")
def three_in_a_hundred():
    rng = np.random.default_rng(72)
    y = (rng.random(3000) < 0.04).astype(np.int32)
    x = (rng.normal(size=(3000, 8)) + 0.9 * y[:, None] * (np.arange(8) < 3)).astype(np.float32)
    return binary("linen", Perceptron((16,)), optax.adam(2e-3), sets.split(x, y, share=0.6, seed=1))


@faulty("parameter-without-gradient", part="model")
def branch_that_is_never_used():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            wide = nn.relu(nn.Dense(256, name="features")(x))
            return nn.Dense(10)(jax.lax.stop_gradient(wide)[:, :8])

    return classification("linen", Net(), optax.adam(3e-3), sets.digits(73))


@faulty("captured-constant", part="model data")
def table_in_the_program():
    table = np.random.default_rng(0).normal(size=(2000, 2000)).astype(np.float32)

    def apply(params, x, train=False, key=None):
        anchor = (jnp.asarray(table)[:64, :64] @ jnp.asarray(table)[:64, :64]) * 1e-4 + jnp.asarray(table).mean() * 0
        return jax.nn.relu((x + x @ anchor) @ params[0]["kernel"]) @ params[1]["kernel"]

    return classification("pair", (perceptron_pair(32, 10)[0], apply), optax.adam(2e-3), sets.digits(74))
