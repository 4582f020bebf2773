"""Keys that are used twice, units that start equal, weights that are shared: found where they do harm."""

import jax
import jax.numpy as jnp
import pytest

from tests.doctor.probes.by_hand import by_hand, drawn, perceptron, seen
from tests.doctor.programs import ids
from verax.doctor.probes import _keys, _sharing, _symmetry

INIT, STEP = _keys.PROBES
(SYMMETRY,) = _symmetry.PROBES
(SHARING,) = _sharing.PROBES


def committee(one_key):
    def init(key):
        keys = [key] * 3 if one_key else jax.random.split(key, 3)
        return [drawn({"hidden": (6, 4), "head": (4, 1)})(each) for each in keys]

    return by_hand(lambda params, x, **_: sum(perceptron(each, x) for each in params), init=init)


def in_a_row(params, x, **_):
    return jnp.tanh(jnp.tanh(x @ params["first"]) @ params["second"]) @ params["head"]


def one_key_in_a_row(key):
    return {
        name: jax.random.normal(key, shape) for name, shape in (("first", (6, 6)), ("second", (6, 6)), ("head", (6, 1)))
    }


def test_one_key_for_all_branches_is_found():
    found = seen(INIT, committee(one_key=True))
    assert ids(found) == ["key-reuse"]
    assert "3 leaves" in found.findings[0].message


def test_branches_with_keys_of_their_own_are_healthy():
    assert seen(INIT, committee(one_key=False)).findings == ()


def test_one_key_for_layers_that_follow_one_another_is_a_remark():
    found = seen(INIT, by_hand(in_a_row, init=one_key_in_a_row))
    assert ids(found) == []
    assert [finding.id for finding in found.findings] == ["key-reuse"]


def noisy(keys):
    def forward(params, x, key=None, training=False, **_):
        hidden = jnp.tanh(x @ params["hidden"])
        if training:
            first, second = keys(key)
            keep = jax.random.bernoulli(first, 0.5, hidden.shape), jax.random.bernoulli(second, 0.5, hidden.shape)
            hidden = jnp.where(keep[0], hidden, 0.0) + jnp.where(keep[1], hidden**2, 0.0)
        return hidden @ params["head"]

    return by_hand(forward)


def test_the_same_noise_twice_in_a_step_is_found():
    assert ids(seen(STEP, noisy(lambda key: (key, key)))) == ["key-reuse"]


def test_noise_from_a_split_key_is_healthy():
    assert ids(seen(STEP, noisy(lambda key: jax.random.split(key)))) == []


def started(**values):
    def init(key):
        params = drawn({"hidden": (6, 8), "middle": (8, 8), "head": (8, 1)})(key)
        return {**params, **{name: jnp.full(params[name].shape, value) for name, value in values.items()}}

    return by_hand(lambda p, x, **_: jnp.tanh(jnp.tanh(x @ p["hidden"]) @ p["middle"]) @ p["head"], init=init)


@pytest.mark.parametrize("values", [{"hidden": 0.1, "middle": 0.1}, {"hidden": 0.0, "middle": 0.0, "head": 0.0}])
def test_units_that_start_and_stay_equal_are_found(values):
    assert ids(seen(SYMMETRY, started(**values))) == ["symmetric-initialization"]


@pytest.mark.parametrize("values", [{}, {"head": 0.0}, {"hidden": 0.1}], ids=["drawn", "zero head", "told apart above"])
def test_units_that_part_are_healthy(values):
    assert ids(seen(SYMMETRY, started(**values))) == []


def test_stacked_copies_that_are_equal_are_found():
    def init(key):
        copies = jnp.stack([drawn({"hidden": (6, 8)})(key)["hidden"]] * 3)
        return {"hidden": copies, "head": jnp.ones((3, 8, 1)) * 0.3}

    def forward(params, x, **_):
        return jax.vmap(perceptron, (0, None))(params, x).mean(0)

    assert ids(seen(SYMMETRY, by_hand(forward, init=init))) == ["symmetric-initialization"]


def shared(times, own):
    def forward(params, x, **_):
        return sum(perceptron(params[index if own else 0], x) for index in range(times))

    return by_hand(
        forward, init=lambda key: [drawn({"hidden": (6, 4), "head": (4, 1)})(k) for k in jax.random.split(key, times)]
    )


def test_branches_with_the_same_weights_are_found():
    assert ids(seen(SHARING, shared(3, own=False))) == ["unintended-weight-sharing"]


@pytest.mark.parametrize(
    "program",
    [
        shared(3, own=True),
        by_hand(lambda p, x, **_: perceptron(p, x) + perceptron(p, -x)),
        by_hand(lambda p, x, **_: (lambda y: y + y)(perceptron(p, x))),
        by_hand(lambda p, x, **_: perceptron(p, x) * jnp.exp(perceptron(p, x))),
    ],
    ids=["weights of their own", "other inputs", "doubled", "computed twice"],
)
def test_weights_that_are_used_again_for_something_else_are_healthy(program):
    assert ids(seen(SHARING, program)) == []
