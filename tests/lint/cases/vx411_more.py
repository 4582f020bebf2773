"""VX411 more: names that no release has, and bases of which nothing can be said."""
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import nnx
from jax import lax
from jax import numpy as anp
from jax.nn import cross_entropy_loss  # expect: VX411
from jax.numpy import tensor as t, float32  # expect: VX411
from jax.random import normal, randperm  # expect: VX411
import jax.numpy.linear_algebra  # expect: VX411

act = nn.ReLU  # expect: VX411


def joined(xs):
    return jnp.cat(xs)  # expect: VX411


def bounded(x):
    return anp.clamp(x, 0, 1)  # expect: VX411


def stopped(x):
    return lax.stop_grad(x)  # expect: VX411


def solved(x):
    return jnp.linalg.cholesky_decomposition(x)  # expect: VX411


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv2d(3, (3, 3))(x)  # expect: VX411
        return nn.Dropout(0.5)(x)


def layer(rngs):
    return nnx.Dense(3, 4, rngs=rngs)  # expect: VX411


def schedule():
    return optax.cosine_decay(1e-3, 100), optax.cosine_decay_schedule(1e-3, 100)  # expect: VX411


def current(x, rngs):
    return (
        nnx.Linear(3, 4, rngs=rngs), jnp.linalg.cholesky(x), lax.stop_gradient(x), nn.initializers.lecun_normal(),
        jax.nn.initializers.he_normal(), jax.lax.linalg.qr(x), jax.scipy.stats.norm.logpdf(x), optax.contrib.muon,
        optax.losses.squared_error, hk.Linear(3), hk.nets.MLP([3]), ocp.CheckpointManager, ocp.args.StandardSave,
        jax.tree_util.Partial, jax.sharding.PartitionSpec, jax.experimental.pallas.pallas_call, jax.Array.at,
        jnp.ndarray.at, jax.config.jax_enable_x64, jax.debug.print, jax.numpy.__name__, jax._src, jnp._private,
    )  # fmt: skip


def values(x, model):
    return jnp.float32.foo, nn.Dense.from_torch, x.cat, model.jnp.cat


def asked(x):
    return jnp.cat(x) if hasattr(jnp, "cat") else jnp.concatenate(x)


def patched(x):
    jnp.my_function = len
    return jnp.my_function(x)


def dynamic(name):
    return getattr(jnp, name), vars(jnp)["cat"]


def used():
    return cross_entropy_loss, t, float32, normal, randperm, act


def drawn(shape):
    return jnp.random.normal(shape)  # expect: VX411
