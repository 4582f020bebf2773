"""An experiment on data from a file, for `verax train`; the file is what is wrong."""

from pathlib import Path
from typing import Any, Literal

import optax
from flax import linen as nn

import verax as vx


class Net(nn.Module):
    outputs: int
    hidden: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.outputs)(nn.relu(nn.Dense(self.hidden)(x.reshape(x.shape[0], -1))))


def _csv(path: Path) -> Any:
    read = vx.data.from_csv(path, target="price", categorical=("colour",), task="regression")
    return read.split(calibration=0).preprocess(vx.data.one_hot())


def _npz(path: Path) -> Any:
    return vx.data.from_npz(path).split(calibration=0).preprocess(vx.data.scale_uint8())


def _idx(path: Path) -> Any:
    return vx.data.from_idx(path, path.with_name(path.name.replace("images", "labels")))


def experiment(path: Path, kind: Literal["csv", "npz", "idx", "mnist"] = "csv", hidden: int = 4, epochs: int = 1):
    """Three classes of pictures, or the price of things.

    Args:
      path: of the data.
      kind: of the file.
      hidden: width of the hidden layer.
      epochs: passes over the data.
    """
    data = vx.data.mnist() if kind == "mnist" else {"csv": _csv, "npz": _npz, "idx": _idx}[kind](Path(path))
    return vx.Experiment(
        network=Net(1 if kind == "csv" else 3, hidden),
        objective=vx.regression() if kind == "csv" else vx.classification(),
        optimizer=optax.adam(1e-2),
        data=data,
        batch_size=16,
        epochs=epochs,
    )
