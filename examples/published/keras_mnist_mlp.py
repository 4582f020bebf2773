"""Keras's MNIST perceptron: 98.40 % of the test images after 20 epochs (`examples/mnist_mlp.py` of Keras 2, 2018).

    python examples/published/keras_mnist_mlp.py [DATA FOLDER]
    verax train examples/published/keras_mnist_mlp.py

784-512-512-10 with ReLU and dropout 0.2 after each hidden layer, RMSprop at 1e-3, batches of 128, all 60,000 images,
pixels divided by 255, accuracy of the last epoch. As there: weights drawn by Glorot's uniform scheme, biases zero, and
RMSprop's epsilon outside of the root. Published is one run; this is the mean of three seeds.
"""

import os
import sys
from typing import Any

import optax
from flax import linen as nn

import verax as vx

PUBLISHED = "98.40 %"


class MLP(nn.Module):
    """Two hidden layers of 512 with dropout, drawn as Keras draws them."""

    dropout: float

    @nn.compact
    def __call__(self, x, training: bool):
        drawn = nn.initializers.glorot_uniform()
        x = x.reshape((x.shape[0], -1))
        for _ in range(2):
            x = nn.relu(nn.Dense(512, kernel_init=drawn)(x))
            x = nn.Dropout(self.dropout, deterministic=not training)(x)
        return nn.Dense(10, kernel_init=drawn)(x)


def experiment(learning_rate: float = 1e-3, dropout: float = 0.2, epochs: int = 20) -> vx.Experiment:
    """Returns the experiment; there is no validation split, because the example has none."""
    return vx.Experiment(
        network=MLP(dropout),
        objective=vx.classification(),
        optimizer=optax.rmsprop(learning_rate, decay=0.9, eps=1e-7, eps_in_sqrt=False),
        data=vx.data.mnist().split(validation=0, calibration=0),
        batch_size=128,
        epochs=epochs,
    )


def measure(seeds: int = 3, **hyperparameters: Any) -> dict[str, Any]:
    """Returns the test accuracy of each seed."""
    runs = vx.train(experiment, seeds=seeds, **hyperparameters)
    return {"accuracy": [test_accuracy(run) for run in runs]}


def test_accuracy(run: vx.Run) -> float:
    """Returns the share of the test images that the last weights get right."""
    test = vx.evaluate(run.network, run.experiment.objective, run.variables, run.dataset.examples("test"))
    return test.metrics["accuracy"].value


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    accuracies = measure()["accuracy"]
    shown = ", ".join(f"{100 * each:.2f}" for each in accuracies)
    print(f"test accuracy {100 * sum(accuracies) / len(accuracies):.2f} % (seeds: {shown}); published {PUBLISHED}")


if __name__ == "__main__":
    main()
