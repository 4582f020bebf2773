"""Parameters that the loss does not reach, and layers that are one."""

import jax
import jax.numpy as jnp
import optax
import pytest

from tests.doctor.probes.by_hand import by_hand, drawn, perceptron, seen
from tests.doctor.programs import ids, suspected
from verax.doctor._subject import subject_of
from verax.doctor.probes import _linear, _parameters

(WAYS,) = _parameters.PROBES
(BENT,) = _linear.PROBES


def cut(by):
    return lambda p, x, **_: by(jnp.tanh(x @ p["hidden"])) @ p["head"]


def straight_through(hidden):
    return hidden + jax.lax.stop_gradient(jnp.round(hidden) - hidden)


@pytest.mark.parametrize(
    "by", [jnp.round, jnp.sign, lambda h: (3 * h).astype(jnp.int32).astype(h.dtype), lambda h: h * 0.0]
)
def test_a_layer_without_a_derivative_after_it_is_found(by):
    found = seen(WAYS, by_hand(cut(by)))
    assert ids(found) == ["parameter-without-gradient"]
    assert str(found.findings[0].where) == "params/hidden"


def test_a_stop_gradient_is_suspected_and_left_out_in_the_repair():
    found = seen(WAYS, by_hand(cut(jax.lax.stop_gradient)))
    assert ids(found) == [] and suspected(found) == ["parameter-without-gradient"]
    with jax.numpy_dtype_promotion("standard"):
        repaired = found.suspicions[0].repairs[0].change(subject_of(by_hand(cut(jax.lax.stop_gradient))))
        _, grads = repaired.gradient(*repaired.variables, repaired.batch, repaired.noise(0))
    assert jnp.any(grads["hidden"])


def test_a_straight_through_estimator_is_healthy():
    found = seen(WAYS, by_hand(cut(straight_through)))
    assert found.findings == () and found.suspicions == ()


def test_a_layer_that_nothing_uses_is_found():
    shapes = {"hidden": (6, 8), "forgotten": (8, 8), "head": (8, 1)}
    assert ids(seen(WAYS, by_hand(perceptron, shapes=shapes))) == ["parameter-without-gradient"]


def test_few_unused_numbers_are_a_remark():
    shapes = {"hidden": (6, 80), "token": (1,), "head": (80, 1)}
    found = seen(WAYS, by_hand(perceptron, shapes=shapes))
    assert ids(found) == [] and [finding.severity for finding in found.findings] == ["info"]


def test_a_layer_that_the_optimizer_leaves_alone_was_cut_on_purpose():
    kept = optax.multi_transform(
        {"train": optax.sgd(0.1), "keep": optax.set_to_zero()}, {"hidden": "keep", "head": "train"}
    )
    assert ids(seen(WAYS, by_hand(cut(jnp.sign), optimizer=kept))) == []


def test_a_head_that_starts_at_zero_is_healthy():
    def init(key):
        return {**drawn({"hidden": (6, 8)})(key), "head": jnp.zeros((8, 1))}

    assert ids(seen(WAYS, by_hand(perceptron, init=init))) == []


def in_a_row(between, last=lambda outputs: outputs):
    return lambda p, x, **_: last(between(x @ p["hidden"]) @ p["head"])


@pytest.mark.parametrize("last", [lambda y: y, jax.nn.sigmoid], ids=["linear", "sigmoid at the end"])
def test_layers_with_nothing_between_them_are_found(last):
    found = seen(BENT, by_hand(in_a_row(lambda hidden: 2 * hidden + 1, last)))
    assert ids(found) == ["missing-nonlinearity"]


@pytest.mark.parametrize("between", [jnp.tanh, jax.nn.relu, lambda h: h * h], ids=["tanh", "relu", "square"])
def test_layers_with_something_between_them_are_healthy(between):
    found = seen(BENT, by_hand(in_a_row(between)))
    assert found.findings == () and found.suspicions == ()


def test_one_layer_is_a_choice():
    found = seen(BENT, by_hand(lambda p, x, **_: x @ p["only"], shapes={"only": (6, 1)}))
    assert found.findings == () and found.suspicions == ()


def test_a_narrow_middle_may_be_meant_so_a_repair_decides():
    shapes = {"hidden": (6, 2), "head": (2, 6)}
    found = seen(BENT, by_hand(in_a_row(lambda hidden: hidden), shapes=shapes))
    assert ids(found) == [] and suspected(found) == ["missing-nonlinearity"]
    with jax.numpy_dtype_promotion("standard"):
        subject = subject_of(by_hand(in_a_row(lambda hidden: hidden), shapes=shapes))
        repaired = found.suspicions[0].repairs[0].change(subject)
        outputs, _ = repaired.forward(subject.variables, subject.batch.inputs, subject.noise(0))
        params = subject.variables.params
        expected = jax.nn.relu(subject.batch.inputs @ params["hidden"]) @ params["head"]
    assert jnp.allclose(outputs, expected, atol=1e-5)
