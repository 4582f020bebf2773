"""Networks of which all but the first are wrong, each in its own way."""

import jax.numpy as jnp
from flax import linen as nn


class Net(nn.Module):
    outputs: int = 3
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.outputs)(nn.relu(nn.Dense(self.hidden)(x)))


class Images(nn.Module):
    """Takes pictures of height, width and channels."""

    @nn.compact
    def __call__(self, x):
        batch, height, width, channels = x.shape
        return nn.Dense(3)(x.reshape(batch, height * width * channels))


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.Dropout(0.5)(x))


class Normalising(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.BatchNorm()(x))


class Mismatched(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.ones, (7, 3))
        return x @ kernel


class Branching(nn.Module):
    @nn.compact
    def __call__(self, x):
        if x.mean() > 0:
            x = -x
        return nn.Dense(3)(x)


class Misspelt(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.flatten_all())


class Undefined(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x) * temperature


class OnlyInTraining(nn.Module):
    """Fails in evaluation alone."""

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.Dense(3)(x)
        return x if training else x @ jnp.ones((5, 3))


class TwoOutputs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x), x


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, left, right):
        return nn.Dense(3)(left) + right


class Grouped(nn.Module):
    """Mixes the rows of a batch by four."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.reshape(-1, 16))
