"""Haiku, Equinox and NNX are loaded by those who use them, and a missing one is named with its extra."""

import subprocess
import sys

import pytest

from verax.network import from_equinox, from_haiku

PROGRAM = """
import sys
import jax, jax.numpy as jnp
from flax import linen as nn
import verax as vx
network = vx.as_network(nn.Dense(3))
network.apply(network.init(jax.random.key(0), jnp.ones((2, 4))), jnp.ones((2, 4)))
vx.as_network((lambda key, x: 1.0, lambda params, x: x))
loaded = {"haiku", "equinox", "flax.nnx"} & set(sys.modules)
assert not loaded, loaded
"""


def test_a_library_that_is_not_used_is_not_loaded():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)


@pytest.mark.parametrize(
    ("adapt", "module", "said"),
    [
        (from_equinox, "equinox", r"from_equinox needs equinox, .* pip install 'verax\[equinox\]'"),
        (from_haiku, "haiku", r"from_haiku needs dm-haiku, .* pip install 'verax\[haiku\]'"),
    ],
    ids=["equinox", "haiku"],
)
def test_a_missing_library_names_its_extra(monkeypatch, adapt, module, said):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=said):
        adapt(None)
