"""An experiment that trains within a second, and its run folder, made once."""

from pathlib import Path

import pytest

from verax.cli import main

BLOBS = '''
from typing import Literal

import numpy as np
import optax
from flax import linen as nn

import verax as vx


class Net(nn.Module):
    hidden: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.relu(nn.Dense(self.hidden)(x)))


def experiment(
    hidden: int = 8,
    learning_rate: float = 3e-2,
    epochs: int = 4,
    center: bool = False,
    kind: Literal["adam", "sgd"] = "adam",
    sizes=(1, 2),
    fault: str = "",
) -> vx.Experiment:
    """Three clouds of points.

    Args:
      hidden: width of the hidden layer.
      fault: what goes wrong.
    """
    random = np.random.default_rng(0)
    labels = np.arange(240, dtype=np.int32) % 3
    points = (random.normal(size=(240, 2)) + 4.0 * np.stack([labels == 1, labels == 2], 1)).astype(np.float32)
    if fault == "user":
        points = points[:, 7]
    if center:
        points = points - points.mean()
    if fault == "labels":
        labels = labels + 4
    if fault == "explodes":
        learning_rate = 1e30
    return vx.Experiment(
        network=Net(hidden),
        objective=vx.classification(),
        optimizer=optax.sgd(learning_rate) if fault == "explodes" or kind == "sgd" else optax.adam(learning_rate),
        data=vx.data.from_arrays(points, labels, classes=("red", "green", "blue")),
        batch_size=500 if fault == "batch" else 32,
        epochs=epochs,
    )
'''


@pytest.fixture(scope="session")
def blobs(tmp_path_factory) -> Path:
    """The file of an experiment."""
    path = tmp_path_factory.mktemp("experiment") / "blobs.py"
    path.write_text(BLOBS)
    return path


@pytest.fixture(scope="session")
def run_folder(blobs, tmp_path_factory) -> Path:
    """A finished run of it; tests that write into a run copy it."""
    folder = tmp_path_factory.mktemp("runs") / "blobs"
    assert main(["train", str(blobs), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def model(run_folder, tmp_path_factory) -> Path:
    """The run's exported model."""
    path = tmp_path_factory.mktemp("models") / "blobs.vx"
    assert main(["export", str(run_folder), "--out", str(path)]) == 0
    return path
