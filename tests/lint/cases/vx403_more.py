"""VX403 more: each function, aliases, and what is still there."""
import jax
import jax.numpy as jnp
import jax.ops as jops
from jax import ops as o


def scale(x, i):
    return o.index_mul(x, i, 2.0)  # expect: VX403


def smallest(x, i, y):
    return jops.index_min(x, i, y)  # expect: VX403


def largest(x, y):
    return jax.ops.index_max(x, jax.ops.index[..., -1], y)  # expect: VX403


def row():
    return jax.ops.index[1:3, ::2]  # expect: VX403


add = jax.ops.index_add  # expect: VX403


def current(x, ids, y):
    return x.at[1:3, ::2].set(y), jax.ops.segment_sum(x, ids), jops.segment_prod(x, ids), o.segment_min(x, ids)


def own(ops, x):
    return ops.index_update(x, 0, 1), jnp.ones(3), add


if hasattr(jax.ops, "index_update"):
    update = jax.ops.index_update
