"""Products are narrowed wherever they stand, and nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from verax.jaxpr import equations, float32_products, with_narrow_products

X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)), jnp.float32)


def in_jit(x):
    return jax.jit(lambda x: jnp.sin(x) @ x)(x)


def in_scan(x):
    return lax.scan(lambda carry, _: (jnp.tanh(carry @ x), carry.sum()), x, None, length=3)[0]


def in_while(x):
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.tanh(c[1] @ x)), (0, x))[1]


def in_cond(x):
    return lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: x.T @ x, x)


def in_remat(x):
    return jax.checkpoint(lambda x: jnp.tanh(x @ x))(x)


def in_vmap(x):
    return jax.vmap(lambda row: row @ x)(x)


def convolution(x):
    return lax.conv(x[None, None], jnp.ones((2, 1, 2, 2)), (1, 1), "SAME")


EVERYWHERE = [in_jit, in_scan, in_while, in_cond, in_remat, in_vmap, convolution]


def products(function, *args):
    program = jax.make_jaxpr(function)(*args)
    names = ("dot_general", "conv_general_dilated")
    return [each.eqn.invars[0].aval.dtype.name for each in equations(program) if each.eqn.primitive.name in names]


@pytest.mark.parametrize("function", EVERYWHERE, ids=lambda f: f.__name__)
def test_products_are_narrowed_wherever_they_stand(function):
    narrow = with_narrow_products(function, jnp.bfloat16)
    assert set(products(function, X)) == {"float32"} and set(products(narrow, X)) == {"bfloat16"}
    assert float32_products(jax.make_jaxpr(function)(X)) == len(products(function, X))
    assert float32_products(jax.make_jaxpr(narrow)(X)) == 0
    np.testing.assert_allclose(narrow(X), function(X), rtol=0.1, atol=0.1)
    assert not (narrow(X) == function(X)).all()
    assert narrow(X).dtype == jnp.float32


@pytest.mark.parametrize("function", [f for f in EVERYWHERE if f is not in_while], ids=lambda f: f.__name__)
def test_so_are_those_of_the_gradient(function):
    gradient = jax.grad(lambda x: with_narrow_products(function, jnp.bfloat16)(x).sum())
    assert set(products(gradient, X)) == {"bfloat16"}
    plain = jax.grad(lambda x: function(x).sum())(X)
    np.testing.assert_allclose(gradient(X), plain, rtol=0.1, atol=0.1 * float(abs(plain).max()))


def test_everything_else_stays_in_float32():
    def attention(x):
        return jax.nn.softmax(x @ x.T, axis=-1) @ x

    program = jax.make_jaxpr(with_narrow_products(attention, jnp.float16))(X)
    others = [e.eqn for e in equations(program) if e.eqn.primitive.name in ("exp", "reduce_sum", "div", "sub")]
    assert len(others) >= 4
    assert {var.aval.dtype.name for eqn in others for var in eqn.outvars} == {"float32"}


def test_products_of_other_types_are_left_alone():
    whole = jnp.arange(4).reshape(2, 2)
    narrow = with_narrow_products(lambda x: x @ x, jnp.bfloat16)
    assert products(narrow, whole) == ["int32"]
    assert float32_products(jax.make_jaxpr(lambda x: x @ x)(whole)) == 0


def test_a_function_with_its_own_derivative_keeps_it():
    """Entered and differentiated anew, `relu` would have the gradient 1/2 at 0."""
    narrow = with_narrow_products(lambda x: jax.nn.relu(x @ jnp.eye(4)), jnp.bfloat16)
    assert jax.grad(lambda x: narrow(x).sum())(jnp.zeros((4, 4))).sum() == 0


def test_lanes():
    narrow = with_narrow_products(in_scan, jnp.bfloat16)
    np.testing.assert_allclose(jax.vmap(narrow)(jnp.stack([X, 2 * X]))[1], narrow(2 * X), rtol=1e-2, atol=1e-2)
