"""The perceptron of the Fashion-MNIST paper: 0.871 (Xiao, Rasul, Vollgraf 2017, table 3, `relu [100]`).

    python examples/published/fashion_mlp.py [DATA FOLDER]
    verax train examples/published/fashion_mlp.py

scikit-learn's MLPClassifier with the defaults of 2017, on pixels standardised by the 60,000 training images: one hidden
layer of 100 ReLU, Adam at 1e-3, batches of 200, L2 of 1e-4 over the batch, at most 200 epochs, and an end when the
training loss has not improved by 1e-4 for more than two epochs. Weights and biases are drawn uniformly with the bound
sqrt(6 / (inputs + outputs)), as there. Accuracy on the 10,000 test images with the last weights, mean of five runs, as
in the paper. `verax train` takes all 200 epochs; this file's own loop ends by scikit-learn's rule.
"""

import os
import sys
from math import inf, sqrt
from typing import Any

import jax
import optax
from flax import linen as nn

import verax as vx

PUBLISHED = "0.871"
BATCH_SIZE = 200


class SklearnDense(nn.Module):
    """A dense layer drawn as scikit-learn draws it."""

    units: int

    @nn.compact
    def __call__(self, x):
        bound = sqrt(6 / (x.shape[-1] + self.units))

        def drawn(key, shape, dtype):
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return nn.Dense(self.units, kernel_init=drawn, bias_init=drawn)(x)


class MLP(nn.Module):
    """One hidden layer of ReLU."""

    hidden: int

    @nn.compact
    def __call__(self, x):
        x = nn.relu(SklearnDense(self.hidden)(x.reshape((x.shape[0], -1))))
        return SklearnDense(10)(x)


def experiment(hidden: int = 100, learning_rate: float = 1e-3, alpha: float = 1e-4, epochs: int = 200) -> vx.Experiment:
    """Returns the experiment; the penalty of scikit-learn's `alpha` is divided by the batch size there."""
    return vx.Experiment(
        network=MLP(hidden),
        objective=vx.classification(l2=alpha / BATCH_SIZE),
        optimizer=optax.adam(learning_rate),
        data=vx.data.fashion_mnist().split(validation=0, calibration=0).preprocess(vx.data.standardise()),
        batch_size=BATCH_SIZE,
        epochs=epochs,
    )


def measure(seeds: int = 5, **hyperparameters: Any) -> dict[str, Any]:
    """Returns the test accuracy of each seed with its last weights, and the epochs that it took."""
    accuracies, lengths = [], []
    for seed in range(seeds):
        made = vx.train.resolve(experiment, {**hyperparameters, "seed": seed})
        variables, epochs = until_it_stands_still(made)
        test = vx.data.load(made.data).examples("test")
        found = vx.evaluate(vx.as_network(made.network), made.objective, variables, test)
        accuracies.append(found.metrics["accuracy"].value)
        lengths.append(epochs)
    return {"accuracy": accuracies, "epochs": lengths}


def until_it_stands_still(made: vx.Experiment) -> tuple[vx.Variables, int]:
    """Returns the last weights, and how many epochs it took, by scikit-learn's rule on the training loss.

    `vx.EarlyStopping` watches a validation split. The rule here is another one, so the loop over the epochs is our own.
    """
    best, waited, end = inf, 0, None
    for end in vx.train.epochs(made):
        loss = end[1].values["train/loss"]
        waited = waited + 1 if loss > best - 1e-4 else 0
        best = min(best, loss)
        if waited > 2:
            break
    assert end is not None
    state, record = end
    return state.variables, record.epoch


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    measured = measure()
    shown = ", ".join(f"{each:.4f}" for each in measured["accuracy"])
    mean = sum(measured["accuracy"]) / len(measured["accuracy"])
    print(f"test accuracy {mean:.4f} (seeds: {shown}; epochs: {measured['epochs']}); published {PUBLISHED}")


if __name__ == "__main__":
    main()
