"""VX108 fold-in-without-variation: further forms, and look-alikes."""
import jax
from jax import lax
from jax import random as jr
from jax.random import fold_in


def comprehension(key, xs):
    return [x + jr.normal(fold_in(key, 0)) for x in xs]  # expect: VX108


def in_scan(key, xs):
    def body(carry, x):
        return carry + jr.normal(fold_in(key, 7)) * x, None  # expect: VX108

    return lax.scan(body, 0.0, xs)


def outer_index(key, rows, columns):
    out = []
    for i, row in enumerate(rows):
        for column in columns:
            out.append(row * column * jr.normal(fold_in(key, i)))  # expect: VX108
    return out


def by_keyword(key):
    a = jr.normal(fold_in(key, data=2))
    return a + jr.uniform(fold_in(key=key, data=2))  # expect: VX108


# What must stay silent.


def in_step(key, step):
    a = jr.normal(fold_in(key, step))
    return a, fold_in(key, step)


def per_branch(key, flag):
    if flag:
        return jr.normal(fold_in(key, 1))
    return jr.uniform(fold_in(key, 1))


def two_keys(one, other):
    return fold_in(one, 1), fold_in(other, 1)


def per_key(keys):
    return [fold_in(k, 1) for k in keys]


def computed(key, xs, offset):
    return [fold_in(key, offset + i) for i, _ in enumerate(xs)]


def hashed(key, names):
    return {name: fold_in(key, hash(name)) for name in names}


def state_step(key, state, batches):
    for batch in batches:
        state = state.apply(batch, fold_in(key, state.step))
    return state


def counted(key, n):
    i = 0
    while i < n:
        yield fold_in(key, i)
        i += 1


def carried(key, n):
    return lax.fori_loop(0, n, lambda i, k: fold_in(k, 1), key)


@jax.jit
def device(key):
    return fold_in(key, lax.axis_index("i"))
