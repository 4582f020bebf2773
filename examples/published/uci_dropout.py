"""Monte Carlo dropout on the standard UCI splits: the numbers that its author published in 2018, on the same splits.

    python examples/published/uci_dropout.py [DATA FOLDER] [--set concrete] [--long]
    verax train examples/published/uci_dropout.py --name yacht

One hidden layer of 50 ReLU with dropout on inputs and hidden units, Adam, batches of 128, 4,000 epochs, L2 of
1e-4 (1 - p) / (2 N tau) in Keras's sense, inputs and targets standardised on each training part; root mean square error
of the mean of 10,000 stochastic passes and log-likelihood, in the targets' units, over the 20 splits that everybody
uses. All 20 are trained in one program: folds as lanes.

Without `--long`, dropout p and precision tau are those that the author's logs show to have been chosen most often
(github.com/yaringal/DropoutUncertaintyExps, `validation_ll_100_xepochs_1_hidden_layers.txt`), the same for all splits:
whoever knows them has seen the answer. With `--long` they are chosen as there, for each split by the log-likelihood of
the last 20 % of its training rows, out of 12 pairs, and the network is then trained anew on all of them.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import linen as nn

import verax as vx

SAMPLES = 10_000
DROPOUTS = (0.005, 0.01, 0.05, 0.1)


class Published(NamedTuple):
    """What was published of a data set: mean and standard error over the splits, from the author's log files.

    Attributes:
      rmse: root mean square error of the mean of 10,000 passes.
      log_likelihood: of a test example, in nats.
      dropout: chosen for most splits.
      tau: chosen for most splits (of `concrete`, for ten of the twenty).
      taus: those that were tried.
    """

    rmse: tuple[float, float]
    log_likelihood: tuple[float, float]
    dropout: float
    tau: float
    taus: tuple[float, ...]


PUBLISHED = {
    "concrete": Published((4.826, 0.161), (-2.937, 0.025), 0.005, 0.05, (0.025, 0.05, 0.075)),
    "energy": Published((0.539, 0.0135), (-1.212, 0.0053), 0.005, 0.75, (0.25, 0.5, 0.75)),
    "yacht": Published((0.666, 0.049), (-1.250, 0.0153), 0.005, 0.75, (0.25, 0.5, 0.75)),
}


class MLP(nn.Module):
    """One hidden layer, dropout before it and after it."""

    dropout: float

    @nn.compact
    def __call__(self, x, training: bool):
        drawn = nn.initializers.glorot_uniform()
        x = nn.Dropout(self.dropout, deterministic=not training)(x)
        x = nn.relu(nn.Dense(50, kernel_init=drawn)(x))
        x = nn.Dropout(self.dropout, deterministic=not training)(x)
        return nn.Dense(1, kernel_init=drawn)(x)


def read(name: str) -> tuple[Any, Any, list[tuple[Any, Any]]]:
    """Returns inputs, targets, and the row numbers (train, test) of the 20 splits; the last column is the target."""
    folder = Path(os.environ.get("VERAX_DATA", ".")) / "uci_regression" / name
    table = np.loadtxt(folder / "data.txt", dtype=np.float32)
    with np.load(folder / "splits.npz") as splits:
        return table[:, :-1], table[:, -1], list(zip(splits["train"], splits["test"], strict=True))


def experiment(
    name: str = "concrete",
    dropout: float | None = None,
    tau: float | None = None,
    epochs: int = 4000,
    examples: int | None = None,
) -> vx.Experiment:
    """Returns the experiment on one data set.

    Args:
      name: `concrete`, `energy` or `yacht`.
      dropout: p; by default what the author's logs show most often. Likewise `tau`.
      tau: the precision of the noise, in the targets' units.
      epochs: 4,000 as in the author's result files.
      examples: rows that it trains on, by which the penalty is divided; 90 % of all by default.
    """
    inputs, targets, splits = read(name)
    dropout = PUBLISHED[name].dropout if dropout is None else dropout
    tau = PUBLISHED[name].tau if tau is None else tau
    keras_l2 = 1e-4 * (1 - dropout) / (2 * (examples or len(splits[0][0])) * tau)
    return vx.Experiment(
        network=MLP(dropout),
        objective=vx.regression(l2=2 * keras_l2, standardise=True),  # Keras has l2 * sum(w ** 2), Verax half of it
        optimizer=optax.adam(1e-3, eps=1e-7),
        data=vx.data.from_arrays(inputs, targets, name=name)
        .split(test=0.1, validation=0, calibration=0)
        .preprocess(vx.data.standardise()),
        batch_size=128,
        epochs=epochs,
    )


def measure(
    name: str = "concrete", *, long: bool = False, samples: int = SAMPLES, splits: int = 20, **hyperparameters: Any
) -> dict[str, Any]:
    """Returns root mean square error and log-likelihood of each split, at the author's setting or chosen (`long`)."""
    folds = read(name)[2][:splits]
    if not long:
        runs = vx.train(experiment, folds=folds, name=name, **hyperparameters)
        scores = [scored(run, PUBLISHED[name].tau, samples) for run in runs]
        return {"rmse": [each[0] for each in scores], "log_likelihood": [each[1] for each in scores]}
    chosen = choose(name, folds, samples, **hyperparameters)
    found: dict[int, tuple[float, float]] = {}
    for dropout, tau in sorted(set(chosen)):
        own = [number for number, each in enumerate(chosen) if each == (dropout, tau)]
        runs = vx.train(
            experiment, folds=[folds[each] for each in own], name=name, dropout=dropout, tau=tau, **hyperparameters
        )
        found |= {number: scored(run, tau, samples) for number, run in zip(own, runs, strict=True)}
    scores = [found[number] for number in range(len(folds))]
    return {
        "rmse": [each[0] for each in scores],
        "log_likelihood": [each[1] for each in scores],
        "chosen": chosen,
    }


def choose(
    name: str, folds: Sequence[tuple[Any, Any]], samples: int, **hyperparameters: Any
) -> list[tuple[float, float]]:
    """Returns dropout and tau of each split by the log-likelihood of the last 20 % of its training rows."""
    kept = int(0.8 * len(folds[0][0]))
    parts = [(train[:kept], train[kept:]) for train, _ in folds]
    grid = [(dropout, tau) for dropout in DROPOUTS for tau in PUBLISHED[name].taus]
    likelihoods = []
    for dropout, tau in grid:
        runs = vx.train(experiment, folds=parts, name=name, dropout=dropout, tau=tau, examples=kept, **hyperparameters)
        likelihoods.append([scored(run, tau, samples)[1] for run in runs])
    return [grid[best] for best in np.argmax(likelihoods, axis=0)]


def scored(run: vx.Run, tau: float, samples: int) -> tuple[float, float]:
    """Returns the root mean square error of the mean of many passes on the rows held out, and their log-likelihood."""
    held_out = run.dataset.examples("test")
    found = vx.evaluate.mc_dropout(
        run.network,
        run.variables,
        held_out.inputs,
        key=jax.random.key(run.experiment.seed + 1),
        samples=samples,
        objective=run.experiment.objective,
        keep_samples=True,
    )
    return found.rmse(held_out.targets).value, found.log_likelihood(held_out.targets, precision=tau).value


def main() -> None:
    """Runs the protocol and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="folder with uci_regression (default: that of VERAX_DATA)")
    parser.add_argument("--set", choices=list(PUBLISHED), action="append", help="one of the three (default: all)")
    parser.add_argument("--long", action="store_true", help="choose dropout and tau for each split")
    options = parser.parse_args()
    if options.data:
        os.environ["VERAX_DATA"] = options.data
    for name in options.set or PUBLISHED:
        measured = measure(name, long=options.long)
        published = PUBLISHED[name]
        for metric, (value, error) in (("rmse", published.rmse), ("log_likelihood", published.log_likelihood)):
            mean, own_error = np.mean(measured[metric]), np.std(measured[metric]) / np.sqrt(len(measured[metric]))
            print(f"{name} {metric}: {mean:.3f} ± {own_error:.3f}; published {value} ± {error} (standard errors)")


if __name__ == "__main__":
    main()
