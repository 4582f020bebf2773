import jax
import jax.numpy as jnp
import optax
import pytest

from tests.doctor.probes.linear import (
    classes,
    cross_entropy,
    log_loss,
    logit_loss,
    one_hot,
    seen,
    yes_log_loss,
    yes_or_no,
)
from verax.doctor.probes._output_softmax import PROBES


def smoothed(outputs, targets):
    return optax.softmax_cross_entropy(outputs, optax.smooth_labels(one_hot(targets), 0.1))


def chosen(outputs, targets):
    return -jnp.take_along_axis(outputs, targets[:, None], 1)[:, 0]


def over_rows(outputs):
    return jax.nn.log_softmax(outputs, axis=0)


FAULTS = {
    "probabilities into a loss of logits": ("double-softmax", "model", lambda: classes(cross_entropy, jax.nn.softmax)),
    "likewise with smoothed labels": ("double-softmax", "model", lambda: classes(smoothed, jax.nn.softmax)),
    "softmax twice in the loss": (
        "double-softmax",
        "loss",
        lambda: classes(lambda o, y: cross_entropy(jax.nn.softmax(o), y)),
    ),
    "a sigmoid into a loss of logits": ("double-sigmoid", "model", lambda: yes_or_no(logit_loss, jax.nn.sigmoid)),
    "sigmoid twice in the loss": (
        "double-sigmoid",
        "loss",
        lambda: yes_or_no(lambda o, y: logit_loss(jax.nn.sigmoid(o), y)),
    ),
    "log softmax over the batch": ("wrong-softmax-axis", "model", lambda: classes(chosen, over_rows)),
    "softmax over the batch, and again": (
        "wrong-softmax-axis",
        "model",
        lambda: classes(cross_entropy, lambda x: jax.nn.softmax(x, axis=0)),
    ),
    "softmax over the batch in the loss": (
        "wrong-softmax-axis",
        "loss",
        lambda: classes(lambda o, y: chosen(over_rows(o), y)),
    ),
}

LOOK_ALIKES = {
    "probabilities with a log loss": lambda: classes(log_loss, jax.nn.softmax),
    "log probabilities with their loss": lambda: classes(chosen, jax.nn.log_softmax),
    "log probabilities into a loss of logits": lambda: classes(cross_entropy, jax.nn.log_softmax),
    "probabilities with a Brier score": lambda: classes(
        lambda p, y: jnp.sum((p - one_hot(y)) ** 2, -1), jax.nn.softmax
    ),
    "smoothed labels": lambda: classes(smoothed),
    "a sigmoid with a log loss": lambda: yes_or_no(yes_log_loss, jax.nn.sigmoid),
    "a sigmoid with squares": lambda: yes_or_no(lambda p, y: (p[:, 0] - y) ** 2, jax.nn.sigmoid),
    "weights of classes": lambda: yes_or_no(lambda o, y: jnp.where(y == 1, 30.0, 1.0) * logit_loss(o, y)),
    "logits that start at zero": lambda: yes_or_no(logit_loss, lambda x: 0.0 * x),
    "a focal loss": lambda: yes_or_no(lambda o, y: optax.sigmoid_focal_loss(o[:, 0], y.astype(jnp.float32))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_finds(name):
    expected, part, make = FAULTS[name]
    (finding,) = seen(PROBES, make()).findings
    assert (finding.id, finding.part, finding.severity) == (expected, part, "error")


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_is_quiet_about(name):
    assert not seen(PROBES, LOOK_ALIKES[name]()).findings
