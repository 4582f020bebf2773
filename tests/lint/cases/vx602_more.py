"""VX602 unsafe-where-gradient: more guards and operations."""
import jax
import jax.numpy as jnp
from jax import lax
from jax.numpy import where


def loss(x):
    return safe(x).sum()


grads = jax.grad(loss)


def safe(x):
    return jnp.where(x > 0, -x * jnp.log(x), 0)  # expect: VX602


def imported(x):
    return where(x >= 0, jnp.sqrt(x), 0.0)  # expect: VX602


def condition_named(x):
    positive = x > 0.0
    return jnp.where(positive, jnp.log(x), 0.0)  # expect: VX602


def branch_named(x):
    y = jnp.log(x)
    return jnp.where(x > 0, y, 0.0)  # expect: VX602


def negated(x):
    return jnp.where(~(x == 0), 1.0 / x, 0.0)  # expect: VX602


def both(x, mask):
    return jnp.where((x > 0) & mask, x**-0.5, 0.0)  # expect: VX602


def selected(x):
    return lax.select(x > 0, lax.rsqrt(x), jnp.zeros_like(x))  # expect: VX602


def size(x):
    return jnp.where(jnp.abs(x) > 1e-6, jnp.sin(x) / x, 1.0)  # expect: VX602


def difference(x, low):
    return jnp.where(x > low, jnp.sqrt(x - low), 0.0)  # expect: VX602


def logical(a, b):
    return jnp.where(jnp.not_equal(b, 0), jnp.divide(a, b), 0.0)  # expect: VX602


class Layer:
    def __call__(self, x):
        return jnp.where(self.scale > 0, x / self.scale, x)  # expect: VX602


def domain(x):
    return jnp.where(jnp.abs(x) < 1, jnp.arccos(x), 0.0)  # expect: VX602


def guarded(x):
    x = jnp.where(x > 0, x, 1.0)
    return jnp.where(x > 0, jnp.log(x), 0.0)


def maximum(x):
    y = jnp.maximum(x, 1e-6)
    return jnp.where(y > 0, jnp.log(y), 0.0)


def other_side(x):
    return jnp.where(x < 10, jnp.log(x), 0.0)


def not_its_guard(x, y):
    return jnp.where(y > 0, jnp.log(x), 0.0), jnp.where(x > 0, jnp.exp(x), 0.0)


def shifted(n, s):
    return jnp.where(n > 0, s / (n + 1), 0.0)


def epsilon(x):
    return jnp.where(x > 0, jnp.log(x + 1e-6), 0.0)


def sizes(x):
    n = x.shape[0]
    return jnp.where(n > 0, x / n, 0.0)


def square(x):
    return jnp.where(x > 0, x**2, 0.0), jnp.where(x > 0, x**3.0, 0.0)


def integers(x, n):
    return jnp.where(n > 0, x // n, 0)


def indices(x):
    return jnp.where(x > 0), jnp.where(x > 0, x, jnp.log(2.0))


def clipped(t, norm, limit):
    return jnp.where(norm < limit, t, t / norm * limit)


def power(x):
    return jnp.where(x > 0, jnp.power(x, -0.5), 0.0)  # expect: VX602


def square(x):
    return jnp.where(x > 0, jnp.power(x, 2), 0.0)


def of_counts(num_dims, max_num_dims):
    return jnp.where(num_dims > 1, 0.5 * jnp.arange(max_num_dims) / (num_dims - 1), 0.5)


def mean_of_some(total, count):
    return jnp.where(count > 0, total / count, 0.0)  # expect: VX602


def sinc(x):
    return jnp.where(x == 0.0, 1.0, jnp.sin(jnp.pi * x) / (jnp.pi * x))  # expect: VX602


def inverse_square(x):
    return jnp.where(x != 0.0, 1 / x**2, 0.0)  # expect: VX602


def of_difference(x, y):
    return jnp.where(x > 0, jnp.sqrt(y * x), 0.0)
