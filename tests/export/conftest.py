"""The networks of `cases.py`, exported once."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.export.cases import Case, mlp_case, table_case


@pytest.fixture(scope="session")
def mlp() -> Case:
    return mlp_case()


@pytest.fixture(scope="session")
def table() -> Case:
    return table_case()


@pytest.fixture(scope="session")
def saved(tmp_path_factory, mlp) -> Path:
    """The folder of an exported MLP; copy it before changing it."""
    path = tmp_path_factory.mktemp("saved") / "model.vx"
    mlp.save(path, name="animals", facts={"accuracy": np.float32(0.5)})
    return path


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    """A copy of the exported MLP."""
    return Path(shutil.copytree(saved, tmp_path / "model.vx"))
