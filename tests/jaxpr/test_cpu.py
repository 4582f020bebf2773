"""Rewritten convolutions and pool gradients compute what the stock ones do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from verax.jaxpr import equations, rewritten_for_cpu

pytestmark = pytest.mark.compiler

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

    rewritten = rewritten_for_cpu(step)
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
    np.testing.assert_allclose(rewritten_for_cpu(convolve)(x, w), convolve(x, w), rtol=2e-5, atol=2e-5)
    assert all(map(is_canonical, layouts(rewritten_for_cpu(convolve), x, w)))


def test_convolutions_in_nested_calls_are_reached():
    @jax.jit
    def inner(x, w):
        return jax.nn.relu(lax.conv(x, w, (1, 1), "SAME"))

    x, w = images(2, 3, 5, 5), images(4, 3, 3, 3)
    assert all(map(is_canonical, layouts(rewritten_for_cpu(inner), x, w)))
    np.testing.assert_allclose(rewritten_for_cpu(inner)(x, w), inner(x, w), rtol=2e-5, atol=2e-5)


def test_convolutions_in_loops_of_the_function_stay():
    def looped(x, w):
        return lax.fori_loop(0, 2, lambda _, each: lax.conv(each, w, (1, 1), "SAME"), x)

    x, w = images(2, 3, 5, 5), images(3, 3, 3, 3)
    assert layouts(rewritten_for_cpu(looped), x, w) == layouts(looped, x, w)
    np.testing.assert_array_equal(rewritten_for_cpu(looped)(x, w), looped(x, w))


def test_keys_and_trees_pass_through():
    def noisy(state, key):
        return {"sum": state["x"] + jax.random.normal(key, (3,)), "key": jax.random.fold_in(key, 1)}

    key, state = jax.random.key(3), {"x": jnp.ones(3)}
    expected, found = noisy(state, key), rewritten_for_cpu(noisy)(state, key)
    np.testing.assert_array_equal(found["sum"], expected["sum"])
    assert (jax.random.key_data(found["key"]) == jax.random.key_data(expected["key"])).all()


POOLS = {
    "2 x 2": ((4, 8, 6, 3), (2, 2)),
    "3 x 2": ((2, 9, 4, 5), (3, 2)),
    "one axis": ((3, 8, 2), (4,)),
    "three axes": ((2, 4, 4, 2, 3), (2, 2, 2)),
}


def pool_gradient(inputs, window, **settings):
    def loss(x):
        pooled = nn.max_pool(x, window, **settings)
        return jnp.sum(pooled * jnp.arange(pooled.size, dtype=jnp.float32).reshape(pooled.shape))

    return jax.grad(loss), inputs


def primitives(function, *args):
    return {each.eqn.primitive.name for each in equations(jax.make_jaxpr(function)(*args))}


@pytest.mark.parametrize("shape, window", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_the_gradient_of_a_pool_is_the_same_bit_for_bit(shape, window, ties):
    inputs = jnp.round(images(*shape)) if ties else images(*shape)
    gradient, inputs = pool_gradient(inputs, window, strides=window)
    rewritten = rewritten_for_cpu(gradient)
    np.testing.assert_array_equal(jax.jit(rewritten)(inputs), jax.jit(gradient)(inputs))
    assert "select_and_scatter_add" in primitives(gradient, inputs)  # else this test shows nothing
    assert "select_and_scatter_add" not in primitives(rewritten, inputs)


@pytest.mark.parametrize(
    "shape, window, settings",
    [
        ((2, 8, 8, 1), (3, 3), {"strides": (2, 2)}),
        ((2, 7, 7, 1), (2, 2), {"strides": (2, 2)}),
        ((2, 7, 7, 1), (2, 2), {"strides": (2, 2), "padding": "SAME"}),
    ],
    ids=["overlapping", "with a rest", "padded"],
)
def test_other_pools_stay(shape, window, settings):
    gradient, inputs = pool_gradient(images(*shape), window, **settings)
    assert "select_and_scatter_add" in primitives(rewritten_for_cpu(gradient), inputs)
    np.testing.assert_array_equal(rewritten_for_cpu(gradient)(inputs), gradient(inputs))


def test_constant_outputs_are_arrays_of_their_type():
    number, flag = rewritten_for_cpu(lambda x: (x + 1, jnp.array(True)))(jnp.ones(2))
    assert flag.dtype == bool and number.shape == (2,)


def dense_gradient(rows, width, inputs, dtype=jnp.float32):
    """The gradient of a dense layer with respect to its inputs, and its arguments."""

    def gradient(cotangent, weights):
        return lax.dot_general(cotangent, weights, (((1,), (1,)), ((), ()))) * 2

    return gradient, images(rows, width).astype(dtype), images(inputs, width).astype(dtype)


def first_operands(function, *args):
    """The shape of the first operand of every product in the program that XLA is given."""
    text = jax.jit(function).lower(*args).as_text()
    return [line.split(":")[1].split("tensor<")[1].split("x")[0] for line in text.splitlines() if "dot_general" in line]


def test_few_rows_times_a_large_transpose_are_changed_over():
    gradient, *args = dense_gradient(32, 128, 256)
    rewritten = rewritten_for_cpu(gradient)
    assert first_operands(gradient, *args) == ["32"]
    assert first_operands(rewritten, *args) == ["256"]
    np.testing.assert_allclose(jax.jit(rewritten)(*args), gradient(*args), rtol=2e-5, atol=2e-4)


def test_the_compiler_keeps_products_changed_over_for_many_lanes_too():
    gradient, cotangent, weights = dense_gradient(8, 128, 256)
    lanes = jnp.stack([cotangent, 2 * cotangent]), jnp.stack([weights, weights])
    text = jax.jit(jax.vmap(rewritten_for_cpu(gradient))).lower(*lanes).compile().as_text()
    assert "f32[2,256,8]{2,1,0} dot(" in text  # the weights' rows come first
    assert "f32[2,8,256]{2,1,0} dot(" in jax.jit(jax.vmap(gradient)).lower(*lanes).compile().as_text()
    np.testing.assert_allclose(
        jax.vmap(rewritten_for_cpu(gradient))(*lanes), jax.vmap(gradient)(*lanes), rtol=2e-5, atol=2e-4
    )


@pytest.mark.parametrize(
    "rows, width, inputs, dtype",
    [
        (33, 128, 128, jnp.float32),
        (32, 127, 256, jnp.float32),
        (32, 256, 127, jnp.float32),
        (8, 256, 256, jnp.bfloat16),
    ],
    ids=["many rows", "narrow", "few inputs", "bfloat16"],
)
def test_other_products_stay(rows, width, inputs, dtype):
    gradient, *args = dense_gradient(rows, width, inputs, dtype)
    assert first_operands(rewritten_for_cpu(gradient), *args) == first_operands(gradient, *args) == [str(rows)]


def test_precision_stays_with_its_operand():
    def gradient(cotangent, weights):
        precision = (lax.Precision.DEFAULT, lax.Precision.HIGHEST)
        return lax.dot_general(cotangent, weights, (((1,), (1,)), ((), ())), precision=precision)

    _, *args = dense_gradient(8, 128, 128)
    (eqn,) = (
        each.eqn
        for each in equations(jax.make_jaxpr(rewritten_for_cpu(gradient))(*args))
        if each.eqn.primitive.name == "dot_general"
    )
    assert eqn.params["precision"] == (lax.Precision.HIGHEST, lax.Precision.DEFAULT)
