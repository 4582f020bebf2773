"""What `check_loss` adds to the checks that it runs: the order, values, gradients that are absent, misuse."""

import jax
import jax.numpy as jnp
import pytest

import verax as vx
from tests.network.five import network
from tests.train.cases import COLUMNS

X = jnp.linspace(-1.0, 1.0, 6).reshape(3, 2)
PARAMS = {"hidden": jnp.array([[0.5, -0.2], [0.1, 0.3]]), "out": jnp.zeros((2, 1))}


def loss(params, x):
    return jnp.mean((jnp.tanh(x @ params["hidden"]) @ params["out"] - 1.0) ** 2)


def ids(*args, **settings):
    return [finding.id for finding in vx.debug.check_loss(*args, **settings)]


def test_a_head_that_starts_at_zero_is_right():
    assert ids(loss, PARAMS, X) == []


def test_a_leaf_that_is_cut_off_is_named():
    def cut(params, x):
        return loss({**params, "hidden": jax.lax.stop_gradient(params["hidden"])}, x)

    (finding,) = vx.debug.check_loss(cut, PARAMS, X)
    assert (finding.id, str(finding.where)) == ("parameter-without-gradient", "hidden")


def test_a_gradient_that_is_not_finite_is_named():
    (finding,) = vx.debug.check_loss(lambda p: jnp.sum(jnp.sqrt(p["w"])), {"w": jnp.zeros(3)})
    assert (finding.id, str(finding.where)) == ("non-finite-gradient", "w")
    assert finding.message.startswith("3 derivatives")


def test_a_wrong_gradient_is_found():
    @jax.custom_vjp
    def double(x):
        return x * 2

    double.defvjp(lambda x: (x * 2, None), lambda _, g: (g * 3,))
    assert ids(lambda p, x: loss({**p, "out": double(p["out"])}, x), PARAMS, X) == ["wrong-custom-gradient"]


@jax.numpy_dtype_promotion("standard")  # Haiku's dropout multiplies numbers by truths
@pytest.mark.parametrize("kind", ["linen", "equinox"])
def test_a_network_is_checked_as_a_step_trains_it(kind):
    batch = vx.Batch(jnp.linspace(-1.0, 1.0, 4 * COLUMNS).reshape(4, COLUMNS), jnp.array([0, 1, 2, 0]), jnp.ones(4))
    assert ids(vx.classification(), batch, network=network(kind, False, 0.5)) == []


def test_misuse_is_said():
    with pytest.raises(vx.InputError, match="an objective is checked on a batch, with its network"):
        vx.debug.check_loss(vx.classification(), X)
    with pytest.raises(vx.InputError, match="network= belongs to an objective"):
        vx.debug.check_loss(loss, PARAMS, X, network=network("linen", False, 0.0))
