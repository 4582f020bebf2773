"""The tuned perceptron of Gorishniy et al. (2021) on California housing: root mean square error 0.4985.

    python examples/published/california_mlp.py [DATA FOLDER]
    verax train examples/published/california_mlp.py

Their widths 510-263-363 with dropout .197, AdamW at 1.30e-3 with decay 1.5e-4 on all parameters, batches of 256,
target standardised, inputs brought to a normal distribution by quantiles of the training part (scikit-learn's
QuantileTransformer, with their noise of 1e-3 and their number of quantiles), weights drawn as PyTorch's `Linear`, an
end after 16 epochs without a better validation error, and the best weights. Theirs is the mean of 15 seeds on a split
of their own; here it is three seeds on another random split of the same kind (64 / 16 / 20 %), so compare loosely.
"""

import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from sklearn.preprocessing import QuantileTransformer

import verax as vx

PUBLISHED = "0.4985"


class TorchDense(nn.Module):
    """A dense layer drawn as PyTorch draws `Linear`: uniformly, within one over the root of the inputs."""

    units: int

    @nn.compact
    def __call__(self, x):
        bound = x.shape[-1] ** -0.5

        def drawn(key, shape, dtype):
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return nn.Dense(self.units, kernel_init=drawn, bias_init=drawn)(x)


class MLP(nn.Module):
    """Hidden layers of ReLU with dropout, and one output."""

    widths: tuple[int, ...]
    dropout: float

    @nn.compact
    def __call__(self, x, training: bool):
        for width in self.widths:
            x = nn.Dropout(self.dropout, deterministic=not training)(nn.relu(TorchDense(width)(x)))
        return TorchDense(1)(x)


def houses() -> vx.data.Source:
    """Returns the districts, their inputs transformed by the quantiles of the training part."""
    path = Path(os.environ.get("VERAX_DATA", ".")) / "tabular" / "california_housing.csv"
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    whole = vx.data.from_arrays(table[:, :-1].astype("f4"), table[:, -1].astype("f4"))
    parts = whole.split(test=0.2, validation=0.16, calibration=0).load().parts
    known = np.asarray(parts["train"].inputs, np.float64)
    quantiles = QuantileTransformer(
        output_distribution="normal", n_quantiles=min(1000, max(10, len(known) // 30)), subsample=None, random_state=0
    )
    noise = np.random.default_rng(0).standard_normal(known.shape)
    quantiles.fit(known + 1e-3 / np.maximum(known.std(axis=0), 1e-3) * noise)
    pairs = {
        split: (quantiles.transform(np.asarray(part.inputs, np.float64)).astype("f4"), part.targets)
        for split, part in parts.items()
    }
    return vx.data.from_arrays(**pairs, name="california").split(calibration=0)


def experiment(
    learning_rate: float = 1.30e-3, weight_decay: float = 1.5e-4, dropout: float = 0.197, epochs: int = 300
) -> vx.Experiment:
    """Returns the experiment for these hyperparameters."""
    return vx.Experiment(
        network=MLP((510, 263, 363), dropout),
        objective=vx.regression(standardise=True),
        optimizer=optax.adamw(learning_rate, weight_decay=weight_decay),
        decay="all",
        data=houses(),
        batch_size=256,
        epochs=epochs,
        stopping=vx.EarlyStopping(patience=16, metric="validation/rmse"),
    )


def measure(seeds: int = 3, **hyperparameters: Any) -> dict[str, Any]:
    """Returns the root mean square error of each seed on the test part, in 100,000 dollars, and its best epoch."""
    runs = vx.train(experiment, seeds=seeds, **hyperparameters)
    return {
        "rmse": [test_rmse(run) for run in runs],
        "best_epoch": [int(run.best.step) // run.facts["steps_per_epoch"] for run in runs if run.best],
    }


def test_rmse(run: vx.Run) -> float:
    """Returns the root mean square error of the best weights on the test part."""
    test = vx.evaluate(run.network, run.experiment.objective, run.variables, run.dataset.examples("test"))
    return test.metrics["rmse"].value


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    measured = measure()
    shown = ", ".join(f"{each:.4f}" for each in measured["rmse"])
    mean = sum(measured["rmse"]) / len(measured["rmse"])
    print(f"test RMSE {mean:.4f} (seeds: {shown}; best epochs {measured['best_epoch']}); published {PUBLISHED}")


if __name__ == "__main__":
    main()
