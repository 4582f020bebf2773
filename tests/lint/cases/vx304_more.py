"""VX304 unhashable-static-argument: more containers, names and methods."""
import functools

import jax
import jax.numpy as jnp
import numpy as np


def resize(x, shape, *, axes=()):
    return x.reshape(shape).sum(axes)


fast = jax.jit(resize, static_argnums=1, static_argnames=("axes",))
bound = jax.jit(functools.partial(resize, axes=(0,)), static_argnums=(1,))


def calls(x, rows):
    a = fast(x, [2, 3])  # expect: VX304
    b = fast(x, (2, 3), axes=[0])  # expect: VX304
    c = fast(x, ([2], 3))  # expect: VX304
    d = fast(x, [n for n in (2, 3)])  # expect: VX304
    e = fast(x, jnp.array([2, 3]))  # expect: VX304
    f = bound(x, list((2, 3)))  # expect: VX304
    return a, b, c, d, e, f, rows


def through_a_name(x):
    shape = [2, 3]
    return fast(x, shape)  # expect: VX304


def by_name_at_a_place(x):
    @functools.partial(jax.jit, static_argnames="shape")
    def inner(v, shape):
        return v.reshape(shape)

    return inner(x, {2, 3})  # expect: VX304


class Model:
    @functools.partial(jax.jit, static_argnums=(0, 2))
    def forward(self, x, sizes):
        return x * len(sizes)

    def run(self, x):
        good = self.forward(x, (1, 2))
        return good, self.forward(x, [1, 2])  # expect: VX304

    def arrays(self, x):
        return self.forward([x, x], (1,))


def fine(x, shape, shapes):
    size = [2, 3]
    size = tuple(size)
    return (
        fast(x, shape), fast(x, size), fast(x, x.shape), fast(x, tuple([2, 3])), fast(x, axes=(0,), shape=(2,)),
        fast([x], (2, 3)), fast(np.array([1]), (1,)), fast(x, *shapes), fast(x, frozenset({1})),
    )


@jax.jit
def tree(x, parts=[1, 2]):
    return x + sum(parts)


def pass_tree(x):
    return tree(x, [x, x]), tree(x, parts=[x])


class Runner:
    def __init__(self, function):
        self.function = jax.jit(function, static_argnums=(1,))

    def run(self, x):
        return self.function(x, {"n": 3})  # expect: VX304

    def run_others(self, x):
        return self.function([x, x], (3,))
