"""VX208 numpy-on-traced-value: more calls, and NumPy on what is known."""
import functools

import jax
import jax.numpy as jnp
import numpy
import numpy as onp
from jax import lax
from numpy import linalg


@jax.jit
def whole_name(x):
    return numpy.tanh(x)  # expect: VX208


@jax.jit
def linear_algebra(x):
    return linalg.norm(x)  # expect: VX208


@jax.jit
def stacked(x, y):
    z = onp.stack([x, y])  # expect: VX208
    return onp.concatenate((z, z), axis=0)


def scanned(xs):
    return lax.scan(lambda c, x: (c + onp.exp(x), c), 0.0, xs)  # expect: VX208


@functools.partial(jax.jit, static_argnums=1)
def partly_static(x, n):
    return onp.maximum(x, onp.sqrt(n))  # expect: VX208


def loss(params, batch):
    logits = batch @ params["w"]
    return onp.log(logits).sum()  # expect: VX208


grads = jax.value_and_grad(loss)


def second(x, w):
    return (onp.cos(x) * w).sum()


of_second = jax.grad(second, argnums=1)


@jax.jit
def converted(x):
    return jnp.asarray(onp.asarray(x))  # expect: VX208


@jax.jit
def known(x):
    size = onp.prod(x.shape)
    table = onp.linspace(0.0, 1.0, x.shape[-1])
    scale = onp.float32(3.0) * onp.sqrt(size)
    dims = onp.ndim(x) + onp.size(x) + len(onp.shape(x))
    axes = onp.arange(x.ndim)
    return x * table * scale * dims * onp.pi + axes.sum(), onp.issubdtype(x.dtype, onp.floating)


@jax.jit
def callback(x):
    return jax.pure_callback(lambda v: onp.sin(v), x, x)


def host(x):
    y = jax.jit(jnp.sin)(x)
    return onp.asarray(y), onp.mean(y)


@jax.jit
def left_operand(x):
    return onp.ones(3) * x + onp.eye(3) @ x


@functools.partial(jax.jit, static_argnames=("axes",))
def static_axes(x, axes):
    order = onp.argsort(axes)
    return jnp.transpose(x, tuple(order))
