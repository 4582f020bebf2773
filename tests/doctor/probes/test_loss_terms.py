import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.doctor.probes.linear import classes, cross_entropy, logit_loss, numbers, seen, squares, yes_or_no
from tests.doctor.programs import subject, suspected
from verax.doctor.probes._loss_terms import PROBES


def size(outputs):
    return jnp.mean(outputs**2)


def entropy(outputs):
    return -jnp.sum(jax.nn.softmax(outputs) * jax.nn.log_softmax(outputs), -1)


SUSPECTED = {
    "a penalty on the logits": (lambda: classes(lambda o, y: cross_entropy(o, y) + 1000 * size(o)), cross_entropy),
    "a bonus for being unsure": (lambda: classes(lambda o, y: cross_entropy(o, y) - 200 * entropy(o)), cross_entropy),
    "a penalty on the outputs": (lambda: numbers(lambda o, y: 1000 * size(o) + jnp.mean(squares(o, y))), squares),
}

QUIET = {
    "a light penalty": lambda: classes(lambda o, y: cross_entropy(o, y) + 1e-3 * size(o)),
    "two terms that look at the targets": lambda: numbers(lambda o, y: 100 * squares(o, y) + jnp.abs(o[:, 0] - y)),
    "one term": lambda: yes_or_no(logit_loss),
}


@pytest.mark.parametrize("name", SUSPECTED)
def test_suspects_and_the_repair_drops_the_term(name):
    make, rest = SUSPECTED[name]
    program = make()
    result = seen(PROBES, program)
    assert suspected(result) == ["misscaled-loss-term"]
    after = result.suspicions[0].repairs[0].change(subject(program))
    outputs = jax.random.normal(jax.random.key(0), (24, 4 if rest is cross_entropy else 1))
    targets = after.batch.targets
    np.testing.assert_allclose(after.mean_loss(outputs, after.batch), jnp.mean(rest(outputs, targets)), rtol=1e-5)


@pytest.mark.parametrize("name", QUIET)
def test_is_quiet_about(name):
    assert not seen(PROBES, QUIET[name]()).suspicions
