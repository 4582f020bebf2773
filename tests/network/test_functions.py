import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.network.cases import functions_apply, functions_init, inputs
from verax.findings import InputError
from verax.network import Network, as_network, call_with_kwargs, from_functions

KEY = jax.random.key(1)
PARAMS = functions_init(jax.random.key(0), inputs())


def test_a_pair_holds_params_and_no_state():
    network = as_network((functions_init, functions_apply))
    variables = network.init(jax.random.key(0), inputs())
    np.testing.assert_array_equal(variables.params, PARAMS)
    assert variables.model_state == {}
    np.testing.assert_array_equal(network.apply(variables, inputs())[0], inputs() @ PARAMS)
    np.testing.assert_array_equal(
        network.apply(variables, inputs(), key=KEY)[0], functions_apply(PARAMS, inputs(), key=KEY)
    )


@pytest.mark.parametrize("spelling", ["training", "train", "is_training", "deterministic"])
@pytest.mark.parametrize("name", ["key", "rng", "dropout_key"])
def test_mode_and_key_are_found_by_name(spelling, name):
    seen = {}
    space = {"seen": seen}
    exec(f"def apply(params, x, *, {spelling}, {name}): seen.update(mode={spelling}, key={name}); return x", space)
    network = from_functions(functions_init, space["apply"])
    variables = network.init(jax.random.key(0), inputs())
    for key in (None, KEY):
        network.apply(variables, inputs(), key=key)
        assert seen["key"] is key
        assert seen["mode"] == ((key is None) if spelling == "deterministic" else (key is not None))


def test_bound_arguments_are_fine():
    apply = functools.partial(lambda params, x, scale: scale * (x @ params), scale=2.0)
    network = as_network((functions_init, apply))
    variables = network.init(jax.random.key(0), inputs())
    np.testing.assert_array_equal(network.apply(variables, inputs())[0], 2 * (inputs() @ PARAMS))


def test_functions_of_other_arguments_are_refused_with_their_signature():
    with pytest.raises(
        InputError, match=r"apply must take \(params, inputs\[, training\]\[, key\]\), got \(params, x, scale\)"
    ):
        as_network((functions_init, lambda params, x, scale: x))
    with pytest.raises(InputError, match=r"init must take \(key, inputs\), got \(key\): too many positional arguments"):
        as_network((lambda key: jnp.ones(3), functions_apply))


@pytest.mark.parametrize(
    "model",
    [functions_apply, "mlp", (functions_init,), optax.sgd(0.1), None],
    ids=["function", "text", "one", "optimizer", "None"],
)
def test_anything_else_is_refused_with_what_is_possible(model):
    with pytest.raises(
        TypeError, match=r"network must be a Flax Linen module, .* got \w+\. Wrap other models with vx\.Network"
    ):
        as_network(model)


def test_a_network_is_taken_as_it_is():
    network = Network(lambda key, x: None, lambda variables, x, key, training: (x, {}))
    assert as_network(network) is network
    with pytest.raises(
        TypeError, match=r"call_with_kwargs takes a module of Flax Linen, .* or a Haiku transform, got Network"
    ):
        call_with_kwargs(network)
