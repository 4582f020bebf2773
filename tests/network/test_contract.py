"""What every network keeps, whatever its library and however it spells its mode: a new member is a line in `cases`."""

import functools
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.network.cases import LINEN_WITH_NORM, MODELS, inputs
from verax.network import Network, Variables, as_network
from verax.trees import differences, digest

KEY = jax.random.key(1)


@functools.cache
def make(name):
    """A network, its variables, whether it holds statistics; `apply` compiled, once for each mode."""
    model, has_statistics = MODELS[name]
    network = as_network(model)
    init = jax.jit(network.init)
    return SimpleNamespace(
        network=network,
        init=init,
        variables=init(jax.random.key(0), inputs()),
        has_statistics=has_statistics,
        apply=jax.jit(network.apply, static_argnames="training"),
        refuses=network.library == "haiku" and has_statistics,
    )


@pytest.fixture(params=MODELS, ids=lambda name: name.replace(" ", "-"))
def made(request):
    return make(request.param)


def same(first, second):
    return digest(first) == digest(second)


def test_initialisation_is_a_function_of_the_key(made):
    again, other = (made.init(jax.random.key(seed), inputs()) for seed in (0, 1))
    assert same(again, made.variables)
    assert not same(other.params, made.variables.params)


def test_no_key_means_evaluation(made):
    """The same every time, each row by itself, and nothing is updated."""
    outputs, model_state = made.apply(made.variables, inputs())
    changed, _ = made.apply(made.variables, inputs().at[8:].set(inputs(seed=1)[8:]))
    assert outputs.shape == (16, 3)
    np.testing.assert_array_equal(outputs, made.apply(made.variables, inputs())[0])
    np.testing.assert_array_equal(outputs[:8], changed[:8])
    assert same(model_state, made.variables.model_state)


def test_a_key_means_training(made):
    """Noise follows the key, and statistics move if there are any, within the structure that they had."""
    outputs, model_state = made.apply(made.variables, inputs(), key=KEY)
    other, _ = made.apply(made.variables, inputs(), key=jax.random.key(2))
    np.testing.assert_array_equal(outputs, made.apply(made.variables, inputs(), key=KEY)[0])
    assert not np.array_equal(outputs, other)
    assert not np.array_equal(outputs, made.apply(made.variables, inputs())[0])
    assert bool(jax.tree.leaves(model_state)) == made.has_statistics
    assert same(model_state, made.variables.model_state) != made.has_statistics
    assert differences(made.variables.model_state, model_state) == []
    assert jax.tree.structure(made.variables.model_state) == jax.tree.structure(model_state)


def test_statistics_without_noise(made):
    """No key and training=True: the same every time, and statistics move as they do in training."""
    if made.refuses:
        with pytest.raises(
            ValueError, match="training statistics without noise were asked for, but the function draws"
        ):
            made.apply(made.variables, inputs(), training=True)
        return
    outputs, model_state = made.apply(made.variables, inputs(), training=True)
    np.testing.assert_array_equal(outputs, made.apply(made.variables, inputs(), training=True)[0])
    assert np.array_equal(outputs, made.apply(made.variables, inputs())[0]) != made.has_statistics
    assert same(model_state, made.variables.model_state) != made.has_statistics


def test_noise_with_frozen_statistics(made):
    """A key and training=False: noise follows the key, and nothing is updated."""
    if made.refuses:
        with pytest.raises(ValueError, match="cannot have noise with frozen statistics: Haiku has one flag for both"):
            made.apply(made.variables, inputs(), key=KEY, training=False)
        return
    outputs, model_state = made.apply(made.variables, inputs(), key=KEY, training=False)
    other, _ = made.apply(made.variables, inputs(), key=jax.random.key(2), training=False)
    assert not np.array_equal(outputs, other)
    assert same(model_state, made.variables.model_state)


@pytest.mark.parametrize("name", LINEN_WITH_NORM)
def test_the_two_exceptions_switch_what_they_say_and_nothing_else(name):
    """One flag taken apart: without noise, the first statistics are those of training; with frozen statistics, the mean
    over many dropout masks is the evaluation."""
    made = make(name)
    first = "norms_0" if name == "setup and lists" else "BatchNorm_0"
    quiet, noisy = (made.apply(made.variables, inputs(), key=key, training=True)[1] for key in (None, KEY))
    for name in ("mean", "var"):  # of the layer before any dropout
        np.testing.assert_allclose(quiet["batch_stats"][first][name], noisy["batch_stats"][first][name], rtol=1e-5)

    def noisy_outputs(seed):
        return made.network.apply(made.variables, inputs(), key=jax.random.key(seed), training=False)[0]

    many = jax.jit(jax.vmap(noisy_outputs))(np.arange(2000))
    mean, error = np.mean(many, axis=0), np.std(many, axis=0) / 2000**0.5
    np.testing.assert_array_less(abs(mean - made.apply(made.variables, inputs())[0]), 5 * error + 1e-6)


def test_a_refusal_names_the_network_and_the_combination():
    network = Network(
        lambda key, x: Variables({}, {}),
        lambda variables, x, key, training: (x, {}),
        name="Sampler",
        refuses=(("statistics_without_noise", "its noise is part of the model."),),
    )
    with pytest.raises(ValueError, match=r"Sampler cannot be applied with key=None, training=True: its noise is part"):
        network.apply(Variables({}, {}), inputs(), training=True)
    assert network.apply(Variables({}, {}), inputs(), key=KEY, training=False)[0].shape == (16, 4)
