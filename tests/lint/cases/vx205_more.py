"""VX205 array-item-assignment: more ways to make an array, and other things with items."""
import functools

import jax
import jax.nn
import jax.numpy as jnp
import jax.numpy as xnp
import numpy as np
from jax import random
from jax.experimental import pallas as pl


def drawn(key):
    noise = random.normal(key, (3,))
    noise[0] = 0.0  # expect: VX205
    return noise


def aliased(n):
    base = xnp.arange(n)
    other = base
    other[1:] += 1  # expect: VX205
    return other


def computed(x):
    y = 2 * jnp.exp(x) + 1
    y[..., 0] = 1  # expect: VX205
    z = y.reshape(-1)
    z[0], w = 1, 2  # expect: VX205
    return z, w


def annotated(n):
    grid: jax.Array = jnp.zeros((n, n))
    grid[0][1] = 5.0  # expect: VX205
    return grid


@functools.partial(jax.jit, static_argnames="n")
def parameter(x, n):
    x[n] = 0.0
    x[0] = 0.0  # expect: VX205
    return x


@jax.jit
def masked(x):
    y = x - x.mean()
    y[y < 0] = 0  # expect: VX205
    return y


class Model:
    def __init__(self):
        self.w = jnp.zeros(3)
        self.table = {}

    def nudge(self):
        self.w[0] = 1.0  # expect: VX205
        self.table["w"] = self.w


async def awaited(n):
    x = jnp.ones(n)
    for i in range(n):
        x[i] *= i  # expect: VX205
    return x


def walrus(n):
    if (x := jnp.zeros(n)).sum() == 0:
        x[0] = 1.0  # expect: VX205
    return x


def conditional(n, host):
    x = jnp.zeros(n)
    if host:
        x = np.array(x)
    if host:
        x[0] = 1.0
    return x


def both(n, host):
    if host:
        x = np.zeros(n)
    else:
        x = jnp.zeros(n)
    return x


def rebound(n):
    x = jnp.zeros(n)
    y = np.asarray(x).copy()
    y[0] = 1
    x = list(x)
    x[0] = 2
    return x, y


def several(x):
    parts = jnp.split(x, 3)
    parts[0] = x
    rows = [jnp.zeros(3) for _ in range(2)]
    rows[0] = x
    grads = {"w": jnp.zeros(3)}
    grads["w"] = x
    return parts, rows, grads


def shadowed(jnp, n):
    x = jnp.zeros(n)
    x[0] = 1
    return x


def kernel(x_ref, y_ref, o_ref):
    o_ref[...] = x_ref[...] + y_ref[...]
    o_ref[0] = 0.0


def add(x, y):
    return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(x, y)


@jax.jit
def dictionary(batch):
    batch["x"] = jnp.asarray(batch["x"])
    out = dict(batch)
    out["y"] = 1
    return out


def annotated(x: jax.Array, i):
    y = x * 2
    y[i] += 1
    return y


def annotated_as_either(x: jax.Array | np.ndarray):
    x[0] = 1
    return x


def annotated_and_converted(x: jax.Array):
    x = np.array(x)
    x[0] = 1
    return x


@jax.jit
def variable(count, x):
    count[...] += 1
    return x
