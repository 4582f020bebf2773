from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from verax.jaxpr import Place, equations, has_primitive, same_program


def double_or_halve(x):
    return jax.lax.cond(x.sum() > 0, lambda y: jnp.sin(y), lambda y: jnp.cos(y), x)


@jax.custom_vjp
def doubled(x):
    return x * 2


doubled.defvjp(lambda x: (x * 2, None), lambda _, cotangent: (cotangent * 2,))

NESTED = {
    "jit": (jax.jit(jnp.tan), "tan"),
    "cond": (double_or_halve, "cos"),
    "scan": (lambda x: jax.lax.scan(lambda c, y: (jnp.tanh(c + y), c), 0.0, x)[0], "tanh"),
    "while": (lambda x: jax.lax.while_loop(lambda y: y.sum() < 3, lambda y: jnp.exp(y), x), "exp"),
    "fori_loop": (lambda x: jax.lax.fori_loop(0, 3, lambda i, y: jnp.sqrt(y), x), "sqrt"),
    "remat": (jax.checkpoint(lambda x: jnp.sinh(x)), "sinh"),
    "custom_jvp": (jax.nn.relu, "max"),
    "custom_vjp": (doubled, "mul"),
    "jit in jit": (jax.jit(lambda x: jax.jit(jnp.atan)(x)), "atan"),
}


@pytest.mark.parametrize("name", NESTED)
def test_a_nested_primitive_is_found(name):
    fn, primitive = NESTED[name]
    jaxpr = jax.make_jaxpr(fn)(jnp.ones(3))
    assert has_primitive(jaxpr, primitive)
    assert not has_primitive(jaxpr, {"conv_general_dilated", "sort"})


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(4, name="hidden")(x)  # the line that the test looks for
        return nn.relu(x)


def test_the_place_is_the_name_stack_and_the_users_own_line():
    network = Net()
    variables = network.init(jax.random.key(0), jnp.ones((2, 3)))
    jaxpr = jax.make_jaxpr(network.apply)(variables, jnp.ones((2, 3)))
    (place,) = {e.place for e in equations(jaxpr) if e.eqn.primitive.name == "dot_general"}
    assert place.name == "Net/hidden"
    assert place.span.file == __file__
    assert "the line that the test looks for" in Path(__file__).read_text().splitlines()[place.span.line - 1]
    assert str(place) == f"Net/hidden ({__file__}:{place.span.line})"


def test_a_nested_equation_takes_from_the_one_around_it_what_it_does_not_know():
    network = Net()
    variables = network.init(jax.random.key(0), jnp.ones((2, 3)))
    jaxpr = jax.make_jaxpr(network.apply)(variables, jnp.ones((2, 3)))
    (place,) = {e.place for e in equations(jaxpr) if e.eqn.primitive.name == "max"}
    assert place.name == "Net"
    assert place.span.file == __file__


def test_places_without_name_or_line_can_be_printed():
    assert str(Place()) == "unknown place"
    assert str(Place("MLP")) == "MLP"


def test_programs_differ_by_constants_and_by_equations():
    def trace(fn):
        return jax.make_jaxpr(fn)(jnp.ones(3))

    table = np.arange(3.0, dtype=np.float32)
    same = same_program(trace(lambda x: x * table), trace(lambda x: x * table))
    assert same
    assert not same_program(trace(lambda x: x * table), trace(lambda x: x * (table + 1)))
    assert not same_program(trace(jax.jit(lambda x: x * table)), trace(jax.jit(lambda x: x * (table + 1))))
    assert not same_program(trace(lambda x: x * 2.0), trace(lambda x: x * 3.0))
    assert not same_program(trace(jnp.sin), trace(jnp.cos))
    assert not same_program(trace(jnp.sin), trace(lambda x: jnp.sin(x) + 1.0))
    assert not same_program(trace(lambda x: x.sum()), trace(lambda x: x.sum()[None]))


def test_two_traces_of_a_custom_derivative_are_the_same_program():
    def trace():
        return jax.make_jaxpr(lambda x: doubled(jax.nn.relu(x)))(jnp.ones(3))

    assert same_program(trace(), trace())
