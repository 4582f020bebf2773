"""What is known of values is carried through calls, branches and loops."""

import jax
import jax.numpy as jnp
import pytest

from verax.jaxpr import flow, mixing_equations


def depends(equation, known):
    return frozenset().union(*(each or () for each in known)) or None


def reached(fn, *args):
    """Which arguments each output depends on."""
    closed = jax.make_jaxpr(fn)(*args)
    given = [frozenset([index]) for index in range(len(args))]
    return [sorted(known or ()) for known in flow(closed, given, depends, frozenset.union)]


def carried(first, second, third):
    return jax.lax.scan(lambda carry, x: ((carry[1], carry[0] + x), carry[0]), (first, second), third)


def until(first, second):
    return jax.lax.while_loop(lambda c: c[0] < 3.0, lambda c: (c[0] + 1.0, c[1] * 2.0), (first, second))


@pytest.mark.parametrize(
    ("fn", "args", "expected"),
    [
        (lambda x, y: (x, x * y, 3.0), (1.0, 2.0), [[0], [0, 1], []]),
        (jax.jit(lambda x, y: (y, x)), (1.0, 2.0), [[1], [0]]),
        (lambda x, y: jax.lax.cond(True, lambda a, b: a, lambda a, b: b, x, y), (1.0, 2.0), [[0, 1]]),
        (carried, (1.0, 2.0, jnp.ones(4)), [[0, 1, 2], [0, 1, 2], [0, 1, 2]]),
        (until, (1.0, 2.0), [[0, 1], [0, 1]]),
        (jax.checkpoint(lambda x, y: jnp.sin(x)), (1.0, 2.0), [[0]]),
    ],
    ids=["straight", "jit", "cond", "scan", "while that depends", "remat"],
)
def test_dependence_is_followed(fn, args, expected):
    assert reached(fn, *args) == expected


def test_literals_are_known_where_a_rule_asks_for_them():
    closed = jax.make_jaxpr(jax.jit(lambda x: x * 0.0))(1.0)
    seen = []
    flow(closed, [None], lambda equation, known: seen.extend(known), lambda a, b: a, literal=float)
    assert 0.0 in seen


@pytest.mark.parametrize(
    ("fn", "names"),
    [
        (lambda x: x - x.mean(0, keepdims=True), ["reduce_sum"]),
        (lambda x: x.reshape(3, 2, 4).sum(0), ["reshape"]),
        (lambda x: x.reshape(4, 6).T, ["reshape"]),
        (lambda x: x[::-1] + jnp.cumsum(x, 0), ["rev", "cumsum"]),
        (jax.jit(lambda x: x @ x.T), ["dot_general"]),
    ],
)
def test_the_equations_in_which_rows_first_meet_are_named(fn, names):
    mixing = mixing_equations(jax.make_jaxpr(fn)(jnp.ones((6, 4))), [True])
    assert mixing is not None
    assert [equation.eqn.primitive.name for equation in mixing] == names


def test_rows_that_stay_apart_have_no_such_equation():
    assert mixing_equations(jax.make_jaxpr(lambda x: jax.nn.softmax(x, axis=1))(jnp.ones((6, 4))), [True]) is None
