import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.extend.core import jaxpr_as_fun

from verax.jaxpr import in_float64, narrowing_equations


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


X = np.linspace(0.1, 0.9, 4)


def wide(f, *args):
    """The function's value where all its floating-point numbers are float64."""
    program = in_float64(jax.make_jaxpr(f)(*args))
    assert narrowing_equations(program) == ()
    (result,) = jaxpr_as_fun(program)(*jax.tree.leaves(args))
    assert result.dtype == np.float64
    return np.asarray(result)


NARROW = {
    "a cast": (lambda x: jnp.sin(x.astype(jnp.float32)), np.sin),
    "two casts": (lambda x: jnp.sin(x.astype(jnp.bfloat16)).astype(jnp.float16), np.sin),
    "a rounding": (lambda x: jax.lax.reduce_precision(jnp.sin(x), 8, 5), np.sin),
    "a product": (lambda x: jnp.dot(x, x, preferred_element_type=jnp.float32), lambda x: x @ x),
    "a sum": (lambda x: jnp.sum(x.astype(jnp.float16), dtype=jnp.float16), np.sum),
    "jit": (jax.jit(lambda x: jnp.exp(x.astype(jnp.float32))), np.exp),
    "remat": (jax.checkpoint(lambda x: jnp.exp(x.astype(jnp.float32))), np.exp),
    "a scan": (
        lambda x: jax.lax.scan(lambda c, y: (c + jnp.sin(y.astype(jnp.float32)), None), jnp.float32(0), x)[0],
        lambda x: np.sin(x).sum(),
    ),
    "a while": (
        lambda x: jax.lax.fori_loop(0, 2, lambda _, y: jnp.sin(y), x.astype(jnp.float32)),
        lambda x: np.sin(np.sin(x)),
    ),
    "a branch": (lambda x: jax.lax.cond(x[0] > 0, lambda y: jnp.sin(y), lambda y: y, x.astype(jnp.float32)), np.sin),
    "integers": (lambda x: jnp.arange(4).astype(jnp.float32) * x.astype(jnp.float32), lambda x: np.arange(4) * x),
    "a function with a rule": (lambda x: jax.nn.softplus(x.astype(jnp.float32)), lambda x: np.log1p(np.exp(x))),
}  # fmt: skip


@pytest.mark.parametrize("name", NARROW)
def test_narrow_types_are_replaced(name):
    f, expected = NARROW[name]
    found = wide(f, X)
    np.testing.assert_allclose(found, expected(X), rtol=1e-14)
    assert not np.allclose(np.asarray(f(X), np.float64), expected(X), rtol=1e-9, atol=0) or name in (
        "integers",
        "a sum",
    )


def test_gradients_of_narrow_functions_are_those_in_float64():
    def loss(x):
        half = x.astype(jnp.float16)
        return jnp.sum((jnp.tanh(half) @ half[:, None]).astype(jnp.float32) ** 2)

    expected = jax.grad(lambda x: jnp.sum((jnp.tanh(x) @ x[:, None]) ** 2))(X)
    np.testing.assert_allclose(wide(jax.grad(loss), X), expected, rtol=1e-14)


def test_a_layer_computes_as_it_does_without_its_dtype():
    narrow, plain = nn.Dense(3, dtype=jnp.bfloat16), nn.Dense(3)
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), plain.init(jax.random.key(0), X))
    np.testing.assert_allclose(wide(narrow.apply, params, X), plain.apply(params, X), rtol=1e-14)


def test_random_bits_stay_what_they_are():
    def drawn(x):
        return x.astype(jnp.float32) * jax.random.bernoulli(jax.random.key(3), 0.5, (4,))

    np.testing.assert_allclose(wide(drawn, X), X * np.asarray(drawn(X) != 0), rtol=1e-14)
    uniform = wide(lambda x: x + jax.random.uniform(jax.random.key(3), (4,), jnp.float32), X)
    np.testing.assert_allclose(uniform - X, jax.random.uniform(jax.random.key(3), (4,), jnp.float32), rtol=1e-6)


def test_what_is_wide_already_is_left_alone():
    program = jax.make_jaxpr(lambda x: jnp.sin(x) + jnp.arange(4))(X)
    assert in_float64(program) is program


def test_a_callback_keeps_its_types():
    def f(x):
        shape = jax.ShapeDtypeStruct((4,), jnp.float32)
        return jax.pure_callback(lambda x: np.sin(x), shape, x.astype(jnp.float32)) * 2

    program = in_float64(jax.make_jaxpr(f)(X))
    assert [cast.narrow for cast in narrowing_equations(program)] == ["float32"]
    (result,) = jaxpr_as_fun(program)(X)
    np.testing.assert_array_equal(result, 2 * np.sin(X.astype(np.float32)).astype(np.float64))
