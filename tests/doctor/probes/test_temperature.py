import dataclasses

import jax
import jax.numpy as jnp
import optax
import pytest

from tests.doctor.probes.linear import classes, cross_entropy, log_loss, logit_loss, one_hot, seen, yes_or_no
from tests.doctor.programs import ids
from verax.doctor.probes._temperature import PROBES


def scaled(factor: float, noise: float = 0.0):
    """Classes whose logits are multiplied in evaluation only; in training there may be noise."""
    program = classes(cross_entropy)
    init, apply = program.network

    def network(params, x, train=False, key=None):
        if train and noise:
            x = x * jax.random.bernoulli(key, 1 - noise, x.shape)
        return apply(params, x) if train else apply(params, x) * factor

    return dataclasses.replace(program, network=(init, network))


def sharper(outputs):
    return jax.nn.softmax(4 * outputs)


def cooled(outputs, targets):
    return cross_entropy(outputs / 5, targets)


FAULTS = {
    "sharper in evaluation": ("model", lambda: scaled(4.0)),
    "flat in evaluation": ("model", lambda: scaled(0.1)),
    "with noise in training": ("model", lambda: scaled(4.0, noise=0.5)),
    "in the stated probabilities": ("loss", lambda: classes(cross_entropy, probabilities=sharper)),
    "in the stated probability": (
        "loss",
        lambda: yes_or_no(logit_loss, probabilities=lambda o: jax.nn.sigmoid(5 * o[:, 0])),
    ),
    "in the loss": ("loss", lambda: classes(cooled, probabilities=jax.nn.softmax)),
}

LOOK_ALIKES = {
    "no factor": lambda: scaled(1.0),
    "a temperature as it is fitted": lambda: scaled(0.6),
    "a temperature in loss and reading": lambda: classes(cooled, probabilities=lambda o: jax.nn.softmax(o / 5)),
    "weights of classes": lambda: yes_or_no(lambda o, y: jnp.where(y == 1, 30.0, 1.0) * logit_loss(o, y)),
    "one in the loss where nobody reads probabilities": lambda: classes(cooled),
}


@pytest.mark.parametrize("name", FAULTS)
def test_finds(name):
    part, make = FAULTS[name]
    (finding,) = seen(PROBES, make()).findings
    assert (finding.id, finding.part, finding.severity) == ("miscalibration", part, "error")


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_is_quiet_about(name):
    assert ids(seen(PROBES, LOOK_ALIKES[name]())) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: classes(log_loss, jax.nn.softmax),
        lambda: classes(lambda o, y: optax.softmax_cross_entropy(o, optax.smooth_labels(one_hot(y), 0.1))),
    ],
    ids=["probabilities", "smoothed labels"],
)
def test_asks_only_plain_cross_entropies(make):
    assert seen(PROBES, make()).verdict == "not applicable"
