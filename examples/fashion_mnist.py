"""A small convolutional network on Fashion-MNIST: above 91 % of the 10,000 test images.

    verax train examples/fashion_mnist.py

Takes some minutes on two cores. The data are looked for in the folder that VERAX_DATA names, then in a cache folder,
then downloaded.
"""

import optax
from flax import linen as nn

import verax as vx


class ConvNet(nn.Module):
    """Two convolutions with pooling, and one hidden layer with dropout."""

    dropout: float

    @nn.compact
    def __call__(self, x, training: bool):
        x = x.reshape((*x.shape[:3], 1))
        for features in (32, 64):
            x = nn.relu(nn.Conv(features, (3, 3))(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Dense(128)(x.reshape((x.shape[0], -1))))
        x = nn.Dropout(self.dropout, deterministic=not training)(x)
        return nn.Dense(10)(x)


def experiment(learning_rate: float = 1e-3, dropout: float = 0.4, epochs: int = 8) -> vx.Experiment:
    """Returns the experiment for these hyperparameters."""
    batch_size = 128
    steps = epochs * 52_000 // batch_size
    schedule = optax.cosine_decay_schedule(learning_rate, decay_steps=steps)
    return vx.Experiment(
        network=ConvNet(dropout),
        objective=vx.classification(),
        optimizer=optax.adam(schedule),
        data=vx.data.fashion_mnist().split(validation=4000, calibration=4000).preprocess(vx.data.scale_uint8()),
        batch_size=batch_size,
        epochs=epochs,
    )
