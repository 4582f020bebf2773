"""VX201 print-in-traced: more forms of tracing, and prints that run on the host."""
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jax import jit, lax, vmap


@jit
def imported(x):
    print(x)  # expect: VX201
    return x


@partial(vmap, in_axes=(0, None))
def mapped(x, scale):
    y = x * scale
    print("mapped", y, scale)  # expect: VX201
    return y


@jax.checkpoint
def rematerialised(x):
    print(f"{x.shape} {x}")  # expect: VX201
    return jnp.sin(x)


@eqx.filter_jit
def filtered(model, x):
    print("tracing", x.shape)  # expect: VX201
    return model(x)


@nnx.jit
def with_nnx(model, x):
    loss = jnp.mean(x)
    print("loss = {}".format(loss))  # expect: VX201
    return loss


def make_step(scale):
    def step(x):
        print(x * scale)  # expect: VX201
        return x

    return step


step = jax.jit(make_step(2.0))


class Trainer:
    def __init__(self):
        self.run = jax.jit(self._run)

    def _run(self, x):
        print("x:", x)  # expect: VX201
        return x + 1

    def log(self, x):
        print("x:", x)


@jax.jit
def nested(x):
    def helper(y):
        print(y)  # expect: VX201
        return y + 1

    return helper(x)


def loop(n, x):
    return lax.fori_loop(0, n, lambda i, v: (print(v), v + 1)[1], x)  # expect: VX201


@jax.jit
def branch(x):
    def positive(v):
        print("positive", v)  # expect: VX201
        return v

    return lax.cond(x.sum() > 0, positive, lambda v: -v, x)


def jit_everything(fn):
    return jax.jit(fn)


@jit_everything
def decorated_here(x):
    print(x)  # expect: VX201
    return x


@jax.jit
def shadowed(x):
    def print(*values):
        return None

    print(x)
    return x


@jax.jit
def lambda_callback(x):
    jax.debug.callback(lambda v: print(v), x)
    return x


@jax.jit
def partial_callback(x, name):
    def show(name, v):
        print(name, v)

    jax.debug.callback(partial(show, "x"), x)
    return x


def factory_with_print(scale):
    print("making a step for", scale)

    @jax.jit
    def inner(x):
        return x * scale

    return inner


def default_argument(x, y=print("once")):
    return x, y


default_jit = jax.jit(lambda x: x + 1)
print("compiled", default_jit)


def ordered(xs):
    total = jax.jit(jnp.sum)(xs)
    print("total", total)
    return total
