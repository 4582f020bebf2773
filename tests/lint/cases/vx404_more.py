"""VX404 more: forms of imports, chains, moves, and experimental parts that are current."""
import jax
import jax.experimental.stax as stax  # expect: VX404
import jax.experimental.maps  # expect: VX404
from jax import experimental
from jax.experimental import PartitionSpec as P  # expect: VX404
from jax.experimental import io_callback, multihost_utils
from jax.experimental.host_callback import call, id_tap  # expect: VX404
from jax.experimental.maps import Mesh, xmap  # expect: VX404
from jax.experimental.optimizers import adam  # expect: VX404
from jax.experimental import pallas as pl
import jax.experimental.sparse as sparse
from jax.example_libraries import stax as current_stax


def tapped(x):
    return jax.experimental.host_callback.call(print, x)  # expect: VX404


def optimiser():
    return experimental.optimizers.adam(1e-3)  # expect: VX404


def mapped(f, mesh, spec):
    return experimental.shard_map.shard_map(f, mesh, spec, spec)  # expect: VX404


def chain(devices):
    return jax.experimental.maps.Mesh(devices, ("a",))


def uses(x):
    return stax, P, call, id_tap, Mesh, xmap, adam, io_callback, multihost_utils, pl, sparse.BCOO, current_stax


def tried():
    try:
        from jax.experimental.maps import thread_resources
    except (ImportError, AttributeError):
        thread_resources = None
    return thread_resources


def old_only(version_of):
    if version_of(jax.__version__) < (0, 4, 31):
        from jax.experimental import maps

        return maps
    return None


class Box:
    experimental = None


def own(box):
    return box.experimental.maps, box.experimental.host_callback
