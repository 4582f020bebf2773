"""The fixture of the pytest plugin, in a project of its own; and that the plugin costs nothing where it is not used."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

USER = """
import jax, jax.numpy as jnp, numpy as np
import verax as vx
from flax import linen as nn

X = jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)
PARAMS = {"kernel": jnp.full((3, 1), 0.5), "forgotten": jnp.ones(2)}

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.BatchNorm(not training)(nn.relu(nn.Dense(2)(x)))
        return nn.Dense(2, kernel_init=nn.initializers.zeros)(nn.Dropout(0.1, deterministic=not training)(x))

def loss(params, x):
    return jnp.mean(jnp.tanh(x @ params["kernel"]) ** 2)

def test_right(verax_check):
    verax_check(loss, {"kernel": PARAMS["kernel"]}, X)

def test_right_network(verax_check):
    batch = vx.Batch(X, jnp.array([0, 1, 0, 1]), jnp.ones(4))
    verax_check(vx.classification(), batch, network=Net())

def test_forgotten(verax_check):
    verax_check(loss, PARAMS, X)

def test_noisy(verax_check):
    verax_check(lambda p, x: loss(p, x + np.random.normal()), {"kernel": PARAMS["kernel"]}, X)

def test_reuse(verax_check):
    def noisy(params, x, key):
        return loss(params, x + jax.random.normal(key, x.shape)) + jax.random.uniform(key)
    verax_check(noisy, {"kernel": PARAMS["kernel"]}, X, jax.random.key(0))

def test_not_finite(verax_check):
    verax_check(lambda p, x: jnp.log(p["kernel"].sum() - 1.5), {"kernel": PARAMS["kernel"]}, X)
"""

SAID = {
    "test_forgotten": "forgotten: parameter-without-gradient: the gradient is exactly 0.",
    "test_noisy": "unseeded-randomness: the program changes with a global random generator",
    "test_reuse": "key-reuse: one key is drawn from more than once in",
    "test_not_finite": "non-finite-loss: the loss is -inf.",
}


def run(folder, *args):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_fixture_passes_what_is_right_and_prints_what_is_not(tmp_path):
    (tmp_path / "test_user.py").write_text(USER)
    said = run(tmp_path, "-rA").stdout
    for name, text in SAID.items():
        assert f"FAILED test_user.py::{name}" in said, said
        assert text in said, said
    for name in ("test_right", "test_right_network"):
        assert f"PASSED test_user.py::{name}" in said, said
    assert "check_loss.py" not in said  # the findings alone, no traceback of ours


def test_the_plugin_imports_nothing_heavy():
    code = "import sys, verax._pytest; print([name for name in ('jax', 'numpy', 'verax.debug') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_pytest_finds_the_plugin_by_its_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"verax": "verax._pytest"}
