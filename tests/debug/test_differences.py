import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verax.debug import _differences, numerical_gradient


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_agrees_with_the_gradient_worked_by_hand(seed):
    random = np.random.default_rng(seed)
    a, x = random.normal(size=(4, 4)), random.normal(size=4)
    expected = (a + a.T) @ x  # of the quadratic form x @ a @ x
    found = numerical_gradient(lambda v: v @ jnp.asarray(a) @ v, x)
    np.testing.assert_allclose(found, expected, atol=1e-8)  # rounding of order 1e-16 / eps


def cube(params):
    total = jnp.sum(params["a"] ** 3) + jnp.sum(params["b"]["c"] ** 2)
    return total + 0 * params["steps"].astype(total.dtype)


TREE = {"a": jnp.array([1.0, 2.0]), "b": {"c": jnp.array([[3.0]]), "none": None}, "steps": jnp.array(7)}


@pytest.mark.parametrize("limit", [0, 10**6], ids=["one by one", "in blocks"])
def test_returns_a_tree_of_the_shapes_of_params(limit, monkeypatch):
    monkeypatch.setattr(_differences, "LARGEST_VECTORISED", limit)
    gradient = numerical_gradient(cube, TREE)
    np.testing.assert_allclose(gradient["a"], [3.0, 12.0], rtol=1e-8)
    np.testing.assert_allclose(gradient["b"]["c"], [[6.0]], rtol=1e-8)
    assert gradient["b"]["none"] is None
    assert gradient["steps"] == 0
    assert gradient["a"].dtype == np.float64


def test_blocks_of_any_size_give_the_same(monkeypatch):
    monkeypatch.setattr(_differences, "BLOCK_BYTES", 3 * 8 * 40)
    params = jnp.arange(7.0)
    np.testing.assert_allclose(numerical_gradient(lambda p: jnp.sum(jnp.sin(p)), params), np.cos(params), atol=1e-9)


def test_convolutions_are_differentiated():
    def f(kernel):
        images = jnp.arange(32.0, dtype=kernel.dtype).reshape(2, 1, 4, 4) / 32
        return jnp.sum(jax.lax.conv(images, kernel, (1, 1), "VALID") ** 2)

    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(2, 1, 2, 2)), jnp.float32)
    np.testing.assert_allclose(numerical_gradient(f, kernel), jax.grad(f)(kernel), rtol=1e-4)  # float32 on the right


def test_precision_is_left_as_it_was():
    numerical_gradient(lambda p: jnp.sum(p), jnp.ones(2))
    assert not jax.config.jax_enable_x64
    assert jnp.ones(2).dtype == jnp.float32


def test_a_loss_that_is_no_scalar_is_refused():
    with pytest.raises(ValueError, match=r"must return one floating-point number, got float64\[2\]\. Take the mean"):
        numerical_gradient(lambda p: p, jnp.ones(2))
    with pytest.raises(ValueError, match=r"got float64\[\], float64\[2\]"):
        numerical_gradient(lambda p: (p.sum(), p), jnp.ones(2))
    with pytest.raises(ValueError, match=r"got int"):
        numerical_gradient(lambda p: p.argmax(), jnp.ones(2))


def test_eps_must_be_positive():
    with pytest.raises(ValueError, match=r"eps must be positive, got 0\.0\."):
        numerical_gradient(lambda p: p.sum(), jnp.ones(2), eps=0.0)
