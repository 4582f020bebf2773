"""The convolutional network of keras.io: 0.9922 of the MNIST test images after 15 epochs (`mnist_convnet`).

    python examples/published/keras_mnist_convnet.py [DATA FOLDER]     a quarter of an hour or more on two cores
    verax train examples/published/keras_mnist_convnet.py

Two convolutions of 3x3 (32 and 64 channels, ReLU, max-pooling), dropout 0.5 and a dense layer: 34,826 parameters. Adam,
batches of 128, the last 6,000 training images as validation (accuracy .9780 after the first epoch there), 15 epochs.
Weights drawn by Glorot's uniform scheme, biases zero, as in Keras.
"""

import os
import sys
from typing import Any

import optax
from flax import linen as nn

import verax as vx

PUBLISHED = "0.9922"


class ConvNet(nn.Module):
    """Two convolutions with pooling, dropout, and the outputs."""

    dropout: float

    @nn.compact
    def __call__(self, x, training: bool):
        drawn = nn.initializers.glorot_uniform()
        x = x[..., None]
        for channels in (32, 64):
            x = nn.relu(nn.Conv(channels, (3, 3), padding="VALID", kernel_init=drawn)(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.Dropout(self.dropout, deterministic=not training)(x.reshape((x.shape[0], -1)))
        return nn.Dense(10, kernel_init=drawn)(x)


def experiment(learning_rate: float = 1e-3, dropout: float = 0.5, epochs: int = 15) -> vx.Experiment:
    """Returns the experiment; the last tenth of the training images is for validation, as in Keras."""
    mnist = vx.data.mnist().split(validation=0, calibration=0).load()
    images, labels = mnist.raw("train")
    kept = len(labels) * 9 // 10
    data = vx.data.from_arrays(
        train=(images[:kept], labels[:kept]),
        validation=(images[kept:], labels[kept:]),
        test=tuple(mnist.raw("test")),
        name="mnist",
    )
    return vx.Experiment(
        network=ConvNet(dropout),
        objective=vx.classification(),
        optimizer=optax.adam(learning_rate, eps=1e-7),
        data=data.split(calibration=0).preprocess(vx.data.scale_uint8()),
        batch_size=128,
        epochs=epochs,
    )


def measure(**hyperparameters: Any) -> dict[str, Any]:
    """Returns the test accuracy with its interval over the test images, and the validation accuracy by epoch."""
    run = vx.train(experiment, **hyperparameters)
    test = vx.evaluate(run.network, run.experiment.objective, run.state.variables, run.dataset.examples("test"))
    validation = [record.values["validation/accuracy"] for record in run.history if record.kind == "epoch"]
    return {"accuracy": test.metrics["accuracy"], "first_validation": validation[0], "validation": validation}


def main() -> None:
    """Runs the protocol on the data in the folder given, or in that of VERAX_DATA, and prints what came of it."""
    if len(sys.argv) > 1:
        os.environ["VERAX_DATA"] = sys.argv[1]
    measured = measure()
    shown = " ".join(f"{each:.4f}" for each in measured["validation"])
    print(f"test accuracy {measured['accuracy']}; published {PUBLISHED}\nvalidation accuracy by epoch: {shown}")


if __name__ == "__main__":
    main()
