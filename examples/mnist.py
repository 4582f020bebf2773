"""A dense network on MNIST: about 98.5 % of the 10,000 test images.

    verax train examples/mnist.py

Takes about half a minute on two cores. The data are looked for in the folder that VERAX_DATA names, then in a cache
folder, then downloaded.
"""

import optax
from flax import linen as nn

import verax as vx


class MLP(nn.Module):
    """Two hidden layers with dropout."""

    hidden: int
    dropout: float

    @nn.compact
    def __call__(self, x, training: bool):
        x = x.reshape((x.shape[0], -1))
        for width in (self.hidden, self.hidden // 2):
            x = nn.relu(nn.Dense(width)(x))
            x = nn.Dropout(self.dropout, deterministic=not training)(x)
        return nn.Dense(10)(x)


def experiment(hidden: int = 512, learning_rate: float = 1e-3, dropout: float = 0.2, epochs: int = 12) -> vx.Experiment:
    """Returns the experiment for these hyperparameters."""
    batch_size = 128
    steps = epochs * 50_000 // batch_size
    schedule = optax.cosine_decay_schedule(learning_rate, decay_steps=steps)
    return vx.Experiment(
        network=MLP(hidden, dropout),
        objective=vx.classification(),
        optimizer=optax.adam(schedule),
        data=vx.data.mnist().split(validation=5000, calibration=5000).preprocess(vx.data.scale_uint8()),
        batch_size=batch_size,
        epochs=epochs,
    )
