"""VX303 flag-not-static: more flags and branches, and flags that are static."""
import functools
from typing import Literal, Optional

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import jit, lax


@jit
def annotated(x, verbose: bool):
    return x * 2 if not verbose else x  # expect: VX303


@jax.jit
def literal(x, kind: Literal["a", "b"] = "a"):
    match kind:  # expect: VX303
        case "a":
            return x
        case _:
            return -x


@jax.jit
def member(x, mode):
    if mode in ("mean", "sum"):  # expect: VX303
        return x.mean()
    return x


@jax.jit
def compared(x, activation):
    if activation == "relu":  # expect: VX303
        return jnp.maximum(x, 0)
    return x


@functools.partial(jax.jit, static_argnames=("n",))
def one_of_two(x, n, train=True):
    if n > 3:
        return x
    if train and x.ndim > 1:  # expect: VX303
        return -x
    return x


class Model:
    @functools.partial(jax.jit, static_argnums=0)
    def apply(self, x, deterministic: Optional[bool] = True):
        while deterministic:  # expect: VX303
            return x
        return -x

    @functools.partial(jax.jit, static_argnums=(0, 2))
    def forward(self, x, deterministic: bool = True):
        return x if deterministic else -x


def keyword_only(x, *, train: bool):
    assert train  # expect: VX303
    return x


fast = jax.jit(keyword_only)


def static_wrapped(x, train=False, mode="a"):
    if train and mode == "b":
        return x
    return -x


static_fast = jax.jit(static_wrapped, static_argnums=(1,), static_argnames=("mode",))
bound = jax.jit(functools.partial(static_wrapped, train=True, mode="b"))
eager = jax.grad(static_wrapped)


@eqx.filter_jit
def kept_by_equinox(x, train=False):
    return x if train else -x


@functools.partial(jax.vmap, in_axes=(0, None))
def not_mapped(x, train: bool):
    return x if train else -x


@jax.jit
def on_the_device(x, train=False, mode=None):
    y = lax.cond(train, lambda v: v, lambda v: -v, x)
    if mode is not None:
        y = y * mode
    return jnp.where(train, x, y)


@jax.jit
def rebound(x, train=False):
    train = x.ndim > 2
    if train:
        return x
    return -x


def host(x, train=False):
    if train:
        return fast(x, train=train)
    return x


def of_partial(params, x, model, summed=False):
    if summed:
        return model(params, x).sum()
    return model(params, x)


def applied(params, x, model):
    return jax.pmap(functools.partial(of_partial, model=model))(params, x)
