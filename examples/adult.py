"""A binary classifier on CSV files with categories and missing values: does a person earn more than 50,000 dollars?

    verax train examples/adult.py --out runs/adult
    verax certify runs/adult --waive tuned="the setting is a published one"

Needs the UCI files `adult.data` and `adult.test` in the folder that VERAX_DATA names, or in its subfolder `tabular`.
"""

import os
from pathlib import Path

import optax
from flax import linen as nn

import verax as vx

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip


class MLP(nn.Module):
    """Two hidden layers and one logit."""

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


def experiment(hidden: int = 128, learning_rate: float = 1e-3, dropout: float = 0.2, epochs: int = 20) -> vx.Experiment:
    """Returns the experiment for these hyperparameters."""
    people = vx.data.from_csv(
        data_file("adult.data"),
        test=data_file("adult.test"),
        target="income",
        columns=COLUMNS,
        comment="|",  # the first line of adult.test
        label_suffix=".",  # as its labels end
    )
    steps = (vx.data.impute(), vx.data.standardise(), vx.data.one_hot())
    return vx.Experiment(
        network=MLP(hidden, dropout),
        objective=vx.binary(),
        optimizer=optax.adamw(learning_rate, weight_decay=1e-3),
        data=people.split(validation=0.1, calibration=0.1).preprocess(*steps),
        batch_size=256,
        epochs=epochs,
        stopping=vx.EarlyStopping(patience=4),
    )
