"""Inputs that reach no output are found, and outputs that see what comes later."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.doctor.probes.by_hand import by_hand, drawn, perceptron, seen
from tests.doctor.programs import ids, regressor
from verax.doctor.probes import _inputs

INPUTS, TIME = _inputs.PROBES


def silent(key):
    params = drawn({"hidden": (6, 8), "head": (8, 1)})(key)
    return {**params, "bias": jnp.full((8,), -100.0)}


def rectified(params, x, **_):
    return jnp.maximum(x @ params["hidden"] + params["bias"], 0.0) @ params["head"]


@pytest.mark.parametrize(
    "forward",
    [
        lambda p, x, **_: perceptron(p, jnp.ones_like(x)),
        lambda p, x, **_: perceptron(p, x * 0.0),
        lambda p, x, **_: perceptron(p, (0.01 * jnp.tanh(x)).astype(jnp.int32).astype(x.dtype)),
        lambda p, x, **_: perceptron(p, x.at[:, 1:].set(0.0)),
    ],
    ids=["overwritten", "masked", "rounded", "one column read"],
)
def test_inputs_without_effect_are_found(forward):
    assert ids(seen(INPUTS, by_hand(forward))) == ["input-ignored"]


def test_a_head_that_starts_at_zero_ignores_nothing():
    def init(key):
        return {"hidden": jax.random.normal(key, (6, 8)), "head": jnp.zeros((8, 1))}

    assert ids(seen(INPUTS, by_hand(perceptron, init=init))) == []


def test_units_that_are_all_silent_are_another_fault():
    assert ids(seen(INPUTS, by_hand(rectified, init=silent))) == []


def test_a_column_left_out_is_a_choice():
    assert ids(seen(INPUTS, by_hand(lambda p, x, **_: perceptron(p, x.at[:, 0].set(0.0))))) == []


def language_model(mixing, **changes):
    tokens = np.random.default_rng(0).integers(0, 7, (64, 9)).astype(np.int32)
    shapes = {"table": (7, 8), "head": (8, 7)}

    def forward(params, x, **_):
        return jnp.tanh(jnp.einsum("st,bsf->btf", mixing(8), params["table"][x])) @ params["head"]

    def loss(outputs, targets):
        return -jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[..., None], axis=-1).mean((1, 2))

    parts = {"loss": loss, "train": (tokens[:, :-1], tokens[:, 1:]), "test": None, "task": "sequence", **changes}
    return by_hand(forward, shapes=shapes, **parts)


def everything(length):
    return jnp.ones((length, length)) / length


def earlier(length):
    return jnp.triu(jnp.ones((length, length))) / length  # from s to t, for s <= t


def test_a_language_model_that_looks_ahead_is_found():
    assert ids(seen(TIME, language_model(everything))) == ["causal-leak"]


def test_a_language_model_that_looks_back_is_healthy():
    assert ids(seen(TIME, language_model(earlier))) == []


def test_an_encoder_may_look_both_ways():
    labels = np.zeros((64, 8), np.int32)
    tokens = np.random.default_rng(0).integers(0, 7, (64, 8)).astype(np.int32)
    program = language_model(everything, train=(tokens, labels))
    with pytest.raises(_inputs.NotApplicable, match="one step later"):
        seen(TIME, program)


def test_inputs_of_a_table_are_no_sequence():
    with pytest.raises(_inputs.NotApplicable, match="one step later"):
        seen(TIME, regressor())
