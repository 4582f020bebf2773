"""The experiment of `verax demo`: a small convolutional network on 1,797 handwritten digits."""

from __future__ import annotations

import jax
import optax
from flax import linen as nn

import verax as vx

BATCH_SIZE = 32
SPACE = {"learning_rate": [3e-3, 1e-2], "dropout_rate": [0.25, 0.5]}


class ConvNet(nn.Module):
    """Two convolutions with pooling, then one hidden layer; `features` is the width of the first."""

    features: int
    dropout_rate: float

    @nn.compact
    def __call__(self, images: jax.Array, training: bool) -> jax.Array:
        """Returns the logits of images of shape (examples, 8, 8)."""
        x = images[..., None]
        for features in (self.features, 2 * self.features):
            x = nn.relu(nn.Conv(features, (3, 3))(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(4 * self.features)(x))
        x = nn.Dropout(self.dropout_rate, deterministic=not training)(x)
        return nn.Dense(10)(x)


def experiment(
    learning_rate: float = 3e-3, dropout_rate: float = 0.5, features: int = 32, epochs: int = 20
) -> vx.Experiment:
    """Returns the demo's experiment; 30 % of the digits are kept for the test, so that its intervals are narrow."""
    data = vx.data.digits().split(test=540, validation=180, calibration=181)  # leaves 896 = 28 * 32 to train on
    schedule = optax.cosine_decay_schedule(learning_rate, epochs * 896 // BATCH_SIZE)
    return vx.Experiment(
        network=ConvNet(features, dropout_rate),
        objective=vx.classification(),
        optimizer=optax.adamw(schedule, weight_decay=1e-3),
        data=data,
        batch_size=BATCH_SIZE,
        epochs=epochs,
    )
