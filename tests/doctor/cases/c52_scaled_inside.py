"""Equinox regression in large units."""

import equinox as eqx
import jax
import numpy as np
import optax

FRAMEWORK = "equinox"
TASK = "regression"
SEED = 0
BATCH_SIZE = 32
EPOCHS = 20


def make_data():
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(500, 3)).astype(np.float32)
    y = (7000 + 2000 * (x[:, 0] - 0.5 * x[:, 1]) + 200 * rng.normal(size=500)).astype(np.float32)
    return dict(x_train=x[:350], y_train=y[:350], x_test=x[350:], y_test=y[350:])


class Net(eqx.Module):
    mlp: eqx.nn.MLP

    def __init__(self, key):
        self.mlp = eqx.nn.MLP(3, 1, 24, 1, key=key)

    def __call__(self, x, key=None):
        return 7000.0 + 2000.0 * self.mlp(x)


def make_model():
    return Net(jax.random.key(SEED))


def loss_fn(outputs, y):
    return (outputs.reshape(-1) - y) ** 2


def make_optimizer():
    return optax.adam(5e-3)


# ---- what the benchmark knows about this program; a tool under test must not read on ----

CASE = dict(
    id="c52_scaled_inside",
    title="A loss of millions that falls as it should",
    faulty=False,
    faults=[],
    acceptable=[],
    never=["unscaled-target", "loss-divergence", "exploding-gradient", "learning-rate-too-high"],
    note="The model scales its output; Adam does not mind the size of the loss.",
    healthy={"r2": 0.95},
)
