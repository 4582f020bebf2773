"""VX106 host-random-in-traced: further forms, and look-alikes."""
import random as pyrandom
from functools import partial
from random import choice

import jax
import numpy
import numpy as np
import numpy.random as npr
from jax.experimental import io_callback
from numpy.random import uniform

generator = np.random.default_rng(0)


@partial(jax.jit, static_argnames="n")
def through_alias(x, n):
    return x + npr.randn(n)  # expect: VX106


@jax.vmap
def imported(x):
    return x * uniform()  # expect: VX106


@jax.jit
def from_generator(x):
    return x + generator.normal(size=x.shape)  # expect: VX106


@jax.jit
def inline(x):
    return x + np.random.default_rng().normal(size=x.shape)  # expect: VX106


def loss(params, x):
    return (params * x * numpy.random.rand()).sum()  # expect: VX106


gradient = jax.grad(loss)


class Model:
    @partial(jax.jit, static_argnums=0)
    def step(self, x):
        return x * pyrandom.gauss(0.0, 1.0)  # expect: VX106


def branch(pred, x):
    return jax.lax.cond(pred, lambda v: v * choice([1.0, 2.0]), lambda v: v, x)  # expect: VX106


# What must stay silent.

table = np.random.normal(size=(3,))


@jax.jit
def constant(x):
    return x + table


def host(x):
    return x + np.random.normal(size=x.shape)


@jax.jit
def on_the_host(x):
    return io_callback(lambda: np.random.normal(), jax.ShapeDtypeStruct((), x.dtype))


@jax.jit
def shadowed(x, random):
    return x + random.normal()


class Step:
    def step(self, x):
        return x + np.random.normal()


@jax.jit
def keyed(key, x):
    return x + jax.random.normal(key, x.shape)
