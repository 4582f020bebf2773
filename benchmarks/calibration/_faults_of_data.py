"""Programs whose data, labels or order of rows are at fault."""

from __future__ import annotations

import jax
import numpy as np
import optax

from calibration import _sets as sets
from calibration._faulty import changed, faulty
from calibration._healthy import binary, classification, regression
from calibration._networks import NnxPerceptron, Perceptron, haiku_perceptron


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
