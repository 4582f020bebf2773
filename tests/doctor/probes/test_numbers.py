"""Numbers that are not finite at the start are explained, and put to the network or to the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.doctor.probes.small import asked, small
from tests.doctor.programs import MLP, clouds, ids
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._numbers import look


def blank(value=0.0):
    """Clouds of which some rows are blank, or constant."""
    (x, y), test = clouds()
    x = np.array(x)
    x[::40] = value
    return (x, y), test


def unit_rows(x):
    length = jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True))
    return jnp.where(length > 0, x / length, 0.0)


def guarded_rows(x):
    square = jnp.sum(x**2, axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.where(square > 0, square, 1.0))


def scaled_rows(x):
    return x / jnp.sqrt(jnp.var(x, axis=-1, keepdims=True) + 1e-3)


def through(prepare):
    """A network that mixes first, so that the gradient goes through what prepares."""

    def init(key, x):
        return {"mix": 0.5 * jax.random.normal(key, (8, 4)), "out": jnp.ones((4, 1))}

    return init, lambda params, x: prepare(x @ params["mix"]) @ params["out"]


def log_likelihood(outputs, targets):
    p, y = outputs.reshape(-1), targets.astype(jnp.float32)
    return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


@pytest.mark.parametrize(
    ("changes", "name", "part"),
    [
        ({"network": through(unit_rows)}, "where-gradient-nan", "model"),
        ({"network": through(lambda h: h / jnp.std(h, axis=-1, keepdims=True))}, "division-by-zero", "model"),
        ({"network": through(lambda h: jnp.log(jnp.abs(h)))}, "log-of-zero", "model"),
        ({"network": through(lambda h: jnp.exp(100 * h) / (1 + jnp.exp(100 * h)))}, "exp-overflow", "model"),
        ({"network": MLP((6,), 1, lambda x: jax.nn.sigmoid(2000 * x)), "loss": log_likelihood}, "log-of-zero", "loss"),
        (
            {"loss": lambda outputs, targets: jnp.where(targets > 0, jnp.sqrt(0 * outputs[:, 0]), outputs[:, 0] ** 2)},
            "division-by-zero",
            "loss",
        ),
    ],
    ids=["where", "std", "log", "exp", "likelihood", "root"],
)
def test_the_cause_and_the_part_are_named(changes, name, part):
    train, test = blank()
    seen = asked(look, small(train=train, test=test, **changes))
    assert ids(seen) == [name]
    assert seen.findings[0].part == part
    assert seen.findings[0].evidence


@pytest.mark.parametrize(
    "network",
    [
        through(guarded_rows),
        through(scaled_rows),
        through(jnp.tanh),
    ],
    ids=["guarded", "epsilon", "smooth"],
)
def test_what_is_guarded_is_passed(network):
    train, test = blank()
    assert not asked(look, small(train=train, test=test, network=network)).findings


def test_a_weight_that_is_not_finite_is_named():
    network = (lambda key, x: {"w": jnp.full((8, 1), jnp.inf)}, lambda params, x: x @ params["w"])
    seen = asked(look, small(network=network, optimizer=optax.sgd(0.1)))
    assert ids(seen) == ["non-finite-parameter"]
    assert str(seen.findings[0].where) == "w"


def test_data_that_are_not_finite_come_first():
    (x, y), test = clouds()
    with pytest.raises(NotApplicable):
        asked(look, small(train=(np.full_like(x, np.nan), y), test=test))
