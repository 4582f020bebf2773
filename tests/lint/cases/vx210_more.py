"""VX210 data-dependent-shape: more masks and lengths, and indices of a fixed number."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@jax.jit
def combined(x, y):
    keep = (x > 0) & ~(y < 1)
    return x[keep]  # expect: VX210


@jax.jit
def in_tuple(x):
    return x[x.sum(-1) > 0, 0]  # expect: VX210


@jax.vmap
def mapped(x):
    finite = jnp.isfinite(x)
    return x[finite].sum()  # expect: VX210


def scanned(xs):
    def body(c, x):
        return c.at[c > x].add(1.0), None  # expect: VX210

    return lax.scan(body, jnp.zeros(3), xs)


@jax.jit
def with_method(x):
    rows, cols = x.nonzero()  # expect: VX210
    return rows, cols


@jax.jit
def sets(a, b):
    return jnp.union1d(a, b), jnp.argwhere(a > 0)  # expect: VX210


@jax.jit
def lengths(n):
    return jnp.arange(n)  # expect: VX210


@functools.partial(jax.jit, static_argnames="n")
def static_length(x, n):
    return jnp.arange(n) + jnp.arange(x.shape[0]).sum()


@jax.jit
def cast(x):
    mask = x.astype(bool)
    return x[mask]  # expect: VX210


@jax.jit
def fixed(x, y):
    order = jnp.argsort(x)
    best = jnp.argmax(x > 0)
    top = lax.top_k(x, 3)[1]
    mask = x > 0
    a = x[order], x[best], x[top], x[jnp.where(mask, 0, 1)]
    b = jnp.where(x > 0, x, y), jnp.nonzero(x, size=3), jnp.unique(y, size=4)
    c = x.at[order].set(0.0), x.at[0].set(1.0), jnp.argwhere(x > 0, size=2)
    return a, b, c, jnp.mean(x, where=mask), mask[0], mask[order]


TABLE = np.arange(10)
EVEN = TABLE % 2 == 0


@jax.jit
def static_mask(x):
    diagonal = np.eye(3, dtype=bool)
    return x[EVEN], x[diagonal], x[:, np.arange(3) > 1]


def eager(w):
    return w[w > 0].sum()


grad = jax.grad(eager)
