"""Regression with an uncertainty of its own for each example: a Gaussian whose mean and width the network states.

    python examples/tasks/heteroscedastic.py

The noise of the data grows with the input, from 5 to 45. Prints the scores on the test split, whose intervals of 90 %
hold about 90 % of the targets, and the width that is stated at both ends.
"""

import numpy as np
import optax
from flax import linen as nn

import verax as vx


class MeanAndVariance(nn.Module):
    """Two outputs: the mean, and the logarithm of the variance."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.tanh(nn.Dense(32)(nn.tanh(nn.Dense(32)(x)))))


def data(rows: int = 4000, seed: int = 0):
    """Returns targets around 500, whose noise has a standard deviation of 25 + 20 x."""
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, (rows, 1))
    targets = 500 + 100 * np.sin(3 * x[:, 0]) + (25 + 20 * x[:, 0]) * random.normal(size=rows)
    return vx.data.from_arrays(x.astype(np.float32), targets.astype(np.float32))


def experiment(learning_rate: float = 1e-2) -> vx.Experiment:
    """`standardise`: the network learns in standard deviations; what is reported is in the targets' own unit."""
    return vx.Experiment(
        network=MeanAndVariance(),
        objective=vx.regression(likelihood="gaussian", standardise=True),
        optimizer=optax.adam(learning_rate),
        data=data(),
        batch_size=64,
        epochs=15,
    )


def main() -> dict[str, float]:
    run = vx.train(experiment)
    objective = run.experiment.objective
    scores = vx.evaluate(run.network, objective, run.variables, run.dataset.examples("test"))
    ends = vx.evaluate.predict(run.network, run.variables, np.array([[-0.9], [0.9]], np.float32))
    low, high = np.asarray(objective.spread(ends))[:, 0]
    print(scores, f"stated standard deviation at -0.9: {low:.1f} (7 is true), at 0.9: {high:.1f} (43)", sep="\n")
    return {
        "coverage_90": scores.metrics["coverage_90"].value,
        "nll": scores.metrics["nll"].value,
        "low": float(low),
        "high": float(high),
    }


if __name__ == "__main__":
    main()
