"""VX409 more: names that `jax.numpy` has no more, and NumPy's own."""
import jax.numpy
import jax.numpy as jnp
import numpy as np
from jax import numpy as jnumpy
from jax.numpy import product, round_ as rounded  # expect: VX409

lowest = jnp.NINF  # expect: VX409
same = jnp


def some(x):
    return jnumpy.sometrue(x) | same.alltrue(x)  # expect: VX409


def ordered(x):
    return jax.numpy.msort(x)  # expect: VX409


def running(x, *, dtype: "jnp.dtype" = jnp.float32):
    return jnp.cumproduct(x, dtype=dtype)  # expect: VX409


def typed() -> jnp.DeviceArray | None:  # expect: VX409
    return None


class Net:
    pool = jnp.trapz  # expect: VX409

    def alltrue(self, x):
        return x

    def called(self, x):
        return self.alltrue(x)


def current(x):
    return jnp.all(x), jnp.prod(x), jnp.round(x), jnp.sort(x), jnp.inf, jnp.float_, product, rounded, lowest


def host(x):
    return np.alltrue(x), np.product(x), np.NINF, np.msort(x), np.round_(x)


def either(xp):
    return xp.in1d(xp.ones(3), xp.ones(3))


def chosen(x, on_device):
    if on_device:
        import jax.numpy as xnp
    else:
        import numpy as xnp
    return xnp.trapz(x)
