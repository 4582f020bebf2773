import jax
import jax.numpy as jnp
import optax
import pytest

from tests.doctor.probes.linear import classes, cross_entropy, logit_loss, numbers, one_hot, seen, squares, yes_or_no
from tests.doctor.programs import ids, subject, suspected
from verax.doctor.probes._loss_shape import PROBES

FAULTS = {
    "a column of outputs less a row of targets": (
        "loss-broadcasting",
        lambda: numbers(lambda outputs, targets: jnp.mean((outputs - targets) ** 2)),
    ),
    "a column of logits against a row of labels": (
        "loss-broadcasting",
        lambda: yes_or_no(lambda outputs, y: optax.sigmoid_binary_cross_entropy(outputs, y.astype(jnp.float32))),
    ),
    "a column of weights on a row of losses": (
        "loss-broadcasting",
        lambda: classes(lambda outputs, y: jnp.mean((1.0 + y)[:, None] * cross_entropy(outputs, y))),
    ),
    "a sum, with steps meant for the mean": (
        "loss-wrong-reduction",
        lambda: numbers(lambda o, y: jnp.sum(squares(o, y)), optimizer=optax.sgd(0.1)),
    ),
    "means before the difference": (
        "loss-wrong-reduction",
        lambda: numbers(lambda outputs, y: (outputs.mean() - y.mean()) ** 2),
    ),
    "targets that are not looked at": ("loss-mismatch", lambda: numbers(lambda outputs, y: outputs[:, 0] ** 2 + 0 * y)),
}

WEIGHTS = jnp.array([1.0, 2.0, 3.0, 4.0])
LOOK_ALIKES = {
    "a sum with Adam": lambda: classes(lambda o, y: jnp.sum(cross_entropy(o, y))),
    "a sum with small steps": lambda: classes(lambda o, y: jnp.sum(cross_entropy(o, y)), optimizer=optax.sgd(1e-4)),
    "weights by class": lambda: classes(lambda o, y: jnp.mean(WEIGHTS[y] * cross_entropy(o, y))),
    "a weighted mean": lambda: classes(lambda o, y: jnp.sum(WEIGHTS[y] * cross_entropy(o, y)) / jnp.sum(WEIGHTS[y])),
    "pairs compared on purpose": lambda: numbers(
        lambda o, y: jnp.mean(jax.nn.softplus(-(o - o.T) * jnp.sign(y[:, None] - y[None, :])))
    ),
    "a loss of each example": lambda: numbers(squares),
}


@pytest.mark.parametrize("name", FAULTS)
def test_finds(name):
    expected, make = FAULTS[name]
    assert ids(seen(PROBES, make())) == [expected]


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_is_quiet_about(name):
    assert ids(seen(PROBES, LOOK_ALIKES[name]())) == []


def test_says_which_shapes_broadcast():
    (finding,) = seen(PROBES, numbers(lambda outputs, targets: jnp.mean((outputs - targets) ** 2))).findings
    assert "outputs (24, 1) and targets (24,) broadcast to (24, 24)" in finding.message
    assert finding.part == "loss"


@pytest.mark.parametrize(
    "loss",
    [
        lambda o, y: jnp.sum(cross_entropy(o, y)),
        lambda o, y: jnp.mean(cross_entropy(o, y)) / len(y),
        lambda o, y: -jnp.mean(one_hot(y) * jax.nn.log_softmax(o)),
    ],
    ids=["sum", "divided twice", "mean over classes"],
)
def test_a_factor_that_the_optimizer_minds_is_left_to_a_repair(loss):
    result = seen(PROBES, classes(loss, optimizer=optax.sgd(1e-4)))
    assert suspected(result) == ["loss-wrong-reduction"]
    assert not ids(result)


def test_the_repair_takes_the_factor_away():
    program = yes_or_no(lambda o, y: jnp.sum(logit_loss(o, y)), optimizer=optax.sgd(1e-4))
    (suspicion,) = seen(PROBES, program).suspicions
    before = subject(program)
    after = suspicion.repairs[0].change(before)
    outputs = jnp.zeros((24, 1))
    ratio = before.mean_loss(outputs, before.batch) / after.mean_loss(outputs, before.batch)
    assert float(ratio) == pytest.approx(24)
