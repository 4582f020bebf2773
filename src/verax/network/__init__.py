"""A model from any library as two pure functions: recognised by its type, with a key for its mode."""

from verax.network._adapt import as_network, call_with_kwargs
from verax.network._equinox import from_equinox
from verax.network._functions import from_functions
from verax.network._haiku import from_haiku
from verax.network._linen import from_linen
from verax.network._network import Network, Variables
from verax.network._nnx import from_nnx

__all__ = [
    "Network",
    "Variables",
    "as_network",
    "call_with_kwargs",
    "from_equinox",
    "from_functions",
    "from_haiku",
    "from_linen",
    "from_nnx",
]
