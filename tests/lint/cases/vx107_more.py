"""VX107 key-closed-over-by-loop-body: further forms, and look-alikes."""
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.lax import fori_loop, scan, while_loop


def made_outside(n):
    key = jr.key(0)

    def body(i, x):
        return x + jr.normal(key, x.shape)  # expect: VX107

    return fori_loop(0, n, body, jnp.zeros(3))


def mapped(key, xs):
    return jax.lax.map(lambda x: x + jr.normal(key, x.shape), xs)  # expect: VX107


def split_in_body(key, xs):
    def body(carry, x):
        use, _ = jr.split(key)  # expect: VX107
        return carry + jr.normal(use) * x, None

    return scan(body, 0.0, xs)


def bound_by_partial(key, xs):
    def body(k, carry, x):
        return carry + jr.normal(k) * x, None  # expect: VX107

    return scan(partial(body, key), 0.0, xs)


def by_keyword(key, xs):
    def body(carry, x):
        return carry + jr.normal(key) * x, None  # expect: VX107

    return scan(f=body, init=0.0, xs=xs)


def nested(key, xs):
    def outer(carry, x):
        def inner(i, v):
            return v + jr.normal(key)  # expect: VX107

        return fori_loop(0, 3, inner, carry) + x, None

    return scan(outer, 0.0, xs)


class Walk:
    key: jax.Array

    def step(self, x, _):
        return x + jr.normal(self.key), x  # expect: VX107

    def run(self, n):
        return scan(self.step, 0.0, None, length=n)


def condition(key, x):
    return while_loop(lambda v: jr.uniform(key) > v, lambda v: v + 1.0, x)  # expect: VX107


# What must stay silent.


def carried(key, n):
    def body(i, carry):
        k, x = carry
        k, sub = jr.split(k)
        return k, x + jr.normal(sub)

    return fori_loop(0, n, body, (key, 0.0))


def folded_first(key, n):
    def body(i, x):
        k = jr.fold_in(key, i)
        a, b = jr.split(k)
        return x + jr.normal(a) + jr.normal(b)

    return fori_loop(0, n, body, 0.0)


def indexed(keys, n):
    return fori_loop(0, n, lambda i, x: x + jr.normal(keys[i]), 0.0)


def shadowed(key, keys):
    def body(x, key):
        return x + jr.normal(key), None

    return scan(body, jr.normal(key), keys)


def batched(key, xs):
    return jax.vmap(lambda x: x + jr.normal(key))(xs)


def switched(key, i, x):
    return jax.lax.switch(i, [lambda v: v + jr.normal(key), lambda v: v * jr.uniform(key)], x)
