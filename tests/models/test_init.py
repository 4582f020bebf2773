"""How weights are drawn: each scheme keeps the size of activations through depth, and a wrong one is seen not to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import verax as vx
from tests.models.cases import count, fast_key, init, numbers
from verax.models import ACTIVATIONS, MLP, ConvNet, Dropout, ResidualBlock, ResNet, initial_scheme, kernel_init

DEPTH, WIDTH = 10, 256


def mean_squares(kernel, activation, inputs):
    """Mean squares before the activation of a deep stack of layers, the first and the last."""

    @jax.jit
    def run(key, x):
        squares = []
        for layer in range(DEPTH):
            z = x @ kernel(jax.random.fold_in(key, layer), (WIDTH, WIDTH))
            squares.append(jnp.mean(z**2))
            x = ACTIVATIONS[activation](z)
        return squares[0], squares[-1]

    return run(fast_key(), inputs)


def assert_depth_keeps_size(squares):
    first, last = map(float, squares)
    assert 0.5 < last / first < 2, f"the mean square went from {first:.2g} to {last:.2g}"


@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_activations_keep_their_size_through_ten_layers(activation):
    assert_depth_keeps_size(mean_squares(kernel_init(activation), activation, numbers(64, WIDTH)))


def test_lecuns_scheme_with_relu_is_seen_to_lose_them():
    with pytest.raises(AssertionError, match="the mean square went from"):
        assert_depth_keeps_size(mean_squares(kernel_init(None), "relu", numbers(64, WIDTH)))


def test_a_ten_layer_mlp_keeps_the_size_of_its_activations():
    model, inputs = MLP((WIDTH,) * DEPTH + (1,)), numbers(64, WIDTH)
    variables = init(model, inputs)
    _, state = model.apply(variables, inputs, capture_intermediates=True, mutable=["intermediates"])
    layers = state["intermediates"]
    assert_depth_keeps_size([np.mean(layers[f"Dense_{i}"]["__call__"][0] ** 2) for i in (0, DEPTH - 1)])


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish"])
def test_the_scale_keeps_the_mean_square_of_a_normal_input(name):
    function = jax.jit(ACTIVATIONS[name])
    points = np.linspace(-9, 9, 20001)
    moment = np.trapezoid(np.asarray(function(points.astype(np.float32)), float) ** 2 * norm.pdf(points), points)
    assert initial_scheme(name).scale * moment == pytest.approx(1, rel=2e-3)  # the grid, and leaky_relu's 1e-4


def test_schemes_are_those_of_the_papers():
    assert initial_scheme("relu").std(50, 7) == pytest.approx(np.sqrt(2 / 50))  # He et al. 2015, eq. 10
    assert initial_scheme("selu").std(50, 7) == initial_scheme(None).std(50, 7) == pytest.approx(np.sqrt(1 / 50))
    assert initial_scheme("tanh").std(50, 6) == pytest.approx(np.sqrt(2 / 56))  # Glorot and Bengio 2010, eq. 12
    assert initial_scheme(functools.partial(jax.nn.gelu, approximate=False)) == initial_scheme("gelu")
    assert initial_scheme(lambda x: x).name == "He"


@pytest.mark.parametrize("activation", ["relu", "tanh", None])
def test_kernels_have_the_std_of_their_scheme(activation):
    kernel = jax.jit(lambda key: kernel_init(activation)(key, (100, 300)))(fast_key())
    assert float(kernel.std()) == pytest.approx(initial_scheme(activation).std(100, 300), rel=0.02)  # 30,000 numbers
    ends = jax.jit(lambda key: kernel_init(activation, branches=4)(key, (100, 300)))(fast_key())
    np.testing.assert_allclose(2 * ends, kernel, rtol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "group", None])
def test_a_residual_block_is_the_identity_at_first(norm):
    block, images = ResidualBlock(8, norm=norm), np.abs(numbers(3, 4, 4, 8))
    variables = init(block, images)
    outputs = jax.jit(block.apply)(variables, images)
    np.testing.assert_array_equal(outputs, images)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, variables)
    assert not np.allclose(jax.jit(block.apply)(moved, images), images)


def test_depth_does_not_change_what_a_residual_network_computes_at_first():
    images = numbers(4, 8, 8)
    shallow, deep = ResNet(3, (4,), (1,)), ResNet(3, (4,), (3,))
    few, many = (init(model, images) for model in (shallow, deep))
    shared = {name: many["params"][name] for name in few["params"]}
    statistics = {name: many["batch_stats"][name] for name in few["batch_stats"]}
    np.testing.assert_array_equal(
        shallow.apply({"params": shared, "batch_stats": statistics}, images), deep.apply(many, images)
    )


def shapes(model, *shape):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))["params"]


def test_parameters_are_as_many_as_the_formula_says():
    assert count(shapes(MLP((512, 512, 10)), 1, 28, 28)) == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert count(shapes(MLP((6, 3), norm="batch"), 1, 4)) == 4 * 6 + 2 * 6 + 6 * 3 + 3
    # keras.io's convolutional network for MNIST
    assert count(shapes(ConvNet(10, (32, 64), (), padding="VALID"), 1, 28, 28)) == 34_826
    assert count(shapes(ConvNet(10, (4,), (5,), pool=1), 1, 6, 6, 2)) == 4 * (9 * 2 + 1) + 5 * (36 * 4 + 1) + 10 * 6
    # ResNet-18 for ImageNet, as torchvision counts it
    resnet18 = ResNet(1000, (64, 128, 256, 512), (2, 2, 2, 2), stem="large")
    assert count(shapes(resnet18, 1, 224, 224, 3)) == 11_689_512


def test_stages_halve_the_image():
    program = str(
        jax.make_jaxpr(lambda x: ResNet(3, (4, 8), (1, 1)).init_with_output(jax.random.key(0), x)[0])(
            jnp.zeros((2, 8, 8))
        )
    )
    assert "f32[2,8,8,4]" in program
    assert "f32[2,4,4,8]" in program


def test_dropout_draws_the_bits_of_flax():
    from flax import linen as nn

    inputs, key = numbers(50, 20), jax.random.key(3)
    ours = Dropout(0.3, deterministic=False).apply({}, jnp.asarray(inputs), rngs={"dropout": key})
    flax = nn.Dropout(0.3, deterministic=False).apply({}, jnp.asarray(inputs), rngs={"dropout": key})
    np.testing.assert_array_equal(ours, flax)
    traced = jax.jit(lambda rate: Dropout(rate, deterministic=False).apply({}, inputs, rngs={"dropout": key}))(0.3)
    np.testing.assert_allclose(traced, flax, rtol=1e-6)  # 1 - 0.3 is rounded in float32
    once = jax.make_jaxpr(lambda x: Dropout(0.0, deterministic=False).apply({}, x, rngs={"dropout": key}))(inputs)
    assert once.eqns == []


def test_rates_are_lanes_of_one_program():
    """Networks with five rates train together; the lane of rate 0 is the network without dropout."""
    inputs, targets = jnp.asarray(numbers(32, 6)), jnp.asarray(numbers(32, 1, seed=1))
    params, traces = init(MLP((16, 1)), inputs)["params"], []

    def train(rate):
        traces.append(rate)
        model = MLP((16, 1), dropout_rate=rate)

        def loss(params, key):
            outputs = model.apply({"params": params}, inputs, training=True, rngs={"dropout": key})
            return jnp.mean((outputs - targets) ** 2)

        def step(params, number):
            value, grads = jax.value_and_grad(loss)(params, jax.random.fold_in(jax.random.key(0), number))
            return jax.tree.map(lambda leaf, grad: leaf - 0.1 * grad, params, grads), value

        return jax.lax.scan(step, params, jnp.arange(5))[1]

    rates = jnp.array([0.0, 0.1, 0.5, 0.9, 1.0])
    losses = np.asarray(jax.jit(jax.vmap(train))(rates))
    assert len(traces) == 1
    assert np.isfinite(losses).all()
    assert len({float(last) for last in losses[:, -1]}) == 5
    plain = jax.jit(lambda: train(0.0))()
    np.testing.assert_allclose(losses[0], plain, rtol=1e-5)  # a batched product sums in another order


def test_a_rate_may_be_a_hyperparameter_of_a_compiled_program():
    inputs, key = jnp.asarray(numbers(4, 6)), fast_key()
    variables = init(MLP((16, 2)), inputs)

    @jax.jit
    def outputs(rate):
        network = vx.as_network(MLP((16, 2), dropout_rate=rate))
        return network.apply(vx.Variables(variables["params"], {}), inputs, key=key)[0]

    assert not np.array_equal(outputs(0.0), outputs(0.5))
    assert outputs._cache_size() == 1
