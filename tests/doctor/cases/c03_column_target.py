"""An NNX perceptron that fits one number."""

import numpy as np
import optax
from flax import nnx

FRAMEWORK = "nnx"
TASK = "regression"
SEED = 0
BATCH_SIZE = 32
EPOCHS = 15


def make_data():
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(500, 4)).astype(np.float32)
    y = (np.sin(x[:, 0]) + x[:, 1] + 0.1 * rng.normal(size=500)).astype(np.float32)
    return dict(x_train=x[:350], y_train=y[:350], x_test=x[350:], y_test=y[350:])


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(4, 32, rngs=rngs)
        self.out = nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.relu(self.hidden(x)))


def make_model():
    return Net(nnx.Rngs(SEED))


def loss_fn(outputs, y):
    return ((outputs - y) ** 2).mean(-1)


def make_optimizer():
    return optax.adam(5e-3)


# ---- what the benchmark knows about this program; a tool under test must not read on ----

CASE = dict(
    id="c03_column_target",
    title="Outputs of shape (rows, 1) against targets of shape (rows,)",
    faulty=True,
    faults=["loss-broadcasting"],
    acceptable=["no-better-than-baseline", "underfitting", "loss-not-decreasing"],
    never=["learning-rate-too-low", "insufficient-capacity", "label-noise"],
    note="Every output is drawn to the mean of all targets of the batch.",
    where=["loss"],
    harm={"kind": "worse", "metric": "r2", "margin": 0.5, "level": 0.8},
)

FIXED = dict(loss_fn=lambda outputs, y: (outputs.reshape(-1) - y) ** 2)
