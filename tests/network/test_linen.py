import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.network.cases import (
    CNN,
    MODELS,
    Counting,
    Deterministic,
    DropoutOnly,
    Field,
    Frozen,
    OwnNoise,
    OwnNoiseWithNorm,
    Plain,
    Setup,
    Train,
    Training,
    inputs,
)
from verax.findings import InputError
from verax.network import as_network, call_with_kwargs, from_linen
from verax.trees import digest

KEY = jax.random.key(1)


def initialised(network):
    return jax.jit(network.init)(jax.random.key(0), inputs())


@pytest.mark.parametrize(
    ("module", "mode"),
    [
        (Training(), {"training": True}),
        (Train(), {"train": True}),
        (Deterministic(), {"deterministic": False}),
        (Setup(), {"train": True}),
        (CNN(), {"train": True}),
        (DropoutOnly(), {"train": True}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_training_equals_plain_flax_bit_for_bit(module, mode):
    network = as_network(module)
    variables = initialised(network)
    tree, rngs = {"params": variables.params, **variables.model_state}, {"dropout": KEY}
    expected, changed = module.apply(tree, inputs(), **mode, rngs=rngs, mutable=["batch_stats"])
    outputs, updated = network.apply(variables, inputs(), key=KEY)
    np.testing.assert_array_equal(outputs, expected)
    assert digest(updated) == digest({**variables.model_state, **changed})


@pytest.mark.parametrize("name", ["training", "train", "deterministic", "setup and lists", "cnn", "dropout only"])
def test_evaluation_equals_plain_flax_bit_for_bit(name):
    module = MODELS[name][0]
    network = as_network(module)
    variables = initialised(network)
    flag = (
        {"deterministic": True} if name == "deterministic" else {"training" if name == "training" else "train": False}
    )
    expected = module.apply({"params": variables.params, **variables.model_state}, inputs(), **flag)
    np.testing.assert_array_equal(network.apply(variables, inputs())[0], expected)


def test_batch_statistics_begin_as_flax_begins_them():
    """The batch that `init` sees for its shapes does not enter the statistics."""
    stats = initialised(as_network(Training())).model_state["batch_stats"]["BatchNorm_0"]
    np.testing.assert_array_equal(stats["mean"], np.zeros(8))
    np.testing.assert_array_equal(stats["var"], np.ones(8))


def test_a_field_is_set_only_while_the_module_runs():
    module = Field()
    as_network(module).apply(initialised(as_network(module)), inputs(), key=KEY)
    assert module.deterministic is None


def test_a_stream_of_any_name_gets_a_key_of_its_own():
    network = as_network(OwnNoise())
    variables = initialised(network)
    noise = network.apply(variables, inputs(), key=KEY)[0] - network.apply(variables, inputs())[0]
    assert 0.5 < noise.std() < 2
    assert not np.allclose(noise, jax.random.normal(KEY, noise.shape))  # the key itself is for dropout


def test_every_mutable_collection_is_carried():
    network = as_network(Counting())
    variables = initialised(network)
    assert int(variables.model_state["counters"]["calls"]) == 0
    for expected in (1, 2, 3):
        _, model_state = network.apply(variables, inputs(), key=KEY)
        variables = variables._replace(model_state=model_state)
        assert int(model_state["counters"]["calls"]) == expected
    assert int(network.apply(variables, inputs())[1]["counters"]["calls"]) == 3


def test_what_is_sowed_does_not_grow():
    network = as_network(Counting())
    variables = initialised(network)
    assert set(variables.model_state) == {"counters"}
    _, model_state = network.apply(variables, inputs(), key=KEY)
    assert set(model_state) == {"counters"}


def test_noise_that_cannot_be_switched_off_is_refused_by_name():
    network = as_network(OwnNoiseWithNorm())
    variables = initialised(network)
    with pytest.raises(ValueError, match=r"OwnNoiseWithNorm: training statistics without noise were asked for, but"):
        network.apply(variables, inputs(), training=True)
    assert network.apply(variables, inputs(), key=KEY, training=False)[0].shape == (16, 3)


def test_attention_with_dropout_can_be_trained_without_noise():
    """Its noise is not a Dropout layer, but without statistics the key alone decides."""

    class Attention(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.MultiHeadDotProductAttention(1, dropout_rate=0.5, deterministic=not train)(x[..., None])
            return nn.Dense(3)(x[..., 0])

    network = as_network(Attention())
    variables = network.init(jax.random.key(0), inputs())
    quiet, _ = network.apply(variables, inputs(), training=True)
    np.testing.assert_array_equal(quiet, network.apply(variables, inputs())[0])
    assert not np.array_equal(quiet, network.apply(variables, inputs(), key=KEY)[0])


class DropoutWithoutMode(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.5, deterministic=False)(nn.Dense(3)(x))


class NormWithoutMode(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False, momentum=0.5)(nn.Dense(3)(x))


class FlagNotHandedOn(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dropout(0.5)(nn.Dense(3)(x))


class FlagIgnored(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dropout(0.5, deterministic=False)(nn.Dense(3)(x))


@pytest.mark.parametrize(
    ("module", "what"),
    [
        (DropoutWithoutMode(), "noise that it draws in evaluation too"),
        (NormWithoutMode(), "batch statistics"),
        (nn.Sequential([nn.Dense(3), nn.Dropout(0.5)]), "dropout or batch statistics"),
        (nn.Sequential([nn.Dense(3), nn.BatchNorm()]), "dropout or batch statistics"),
    ],
    ids=["dropout", "norm", "undecided dropout", "undecided norm"],
)
def test_noise_or_statistics_without_a_mode_are_an_error(module, what):
    message = (
        rf"{type(module).__name__} holds {what}, but its __call__ takes none of `training`.*from_linen\(module, mode="
    )
    with pytest.raises(InputError, match=message):
        initialised(as_network(module))


def test_a_flag_that_reaches_nothing_is_an_error():
    with pytest.raises(
        InputError, match=r"FlagNotHandedOn: .*deterministic.* Does its argument train reach every Dropout"
    ):
        initialised(as_network(FlagNotHandedOn()))
    network = as_network(FlagIgnored())
    with pytest.raises(ValueError, match=r"FlagIgnored draws noise in evaluation too\. Does its argument train reach"):
        network.apply(initialised(network), inputs())


def test_an_empty_mode_says_that_there_is_one_mode_only():
    network = from_linen(NormWithoutMode(), mode={})
    variables = initialised(network)
    trained, moved = network.apply(variables, inputs(), key=KEY)
    evaluated, kept = network.apply(variables, inputs())
    np.testing.assert_array_equal(trained, evaluated)
    assert digest(moved) != digest(kept) == digest(variables.model_state)


def test_an_empty_mode_cannot_silence_noise():
    network = from_linen(DropoutWithoutMode(), mode={})
    with pytest.raises(
        ValueError, match=r"DropoutWithoutMode draws noise in evaluation too\. Give its __call__ an argument"
    ):
        network.apply(initialised(network), inputs())


def test_a_mode_of_another_name_is_stated_with_its_value_in_training():
    network = from_linen(Frozen(), mode={"frozen": False})
    variables = initialised(network)
    rngs, mutable = {"dropout": KEY}, ["batch_stats"]
    tree = {"params": variables.params, **variables.model_state}
    trained, _ = Frozen().apply(tree, inputs(), frozen=False, rngs=rngs, mutable=mutable)
    np.testing.assert_array_equal(network.apply(variables, inputs(), key=KEY)[0], trained)
    np.testing.assert_array_equal(network.apply(variables, inputs())[0], Frozen().apply(tree, inputs(), frozen=True))


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, left, right, train):
        return nn.Dropout(0.5, deterministic=not train)(nn.Dense(3)(left)) + right


def test_several_inputs_are_named():
    network = call_with_kwargs(TwoInputs())
    both = {"left": inputs(), "right": jnp.ones((16, 3))}
    variables = network.init(jax.random.key(0), both)
    expected = TwoInputs().apply({"params": variables.params}, **both, train=True, rngs={"dropout": KEY})
    np.testing.assert_array_equal(network.apply(variables, both, key=KEY)[0], expected)
    assert set(both) == {"left", "right"}


def test_several_inputs_without_names_are_refused_with_the_way_out():
    with pytest.raises(
        InputError, match=r"TwoInputs\.__call__ needs right besides its inputs\. Wrap it with vx\.call_with"
    ):
        as_network(TwoInputs())


def test_a_module_without_mode_and_state_is_just_a_function():
    network = as_network(Plain())
    variables = initialised(network)
    np.testing.assert_array_equal(network.apply(variables, inputs(), key=KEY)[0], network.apply(variables, inputs())[0])
    assert (network.library, network.name, variables.model_state) == ("linen", "Plain", {})


def test_the_first_weights_are_those_of_flax_itself():
    class Plain(nn.Module):
        @nn.compact
        def __call__(self, x, training: bool):
            x = nn.Dropout(0.5, deterministic=not training)(nn.Dense(4)(x))
            return nn.Dense(2)(x)

    inputs, key = jnp.ones((3, 5)), jax.random.key(4)
    expected = Plain().init(key, inputs, training=False)["params"]
    found = as_network(Plain()).init(key, inputs).params
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), expected, found))
