import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.network.cases import EquinoxCentred, EquinoxDropout, inputs
from verax.findings import InputError
from verax.network import as_network, call_with_kwargs, from_equinox
from verax.trees import digest, leaves_by_path

KEY = jax.random.key(1)


def initialised(network, x=None, seed=0):
    return jax.jit(network.init)(jax.random.key(seed), inputs() if x is None else x)


def test_a_constructor_gives_the_weights_of_its_own_call():
    expected = EquinoxDropout(key=jax.random.key(3))
    for network in (as_network(EquinoxDropout), from_equinox(lambda key: EquinoxDropout(key))):
        params = leaves_by_path(initialised(network, seed=3).params)
        assert list(params) == ["layers/0/bias", "layers/0/weight", "layers/1/bias", "layers/1/weight"]
        for path, leaf in leaves_by_path(eqx.filter(expected, eqx.is_array)).items():
            np.testing.assert_array_equal(params[path], leaf)


def test_a_module_keeps_its_weights_whatever_the_key():
    module = EquinoxDropout(key=jax.random.key(7))
    network = as_network(module)
    assert (network.library, network.name) == ("equinox", "EquinoxDropout")
    assert digest(initialised(network)) == digest(initialised(network, seed=1))
    outputs, _ = network.apply(initialised(network), inputs())
    np.testing.assert_allclose(outputs, jax.vmap(eqx.nn.inference_mode(module))(inputs()), rtol=1e-6)


def test_equinox_alone_gives_the_same_training_pass():
    module = EquinoxDropout(key=jax.random.key(7))
    network = as_network(module)
    expected = jax.vmap(lambda x, key: module(x, key=key))(inputs(), jax.random.split(KEY, 16))
    np.testing.assert_allclose(network.apply(initialised(network), inputs(), key=KEY)[0], expected, rtol=1e-6)


def test_state_is_carried_under_the_path_of_its_index():
    module, state = eqx.nn.make_with_state(EquinoxCentred)(key=jax.random.key(0))
    call = jax.vmap(lambda x, key: module(x, state, key=key), out_axes=(0, None), axis_name="batch")
    with_state_inside = EquinoxCentred(key=jax.random.key(0))
    networks = from_equinox(module, state=state), as_network(with_state_inside)
    expected, after = call(inputs(), jax.random.split(KEY, 16))
    for network in networks:
        variables = initialised(network)
        assert list(leaves_by_path(variables.model_state)) == ["norm/mean"]
        outputs, model_state = network.apply(variables, inputs(), key=KEY)
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model_state["norm"]["mean"], jax.tree.leaves(after)[0], rtol=1e-6)


class Image(eqx.Module):
    """Convolution, BatchNorm of Equinox, LayerNorm, and an array of integers."""

    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    scale: eqx.nn.LayerNorm
    out: eqx.nn.MLP
    order: jax.Array

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(1, 4, 3, key=first)
        self.norm = eqx.nn.BatchNorm(4, "rows", mode="batch")
        self.scale = eqx.nn.LayerNorm(16)
        self.out = eqx.nn.MLP(16, 3, 8, 1, key=second)
        self.order = jnp.arange(16)[::-1]

    def __call__(self, x, state):
        x, state = self.norm(self.conv(x[None]), state)
        return self.out(self.scale(x.reshape(-1)[self.order])), state


def test_convolutions_and_batch_norm_of_equinox():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 4)), jnp.float32)
    with jax.numpy_dtype_promotion("standard"):
        network = as_network(Image)
        variables, apply = initialised(network, x), jax.jit(network.apply)
        outputs, model_state = apply(variables, x, key=KEY)
        evaluated, same = apply(variables._replace(model_state=model_state), x)
        module, state = network.module(variables._replace(model_state=model_state))
        expected, _ = jax.vmap(module, in_axes=(0, None), out_axes=(0, None), axis_name="rows")(x, state)
    assert set(leaves_by_path(variables.model_state)) == {
        "norm/batch_counter", "norm/batch_state_index/0", "norm/batch_state_index/1", "order",
    }  # fmt: skip
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(variables))  # else the counter is wider in float64 checks
    assert outputs.shape == (5, 3)
    assert digest(same) == digest(model_state) != digest(variables.model_state)
    assert not np.allclose(evaluated, outputs)
    np.testing.assert_allclose(evaluated, expected, rtol=1e-5, atol=1e-6)


class Whole(eqx.Module):
    """Takes a batch, one key for it."""

    weight: jax.Array

    def __call__(self, x, key=None):
        assert x.ndim == 2
        noise = 0.0 if key is None else jax.random.normal(key, (16, 1))
        return x @ self.weight + noise


def test_a_module_may_take_a_whole_batch():
    module = Whole(jnp.ones((4, 3)))
    network = from_equinox(module, batched=True)
    variables = initialised(network)
    np.testing.assert_allclose(network.apply(variables, inputs())[0], inputs() @ module.weight, rtol=1e-6)
    noisy = network.apply(variables, inputs(), key=KEY)[0]
    np.testing.assert_allclose(noisy, inputs() @ module.weight + jax.random.normal(KEY, (16, 1)), rtol=1e-5)


def test_one_example_taken_for_a_batch_is_said():
    class Takes(eqx.Module):
        def __call__(self, x):
            return x @ jnp.ones((x.shape[1], 3))

    class Sums(eqx.Module):
        def __call__(self, x):
            return x.sum(axis=0)

    network = as_network(Takes())
    with pytest.raises(InputError, match=r"Takes takes a whole batch, .* vx\.from_equinox\(module, batched=True\)"):
        network.apply(network.init(KEY, inputs()), inputs())
    network = from_equinox(Sums(), batched=True)
    with pytest.raises(
        InputError, match=r"one output for each of the 16 examples, got shape \(4,\)\. Leave out batched"
    ):
        network.apply(network.init(KEY, inputs()), inputs())


def test_a_key_that_does_not_reach_dropout_is_said():
    class NoKey(EquinoxDropout):
        def __call__(self, x):
            return self.layers[0](self.dropout(x))

    class NotHandedOn(EquinoxDropout):
        def __call__(self, x, *, key=None):
            return self.layers[0](self.dropout(x))

    class Always(EquinoxDropout):
        def __call__(self, x, *, key=None):
            return self.layers[0](self.dropout(x, key=key, inference=False))

    for module, said in (
        (NoKey, "its __call__ takes no `key`"),
        (NotHandedOn, "must hand its `key` on to every layer"),
    ):
        network = as_network(module)
        variables = initialised(network)
        with pytest.raises(InputError, match=said):
            network.apply(variables, inputs(), key=KEY)
        assert network.apply(variables, inputs())[0].shape == (16, 8)
    network = as_network(Always)
    with pytest.raises(InputError, match="Always draws random numbers in a pass without noise"):
        network.apply(initialised(network), inputs())


def test_state_that_is_missing_or_not_switched_is_said():
    module, _ = eqx.nn.make_with_state(EquinoxCentred)(key=KEY)
    with pytest.raises(InputError, match=r"EquinoxCentred holds state in norm/mean\. Make it with eqx\.nn\.make_with_"):
        as_network(module)
    with pytest.raises(InputError, match=r"state must be an eqx\.nn\.State, got dict"):
        from_equinox(module, state={})
    with pytest.raises(InputError, match="state goes with a module that was made already"):
        from_equinox(EquinoxCentred, state={})
    with pytest.raises(TypeError, match=r"got a tuple of EquinoxDropout and dict\. Pass a stateful Equinox module as"):
        as_network((EquinoxDropout(KEY), {}))

    class Counts(eqx.Module):
        calls: eqx.nn.StateIndex

        def __init__(self, key):
            self.calls = eqx.nn.StateIndex(jnp.zeros(()))

        def __call__(self, x, state):
            return x, state.set(self.calls, state.get(self.calls) + 1)

    with pytest.raises(InputError, match="Counts holds state in itself, which has no field `inference`"):
        initialised(as_network(Counts))
    network = from_equinox(Counts, mode={})
    variables = initialised(network)
    assert float(network.apply(variables, inputs(), key=KEY)[1]["calls"]) == 1
    assert float(network.apply(variables, inputs())[1]["calls"]) == 0


def test_state_of_each_example_by_itself_is_said():
    class Last(eqx.Module):
        seen: eqx.nn.StateIndex
        inference: bool

        def __init__(self, key):
            self.seen, self.inference = eqx.nn.StateIndex(jnp.zeros(4)), False

        def __call__(self, x, state):
            return x, state.set(self.seen, x)

    network = as_network(Last)
    with pytest.raises(InputError, match="Last changes its state for each example by itself"):
        network.apply(initialised(network), inputs(), key=KEY)


def test_an_argument_for_both_cannot_keep_statistics_frozen():
    class Argument(EquinoxCentred):
        def __call__(self, x, state, training, *, key=None):
            norm = eqx.tree_at(lambda norm: norm.inference, self.norm, not training)
            x, state = norm(self.layers[0](x), state)
            return self.layers[1](x), state

    network = as_network(Argument)
    variables = initialised(network)
    assert digest(network.apply(variables, inputs(), key=KEY)[1]) != digest(variables.model_state)
    with pytest.raises(ValueError, match="Argument cannot have noise with frozen statistics: its argument training"):
        network.apply(variables, inputs(), key=KEY, training=False)


def test_what_a_constructor_or_call_needs_is_said():
    with pytest.raises(InputError, match=r"MLP must need nothing but key to make a module, got .*in_size"):
        as_network(eqx.nn.MLP)
    with pytest.raises(TypeError, match="from_equinox takes a module, or what makes one, got int"):
        from_equinox(3)
    with pytest.raises(InputError, match=r"<lambda> must give an eqx\.Module, got int"):
        from_equinox(lambda key: 3).init(KEY, inputs())

    class Two(eqx.Module):
        def __call__(self, left, right):
            return left + right

    with pytest.raises(InputError, match=r"Two\.__call__ needs right besides its inputs\. Wrap it with vx\.call_with"):
        as_network(Two())
    network = call_with_kwargs(Two())
    both = {"left": inputs(), "right": inputs()}
    np.testing.assert_array_equal(network.apply(network.init(KEY, both), both)[0], 2 * inputs())


def test_a_partial_of_a_class_is_recognised_and_a_function_is_not():
    network = as_network(functools.partial(eqx.nn.MLP, 4, 3, 8, 1))
    assert (network.library, network.name) == ("equinox", "MLP")
    with pytest.raises(TypeError, match=r"got function\. .* with vx\.from_nnx or vx\.from_equinox"):
        as_network(lambda key: eqx.nn.MLP(4, 3, 8, 1, key=key))
