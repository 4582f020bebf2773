"""Activation statistics agree with what each library computes, whatever the spelling, and roles are told apart."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.network import five
from tests.train.cases import COLUMNS
from verax.debug import activations
from verax.findings import InputError
from verax.network import Variables

INPUTS = np.random.default_rng(0).normal(size=(64, COLUMNS)).astype(np.float32)


@pytest.mark.parametrize("kind", five.KINDS)
def test_the_same_numbers_from_every_library(kind):
    network = five.network(kind, norm=False, rate=0.0)
    drawn = network.init(jax.random.key(0), jnp.asarray(INPUTS))
    params = five.weights(drawn.params)
    weights = five.canonical(params)
    before = INPUTS @ weights["hidden/kernel"] + weights["hidden/bias"]
    seen = activations(
        lambda variables, x: network.apply(variables, x)[0], Variables(params, drawn.model_state), INPUTS
    )
    hidden, out = seen
    assert (hidden.function, hidden.role, hidden.units) == ("relu", "hidden", five.HIDDEN)
    assert (out.function, out.role) == ("linear", "output")
    assert "hidden" in hidden.name and len(hidden.kernels) == len(hidden.biases) == 1
    np.testing.assert_allclose(hidden.mean, before.mean(), rtol=1e-4)
    np.testing.assert_allclose(hidden.pre_std, before.std(), rtol=1e-4)
    np.testing.assert_allclose(hidden.std, np.maximum(before, 0).std(), rtol=1e-4)
    np.testing.assert_allclose(hidden.spread, np.sqrt(before.var(axis=0).mean()), rtol=1e-4)
    np.testing.assert_allclose(hidden.flat, np.mean(before <= 0), atol=1e-9)
    np.testing.assert_allclose(hidden.largest, before.max(), rtol=1e-4)


@pytest.mark.parametrize("kind", five.WITH_NORM)
def test_a_normalisation_between_layer_and_activation_is_passed(kind):
    network = five.network(kind, norm=True, rate=0.3)
    with jax.numpy_dtype_promotion("standard"):  # which Haiku's dropout is written for
        variables = network.init(jax.random.key(0), jnp.asarray(INPUTS))
        seen = activations(lambda v, x, key: network.apply(v, x, key=key)[0], variables, INPUTS, jax.random.key(1))
    hidden = next(layer for layer in seen if layer.function == "relu")
    assert hidden.is_hidden and "hidden" in hidden.name
    assert hidden.pre_std == pytest.approx(1, abs=0.01) and 0.4 < hidden.flat < 0.6


SPELLINGS = {
    "relu": (
        jax.nn.relu,
        lambda x: jnp.maximum(x, 0),
        lambda x: jnp.where(x > 0, x, 0),
        lambda x: x * (x > 0).astype(x.dtype),
    ),
    "leaky_relu": (jax.nn.leaky_relu, lambda x: jnp.where(x > 0, x, 0.1 * x), lambda x: jnp.maximum(x, 0.1 * x)),
    "relu6": (jax.nn.relu6, lambda x: jnp.clip(x, 0, 1)),
    "hard_tanh": (jax.nn.hard_tanh, lambda x: jnp.clip(x, -1, 1)),
    "hard_sigmoid": (jax.nn.hard_sigmoid,),
    "tanh": (jnp.tanh, jax.nn.tanh),
    "sigmoid": (jax.nn.sigmoid, lambda x: 1 / (1 + jnp.exp(-x))),
    "soft_sign": (jax.nn.soft_sign, lambda x: x / (1 + jnp.abs(x))),
    "elu": (jax.nn.elu, lambda x: jnp.where(x > 0, x, jnp.exp(jnp.minimum(x, 0)) - 1)),
    "selu": (jax.nn.selu,),
    "gelu": (jax.nn.gelu, lambda x: jax.nn.gelu(x, approximate=False)),
    "silu": (jax.nn.silu, lambda x: x * jax.nn.sigmoid(x)),
    "softplus": (jax.nn.softplus, lambda x: jnp.log(1 + jnp.exp(x))),
    "sin": (jnp.sin, lambda x: jnp.sin(30 * x)),
    "arctan": (jnp.arctan,),
}


@pytest.mark.parametrize(("name", "number"), [(n, i) for n, some in SPELLINGS.items() for i in range(len(some))])
def test_every_spelling_has_its_name_and_its_slopes(name, number):
    function = SPELLINGS[name][number]
    weights = {"hidden": jnp.asarray(2 * np.eye(COLUMNS, dtype=np.float32)), "out": jnp.ones((COLUMNS, 1))}

    def network(weights, x):
        return function(x @ weights["hidden"]) @ weights["out"]

    hidden = activations(network, weights, INPUTS)["hidden"]
    slopes = np.asarray(jax.vmap(jax.grad(lambda z: function(z)))(jnp.asarray(2 * INPUTS).reshape(-1)))
    assert (hidden.function, hidden.role) == (name, "hidden")
    assert hidden.flat == pytest.approx(np.mean(np.abs(slopes) < 1e-3), abs=1e-9)
    assert hidden.silent == np.mean(np.all(slopes.reshape(INPUTS.shape) == 0, axis=0))


def test_dead_units_are_silent_and_saturated_ones_flat():
    weights = {"hidden": jnp.eye(COLUMNS), "out": jnp.ones((COLUMNS, 1))}
    shift = jnp.where(jnp.arange(COLUMNS) < 2, -100.0, 0.0)[None]
    dead = activations(lambda w, x: jax.nn.relu(x @ w["hidden"] + shift) @ w["out"], weights, INPUTS)["hidden"]
    assert dead.silent == dead.constant == 2 / COLUMNS
    flat = activations(lambda w, x: jnp.tanh(x @ w["hidden"] + shift) @ w["out"], weights, INPUTS)["hidden"]
    assert flat.flat == pytest.approx(2 / COLUMNS, abs=0.02)


def test_gates_outputs_and_softmax_are_no_hidden_layers():
    def attention(weights, x):  # of rows that attend to each other's columns
        keys = (x @ weights["k"]).reshape(-1, 2, 3)
        queries = (x @ weights["q"]).reshape(-1, 2, 3)
        shares = jax.nn.softmax(jnp.einsum("rik,rjk->rij", queries, keys))
        mixed = jnp.einsum("rij,rjk->rik", shares, keys).reshape(-1, 6)
        gated = jax.nn.sigmoid(mixed @ weights["gate"]) * (mixed @ weights["value"])
        return jax.nn.sigmoid(jax.nn.relu(gated @ weights["hidden"]) @ weights["out"])[:, 0]

    sizes = {"k": (COLUMNS, 6), "q": (COLUMNS, 6), "gate": (6, 5), "value": (6, 5), "hidden": (5, 7), "out": (7, 1)}
    weights = {name: jax.random.normal(jax.random.key(1), size) for name, size in sizes.items()}
    roles = {layer.function: layer.role for layer in activations(attention, weights, INPUTS) if layer.name != "gate"}
    assert roles["softmax"] == "softmax" and roles["relu"] == "hidden" and roles["sigmoid"] == "output"
    assert activations(attention, weights, INPUTS)["gate"].role == "gate"


@pytest.mark.parametrize("core", [hk.LSTM, hk.GRU, hk.VanillaRNN])
def test_cells_in_a_scan_are_told_from_plain_recurrence(core):
    def forward(x):
        cell = core(6)
        return hk.Linear(2)(hk.dynamic_unroll(cell, x, cell.initial_state(8), time_major=False)[0][:, -1])

    sequences = jnp.asarray(INPUTS[:40]).reshape(8, 5, COLUMNS)
    network = hk.without_apply_rng(hk.transform(forward))
    seen = activations(network.apply, network.init(jax.random.key(0), sequences), sequences)
    inner = {layer.role for layer in seen if layer.function in ("tanh", "sigmoid", "relu")}
    assert inner == ({"hidden"} if core is hk.VanillaRNN else {"gate"})
    assert seen.layers[-1].role == "output"


def test_layers_with_stacked_weights_are_told_apart():
    def network(weights, x):
        return jax.lax.scan(lambda x, w: (jax.nn.relu(x @ w), None), x, weights["stack"])[0] @ weights["out"]

    kernels = jnp.stack([jnp.eye(COLUMNS), -jnp.eye(COLUMNS), jnp.eye(COLUMNS)])
    seen = activations(network, {"stack": kernels, "out": jnp.ones((COLUMNS, 1))}, INPUTS)
    assert [layer.name for layer in seen] == ["stack[0]", "stack[1]", "stack[2]", "out"]
    assert [layer.silent for layer in seen][:3] == [0.0, 1.0, 1.0]


def test_channels_of_a_convolution_are_its_units():
    def network(weights, x):
        dims = jax.lax.conv_dimension_numbers(x.shape, weights["conv"].shape, ("NCHW", "OIHW", "NCHW"))
        x = jax.lax.conv_general_dilated(x, weights["conv"], (1, 1), "SAME", dimension_numbers=dims)
        return jax.nn.relu(x + weights["bias"][None, :, None, None]).mean((2, 3)) @ weights["out"]

    weights = {"conv": jnp.ones((3, 1, 3, 3)), "bias": jnp.array([0.0, -1e3, 0.0]), "out": jnp.ones((3, 1))}
    seen = activations(network, weights, np.random.default_rng(0).random((16, 1, 6, 6)).astype(np.float32))["conv"]
    assert (seen.units, seen.silent, seen.biases) == (3, 1 / 3, ("bias",))


def test_what_is_not_finite_is_counted_and_left_out():
    inputs = INPUTS.copy()
    inputs[0] = np.inf
    seen = activations(lambda w, x: jax.nn.relu(x @ w), jnp.eye(COLUMNS), inputs).layers[0]
    assert 0 < seen.nonfinite < 0.1 and np.isfinite([seen.std, seen.largest, seen.mean]).all()


def test_prints_as_a_table_and_says_which_layers_there_are():
    seen = activations(lambda w, x: jnp.tanh(x @ w["hidden"]) @ w["out"], {
        "hidden": jnp.eye(COLUMNS), "out": jnp.ones((COLUMNS, 1))}, INPUTS)  # fmt: skip
    lines = str(seen).splitlines()
    assert lines[0].split()[:3] == ["layer", "activation", "role"] and lines[1].split()[:3] == [
        "hidden",
        "tanh",
        "hidden",
    ]
    assert seen.to_json()["layers"][0]["function"] == "tanh"
    with pytest.raises(KeyError, match=r"no layer 'head'\. There are: hidden, out\."):
        seen["head"]


def test_refuses_to_be_traced():
    with pytest.raises(InputError, match="Call it outside of jit"):
        jax.jit(lambda x: activations(lambda w, x: x * w, jnp.ones(()), x))(jnp.ones(3))
