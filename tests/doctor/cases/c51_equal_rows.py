"""Haiku perceptron on five switches."""

import haiku as hk
import numpy as np
import optax

FRAMEWORK = "haiku"
TASK = "binary"
SEED = 0
BATCH_SIZE = 32
EPOCHS = 15


def make_data():
    rng = np.random.default_rng(SEED)
    x = rng.integers(0, 2, (900, 5))
    y = (x[:, 0] ^ x[:, 1]).astype(np.int32)
    x = (2 * x - 1).astype(np.float32)
    return dict(x_train=x[:600], y_train=y[:600], x_test=x[600:], y_test=y[600:])


def forward(x, is_training):
    return hk.nets.MLP([24, 1])(x)


def make_model():
    return hk.transform(forward)


def loss_fn(outputs, y):
    return optax.sigmoid_binary_cross_entropy(outputs.reshape(-1), y.astype(outputs.dtype))


def make_optimizer():
    return optax.adam(1e-2)


# ---- what the benchmark knows about this program; a tool under test must not read on ----

CASE = dict(
    id="c51_equal_rows",
    title="32 different rows, each many times on both sides",
    faulty=False,
    faults=[],
    acceptable=[],
    never=["train-test-overlap", "duplicate-examples", "near-duplicate-leak"],
    note="Independent draws of five switches.",
    healthy={"acc": 0.98},
)
