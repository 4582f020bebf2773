"""Equinox's MNIST example: 0.904 of the test images after 300 steps (`docs/examples/mnist.ipynb`).

    python examples/published/equinox_mnist.py [DATA FOLDER]
    verax train examples/published/equinox_mnist.py

An Equinox module goes into Verax as it is; given the class, Verax draws its weights from the run's seed. As in the
notebook: the same layers, pixels brought to [-1, 1], AdamW at 3e-4 with Optax's decay of 1e-4 on all parameters, 300
batches of 64. Published is one run; this is the mean of three seeds.
"""

import os
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import verax as vx

PUBLISHED = "0.904"


class CNN(eqx.Module):
    """One convolution and three dense layers; takes one image."""

    layers: list

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.layers = [
            eqx.nn.Conv2d(1, 3, kernel_size=4, key=keys[0]),
            eqx.nn.MaxPool2d(kernel_size=2),
            jax.nn.relu,
            jnp.ravel,
            eqx.nn.Linear(1728, 512, key=keys[1]),
            jax.nn.sigmoid,
            eqx.nn.Linear(512, 64, key=keys[2]),
            jax.nn.relu,
            eqx.nn.Linear(64, 10, key=keys[3]),
        ]

    def __call__(self, image):
        x = 2 * image[None] - 1  # a channel, and from [0, 1] to [-1, 1]
        for layer in self.layers:
            x = layer(x)
        return x


def experiment(learning_rate: float = 3e-4, steps: int = 300) -> vx.Experiment:
    """Returns the experiment."""
    return vx.Experiment(
        network=CNN,
        objective=vx.classification(),
        optimizer=optax.adamw(learning_rate),
        decay="all",
        data=vx.data.mnist().split(validation=0, calibration=0),
        batch_size=64,
        steps=steps,
    )


def measure(seeds: int = 3, **hyperparameters: Any) -> dict[str, Any]:
    """Returns the test accuracy of each seed."""
    runs = vx.train(experiment, seeds=seeds, **hyperparameters)
    return {"accuracy": [test_accuracy(run) for run in runs]}


def test_accuracy(run: vx.Run) -> float:
    """Returns the share of the test images that are right."""
    test = vx.evaluate(run.network, run.experiment.objective, run.variables, run.dataset.examples("test"))
    return test.metrics["accuracy"].value


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    accuracies = measure()["accuracy"]
    shown = ", ".join(f"{each:.4f}" for each in accuracies)
    print(f"test accuracy {sum(accuracies) / len(accuracies):.4f} (seeds: {shown}); published {PUBLISHED}")


if __name__ == "__main__":
    main()
