import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.network.cases import Nnx, NnxArgument, inputs
from verax.findings import InputError
from verax.network import as_network, call_with_kwargs, from_nnx
from verax.trees import digest, leaves_by_path

KEY = jax.random.key(1)


def initialised(network, x=None, seed=0):
    return jax.jit(network.init)(jax.random.key(seed), inputs() if x is None else x)


def pure(module, *kinds):
    return nnx.to_pure_dict(nnx.state(module, *kinds))


def test_a_constructor_gives_the_weights_of_its_own_call():
    """As `Nnx(nnx.Rngs(key))` draws them, in whichever of three ways the constructor is given."""
    expected = Nnx(nnx.Rngs(jax.random.key(3)))
    for network in (as_network(Nnx), as_network(functools.partial(Nnx)), from_nnx(lambda rngs: Nnx(rngs))):
        variables = initialised(network, seed=3)
        assert digest(variables.params) == digest(pure(expected, nnx.Param))
        assert digest(variables.model_state) == digest(pure(expected, nnx.BatchStat))


def test_a_module_keeps_its_weights_whatever_the_key():
    module = Nnx(nnx.Rngs(7))
    network = as_network(module)
    assert (network.library, network.name) == ("nnx", "Nnx")
    assert digest(initialised(network)) == digest(initialised(network, seed=1))
    assert digest(initialised(network).params) == digest(pure(module, nnx.Param))


def test_paths_are_readable():
    variables = initialised(as_network(Nnx))
    assert list(leaves_by_path(variables.params)) == [
        "layers/0/bias", "layers/0/kernel", "layers/1/bias", "layers/1/scale", "out/bias", "out/kernel",
    ]  # fmt: skip
    assert list(leaves_by_path(variables.model_state)) == ["layers/1/mean", "layers/1/var"]


def test_evaluation_and_statistics_equal_plain_flax():
    module = Nnx(nnx.Rngs(0))
    network = as_network(module)
    variables = initialised(network)
    plain = nnx.clone(module)
    plain.train()
    plain.dropout.rate = 0.0
    expected = plain(inputs())
    outputs, model_state = network.apply(variables, inputs(), training=True)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    after = pure(plain, nnx.BatchStat)
    for path, leaf in leaves_by_path(after).items():
        np.testing.assert_allclose(leaves_by_path(model_state)[path], leaf, rtol=1e-6)
    plain.eval()
    outputs, _ = network.apply(variables._replace(model_state=model_state), inputs())
    np.testing.assert_allclose(outputs, plain(inputs()), rtol=1e-6)


def test_the_module_given_is_never_changed():
    module = Nnx(nnx.Rngs(0))
    module.eval()
    before = digest(pure(module))
    network = as_network(module)
    network.apply(initialised(network), inputs(), key=KEY)
    assert digest(pure(module)) == before
    assert module.dropout.deterministic and module.layers[1].use_running_average


def test_what_a_module_sows_is_left_out():
    class Sows(nnx.Module):
        def __init__(self, rngs):
            self.out = nnx.Linear(4, 3, rngs=rngs)
            self.seen = nnx.Intermediate(())

        def __call__(self, x):
            return self.out(x)

    network = as_network(Sows(nnx.Rngs(0)))
    variables = initialised(network)
    assert variables.model_state == {}
    assert network.apply(variables, inputs(), key=KEY)[0].shape == (16, 3)


def test_other_variables_are_carried_and_arrays_stay():
    class Counts(nnx.Module):
        def __init__(self, rngs):
            self.out = nnx.Linear(4, 3, rngs=rngs)
            self.calls = nnx.Variable(jnp.zeros((), jnp.int32))
            self.scale = jnp.full(3, 2.0)

        def __call__(self, x):
            self.calls[...] += 1
            return self.out(x) * self.scale[None]

    for model in (Counts, Counts(nnx.Rngs(jax.random.key(0)))):
        network = as_network(model)
        variables = initialised(network)
        assert list(leaves_by_path(variables.params)) == ["out/bias", "out/kernel"]
        np.testing.assert_array_equal(variables.model_state["scale"], [2, 2, 2])
        outputs, model_state = jax.jit(network.apply)(variables, inputs(), key=KEY)
        assert (int(model_state["calls"]), int(network.apply(variables, inputs())[1]["calls"])) == (1, 0)
        np.testing.assert_allclose(outputs, 2 * (inputs() @ variables.params["out"]["kernel"]), rtol=1e-5)


class Attends(nnx.Module):
    """Attention with dropout, a recurrent layer that keeps a random stream, and normalisation of rows."""

    def __init__(self, rngs):
        self.rnn = nnx.RNN(nnx.GRUCell(4, 8, rngs=rngs), rngs=rngs)
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 8, dropout_rate=0.5, decode=False, rngs=rngs)
        self.out = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.out(self.attention(self.norm(self.rnn(x))).mean(axis=1))


@pytest.mark.slow
def test_attention_and_recurrent_layers():
    x = jnp.ones((5, 6, 4))
    network = as_network(Attends)
    variables, apply = initialised(network, x), jax.jit(network.apply)
    evaluated = apply(variables, x)[0]
    np.testing.assert_array_equal(evaluated, apply(variables, x)[0])
    assert not np.array_equal(apply(variables, x, key=KEY)[0], evaluated)
    plain = Attends(nnx.Rngs(jax.random.key(0)))
    plain.eval()
    np.testing.assert_allclose(evaluated, plain(x), rtol=1e-5, atol=1e-6)


def test_a_module_may_take_its_random_streams_in_the_call():
    class InCall(nnx.Module):
        def __init__(self, rngs):
            self.out = nnx.Linear(4, 3, rngs=rngs)
            self.dropout = nnx.Dropout(0.5)

        def __call__(self, x, rngs):
            return self.out(self.dropout(x, rngs=rngs))

    network = as_network(InCall)
    variables = initialised(network)
    first, again, other = (network.apply(variables, inputs(), key=jax.random.key(seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(*(network.apply(variables, inputs())[0] for _ in range(2)))


def test_noise_that_nothing_switches_is_an_error_where_there_is_no_key():
    class Noisy(nnx.Module):
        def __init__(self, rngs):
            self.out = nnx.Linear(4, 3, rngs=rngs)
            self.rngs = rngs

        def __call__(self, x):
            return self.out(x) + self.rngs.normal((3,))[None]

    network = as_network(Noisy)
    variables = initialised(network)
    assert network.apply(variables, inputs(), key=KEY)[0].shape == (16, 3)
    with pytest.raises(InputError, match=r"Noisy draws random numbers in a pass without noise\. Let the flag"):
        jax.jit(network.apply)(variables, inputs())


def test_one_argument_for_both_is_taken_apart():
    """MC dropout and training statistics without noise, through a module whose `train` switches both."""
    network = as_network(NnxArgument)
    variables, apply = initialised(network), jax.jit(network.apply, static_argnames="training")
    quiet, noisy = (apply(variables, inputs(), key=key, training=True)[1] for key in (None, KEY))
    for path, leaf in leaves_by_path(quiet).items():
        np.testing.assert_allclose(leaf, leaves_by_path(noisy)[path], rtol=1e-5)
    outputs = [apply(variables, inputs(), key=jax.random.key(seed), training=False)[0] for seed in range(300)]
    error = np.std(outputs, axis=0) / 300**0.5
    np.testing.assert_array_less(abs(np.mean(outputs, axis=0) - apply(variables, inputs())[0]), 5 * error + 1e-6)


def test_statistics_that_nothing_switches_are_an_error():
    class Mean(nnx.Module):
        def __init__(self, rngs):
            self.mean = nnx.BatchStat(jnp.zeros(4))

        def __call__(self, x):
            self.mean[...] = x.mean(axis=0)
            return x - self.mean[...][None]

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.centre, self.out = Mean(rngs), nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, x):
            return self.out(self.centre(x))

    with pytest.raises(InputError, match=r"Net holds batch statistics in centre, which has neither"):
        initialised(as_network(Net))
    assert initialised(from_nnx(Net, mode={})).model_state["centre"]["mean"].shape == (4,)


def test_what_a_constructor_or_call_needs_is_said():
    with pytest.raises(InputError, match=r"Linear must need nothing but rngs .* functools\.partial\(MLP, 784, 128\)"):
        as_network(nnx.Linear)
    with pytest.raises(InputError, match=r"<lambda> must give an nnx\.Module, got int"):
        from_nnx(lambda rngs: 3).init(KEY, inputs())
    with pytest.raises(TypeError, match=r"from_nnx takes a module, or what makes one, got int"):
        from_nnx(3)

    class Two(nnx.Module):
        def __call__(self, left, right, training=True):
            return left + right

    with pytest.raises(InputError, match=r"Two\.__call__ needs right besides its inputs\. Wrap it with vx\.call_with"):
        as_network(Two())
    network = call_with_kwargs(Two())
    both = {"left": inputs(), "right": inputs()}
    np.testing.assert_array_equal(network.apply(network.init(KEY, both), both)[0], 2 * inputs())


def test_the_trained_module_comes_back():
    network = as_network(Nnx)
    variables = initialised(network)
    module = network.module(variables)
    assert isinstance(module, Nnx)
    np.testing.assert_allclose(module(inputs()), network.apply(variables, inputs())[0], rtol=1e-6)
    mine = Nnx(nnx.Rngs(9))
    nnx.update(mine, variables.params)  # or into a module that one has
    assert digest(pure(mine, nnx.Param)) == digest(variables.params)


def test_the_program_is_that_of_linen():
    """As many floating-point operations for a gradient as of the same network in Linen: nothing is computed twice."""
    from flax import linen as nn

    class Linen(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.relu(nn.BatchNorm(not train)(nn.Dense(8)(x)))
            return nn.Dense(3)(nn.Dropout(0.5, deterministic=not train)(x))

    def flops(model):
        network = as_network(model)
        variables = initialised(network)

        def loss(params):
            return network.apply(variables._replace(params=params), inputs(), key=KEY)[0].sum()

        return jax.jit(jax.grad(loss)).lower(variables.params).compile().cost_analysis()["flops"]

    assert flops(Nnx) <= 1.1 * flops(Linen())
