"""VX402 more: how `jax.partial` is reached, and partials that are others."""
import functools

import jax
import jax as j
from jax.tree_util import Partial


class Layer:
    @j.partial(jax.jit, static_argnums=0)  # expect: VX402
    def forward(self, x):
        return x

    @functools.partial(jax.jit, static_argnums=0)
    def current(self, x):
        return x


half = jax.partial  # expect: VX402


def made(jax):
    return jax.partial(len)


class Tools:
    def partial(self, function):
        return function


def own(tools):
    return tools.partial(len), Partial(len), half


def guarded():
    try:
        return jax.partial(len)
    except AttributeError:
        return functools.partial(len)
