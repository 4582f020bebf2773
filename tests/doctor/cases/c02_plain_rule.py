"""A regression by plain functions with a rule of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

FRAMEWORK = "pair"
TASK = "regression"
SEED = 0
BATCH_SIZE = 32
EPOCHS = 10


def make_data():
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(500, 3)).astype(np.float32)
    y = (x @ np.array([1.0, -0.5, 0.25]) + 0.1 * rng.normal(size=500)).astype(np.float32)
    return dict(x_train=x[:350], y_train=y[:350], x_test=x[350:], y_test=y[350:])


def init(key, x):
    return {"kernel": 0.1 * jax.random.normal(key, (3, 1)), "bias": jnp.zeros(1)}


def apply(params, x, train=False, key=None):
    return x @ params["kernel"] + params["bias"]


def make_model():
    return init, apply


def loss_fn(outputs, y):
    return (outputs.reshape(-1) - y) ** 2


def make_optimizer():
    def update(grads, state, params=None):
        return jax.tree.map(lambda g: 0.05 * g, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


# ---- what the benchmark knows about this program; a tool under test must not read on ----

CASE = dict(
    id="c02_plain_rule",
    title="The updates are added where they are to be taken away",
    faulty=True,
    faults=["update-sign-error"],
    acceptable=[
        "loss-divergence",
        "exploding-gradient",
        "non-finite-loss",
        "loss-not-decreasing",
        "underfitting",
        "no-better-than-baseline",
    ],
    never=["learning-rate-too-low", "learning-rate-too-high", "label-noise"],
    note="Every step climbs.",
    where=["optimizer"],
    harm={"kind": "worse", "metric": "r2", "margin": 0.5, "level": 0.9},
)

FIXED = dict(make_optimizer=lambda: optax.sgd(0.05))
