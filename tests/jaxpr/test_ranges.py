import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.jaxpr import Range, output_ranges

ANY = Range(-np.inf, np.inf)

KNOWN = {
    "relu": (jax.nn.relu, Range(0, np.inf)),
    "relu6": (jax.nn.relu6, Range(0, 6)),
    "softplus": (jax.nn.softplus, Range(0, np.inf)),
    "sigmoid by hand": (lambda x: 1 / (1 + jnp.exp(-x)), Range(0, 1)),
    "tanh, scaled and shifted": (lambda x: 5 * jnp.tanh(x) + 2, Range(-3, 7)),
    "softmax": (jax.nn.softmax, Range(0, 1)),
    "exponentials by their sum": (lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True), Range(0, np.inf)),
    "square": (lambda x: x**2, Range(0, np.inf)),
    "product with itself": (lambda x: x * x, Range(0, np.inf)),
    "cube": (lambda x: x**3, ANY),
    "clip": (lambda x: jnp.clip(x, -1, 3), Range(-1, 3)),
    "less its maximum": (lambda x: x - x.max(-1, keepdims=True), Range(-np.inf, 0)),
    "less another maximum": (lambda x: x - (2 * x).max(-1, keepdims=True), ANY),
    "norm": (lambda x: jnp.linalg.norm(x, axis=-1), Range(0, np.inf)),
    "sum of sigmoids": (lambda x: jax.nn.sigmoid(x).sum(-1), Range(0, 4)),
    "side by side": (lambda x: jnp.concatenate([jnp.tanh(x), jnp.exp(x)], -1), Range(-1, np.inf)),
    "a loop": (lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.tanh(y), x), ANY),
    "gelu": (jax.nn.gelu, ANY),
    "a matrix product": (lambda x: jnp.tanh(x) @ jnp.ones((4, 2)), ANY),
}


@pytest.mark.parametrize("name", KNOWN)
def test_gives_the_range(name):
    function, expected = KNOWN[name]
    (found,) = output_ranges(jax.make_jaxpr(function)(jnp.ones((3, 4))))
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("name", KNOWN)
def test_no_value_lies_outside(name):
    function, _ = KNOWN[name]
    x = jnp.asarray(np.random.default_rng(0).normal(scale=20, size=(50, 4)), jnp.float32)
    (found,) = output_ranges(jax.make_jaxpr(function)(x))
    values = np.asarray(function(x))
    assert found.low <= np.nanmin(values) and np.nanmax(values) <= found.high


def test_shows_each_operation_with_the_ranges_of_its_operands():
    seen = {}
    output_ranges(
        jax.make_jaxpr(lambda x: jnp.exp(jnp.tanh(x)))(1.0),
        lambda equation, ranges: seen.update({equation.eqn.primitive.name: [str(each) for each in ranges]}),
    )
    assert seen == {"tanh": ["[-inf, inf]"], "exp": ["[-1, 1]"]}
