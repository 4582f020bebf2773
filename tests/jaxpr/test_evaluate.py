import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from verax.jaxpr import equations, evaluate, run_equation


def traced(fn, *args):
    return jax.make_jaxpr(fn)(*args), jax.tree.leaves(args)


def visits(fn, *args, **settings):
    """Returns the outputs and what was seen: primitive, inputs, outputs, turns."""
    closed, leaves = traced(fn, *args)
    seen = []
    outputs = evaluate(
        closed,
        leaves,
        lambda equation, inputs, outputs, turns: seen.append((equation.eqn.primitive.name, inputs, outputs, turns)),
        **settings,
    )
    return outputs, seen


@jax.custom_vjp
def doubled(x):
    return x * 2


doubled.defvjp(lambda x: (x * 2, x), lambda x, cotangent: (cotangent * jnp.cosh(x) * 2,))
X = jnp.linspace(-1.0, 2.0, 5)


def reverse_scan(x):
    return jax.lax.scan(lambda c, y: (jnp.tanh(c + y), (c, y * c)), x[0], x, reverse=True)


def scan_of_nothing(x):
    return jax.lax.scan(lambda c, _: (c * 2, c), x, None, length=0)


def counted(x):
    return jax.lax.while_loop(lambda c: (c[0] < 3) & (c[1].sum() < 1e3), lambda c: (c[0] + 1, jnp.exp(c[1])), (0, x))


def branches(x):
    return [jax.lax.switch(i, [jnp.sin, jnp.cos, jnp.tan], x) for i in (jnp.int32(-4), jnp.int32(1), jnp.int32(9))]


def noisy(x):
    keys = jax.random.split(jax.random.key(3), 4)
    return jax.lax.scan(lambda c, key: (c + jax.random.normal(key, c.shape), key), x, keys)[0]


def loss(x):
    h = jax.checkpoint(lambda v: jnp.sin(v) ** 2)(doubled(x))
    return jax.nn.logsumexp(jax.nn.relu(h)) + reverse_scan(x)[0]


def constant(x):
    return x * jnp.asarray(np.arange(5.0, dtype=np.float32)), 3.0, jnp.bfloat16(2)


PROGRAMS = {
    "reverse scan": reverse_scan,
    "scan of nothing": scan_of_nothing,
    "while": counted,
    "switch": branches,
    "random keys in a scan": noisy,
    "custom derivatives, remat": loss,
    "gradient": jax.grad(loss),
    "jit of a gradient": jax.jit(jax.value_and_grad(loss)),
    "second derivative": jax.hessian(lambda x: jnp.sum(jnp.sin(x) * x)),
    "vmap": jax.vmap(lambda y: jax.lax.cond(y > 0, jnp.sin, jnp.cos, y) + counted(y)[1]),
    "lanes that end at different times": jax.vmap(
        lambda y: jax.lax.while_loop(lambda c: c.sum() < 4, lambda c: c * c + 1.5, jnp.stack([y, y]))
    ),
    "constants": constant,
    "integers": lambda x: jnp.argsort(x)[::-1] // 2,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_outputs_are_those_of_the_function(name):
    fn = PROGRAMS[name]
    outputs, _ = visits(fn, X)
    wanted = jax.tree.leaves(fn(X))
    assert len(outputs) == len(wanted)
    for output, value in zip(outputs, wanted, strict=True):
        assert isinstance(output, jax.Array) and output.dtype == jnp.result_type(value)
        np.testing.assert_allclose(np.asarray(output, np.float64), np.asarray(value, np.float64), rtol=2e-5, atol=1e-6)


def test_a_training_step_of_a_network_is_evaluated_bit_for_bit_as_its_operations_are():
    network = nn.Sequential([nn.Conv(4, (3, 3)), nn.relu, lambda x: x.reshape(x.shape[0], -1), nn.Dense(3)])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 5, 1)), jnp.float32)
    params = network.init(jax.random.key(0), x)
    fn = jax.grad(lambda params, x: jnp.sum(network.apply(params, x) ** 2))
    closed, leaves = traced(fn, params, x)
    outputs = evaluate(closed, leaves, lambda *_: None)
    with jax.disable_jit():
        wanted = jax.tree.leaves(fn(params, x))
    for output, value in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(output, value, rtol=1e-5, atol=1e-6)


def test_the_visitor_sees_concrete_operands_results_and_iterations():
    _, seen = visits(reverse_scan, X)
    tanh = [(float(inputs[0]), float(outputs[0]), turns) for name, inputs, outputs, turns in seen if name == "tanh"]
    assert [turns for *_, turns in tanh] == [(4,), (3,), (2,), (1,), (0,)]
    np.testing.assert_allclose([y for _, y, _ in tanh], np.tanh([x for x, _, _ in tanh]), rtol=1e-6)


def test_iterations_of_loops_in_loops_are_counted_outermost_first():
    def fn(x):
        return jax.lax.scan(lambda c, y: (jax.lax.fori_loop(0, 2, lambda i, v: jnp.cosh(v), c), y), x[0], x[:3])

    turns = [turns for name, *_, turns in visits(fn, X)[1] if name == "cosh"]
    assert turns == [(i, j) for i in range(3) for j in range(2)]


def test_only_the_branch_that_is_taken_is_visited():
    names = [name for name, *_ in visits(lambda x: jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), X)[1]]
    assert "sin" in names and "cos" not in names


def test_what_the_visitor_returns_takes_the_place_of_the_results():
    closed, leaves = traced(jax.jit(lambda x: jnp.exp(jnp.sin(x)) + 1), X)

    def without_sine(equation, inputs, outputs, turns):
        return [jnp.zeros_like(outputs[0])] if equation.eqn.primitive.name == "sin" else None

    assert evaluate(closed, leaves, without_sine)[0].tolist() == [2.0] * 5


def test_a_loop_can_be_stepped_over():
    def over(equation, inputs):
        return run_equation(equation, inputs) if equation.eqn.primitive.name == "scan" else None

    (stepped, *_), seen = visits(lambda x: reverse_scan(jnp.sin(x))[0], X, over=over)
    np.testing.assert_allclose(stepped, reverse_scan(jnp.sin(X))[0], rtol=1e-6)
    assert seen[0][0] == "sin"
    assert "tanh" not in [name for name, *_ in seen]


def test_constants_are_told_from_what_was_given_or_computed():
    table = np.arange(5.0, dtype=np.float32)
    _, seen = visits(jax.jit(lambda x: jnp.maximum(x * table, -jnp.inf)), X)
    kinds = {name: [isinstance(value, jax.Array) for value in inputs] for name, inputs, *_ in seen}
    assert kinds["mul"] == [True, False]


def test_equations_have_keys_of_their_own_even_where_a_program_is_called_twice():
    square = jax.jit(lambda x: x * x)
    closed, _ = traced(lambda x: square(x) + square(x + 1), X)
    keys = [equation.key for equation in equations(closed)]
    assert len(set(keys)) == len(keys)


def test_each_operation_keeps_its_own_type():
    closed, leaves = traced(lambda x: jnp.square(x.astype(jnp.float16)).astype(jnp.float32), jnp.full(2, 300.0))
    assert np.isinf(evaluate(closed, leaves, lambda *_: None)[0]).all()
