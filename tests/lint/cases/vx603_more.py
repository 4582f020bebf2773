"""VX603 naive-logsumexp: more forms."""
import jax
import jax.numpy as jnp
from jax.numpy import exp, log


def imported(x):
    return log(exp(x).sum(axis=-1, keepdims=True))  # expect: VX603


def names(x):
    e = jnp.exp(x / 0.1)
    total = e.sum(-1)
    return jnp.log(total)  # expect: VX603


def mean(x):
    return jnp.log(jnp.mean(jnp.exp(x), axis=0))  # expect: VX603


def walrus(x):
    return jnp.log(total := jnp.sum(jnp.exp(x))), total  # expect: VX603


def contrastive(a, b, temperature):
    return -jnp.diag(a @ b.T) + jnp.log(jnp.sum(jnp.exp(a @ b.T / temperature), axis=1))  # expect: VX603


class Loss:
    async def __call__(self, x):
        return [jnp.log(jnp.sum(jnp.exp(each))) for each in x]  # expect: VX603


def shifted_before(x):
    x = x - x.max(-1, keepdims=True)
    return jnp.log(jnp.exp(x).sum(-1))


def shifted_by_name(x):
    z = x - jax.lax.stop_gradient(jnp.max(x))
    e = jnp.exp(z)
    return jnp.log(jnp.sum(e))


def bounded(x):
    return jnp.log(jnp.sum(jnp.exp(jax.nn.log_softmax(x)))), jnp.log(jnp.sum(jnp.exp(-(x**2))))


def other(x):
    return jnp.log(jnp.sum(x * 2.0)), jnp.log(jnp.prod(jnp.exp(x))), jnp.log2(jnp.sum(jnp.exp2(x)))


def either(x, flag):
    total = jnp.sum(x)
    if flag:
        total = jnp.sum(jnp.exp(x))
    return jnp.log(total)


def in_place(x):
    x -= x.max(-1, keepdims=True)
    return jnp.log(jnp.exp(x).sum(-1))


def on_one_way(x, shift):
    if shift:
        x = x - x.max()
    return jnp.log(jnp.sum(jnp.exp(x)))


def two(a, b):
    return jnp.log(jnp.exp(a) + jnp.exp(b))  # expect: VX603


def softplus(a):
    return jnp.log(1.0 + jnp.exp(-jnp.abs(a))), jnp.log(jnp.exp(-a) + jnp.exp(-2 * a))


def test_logsumexp(x):
    assert jnp.allclose(jax.nn.logsumexp(x), jnp.log(jnp.sum(jnp.exp(x))))
