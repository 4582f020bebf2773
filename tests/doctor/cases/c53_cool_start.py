"""Linen classifier with a schedule, an output layer that starts at zero and a short last batch."""

import numpy as np
import optax
from flax import linen as nn

FRAMEWORK = "linen"
TASK = "classification"
SEED = 0
BATCH_SIZE = 32
EPOCHS = 12


def make_data():
    rng = np.random.default_rng(SEED)
    centres = 2.5 * rng.normal(size=(3, 5))
    y = rng.integers(0, 3, 600).astype(np.int32)
    x = (centres[y] + rng.normal(size=(600, 5))).astype(np.float32)
    return dict(x_train=x[:400], y_train=y[:400], x_test=x[400:], y_test=y[400:])


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(24)(x))
        return nn.Dense(3, kernel_init=nn.initializers.zeros)(x)


def make_model():
    return Net()


def loss_fn(outputs, y):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y)


def make_optimizer():
    return optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 1e-2, 20, 156), weight_decay=1e-3)


def make_batches(x, y, epoch):
    order = np.random.default_rng([SEED, epoch]).permutation(len(x))
    for start in range(0, len(x), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        yield x[rows], y[rows]


# ---- what the benchmark knows about this program; a tool under test must not read on ----

CASE = dict(
    id="c53_cool_start",
    title="First and last steps change next to nothing, and two batch sizes are two programs",
    faulty=False,
    faults=[],
    acceptable=[],
    never=["warmup-too-long", "lr-decayed-early", "recompilation", "symmetric-initialization"],
    note="The schedule fits the run; the last batch of each epoch is short.",
    healthy={"acc": 0.93},
)
