import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.doctor.probes.linear import (
    classes,
    cross_entropy,
    log_loss,
    logit_loss,
    numbers,
    seen,
    squares,
    yes_log_loss,
    yes_or_no,
)
from tests.doctor.programs import ids, subject, suspected
from verax.doctor._loss_view import loss_view
from verax.doctor.probes._output_range import PROBES

FAULTS = {
    "rectified outputs for targets of both signs": lambda: numbers(squares, jax.nn.relu),
    "a sigmoid for standardised targets": lambda: numbers(squares, jax.nn.sigmoid),
    "softplus for standardised targets": lambda: numbers(squares, jax.nn.softplus),
    "a rectified logit": lambda: yes_or_no(logit_loss, jax.nn.relu),
    "sigmoids into a softmax": lambda: classes(cross_entropy, jax.nn.sigmoid, outputs=4),
    "logits where probabilities are meant": lambda: yes_or_no(yes_log_loss),
    "logits clipped to probabilities": lambda: classes(lambda o, y: log_loss(jnp.clip(o, 1e-6, 1), y)),
}

LOOK_ALIKES = {
    "tanh for targets within [-1, 1]": lambda: numbers(squares, jnp.tanh, scale=0.3),
    "softplus for counts": lambda: numbers(squares, jax.nn.softplus, shift=10.0),
    "a sigmoid that is scaled to the targets": lambda: numbers(squares, lambda x: 20 * jax.nn.sigmoid(x) - 10),
    "targets scaled in the loss": lambda: numbers(
        lambda o, y: (o[:, 0] - (y + 50) / 100) ** 2, jax.nn.sigmoid, scale=10.0
    ),
    "logits capped far out": lambda: classes(cross_entropy, lambda x: 30 * jnp.tanh(x / 30)),
    "probabilities with a log loss": lambda: classes(log_loss, jax.nn.softmax),
    "a sigmoid with a log loss": lambda: yes_or_no(yes_log_loss, jax.nn.sigmoid),
    "hinge": lambda: yes_or_no(
        lambda o, y: jnp.maximum(0.0, 1 - y * o[:, 0]), labels=(-1, 1), predict=lambda o: np.sign(o)[:, 0]
    ),
}

LEFT_TO_A_REPAIR = {
    "tanh before a softmax": lambda: classes(cross_entropy, jnp.tanh),
    "tanh as a logit": lambda: yes_or_no(logit_loss, jnp.tanh),
    "rectified logits of classes": lambda: classes(cross_entropy, jax.nn.relu),
}


@pytest.mark.parametrize("name", FAULTS)
def test_finds(name):
    assert ids(seen(PROBES, FAULTS[name]())) == ["wrong-output-activation"]


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_is_quiet_about(name):
    result = seen(PROBES, LOOK_ALIKES[name]())
    assert not result.findings and not result.suspicions


@pytest.mark.parametrize("name", LEFT_TO_A_REPAIR)
def test_leaves_to_a_repair(name):
    program = LEFT_TO_A_REPAIR[name]()
    result = seen(PROBES, program)
    assert suspected(result) == ["wrong-output-activation"]
    assert not result.findings
    before = subject(program)
    after = result.suspicions[0].repairs[0].change(before)
    assert str(loss_view(after).range) == "[-inf, inf]"
    inputs, key = before.batch.inputs, before.noise(0)
    linear = inputs @ before.variables.params["w"]
    np.testing.assert_allclose(after.evaluate(before.variables, inputs, key), linear, rtol=1e-5)
    np.testing.assert_allclose(after.forward(before.variables, inputs, key)[0], linear, rtol=1e-5)
