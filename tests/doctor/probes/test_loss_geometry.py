import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.doctor.probes.linear import (
    classes,
    cross_entropy,
    log_loss,
    logit_loss,
    numbers,
    one_hot,
    seen,
    squares,
    yes_log_loss,
    yes_or_no,
)
from tests.doctor.programs import ids
from verax.doctor.probes._loss_geometry import PROBES


def hinge(outputs, targets):
    return jnp.maximum(0.0, 1 - targets * outputs[:, 0])


def signs(outputs):
    return np.where(np.asarray(outputs)[:, 0] > 0, 1, -1)


def chosen(outputs, targets):
    return jnp.take_along_axis(outputs, targets[:, None], 1)[:, 0]


CLIMB = optax.chain(optax.scale_by_adam(), optax.scale(1e-2))

FAULTS = {
    "the minus of the log likelihood forgotten": (
        "loss-sign-error",
        lambda: classes(lambda o, y: -cross_entropy(o, y)),
    ),
    "log of probabilities, not negated": (
        "loss-sign-error",
        lambda: classes(lambda p, y: -log_loss(p, y), jax.nn.softmax),
    ),
    "the logistic loss negated": ("loss-sign-error", lambda: yes_or_no(lambda o, y: -logit_loss(o, y))),
    "squares negated": ("loss-sign-error", lambda: numbers(lambda o, y: -squares(o, y))),
    "cross entropy of -1 and 1": ("label-encoding-mismatch", lambda: yes_or_no(logit_loss, labels=(-1, 1))),
    "cross entropy of 1 and 2": ("label-encoding-mismatch", lambda: yes_or_no(logit_loss, labels=(1, 2))),
    "cross entropy of 0 and 255": ("label-encoding-mismatch", lambda: yes_or_no(logit_loss, labels=(0, 255))),
    "log loss of -1 and 1": (
        "label-encoding-mismatch",
        lambda: yes_or_no(yes_log_loss, jax.nn.sigmoid, labels=(-1, 1)),
    ),
    "hinge of 0 and 1": ("label-encoding-mismatch", lambda: yes_or_no(hinge)),
    "logistic loss of signs given 0 and 1": (
        "label-encoding-mismatch",
        lambda: yes_or_no(lambda o, y: jax.nn.softplus(-y * o[:, 0])),
    ),
    "one-hot of labels from 1": (
        "label-encoding-mismatch",
        lambda: classes(lambda o, y: optax.softmax_cross_entropy(o, one_hot(y)), first=1),
    ),
    "class numbers where a one-hot row is meant": (
        "label-encoding-mismatch",
        lambda: classes(lambda o, y: -jnp.sum(y[:, None] * jax.nn.log_softmax(o), -1)),
    ),
    "labels moved by one in the loss": (
        "label-encoding-mismatch",
        lambda: classes(lambda o, y: cross_entropy(o, (y + 1) % 4)),
    ),
    "the score itself for its logarithm": ("loss-mismatch", lambda: classes(lambda o, y: -chosen(o, y))),
    "softmax over one output": (
        "loss-mismatch",
        lambda: yes_or_no(lambda o, y: optax.softmax_cross_entropy(o, y[:, None].astype(jnp.float32))),
    ),
    "cross entropy of numbers": (
        "loss-mismatch",
        lambda: numbers(lambda o, y: optax.sigmoid_binary_cross_entropy(o[:, 0], y)),
    ),
    "share of wrong answers": (
        "non-differentiable-loss",
        lambda: classes(lambda o, y: jnp.mean((jnp.argmax(o, -1) != y).astype(jnp.float32))),
    ),
    "rounded probabilities": (
        "non-differentiable-loss",
        lambda: yes_or_no(lambda o, y: (jnp.round(o[:, 0]) - y) ** 2, jax.nn.sigmoid),
    ),
    "outputs cut off": (
        "non-differentiable-loss",
        lambda: numbers(lambda o, y: squares(jax.lax.stop_gradient(o), y)),
    ),
}

LOOK_ALIKES = {
    "a reward that the optimizer climbs": lambda: classes(lambda o, y: -cross_entropy(o, y), optimizer=CLIMB),
    "a negated distance that it climbs": lambda: numbers(lambda o, y: -squares(o, y), optimizer=CLIMB),
    "hinge of -1 and 1": lambda: yes_or_no(hinge, labels=(-1, 1), predict=signs),
    "labels from 1, moved in loss and reading": lambda: classes(
        lambda o, y: cross_entropy(o, y - 1), first=1, predict=lambda o: np.argmax(o, -1) + 1
    ),
    "log probabilities": lambda: classes(lambda o, y: -chosen(o, y), jax.nn.log_softmax),
    "a Brier score": lambda: classes(lambda p, y: jnp.sum((p - one_hot(y)) ** 2, -1), jax.nn.softmax),
    "smoothed labels": lambda: classes(
        lambda o, y: optax.softmax_cross_entropy(o, optax.smooth_labels(one_hot(y), 0.1))
    ),
    "weights of classes": lambda: yes_or_no(lambda o, y: jnp.where(y == 1, 30.0, 1.0) * logit_loss(o, y)),
    "a Gaussian likelihood, below zero by right": lambda: numbers(
        lambda o, y: 0.5 * o[:, 1] + 0.5 * squares(o, y) * jnp.exp(-o[:, 1]), outputs=2
    ),
    "targets scaled in the loss": lambda: numbers(lambda o, y: (o[:, 0] - y / 1000) ** 2, scale=1000, shift=5000),
    "absolute errors": lambda: numbers(lambda o, y: jnp.abs(o[:, 0] - y)),
    "rounding with a straight-through gradient": lambda: yes_or_no(
        lambda o, y: (o[:, 0] + jax.lax.stop_gradient(jnp.round(o[:, 0]) - o[:, 0]) - y) ** 2, jax.nn.sigmoid
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_finds(name):
    expected, make = FAULTS[name]
    assert ids(seen(PROBES, make())) == [expected]


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_is_quiet_about(name):
    assert ids(seen(PROBES, LOOK_ALIKES[name]())) == []


def test_an_encoding_is_a_matter_of_the_data():
    (finding,) = seen(PROBES, yes_or_no(logit_loss, labels=(-1, 1))).findings
    assert finding.part == "data"
    assert "the loss of target -1 falls below zero without end" in finding.message
