"""VX302 unknown-static-name: donated and bound arguments, aliases and methods."""
import functools
from functools import partial

import jax
import jax.numpy as jnp
from jax import jit

jit_n = partial(jax.jit, static_argnames="n")


@jit_n  # expect: VX302
def no_n(x, m):
    return x * m


@jit_n
def has_n(x, n):
    return x * n


@partial(jit, donate_argnames=("stat",))  # expect: VX302
def donated(state, batch):
    return state + batch


@jax.jit(static_argnums=2)  # expect: VX302
def called_decorator(x, n):
    return x * n


@partial(jax.jit, donate_argnums=(0, 4))  # expect: VX302
def donated_place(state, batch):
    return state + batch


@partial(jax.jit, static_argnums=-3)  # expect: VX302
def too_negative(x, n):
    return x * n


@partial(jax.jit, static_argnames=("n",))  # expect: VX302
def positional(x, n, /):
    return x * n


class Model:
    @partial(jax.jit, static_argnums=(0, 3))  # expect: VX302
    def act(self, x, n):
        return x * n

    @partial(jax.jit, static_argnums=(0, 2))
    def forward(self, x, n):
        return x * n

    def plain(self, x, n):
        return x * n

    def build(self):
        good = jax.jit(self.plain, static_argnums=1)
        bad = jax.jit(self.plain, static_argnums=2)  # expect: VX302
        named = jax.jit(self.plain, static_argnames=("m",))  # expect: VX302
        return good, bad, named


def scaled(x, *, rate, mode):
    return x * rate if mode else x


first = jax.jit(partial(scaled, rate=2.0), static_argnames="mode")
second = jax.jit(lambda x, flag: x if flag else -x, static_argnames="flag")
third = jax.jit(lambda x, flag: x if flag else -x, static_argnames="flags")  # expect: VX302
fourth = jax.jit(scaled, static_argnames=("rate", "mode"))
fifth = jax.jit(jnp.sort, static_argnames="anything")
sixth = jax.jit(functools.partial(scaled, mode=True), static_argnames=())


def wrapper(fn):
    @functools.wraps(fn)
    def inner(*args, **kwargs):
        return fn(*args, **kwargs)

    return inner


@partial(jax.jit, static_argnames=("hidden",))
@wrapper
def other_signature(x, n):
    return x * n


NAMES = ["train"]


@partial(jax.jit, static_argnames=NAMES)
def from_a_list(x, train):
    return x if train else -x


def computed(names):
    return jax.jit(scaled, static_argnames=names)


@partial(jax.jit, static_argnums=(-1,))
def last(x, *rest):
    return x
