import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.network.cases import (
    functions_apply,
    functions_init,
    haiku_centred,
    haiku_dropout,
    haiku_norm,
    haiku_plain,
    inputs,
    kept,
)
from verax.findings import InputError
from verax.network import as_network, call_with_kwargs, from_haiku
from verax.trees import digest

KEY = jax.random.key(1)


def initialised(network, x=None):
    return network.init(jax.random.key(0), inputs() if x is None else x)


def test_a_transform_is_a_network_and_equals_haiku_bit_for_bit():
    plain = hk.transform(haiku_dropout)
    network = as_network(plain)
    variables = initialised(network)
    assert (network.library, network.name) == ("haiku", "haiku_dropout")
    assert digest(variables.params) == digest(plain.init(jax.random.key(0), inputs(), is_training=True))
    trained = plain.apply(variables.params, KEY, inputs(), is_training=True)
    np.testing.assert_array_equal(network.apply(variables, inputs(), key=KEY)[0], trained)
    evaluated = plain.apply(variables.params, None, inputs(), is_training=False)
    np.testing.assert_array_equal(network.apply(variables, inputs())[0], evaluated)


def test_a_transform_with_state_carries_it():
    plain = hk.transform_with_state(haiku_norm)
    network = as_network(plain)
    variables = initialised(network)
    outputs, expected = plain.apply(variables.params, variables.model_state, KEY, inputs(), is_training=True)
    ours, model_state = network.apply(variables, inputs(), key=KEY)
    np.testing.assert_array_equal(ours, outputs)
    assert digest(model_state) == digest(expected) != digest(variables.model_state)


def test_a_transform_is_never_taken_for_a_pair_of_functions():
    """It is a tuple of two functions, but its `apply` takes the key where a pair takes the inputs."""
    transformed = hk.transform(haiku_plain)
    assert isinstance(transformed, tuple)
    assert as_network(transformed).library == "haiku"
    assert as_network((functions_init, functions_apply)).library == "functions"
    with pytest.raises(
        InputError, match=r"apply must take \(params, inputs\[, training\]\[, key\]\), got .*rng.*, x\)"
    ):
        as_network(tuple(transformed))


@pytest.mark.parametrize("with_offset", [True, False])
def test_haikus_own_batch_norm(with_offset):
    def net(x, is_training):
        return hk.BatchNorm(True, with_offset, 0.5)(hk.Linear(3)(x), is_training)

    with jax.numpy_dtype_promotion("standard"):
        network = as_network(hk.transform_with_state(net))
        variables = initialised(network)
        trained, model_state = network.apply(variables, inputs(), key=KEY)
        evaluated, _ = network.apply(variables._replace(model_state=model_state), inputs())
    np.testing.assert_allclose(trained.mean(axis=0), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(evaluated, trained, rtol=1e-4, atol=1e-5)  # its averages have no bias at the first step


def test_a_function_without_mode_is_just_a_function():
    network = as_network(hk.transform(haiku_plain))
    variables = initialised(network)
    np.testing.assert_array_equal(network.apply(variables, inputs(), key=KEY)[0], network.apply(variables, inputs())[0])


def test_a_transform_without_its_key_is_refused():
    with pytest.raises(InputError, match=r"must take a random key\. Pass it as it was before hk\.without_apply_rng"):
        as_network(hk.without_apply_rng(hk.transform(haiku_plain)))


def test_state_or_noise_without_a_mode_is_an_error():
    def norm(x):
        return haiku_centred(x, is_training=True)

    def noise(x):
        return kept(hk.next_rng_key(), hk.Linear(3)(x))

    with pytest.raises(InputError, match=r"norm holds state, but it takes none of `is_training`, `training`, `train`"):
        initialised(as_network(hk.transform_with_state(norm)))
    with pytest.raises(InputError, match=r"noise draws noise in evaluation too, but it takes none of `is_training`"):
        initialised(as_network(hk.transform(noise)))
    network = from_haiku(hk.transform_with_state(norm), mode={})
    variables = initialised(network)
    assert digest(network.apply(variables, inputs())[1]) == digest(variables.model_state)
    assert digest(network.apply(variables, inputs(), key=KEY)[1]) != digest(variables.model_state)


def test_a_mode_of_another_name_is_stated():
    def net(x, frozen):
        return hk.Linear(3)(x) if frozen else kept(hk.next_rng_key(), hk.Linear(3)(x))

    with pytest.raises(InputError, match=r"net needs frozen besides its inputs\. Wrap it with vx\.call_with_kwargs"):
        as_network(hk.transform(net))
    network = from_haiku(hk.transform(net), mode={"frozen": False})
    variables = initialised(network)
    assert not np.array_equal(network.apply(variables, inputs(), key=KEY)[0], network.apply(variables, inputs())[0])


def test_several_inputs_are_named():
    def net(left, right, is_training):
        return haiku_dropout(left, is_training) + right

    network = call_with_kwargs(hk.transform(net))
    both = {"left": inputs(), "right": jnp.ones((16, 3))}
    variables = initialised(network, both)
    alone = as_network(hk.transform(haiku_dropout)).apply(variables, inputs(), key=KEY)[0]
    np.testing.assert_array_equal(network.apply(variables, both, key=KEY)[0], alone + 1)
