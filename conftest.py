"""Strict settings for the tests in `tests/` and for the doctests in `src/verax/`.

What a test may ask for: the fixture `data_folder` (larger public data sets), the marks `slow` and `browser`.
"""

import importlib.metadata
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent


def quick_compiler() -> str:
    """Returns flags with which XLA compiles several times faster: compiling is most of what the suite takes.

    The programs of tests are small and run few times, so what the compiler makes of them hardly matters: they are the
    same programs, in the same precision. With `XLA_FLAGS=` (empty) the tests meet the compiler that users have, as the
    slow tests and the run on the newest Python do.
    """
    flags = ["--xla_backend_optimization_level=0"]
    if importlib.metadata.version("jaxlib").startswith("0.10."):  # a later one has no such flag, and aborts
        flags.append("--xla_cpu_use_fusion_emitters=false")
    return " ".join(flags)


# Through the environment, so that a process started by a test has them too. The cache only saves compiling again: tests
# build the same small programs many times over, in this process, in the one beside it, and in the next run.
os.environ.setdefault("XLA_FLAGS", quick_compiler())
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

if any(name.startswith("verax.") and name != "verax._pytest" for name in sys.modules):  # an entry point loads that
    raise RuntimeError("verax was imported before the hook that checks its shape annotations could be installed.")
install_import_hook("verax", "beartype.beartype")
import verax

hypothesis.settings.register_profile("verax", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("verax")


@pytest.fixture(autouse=True, scope="session")
def _names_in_doctests(doctest_namespace: dict) -> None:
    doctest_namespace.update(jax=jax, jnp=jnp, np=np, vx=verax)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the larger data sets (`mnist/`, `tabular/`, ...); a test that asks for it is skipped without."""
    named = os.environ.get("VERAX_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if named and not folder.is_dir():
        pytest.fail(f"VERAX_DATA names {named!r}, which is not a folder.")
    if not folder.is_dir():
        pytest.skip("needs larger data sets: set VERAX_DATA to a folder with mnist/, fashion_mnist/, tabular/.")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Where a browser is promised (`VERAX_REQUIRE_BROWSER=1`, set in CI), a browser test that skips has failed."""
    report = yield
    if report.skipped and item.get_closest_marker("browser") and os.environ.get("VERAX_REQUIRE_BROWSER") == "1":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but VERAX_REQUIRE_BROWSER=1: {report.longrepr}"
    return report
