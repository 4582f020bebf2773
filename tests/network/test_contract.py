"""What every network keeps, whatever its library and however it spells its mode: a new member is a line in `cases`."""

import jax
import numpy as np
import pytest

from tests.network.cases import LINEN_WITH_NORM, MODELS, inputs
from verax.network import Network, as_network
from verax.trees import digest, differences

KEY = jax.random.key(1)


@pytest.fixture(scope="module", params=MODELS, ids=lambda name: name.replace(" ", "-"))
def made(request):
    network = as_network(MODELS[request.param][0])
    variables = jax.jit(network.init)(jax.random.key(0), inputs())
    return network, variables, MODELS[request.param][1]


def same(first, second):
    return digest(first) == digest(second)


def test_outputs_have_a_row_for_each_input(made):
    network, variables, _ = made
    assert network.apply(variables, inputs(5))[0].shape == (5, 3)


def test_initialisation_is_a_function_of_the_key(made):
    network, variables, _ = made
    again, other = (jax.jit(network.init)(jax.random.key(seed), inputs()) for seed in (0, 1))
    assert same(again, variables)
    assert not same(other.params, variables.params)


def test_no_key_means_evaluation(made):
    """The same every time, independent of the other rows, and nothing is updated."""
    network, variables, _ = made
    outputs, model_state = network.apply(variables, inputs())
    np.testing.assert_array_equal(outputs, network.apply(variables, inputs())[0])
    np.testing.assert_allclose(outputs[:4], network.apply(variables, inputs()[:4])[0], rtol=1e-5, atol=1e-6)
    assert same(model_state, variables.model_state)


def test_a_key_means_training(made):
    """Noise follows the key, and statistics move if there are any."""
    network, variables, has_statistics = made
    outputs, model_state = network.apply(variables, inputs(), key=KEY)
    again, _ = network.apply(variables, inputs(), key=KEY)
    other, _ = network.apply(variables, inputs(), key=jax.random.key(2))
    np.testing.assert_array_equal(outputs, again)
    assert not np.array_equal(outputs, other)
    assert not np.array_equal(outputs, network.apply(variables, inputs())[0])
    assert bool(jax.tree.leaves(model_state)) == has_statistics
    assert same(model_state, variables.model_state) != has_statistics


def test_training_keeps_the_structure_of_the_state(made):
    network, variables, _ = made
    _, model_state = network.apply(variables, inputs(), key=KEY)
    assert differences(variables.model_state, model_state) == []
    assert jax.tree.structure(variables.model_state) == jax.tree.structure(model_state)


def test_the_mode_is_static_and_the_rest_is_traceable(made):
    network, variables, _ = made
    outputs, model_state = network.apply(variables, inputs(), key=KEY)
    traced = jax.jit(lambda variables, x, key: network.apply(variables, x, key=key))(variables, inputs(), KEY)
    np.testing.assert_allclose(traced[0], outputs, rtol=1e-5, atol=1e-6)
    assert differences(model_state, traced[1]) == []


def test_statistics_without_noise(made):
    """No key and training=True: the same every time, and statistics move as in training."""
    network, variables, has_statistics = made
    if network.library == "haiku" and has_statistics:
        with pytest.raises(ValueError, match=r"training statistics without noise were asked for, but the function draws"):
            network.apply(variables, inputs(), training=True)
        return
    outputs, model_state = network.apply(variables, inputs(), training=True)
    np.testing.assert_array_equal(outputs, network.apply(variables, inputs(), training=True)[0])
    evaluated, _ = network.apply(variables, inputs())
    assert np.array_equal(outputs, evaluated) != has_statistics
    assert same(model_state, variables.model_state) != has_statistics


def test_noise_with_frozen_statistics(made):
    """A key and training=False: noise follows the key, and nothing is updated."""
    network, variables, has_statistics = made
    if network.library == "haiku" and has_statistics:
        with pytest.raises(ValueError, match="cannot have noise with frozen statistics: Haiku has one flag for both"):
            network.apply(variables, inputs(), key=KEY, training=False)
        return
    outputs, model_state = network.apply(variables, inputs(), key=KEY, training=False)
    other, _ = network.apply(variables, inputs(), key=jax.random.key(2), training=False)
    assert not np.array_equal(outputs, other)
    assert same(model_state, variables.model_state)


@pytest.mark.parametrize("name", LINEN_WITH_NORM)
def test_the_two_exceptions_agree_with_the_flags_set_apart(name):
    """A module with one flag, noise and statistics switched by Verax, equals what the rules of the layers say."""
    network = as_network(MODELS[name][0])
    variables = network.init(jax.random.key(0), inputs())
    _, moved = network.apply(variables, inputs(), training=True)
    _, trained = network.apply(variables, inputs(), key=KEY)
    first = ("batch_stats", "norms_0") if name == "setup and lists" else ("batch_stats", "BatchNorm_0")
    for ours, theirs in zip(*(jax.tree.leaves(each[first[0]][first[1]]) for each in (moved, trained)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # before any noise, so the statistics are those of training
    many = [network.apply(variables, inputs(), key=jax.random.key(seed), training=False)[0] for seed in range(400)]
    mean, error = np.mean(many, axis=0), np.std(many, axis=0) / 20
    np.testing.assert_array_less(abs(mean - network.apply(variables, inputs())[0]), 5 * error + 1e-6)  # dropout is unbiased


def test_a_refusal_names_the_network_and_the_combination():
    network = Network(
        lambda key, x: None,
        lambda variables, x, key, training: (x, {}),
        name="Sampler",
        refuses=(("statistics_without_noise", "its noise is part of the model."),),
    )
    with pytest.raises(ValueError, match=r"Sampler cannot be applied with key=None, training=True: its noise is part"):
        network.apply(None, inputs(), training=True)
    network.apply(None, inputs(), key=KEY, training=False)
