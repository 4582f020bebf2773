"""The rewritten convolutions compute what the stock ones do, in one layout, gradients too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from verax.jaxpr import canonical_convolutions, equations

LAYERS = {
    "plain": nn.Conv(6, (3, 3)),
    "strided": nn.Conv(6, (3, 3), strides=(2, 2)),
    "dilated": nn.Conv(6, (3, 3), kernel_dilation=(2, 2)),
    "grouped": nn.Conv(6, (3, 3), feature_group_count=3),
    "transposed": nn.ConvTranspose(6, (3, 3), strides=(2, 2)),
    "even kernel, no padding": nn.Conv(6, (2, 4), padding="VALID"),
}


def images(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def layouts(function, *args):
    """The axis numbers of every convolution of a function, nested ones too."""
    program = jax.make_jaxpr(function)(*args)
    found = (each.eqn for each in equations(program) if each.eqn.primitive.name == "conv_general_dilated")
    return [eqn.params["dimension_numbers"] for eqn in found]


def is_canonical(numbers):
    space = len(numbers.lhs_spec) - 2
    rows = (0, space + 1, *range(1, space + 1))
    return numbers.lhs_spec == numbers.out_spec == rows and numbers.rhs_spec == (space + 1, space, *range(space))


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_value_and_gradients_of_a_layer_stay_and_become_canonical(layer):
    inputs = images(4, 9, 8, 3)
    variables = layer.init(jax.random.key(0), inputs)

    def step(variables, inputs):
        def loss(variables, inputs):
            return jnp.sum(jnp.sin(layer.apply(variables, inputs)))

        return jax.value_and_grad(loss, argnums=(0, 1))(variables, inputs)

    rewritten = canonical_convolutions(step)
    for expected, found in zip(
        jax.tree.leaves(jax.jit(step)(variables, inputs)),
        jax.tree.leaves(jax.jit(rewritten)(variables, inputs)),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)  # other order of summation in float32
    assert not all(map(is_canonical, layouts(step, variables, inputs)))  # else this test shows nothing
    assert all(map(is_canonical, layouts(rewritten, variables, inputs)))


@pytest.mark.parametrize(
    "shape, kernel, numbers",
    [((2, 3, 9), (4, 3, 2), ("NCW", "OIW", "NCW")), ((2, 3, 5, 6, 7), (4, 3, 2, 2, 2), ("NCDHW", "OIDHW", "NCDHW"))],
    ids=["one dimension", "three dimensions"],
)
def test_other_numbers_of_dimensions(shape, kernel, numbers):
    def convolve(x, w):
        return lax.conv_general_dilated(x, w, (1,) * (len(shape) - 2), "SAME", dimension_numbers=numbers)

    x, w = images(*shape), images(*kernel)
    np.testing.assert_allclose(canonical_convolutions(convolve)(x, w), convolve(x, w), rtol=2e-5, atol=2e-5)
    assert all(map(is_canonical, layouts(canonical_convolutions(convolve), x, w)))


def test_convolutions_in_nested_calls_are_reached():
    @jax.jit
    def inner(x, w):
        return jax.nn.relu(lax.conv(x, w, (1, 1), "SAME"))

    x, w = images(2, 3, 5, 5), images(4, 3, 3, 3)
    assert all(map(is_canonical, layouts(canonical_convolutions(inner), x, w)))
    np.testing.assert_allclose(canonical_convolutions(inner)(x, w), inner(x, w), rtol=2e-5, atol=2e-5)


def test_convolutions_in_loops_of_the_function_stay():
    def looped(x, w):
        return lax.fori_loop(0, 2, lambda _, each: lax.conv(each, w, (1, 1), "SAME"), x)

    x, w = images(2, 3, 5, 5), images(3, 3, 3, 3)
    assert layouts(canonical_convolutions(looped), x, w) == layouts(looped, x, w)
    np.testing.assert_array_equal(canonical_convolutions(looped)(x, w), looped(x, w))


def test_keys_and_trees_pass_through():
    def noisy(state, key):
        return {"sum": state["x"] + jax.random.normal(key, (3,)), "key": jax.random.fold_in(key, 1)}

    key, state = jax.random.key(3), {"x": jnp.ones(3)}
    expected, found = noisy(state, key), canonical_convolutions(noisy)(state, key)
    np.testing.assert_array_equal(found["sum"], expected["sum"])
    assert (jax.random.key_data(found["key"]) == jax.random.key_data(expected["key"])).all()
