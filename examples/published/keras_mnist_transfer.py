"""Frozen layers: Keras's transfer from digits 0-4 to 5-9, 99.2 % (`examples/mnist_transfer_cnn.py` of Keras 2, 2018).

    python examples/published/keras_mnist_transfer.py [DATA FOLDER]
    verax train examples/published/keras_mnist_transfer.py --digits 5

Two convolutions of 3x3 with 32 channels, a pool, dropout 0.25, a dense layer of 128, dropout 0.5 and five outputs. It
learns the digits 0 to 4 for five epochs (99.8 % there); then the convolutions are frozen, and the dense layers go on
with the digits 5 to 9 for five epochs. Adadelta at 1.0, batches of 128, Glorot's uniform scheme, as in Keras.
"""

import os
import sys
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

import verax as vx

PUBLISHED = "99.2 %"
FROZEN = ("Conv_*",)


class ConvNet(nn.Module):
    """Two convolutions that see shapes, and two dense layers that name them."""

    @nn.compact
    def __call__(self, x, training: bool):
        drawn = nn.initializers.glorot_uniform()
        x = x[..., None]
        for _ in range(2):
            x = nn.relu(nn.Conv(32, (3, 3), padding="VALID", kernel_init=drawn)(x))
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.Dropout(0.25, deterministic=not training)(x).reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(128, kernel_init=drawn)(x))
        x = nn.Dropout(0.5, deterministic=not training)(x)
        return nn.Dense(5, kernel_init=drawn)(x)


def five_digits(first: int) -> vx.data.Source:
    """Returns the images of five digits, from the first on, as the classes 0 to 4."""
    mnist = vx.data.mnist().split(validation=0, calibration=0).load()

    def chosen(split: str) -> tuple[Any, Any]:
        images, labels = mnist.raw(split)
        kept = (labels >= first) & (labels < first + 5)
        return images[kept], labels[kept] - labels.dtype.type(first)

    names = [str(digit) for digit in range(first, first + 5)]
    source = vx.data.from_arrays(train=chosen("train"), test=chosen("test"), classes=names, name=f"mnist {first} on")
    return source.split(validation=0, calibration=0).preprocess(vx.data.scale_uint8())


def experiment(digits: int = 0, frozen: bool = False, epochs: int = 5) -> vx.Experiment:
    """Returns the experiment on five digits, with the convolutions frozen or not."""
    return vx.Experiment(
        network=ConvNet(),
        objective=vx.classification(),
        optimizer=optax.adadelta(1.0, rho=0.95, eps=1e-7),
        data=five_digits(digits),
        batch_size=128,
        epochs=epochs,
        freeze=FROZEN if frozen else (),
    )


def measure(seeds: int = 1, **hyperparameters: Any) -> dict[str, Any]:
    """Returns for each seed the two test accuracies, and how many frozen numbers changed."""
    made = []
    for seed in range(seeds):
        first = vx.train(experiment, seed=seed, **hyperparameters)
        second = vx.train(experiment, digits=5, frozen=True, initial=first, seed=seed, **hyperparameters)
        made.append((accuracy(first), accuracy(second), frozen_numbers_changed(first, second)))
    first, second, changed = (list(each) for each in zip(*made, strict=True))
    return {"accuracy_0_4": first, "accuracy_5_9": second, "frozen_changed": changed}


def accuracy(run: vx.Run) -> vx.Estimate:
    """Returns the share of its test images that a run gets right, with the interval over these."""
    test = vx.evaluate(run.network, run.experiment.objective, run.variables, run.dataset.examples("test"))
    return test.metrics["accuracy"]


def frozen_numbers_changed(first: vx.Run, second: vx.Run) -> float:
    """Returns how many numbers of the convolutions differ in any bit."""
    pairs = [(first.variables.params[name], second.variables.params[name]) for name in ("Conv_0", "Conv_1")]
    differing = jax.tree.map(
        lambda a, b: np.sum(np.asarray(a).view("u4") != np.asarray(b).view("u4")), *zip(*pairs, strict=True)
    )
    return float(sum(jax.tree.leaves(differing)))


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    measured = measure()
    print(f"digits 0-4: {measured['accuracy_0_4'][0]}; published 99.8 %")
    print(f"digits 5-9, convolutions frozen: {measured['accuracy_5_9'][0]}; published {PUBLISHED}")
    print(f"frozen numbers that changed: {measured['frozen_changed'][0]:.0f}")


if __name__ == "__main__":
    main()
