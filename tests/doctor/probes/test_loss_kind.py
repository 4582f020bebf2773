import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.doctor.probes.linear import classes, cross_entropy, log_loss, logit_loss, one_hot, seen, yes_or_no
from tests.doctor.programs import subject, suspected
from verax.doctor.probes._loss_kind import PROBES


def distance(outputs, targets):
    return jnp.sum((outputs - one_hot(targets)) ** 2, -1)


def of_number(outputs, targets):
    return (outputs[:, 0] - targets) ** 2


SUSPECTED = {
    "squares of one-hot rows": lambda: classes(distance),
    "a Brier score": lambda: classes(distance, jax.nn.softmax),
    "absolute errors of one-hot rows": lambda: classes(lambda o, y: jnp.sum(jnp.abs(o - one_hot(y)), -1)),
    "squares of a label": lambda: yes_or_no(of_number),
    "squares of a class number": lambda: classes(of_number, outputs=1),
}

QUIET = {
    "a cross entropy": lambda: classes(cross_entropy),
    "a log loss": lambda: classes(log_loss, jax.nn.softmax),
    "a logistic loss": lambda: yes_or_no(logit_loss),
    "a hinge": lambda: yes_or_no(lambda o, y: jnp.maximum(0.0, 1 - (2 * y - 1) * o[:, 0])),
}


@pytest.mark.parametrize("name", SUSPECTED)
def test_suspects_and_never_alarms(name):
    program = SUSPECTED[name]()
    result = seen(PROBES, program)
    assert suspected(result) == ["loss-mismatch"]
    assert not result.findings
    before = subject(program)
    with jax.numpy_dtype_promotion("standard"):
        after = result.suspicions[0].repairs[0].change(before)
        (loss, (outputs, _)), grads = after.gradient(*after.variables, after.batch, after.noise(0))
    assert np.isfinite(loss)
    assert all(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(grads))
    assert outputs.shape == after.evaluate(after.variables, after.batch.inputs, after.noise(0)).shape


def test_one_output_becomes_one_for_each_class():
    program = SUSPECTED["squares of a class number"]()
    after = seen(PROBES, program).suspicions[0].repairs[0].change(subject(program))
    assert after.evaluate(after.variables, after.batch.inputs, after.noise(0)).shape == (24, 4)


@pytest.mark.parametrize("name", QUIET)
def test_is_quiet_about(name):
    assert not seen(PROBES, QUIET[name]()).suspicions
