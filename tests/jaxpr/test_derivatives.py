import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxpr_as_fun

from verax.jaxpr import has_own_derivatives, own_derivatives, without_own


@jax.custom_vjp
def tripled(x):
    return 3 * x


tripled.defvjp(lambda x: (3 * x, None), lambda _, g: (2.5 * g,))


@jax.custom_jvp
def squared(x):
    return x * x


squared.defjvp(lambda p, t: (p[0] ** 2, 3 * p[0] * t[0]))

AROUND = {
    "plain": lambda f, x: f(x),
    "jit": lambda f, x: jax.jit(f)(x),
    "remat": lambda f, x: jax.checkpoint(f)(x),
    "scan": lambda f, x: jax.lax.scan(lambda c, _: (f(c), None), x, length=2)[0],
    "scanned": lambda f, x: jax.lax.scan(lambda c, y: (c + f(y), None), x[0], x, reverse=True)[0],
    "while": lambda f, x: jax.lax.while_loop(lambda c: c[0] < 50, f, x),
    "cond": lambda f, x: jax.lax.cond(x[0] > 0, f, lambda x: x, x),
    "vmap": lambda f, x: jax.vmap(f)(x),
}
X = jnp.array([2.0, 3.0, 5.0])


def traced(around, f):
    return jax.make_jaxpr(lambda x, y: jnp.sum(AROUND[around](f, x) * y))(X, X)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("f", "kind"), [(tripled, "custom_vjp"), (squared, "custom_jvp")])
def test_a_rule_is_found_with_its_operands(around, f, kind):
    program = traced(around, f)
    (own,), operands = own_derivatives(program, [0])
    assert has_own_derivatives(program)
    assert (own.kind, own.name, own.definition.file, own.place.span.file) == (kind, f.__name__, __file__, __file__)
    assert own.inputs == {0} and own.depends == (True,) and not own.rounds
    (operand,) = jaxpr_as_fun(operands)(X, X)
    np.testing.assert_array_equal(operand, 5.0 if around == "scanned" else X)


@pytest.mark.parametrize("around", [name for name in AROUND if name != "while"])
def test_without_it_the_derivative_is_jax_s_own(around):
    program = traced(around, squared)
    own, _ = own_derivatives(program, [0])
    changed = without_own(program, own)

    def gradient(program):
        return jax.grad(lambda x: jaxpr_as_fun(program)(x, X)[0])(X)

    expected = jax.grad(lambda x: jnp.sum(AROUND[around](lambda x: x * x, x) * X))(X)
    np.testing.assert_allclose(gradient(changed), expected, rtol=1e-6)
    assert not np.allclose(gradient(program), expected, rtol=1e-2)


def test_only_what_the_gradient_goes_through_counts():
    program = jax.make_jaxpr(lambda x, y: x * tripled(y))(2.0, 3.0)
    assert own_derivatives(program, [0])[0] == ()
    assert len(own_derivatives(program, [1])[0]) == 1


def test_jax_s_own_rules_are_left_out_but_not_a_stop_gradient():
    program = jax.make_jaxpr(lambda x: jax.nn.relu(x) + jax.lax.stop_gradient(x))(2.0)
    (own,), _ = own_derivatives(program, [0])
    assert own.kind == "stop_gradient" and str(own).startswith("stop_gradient in ")
    assert not has_own_derivatives(jax.make_jaxpr(jax.nn.relu)(2.0))


@pytest.mark.parametrize(
    ("f", "rounds"),
    [
        (lambda x: jax.lax.stop_gradient(jnp.round(x) - x), True),
        (lambda x: jax.lax.stop_gradient(jax.jit(jnp.sign)(x)), True),
        (lambda x: jax.lax.stop_gradient(x.astype(int).astype(float)), True),
        (lambda x: jax.lax.stop_gradient(jnp.max(x)), False),
        (lambda x: jax.lax.stop_gradient(jnp.where(jnp.isfinite(x), x, 0.0)), False),
        (lambda x: jnp.round(x) * jax.lax.stop_gradient(x), False),
    ],
)
def test_a_rounding_on_the_way_is_seen(f, rounds):
    (own,), _ = own_derivatives(jax.make_jaxpr(f)(2.5), [0])
    assert own.rounds == rounds
