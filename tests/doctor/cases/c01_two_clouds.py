"""A small perceptron on two clouds."""

import numpy as np
import optax
from flax import linen as nn

FRAMEWORK = "linen"
TASK = "binary"
SEED = 0
BATCH_SIZE = 32
EPOCHS = 8


def make_data():
    rng = np.random.default_rng(SEED)
    y = rng.integers(0, 2, 600).astype(np.int32)
    x = (rng.normal(size=(600, 4)) + 1.2 * y[:, None]).astype(np.float32)
    return dict(x_train=x[:400], y_train=y[:400], x_test=x[400:], y_test=y[400:])


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(16)(x))
        return nn.sigmoid(nn.Dense(1)(x))


def make_model():
    return Net()


def loss_fn(outputs, y):
    return optax.sigmoid_binary_cross_entropy(outputs.reshape(-1), y.astype(outputs.dtype))


def make_optimizer():
    return optax.adam(3e-3)


def predict(outputs):
    return (np.asarray(outputs).reshape(-1) > 0.5).astype(int)


def probabilities(outputs):
    return outputs


# ---- what the benchmark knows about this program; a tool under test must not read on ----

CASE = dict(
    id="c01_two_clouds",
    title="A sigmoid in the model and another one in the loss",
    faulty=True,
    faults=["double-sigmoid"],
    acceptable=["miscalibration", "underfitting", "wrong-output-activation"],
    never=["learning-rate-too-low", "class-imbalance", "label-noise"],
    note="The stated probability never leaves (0.5, 0.73) in the loss, so the loss cannot fall below 0.31.",
    where=["model", "loss"],
    harm={"kind": "worse", "metric": "loss", "margin": 0.1},
)


class _Logit(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.relu(nn.Dense(16)(x)))


FIXED = dict(
    make_model=_Logit,
    probabilities=nn.sigmoid,
    predict=lambda outputs: (np.asarray(outputs).reshape(-1) > 0).astype(int),
)
