"""Data that look wrong and are not: repeats, tails, rare classes, missing values, own readers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx

from calibration import _losses as losses
from calibration import _sets as sets
from calibration._healthy import binary, classification, healthy, regression
from calibration._networks import EquinoxPerceptron, NnxPerceptron, Perceptron, haiku_perceptron, perceptron_pair


@healthy("train-test-overlap", "duplicate-examples", "conflicting-labels", "label-noise", acc=0.9)
def truth_table():
    """64 different rows, each many times and on both sides; five labels in a hundred flipped."""
    return binary("linen", Perceptron((32,)), optax.adam(5e-3), sets.switches(seed=1), epochs=15, seed=31)


@healthy("constant-feature", "duplicate-examples", "near-duplicate-leak", "distribution-shift", acc=0.8)
def one_hot_table():
    """Rare levels: columns that never change on one side, and equal rows by chance."""
    network = NnxPerceptron((48, 24, 1), seed=32)
    return binary("nnx", network, optax.adamw(2e-3), sets.categories(seed=2), epochs=8, seed=32)


@healthy("input-not-normalized", "constant-feature", "dying-relu", acc=0.75)
def word_counts():
    """Sparse counts, nearly all zero, up to a dozen."""
    network = haiku_perceptron([32, 5])
    return classification("haiku", network, optax.adam(1e-3), sets.topics(seed=3), epochs=4, seed=33)


@healthy("extreme-outliers", "missing-value-sentinel", "exploding-gradient", acc=0.85)
def heavy_tails():
    """Student's t at three degrees: values of twenty deviations are real."""
    network = EquinoxPerceptron(6, 1, 32, 2, seed=34)
    return binary("equinox", network, optax.adam(2e-3), sets.heavy(seed=4), epochs=10, seed=34)


@healthy("duplicate-examples", "target-leakage", r2=0.9)
def correlated_columns():
    return regression("linen", Perceptron((32,)), optax.adam(5e-3), sets.correlated(seed=5), seed=35)


@healthy("missing-value-sentinel", "constant-feature", acc=0.75)
def imputed_values():
    """Missing values at the mean, with a column that says so."""
    return binary("pair", perceptron_pair(32, 1), optax.adam(3e-3), sets.imputed(seed=6), epochs=12, seed=36)


@healthy("missing-value-sentinel", "extreme-outliers", r2=0.85)
def capped_sensors():
    """A highest value that occurs often, as sensors have it."""
    return regression(
        "linen", Perceptron((32,)), optax.adam(5e-3), sets.capped(seed=7), loss=losses.huber, epochs=20, seed=37
    )


@healthy("label-misalignment", "label-noise", "insufficient-training", acc=0.85)
def three_way_product():
    """Neighbours do not share labels, and yet the labels follow from the inputs."""
    network = Perceptron((128, 64))
    return binary(
        "linen",
        network,
        optax.adam(optax.cosine_decay_schedule(5e-3, 464)),
        sets.parity(5000, seed=8),
        epochs=8,
        seed=38,
    )


@healthy("label-noise", "underfitting", "insufficient-capacity", "no-better-than-baseline", acc=0.65)
def overlapping_clouds():
    """A fifth of the labels cannot be told."""
    splits = sets.blobs(spread=1.8, columns=3, seed=9)
    network = NnxPerceptron((3, 32, 4), nnx.tanh, seed=39)
    return classification("nnx", network, optax.adam(3e-3), splits, epochs=10, seed=39)


@healthy("target-leakage", "missing-nonlinearity", r2=0.92)
def one_strong_column():
    """A law in which one column explains nine tenths."""
    return regression("linen", Perceptron((32,), 1, nn.tanh), optax.adam(1e-2), sets.law(seed=10), epochs=15, seed=40)


@healthy("class-imbalance", "majority-class-collapse", "output-bias-mismatch", bal_acc=0.92)
def rare_and_learnt():
    """Four in a hundred, learnt without any weighting; the output bias starts at their log odds."""
    network = Perceptron((16,), head=lambda x: x - 3.2)
    return binary("linen", network, optax.adam(5e-3), sets.uneven(seed=11), epochs=15, seed=41)


@healthy("class-imbalance", "miscalibration", "bad-initial-loss", bal_acc=0.92)
def rare_and_weighted():
    network = haiku_perceptron([24, 1])
    return binary(
        "haiku", network, optax.adam(3e-3), sets.uneven(share=0.08, seed=12), loss=losses.weighted, epochs=12, seed=42
    )


@healthy("class-imbalance", "underfitting", bal_acc=0.9)
def focal_loss():
    network = EquinoxPerceptron(8, 1, 24, 1, seed=43)
    return binary(
        "equinox", network, optax.adam(5e-3), sets.uneven(share=0.1, seed=13), loss=losses.focal, epochs=15, seed=43
    )


def balanced(x, y, epoch):
    """As many rows of one class as of the other in each batch: rare ones come again and again."""
    rng = np.random.default_rng([44, epoch])
    rare, frequent = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    for _ in range(len(y) // 64):
        rows = rng.permutation(np.concatenate([rng.choice(rare, 32), rng.choice(frequent, 32, replace=False)]))
        yield x[rows], y[rows]


@healthy("class-imbalance", "duplicate-examples", "distribution-shift", "unshuffled-data", bal_acc=0.93)
def balanced_batches():
    network = Perceptron((16,))
    splits = sets.uneven(share=0.06, seed=14)
    return binary("linen", network, optax.adam(2e-3), splits, batches=balanced, epochs=8, seed=44)


def in_order(x, y, epoch):
    """As the rows were recorded, the remainder too: they are mixed already."""
    for start in range(0, len(x), 64):
        yield x[start : start + 64], y[start : start + 64]


@healthy("unshuffled-data", "recompilation", "partial-batch-mean", acc=0.93)
def recorded_order():
    """Batches in the order of the file, whose labels are mixed; the last batch is short."""
    network = NnxPerceptron((64, 64, 10), seed=45)
    return classification("nnx", network, optax.adam(2e-3), sets.digits(15), batches=in_order, epochs=12, seed=45)


@healthy("overfitting", "batch-size-too-small", "insufficient-training", acc=0.9)
def few_rows():
    """Sixty rows, a small network with decay."""
    (x, y), test = sets.wine(16)
    network = haiku_perceptron([16, 3])
    return classification(
        "haiku",
        network,
        optax.adamw(5e-3, weight_decay=0.05),
        ((x[:60], y[:60]), test),
        batch_size=12,
        epochs=20,
        seed=46,
    )


@healthy("insufficient-training", "lr-decayed-early", acc=0.94)
def many_rows_once():
    """Forty thousand rows, each seen once."""
    return binary("linen", Perceptron((48,)), optax.adam(1e-2), sets.moons(40000, seed=17), epochs=1, seed=47)


@healthy("batch-size-too-small", "learning-rate-too-high", "insufficient-training", r2=0.4)
def whole_set_as_batch():
    """Gradient descent on all rows at once."""
    rows = len(sets.diabetes(18)[0][0])
    return regression(
        "pair", perceptron_pair(1, scale=0.0), optax.sgd(0.1), sets.diabetes(18), batch_size=rows, epochs=80, seed=48
    )


@healthy("loss-oscillation", "batch-size-too-small", "learning-rate-too-high", acc=0.93)
def batches_of_eight():
    network = EquinoxPerceptron(64, 10, 48, 1, seed=49)
    return classification(
        "equinox", network, optax.sgd(0.03, momentum=0.9), sets.digits(19), batch_size=8, epochs=6, seed=49
    )


@healthy("integer-input", "input-not-normalized", acc=0.93)
def bytes_scaled_inside():
    """Images as bytes, made floating point and scaled in the model."""
    (x, y), (x_test, y_test) = sets.digits(20)
    splits = ((255 * x).astype(np.uint8), y), ((255 * x_test).astype(np.uint8), y_test)

    class Scaled(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(10)(nn.relu(nn.Dense(64)(x.astype(jnp.float32) / 255)))

    return classification("linen", Scaled(), optax.adam(3e-3), splits, seed=50)


@healthy("input-not-normalized", "missing-value-sentinel", acc=0.93)
def off_centre_inputs():
    """Inputs around one with a deviation of a third: they need no scaling."""
    (x, y), (x_test, y_test) = sets.rings(seed=21)
    splits = (x / 3 + 1, y), (x_test / 3 + 1, y_test)
    network = perceptron_pair(64, 32, 1)
    return binary("pair", network, optax.adam(5e-3), splits, epochs=25, seed=51)


@healthy("output-size-mismatch", "loss-mismatch", acc=0.93)
def two_outputs_for_two_classes():
    network = NnxPerceptron((2, 32, 32, 2), nnx.relu, seed=52)
    return classification("nnx", network, optax.adam(5e-3), sets.rings(seed=22), epochs=20, seed=52)


@healthy("distribution-shift", "train-test-preprocessing-mismatch", "train-test-overlap", acc=0.85)
def small_test_split():
    """Twenty-five rows are held out: their means are off by chance."""
    (x, y), (x_test, y_test) = sets.wine(23)
    splits = (np.concatenate([x, x_test[25:]]), np.concatenate([y, y_test[25:]])), (x_test[:25], y_test[:25])
    return classification("linen", Perceptron((24,), 3), optax.adam(3e-3), splits, batch_size=32, epochs=15, seed=53)


@healthy("duplicate-examples", "train-test-overlap", "near-duplicate-leak", acc=0.9)
def rounded_measurements():
    """Two columns, rounded as people write them down: equal rows by chance, on both sides too."""
    (x, y), (x_test, y_test) = sets.moons(1500, seed=24)
    splits = (x.round(1), y), (x_test.round(1), y_test)
    network = haiku_perceptron([32, 32, 1], jax.nn.swish)
    return binary("haiku", network, optax.adam(5e-3), splits, epochs=15, seed=54)
