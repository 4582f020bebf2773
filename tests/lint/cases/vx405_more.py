"""VX405 more: names of JAX that are gone or go, through aliases and in annotations, and those that stay."""
from typing import TYPE_CHECKING

import jax
import jax.core as jcore
import jax.random as jr
import jax.util  # expect: VX405
from jax import config
from jax import lax, lib
from jax import ShapedArray  # expect: VX405
from jax.api import jit as old_jit  # expect: VX405
from jax.interpreters.pxla import PartitionSpec  # expect: VX405
from jax.lib import xla_client as xc, xla_extension  # expect: VX405
from jax.random import KeyArray as Key  # expect: VX405

config.update("jax_enable_x64", False)
jax.config.config.update("jax_enable_x64", False)  # expect: VX405

if TYPE_CHECKING:
    from jax.random import PRNGKeyArray  # expect: VX405


def drawn(key: jr.KeyArray, shape) -> jr.PRNGKeyArray:  # expect: VX405
    return jr.split(key)


def backend():
    return lib.xla_bridge.get_backend()  # expect: VX405


def replicated(x):
    return jax.device_put_replicated(x, jax.devices())  # expect: VX405


def literal(x):
    return isinstance(x, jcore.Literal), isinstance(x, jcore.Tracer)  # allow: VX405


def counted():
    return [jax.host_count() for _ in range(2)]  # expect: VX405


def current(x, key):
    return lax.psum(x, "i"), jr.key_data(key), jax.process_count(), jax.device_put(x), jax.lib.__version__


def used():
    return ShapedArray, old_jit, PartitionSpec, xc, xla_extension, Key, jax.util


def mended(x):
    if not hasattr(jax, "device_put_sharded"):
        return jax.device_put(x)
    return jax.device_put_sharded(x, jax.devices())


def own(config, util):
    return config.config, util.host_id(), config.update("a", 1)


def shaped(x):
    aval = jax.core.get_aval(x)  # expect: VX405
    if hasattr(aval, "to_tangent_aval"):
        return aval.to_tangent_aval()
    return jax.core.raise_to_shaped(aval)
