"""VX601 log-of-softmax: more forms."""
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn import sigmoid, softmax
from jax.numpy import log


def imported(z):
    return log(softmax(z))  # expect: VX601


def unpacked(z, y):
    p, q = softmax(z), sigmoid(y)
    return log(p) + jnp.log(q)  # expect: VX601


def walrus(z):
    return jnp.log(p := softmax(z)), p  # expect: VX601


def picked(z, y):
    p = softmax(z)
    return -jnp.log(p[jnp.arange(3), y])  # expect: VX601


def complement(z):
    return jnp.log(1 - sigmoid(z)) + jnp.log1p(-jax.nn.sigmoid(z))  # expect: VX601


class Head(nn.Module):
    @nn.compact
    async def __call__(self, x):
        probs = nn.softmax(nn.Dense(3)(x))
        return [jnp.log(probs) for _ in range(2)]  # expect: VX601


def partially(z):
    normalise = partial(jax.nn.softmax, axis=0)
    return jnp.log(normalise(z))  # expect: VX601


def in_loop(zs):
    total = 0.0
    for z in zs:
        p = softmax(z)
        total += jnp.log(p).sum()  # expect: VX601
    return total


def guarded(z):
    p = jnp.clip(softmax(z), 1e-6, 1.0)
    return jnp.log(p)


def added(z):
    return jnp.log(softmax(z) + 1e-9)


def summed(z):
    return jnp.log(softmax(z).sum(0)), jnp.log(jnp.max(softmax(z)))


def either(z, normal):
    p = z
    if normal:
        p = softmax(z)
    return jnp.log(p)


def parameter(softmax, z):
    return jnp.log(softmax(z))


def one_class(z):
    return jnp.log1p(softmax(z)), jnp.exp(softmax(z))


def of_labels(logits, labels):
    probabilities = jax.nn.softmax(logits)
    return jnp.log(jnp.take_along_axis(probabilities, labels[:, None], axis=-1))  # expect: VX601


def test_log_softmax(logits):
    assert jnp.allclose(jax.nn.log_softmax(logits), jnp.log(jax.nn.softmax(logits)))
