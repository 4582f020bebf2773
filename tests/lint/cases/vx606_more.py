"""VX606 small-step-finite-difference: more spellings."""
import jax.numpy as jnp

EPS = 1e-5


def loss(w, x):
    return jnp.mean((x @ w) ** 2)


class Check:
    def numeric(self, w, x, v):
        up = loss(w + EPS * v, x)
        return (up - loss(w - EPS * v, x)) / (EPS * 2)  # expect: VX606

    def walrus(self, w, x):
        return [(loss(w + (e := 1e-6), x) - loss(w, x)) / e for _ in range(3)]  # expect: VX606


def other_functions(w, x):
    return (loss(w + EPS, x) - jnp.sum(w - EPS)) / (2 * EPS)


def rate(start, end):
    return (jnp.sum(end) - jnp.sum(start)) / EPS
