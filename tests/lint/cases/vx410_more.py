"""VX410 more: keywords through aliases and partial, and functions that have them still."""
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import jit, lax
from jax.numpy import clip, quantile as q

relu6 = partial(jnp.clip, a_min=0.0, a_max=6.0)  # expect: VX410
placed = functools.partial(jit, in_axis_resources=None, out_axis_resources=None)  # expect: VX410


@partial(jax.jit, in_axis_resources=(None,))  # expect: VX410
def forward(x):
    return x


def middle(x):
    return q(x, 0.5, interpolation="nearest"), clip(x, a_max=1.0)  # expect: VX410


def constrained(x, spec):
    return lax.with_sharding_constraint(x, axis_resources=spec)  # expect: VX410


def saved(f):
    return jax.checkpoint(f, concrete=True)  # allow: VX410


def current(x, spec):
    return (
        clip(x, max=1.0),
        q(x, 0.5, method="nearest"),
        lax.with_sharding_constraint(x, spec),
        np.quantile(x, 0.5, interpolation="nearest"),
        np.clip(a=x, a_min=0, a_max=1),
        jax.jit(x, in_shardings=spec),
    )


def hidden(x, options):
    return jnp.clip(x, **options)


def guarded(x):
    try:
        return jnp.clip(x, min=0.0)
    except TypeError:
        return np.clip(x, a_min=0.0, a_max=None)


def by_version(x):
    if jax.__version_info__ < (0, 4, 27):
        return jnp.clip(x, a_min=0.0)
    return jnp.clip(x, min=0.0)


class Box:
    def clip(self, x, a_min):
        return x, a_min

    def own(self, x):
        return self.clip(x, a_min=0.0)
