"""VX507 softmax-before-cross-entropy: more ways to the loss."""
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.nn import log_softmax, sigmoid, softmax
from optax import softmax_cross_entropy_with_integer_labels as xent
from optax.losses import softmax_cross_entropy


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.softmax(nn.Dense(3)(x))


class Logits(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


net = Net()
logits_net = Logits()


def by_keyword(z, y):
    return xent(labels=y, logits=softmax(z)).mean()  # expect: VX507


def reexport(z, y):
    return softmax_cross_entropy(softmax(z, axis=-1), y)  # expect: VX507


def mapped(z, y):
    return jax.vmap(optax.softmax_cross_entropy)(jax.nn.softmax(z), y)  # expect: VX507


def walrus(z, y):
    return xent(probs := softmax(z), y), probs  # expect: VX507


def unpacked(z, y):
    probs, labels = softmax(z), y
    return xent(probs, labels)  # expect: VX507


def cast(z, y):
    probs = softmax(z).astype(jnp.float32)
    return xent(probs, y)  # expect: VX507


def with_partial(z, y):
    normalise = partial(jax.nn.softmax, axis=-1)
    return xent(normalise(z), y)  # expect: VX507


def model_ends_in_softmax(params, x, y):
    predictions = net.apply({"params": params}, x)
    return xent(predictions, y).mean()  # expect: VX507


def predict(params, x):
    return softmax(x @ params)


def function_ends_in_softmax(params, x, y):
    return jnp.mean(xent(predict(params, x), y))  # expect: VX507


def binary(z, y):
    return optax.sigmoid_binary_cross_entropy(sigmoid(z[:, 0]), y)  # expect: VX507


def in_branch(z, y, kind):
    match kind:
        case "soft":
            probs = softmax(z)
            return optax.softmax_cross_entropy(probs, y)  # expect: VX507
        case _:
            return optax.softmax_cross_entropy(z, y)


def either(z, y, normal):
    if normal:
        z = softmax(z)
    return xent(z, y)


def changed(z, y):
    probs = softmax(z)
    probs = jnp.log(probs + 1e-6)
    return xent(probs, y)


def logs(z, y):
    return xent(log_softmax(z), y), log_softmax(z)


def logits_model(params, x, y):
    return xent(logits_net.apply({"params": params}, x), y)


def shadowed(z, y, softmax):
    return xent(softmax(z), y)


def attention(q, k, v):
    return softmax(softmax_scores(q, k)) @ v


def softmax_scores(q, k):
    return q @ k.T


def labels_soft(z, t):
    return optax.softmax_cross_entropy(labels=softmax(t), logits=z)


def gate(z, y):
    return xent(z * sigmoid(z), y)


class LastSoftmax(nn.Module):
    def setup(self):
        self.layers = nn.Sequential([nn.Dense(10), nn.softmax])

    def __call__(self, x):
        return self.layers(x)


class InnerSoftmax(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Sequential([nn.softmax, nn.Dense(10)])(x)


def sequence(params, x, y):
    return optax.softmax_cross_entropy(LastSoftmax().apply(params, x), y).mean()  # expect: VX507


def sequence_right(params, x, y):
    return optax.softmax_cross_entropy(InnerSoftmax().apply(params, x), y).mean()
