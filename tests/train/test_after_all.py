"""Updates that wait for all gradients are the same updates, and spare XLA a copy of the weights."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import data, experiment
from verax.network import as_network
from verax.train._after_all import after_all
from verax.train._initial import first_state
from verax.train._keys import base_key
from verax.train._step import StepOptions, make_train_step

WIDTH = 48


def test_updates_stay_as_they_are_bit_for_bit():
    updates = {
        "a": jnp.array([1.5, -0.0, jnp.inf, jnp.nan]),
        "b": jnp.float16([2.0]),
        "counter": jnp.array([3]),
        "none": jnp.zeros((0, 2)),
    }
    grads = {"a": jnp.array([jnp.nan, 1.0, 2.0, 3.0]), "b": jnp.array([jnp.inf]), "none": jnp.zeros((0, 2))}
    for found in (after_all(updates, grads), jax.jit(after_all)(updates, grads)):
        assert jax.tree.map(lambda leaf: leaf.dtype, found) == jax.tree.map(lambda leaf: leaf.dtype, updates)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(updates), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
            np.testing.assert_array_equal(np.signbit(one), np.signbit(other))


def loop(updates_last):
    """Five steps of a network of equal layers, and its state and batch."""
    made = experiment(network=vx.models.MLP((WIDTH, WIDTH, 3)), optimizer=optax.adam(0.01))
    network, train = as_network(made.network), vx.data.load(data()).examples("train")
    state = first_state(made, network, base_key(0), train.inputs[:8])
    batch = vx.data.Batch(jnp.asarray(train.inputs[:8]), jnp.asarray(train.targets[:8]), jnp.ones(8))
    objective = made.objective.fitted(train)
    options = StepOptions(updates_last=updates_last)
    step = make_train_step(network, objective, made.optimizer, options=options)
    return jax.jit(lambda state, batch: jax.lax.fori_loop(0, 5, lambda _, each: step(each, batch)[0], state)), (
        state,
        batch,
    )


def test_a_run_is_the_same_but_for_rounding():
    found, expected = (function(*args) for function, args in map(loop, (True, False)))
    for one, other in zip(jax.tree.leaves(found.variables), jax.tree.leaves(expected.variables), strict=True):
        # The compiler may round a rate times a direction plus a weight once or twice.
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-8)


@pytest.mark.compiler
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is about XLA's CPU compiler")
def test_a_loop_over_steps_copies_no_weights():
    def copies(updates_last):
        function, args = loop(updates_last)
        text = function.lower(*args).compile().as_text()
        body = text[: text.index("ENTRY")]  # before and after the loop they may be copied once
        return len(re.findall(rf"= f32\[{WIDTH},{WIDTH}\]\S* copy\(", body))

    assert copies(updates_last=False) >= 1  # else this option is for nothing
    assert copies(updates_last=True) == 0
