"""The experiment of `verax demo`: a small convolutional network on 1,797 handwritten digits."""

from __future__ import annotations

import jax
import optax
from flax import linen as nn

from verax.data import digits
from verax.train import Experiment, classification

TEST, VALIDATION, CALIBRATION = 540, 180, 181  # of 1,797; a test of 30 % gives narrow intervals
TRAIN = 1797 - TEST - VALIDATION - CALIBRATION  # 896 = 28 * 32
BATCH_SIZE = 32
SPACE = {"learning_rate": [1e-3, 3e-3]}
RETRAIN = 1  # fresh seed of the winner; more would give an interval, and take longer


class ConvNet(nn.Module):
    """Two convolutions with batch normalisation and pooling, then one hidden layer.

    Attributes:
      features: of the first convolution; the second has twice, the hidden layer four times as many.
      dropout_rate: before the last layer.
    """

    features: int
    dropout_rate: float

    @nn.compact
    def __call__(self, images: jax.Array, training: bool) -> jax.Array:
        """Returns the logits of images of shape (examples, 8, 8)."""
        x = images[..., None]
        for features in (self.features, 2 * self.features):
            x = nn.Conv(features, (3, 3), use_bias=False)(x)
            x = nn.BatchNorm(use_running_average=not training, momentum=0.9)(x)
            x = nn.max_pool(nn.relu(x), (2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(4 * self.features)(x))
        x = nn.Dropout(self.dropout_rate, deterministic=not training)(x)
        return nn.Dense(10)(x)


def experiment(
    learning_rate: float = 3e-3, dropout_rate: float = 0.5, features: int = 32, epochs: int = 20
) -> Experiment:
    """Returns the demo's experiment.

    Args:
      learning_rate: at the first step; it falls to zero along a cosine.
      dropout_rate: before the last layer.
      features: of the first convolution.
      epochs: passes over the training split.
    """
    schedule = optax.cosine_decay_schedule(learning_rate, epochs * TRAIN // BATCH_SIZE)
    return Experiment(
        network=ConvNet(features, dropout_rate),
        objective=classification(),
        optimizer=optax.adamw(schedule, weight_decay=1e-3),
        data=digits().split(TEST, VALIDATION, CALIBRATION),
        batch_size=BATCH_SIZE,
        epochs=epochs,
    )
