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
    seen,
    yes_log_loss,
    yes_or_no,
)
from tests.doctor.programs import subject, suspected
from verax.doctor.probes._loss_numbers import PROBES


def chosen(outputs, targets):
    return jnp.take_along_axis(outputs, targets[:, None], 1)[:, 0]


def softmax_by_hand(x):
    e = jnp.exp(x)
    return e / e.sum(-1, keepdims=True)


AT_THE_START = {
    "log of outputs that are negative": ("log-of-zero", lambda: numbers(lambda o, y: (jnp.log(o[:, 0]) - y) ** 2)),
    "log of outputs that are zero": (
        "log-of-zero",
        lambda: numbers(lambda o, y: (jnp.log(o[:, 0]) - y) ** 2, jax.nn.relu),
    ),
    "exp of large logits in the loss": (
        "exp-overflow",
        lambda: classes(lambda o, y: jnp.log(jnp.sum(jnp.exp(o), -1)) - chosen(o, y), lambda x: 300 * x),
    ),
}

LEFT_TO_A_REPAIR = {
    "log of 1 - p": ("log-of-zero", lambda: yes_or_no(lambda p, y: yes_log_loss(p, y, 0.0), jax.nn.sigmoid)),
    "log of a sigmoid in the loss": (
        "log-of-zero",
        lambda: yes_or_no(lambda o, y: yes_log_loss(jax.nn.sigmoid(o), y, 0.0)),
    ),
    "log of a softmax in the loss": (
        "log-of-zero",
        lambda: classes(lambda o, y: -jnp.log(chosen(jax.nn.softmax(o), y))),
    ),
    "exp of logits in the loss": (
        "exp-overflow",
        lambda: classes(lambda o, y: jnp.log(jnp.sum(jnp.exp(o), -1)) - chosen(o, y)),
    ),
    "exp of logits in the network": ("exp-overflow", lambda: classes(log_loss, softmax_by_hand)),
}

QUIET = {
    "a guarded log": lambda: yes_or_no(yes_log_loss, jax.nn.sigmoid),
    "a clipped log": lambda: yes_or_no(lambda p, y: yes_log_loss(jnp.clip(p, 1e-6, 1 - 1e-6), y, 0.0), jax.nn.sigmoid),
    "a log loss with an epsilon": lambda: classes(log_loss, jax.nn.softmax),
    "a stable loss by hand": lambda: yes_or_no(
        lambda o, y: jnp.maximum(o[:, 0], 0) - o[:, 0] * y + jnp.log1p(jnp.exp(-jnp.abs(o[:, 0])))
    ),
    "a softmax by hand that subtracts its maximum": lambda: classes(
        log_loss, lambda x: softmax_by_hand(x - x.max(-1, keepdims=True))
    ),
    "exp of what is negative": lambda: numbers(lambda o, y: optax.huber_loss(o[:, 0], y), lambda x: jnp.exp(-(x**2))),
    "a root of the mean square": lambda: numbers(lambda o, y: jnp.sqrt(jnp.mean((o[:, 0] - y) ** 2))),
    "a cross entropy": lambda: classes(cross_entropy),
    "a logistic loss": lambda: yes_or_no(logit_loss),
}


@pytest.mark.parametrize("name", AT_THE_START)
def test_is_certain_about_the_first_outputs(name):
    expected, make = AT_THE_START[name]
    (finding,) = seen(PROBES, make()).findings
    assert (finding.id, finding.confidence) == (expected, 1.0)


def test_is_certain_where_an_exponential_of_the_network_overflows_at_the_start():
    program = classes(log_loss, lambda x: softmax_by_hand(300 * x))
    (finding,) = seen(PROBES, program).findings
    assert (finding.id, finding.part) == ("exp-overflow", "model")


@pytest.mark.parametrize("name", LEFT_TO_A_REPAIR)
def test_leaves_to_a_repair(name):
    expected, make = LEFT_TO_A_REPAIR[name]
    program = make()
    result = seen(PROBES, program)
    assert suspected(result) == [expected]
    assert not result.findings
    before = subject(program)
    after = result.suspicions[0].repairs[0].change(before)
    weights = jax.tree.map(lambda leaf: 1000 * leaf, before.variables.params)  # sure of all it says
    with jax.numpy_dtype_promotion("standard"):
        loss = [each.gradient(weights, {}, each.batch, each.noise(0))[0][0] for each in (before, after)]
    assert not np.isfinite(loss[0]) and np.isfinite(loss[1])


@pytest.mark.parametrize("name", QUIET)
def test_is_quiet_about(name):
    result = seen(PROBES, QUIET[name]())
    assert not result.findings and not result.suspicions
