"""VX207 concretize-traced-value: more numbers wanted, and numbers that are there."""
from flax import nnx
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@jax.jit
def whole(x):
    n = int(x)  # expect: VX207
    return bool(jnp.all(x > 0)), n  # expect: VX207


@jax.jit
def ranged(x, n):
    for i in range(n):  # expect: VX207
        x = x + i
    return x


def body(carry, x):
    return carry + float(x["loss"]), x  # expect: VX207


def run(xs):
    return lax.scan(body, 0.0, xs)


@jax.vmap
def mapped(row):
    return row[0].item() * 2  # expect: VX207


@jax.jit
def trained(params, batch):
    loss, grads = jax.value_and_grad(lambda p: jnp.sum(p * batch))(params)
    return {"loss": float(loss)}, grads  # expect: VX207


class Model:
    def __init__(self):
        self.predict = jax.jit(self._predict)

    def _predict(self, x):
        return [int(v) for v in jnp.argmax(x, -1)]  # expect: VX207


@jax.jit
def complex_number(x):
    return complex(x)  # expect: VX207


@jax.jit
def nested(x):
    def summary(v):
        return v.mean().item()  # expect: VX207

    return summary(x)


@jax.jit
def shapes(x, rows):
    n, d = x.shape
    size = int(np.prod(x.shape)) + int(len(rows)) + int(x.ndim)
    for i in range(n):
        x = x + float(d) * float(size) * i
    return x * int("3") * float(jnp.finfo(x.dtype).eps)


@functools.partial(jax.jit, static_argnames=("k", "rate"))
def static(x, *, k, rate):
    return x[: int(k)] * float(rate)


@jax.jit
def loop_indices(x):
    for i in range(3):
        x = x + float(i) + int(bool(i))
    return x


@jax.jit
def shadowed(x):
    def float(v):
        return v

    return float(x)


def host(xs):
    step = jax.jit(jnp.mean)
    return [float(step(x)) for x in xs], step(xs[0]).item()


@jax.jit
def callback(x):
    jax.debug.callback(lambda v: float(v), x)
    return x


def eager(w):
    return w * int(w)


grad = jax.grad(eager)


@nnx.jit
def step_of_nnx(model, x):
    loss, grads = nnx.value_and_grad(lambda m: m(x).mean())(model)
    return loss.item(), grads  # expect: VX207
