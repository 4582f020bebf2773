"""A regressor on a CSV file: the median house value of Californian districts, in 100,000 dollars.

    verax train examples/tabular.py --out runs/houses
    verax certify runs/houses --waive tuned="the setting is a published one"

Needs `california_housing.csv` in the folder that VERAX_DATA names, or in its subfolder `tabular`.
"""

import os
from pathlib import Path

import optax
from flax import linen as nn

import verax as vx


class MLP(nn.Module):
    """Two hidden layers and one output."""

    hidden: int
    dropout: float

    @nn.compact
    def __call__(self, x, training: bool):
        for width in (self.hidden, self.hidden // 2):
            x = nn.relu(nn.Dense(width)(x))
            x = nn.Dropout(self.dropout, deterministic=not training)(x)
        return nn.Dense(1)(x)


def data_file(name: str) -> Path:
    """Returns where a file of the VERAX_DATA folder is."""
    folder = Path(os.environ.get("VERAX_DATA", "."))
    return folder / "tabular" / name if (folder / "tabular").is_dir() else folder / name


def experiment(
    hidden: int = 256, learning_rate: float = 1e-3, dropout: float = 0.05, epochs: int = 40
) -> vx.Experiment:
    """Returns the experiment for these hyperparameters."""
    houses = vx.data.from_csv(data_file("california_housing.csv"), target="target", task="regression")
    return vx.Experiment(
        network=MLP(hidden, dropout),
        objective=vx.regression(),
        optimizer=optax.adamw(learning_rate, weight_decay=1e-4),
        data=houses.split(test=0.2, validation=0.1, calibration=0.1).preprocess(vx.data.standardise()),
        batch_size=256,
        epochs=epochs,
        stopping=vx.EarlyStopping(patience=8),
    )
