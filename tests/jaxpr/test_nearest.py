import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from verax.jaxpr import equations, nearest_inputs
from verax.trees import leaves_by_path

W = jnp.ones((3, 3))


def names(fn, *args, given):
    """Returns the name that is nearest to each equation, by primitive; the last of equals."""
    closed = jax.make_jaxpr(fn)(*args)
    nearest = nearest_inputs(closed, given)
    return {equation.eqn.primitive.name: nearest.of(equation) for equation in equations(closed)}


def in_scan(a, b, x):
    return jax.lax.scan(lambda c, y: (jnp.tanh(c @ a), jnp.sin(y @ b)), x, x[None])


def carried(a, b, x):
    """The first parameter comes into what is carried at the end of a turn, and into the sine with the next turn."""
    return jax.lax.scan(lambda c, y: (y @ a, jnp.sin(c)), x, x[None])


def in_while(a, b, x):
    return jax.lax.while_loop(lambda c: jnp.sum(jnp.exp(c @ b)) < 3, lambda c: jnp.tanh(c @ a), x)


def in_cond(a, b, x):
    return jax.lax.cond(x[0, 0] > 0, lambda y: jnp.tanh(y @ a), lambda y: jnp.sin(y @ b), x)


def in_calls(a, b, x):
    return jax.nn.relu(jax.checkpoint(lambda y: jnp.tanh(y @ a))(x)) + jax.jit(lambda y: jnp.sin(y @ b))(x)


@pytest.mark.parametrize("fn", [in_scan, in_cond, in_calls])
def test_the_nearest_parameter_is_known_within_nested_programs(fn):
    found = names(fn, W, W, W, given=["a", "b", None])
    assert (found["tanh"], found["sin"]) == ("a", "b")


def test_it_is_known_in_both_programs_of_a_while_loop():
    found = names(in_while, W, W, W, given=["a", "b", None])
    assert (found["tanh"], found["exp"]) == ("a", "b")


def test_what_is_carried_is_followed_from_turn_to_turn():
    assert names(carried, W, W, W, given=["a", "b", None])["sin"] == "a"


def test_what_no_named_input_feeds_has_no_name():
    found = names(lambda a, x: (x + 1, jnp.sin(a)), W, W, given=["a", None])
    assert (found["add"], found["sin"]) == ("", "a")


def test_the_fewest_equations_decide_and_of_equals_the_first():
    found = names(lambda a, b: jnp.sin(jnp.exp(jnp.exp(a)) * b), W, W, given=["a", "b"])
    assert found["sin"] == "b"
    assert names(lambda a, b: a * b, W, W, given=["a", "b"])["mul"] == "a"


def test_the_layers_of_a_network_without_names_are_told_apart():
    model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), jnp.tanh, nnx.Linear(4, 2, rngs=nnx.Rngs(1)), jnp.sin)
    graph, params = nnx.split(model)
    paths = list(leaves_by_path(params))
    found = names(lambda params, x: nnx.merge(graph, params)(x), params, W, given=[*paths, None])
    assert "layers/0" in found["tanh"] and "layers/2" in found["sin"]
