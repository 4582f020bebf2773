"""One little network in every library: hidden layer, BatchNorm or not, dropout, output; and its weights as one tree.

The canonical names are `hidden/kernel`, `hidden/bias`, `norm/scale`, `norm/bias`, `out/kernel`, `out/bias`, the kernels
of shape (inputs, outputs).
"""

import functools

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from tests.train.cases import CLASSES, COLUMNS
from verax.network import as_network
from verax.trees import leaves_by_path

HIDDEN, MOMENTUM = 8, 0.9


class Linen(nn.Module):
    norm: bool
    rate: float

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.Dense(HIDDEN, name="hidden")(x)
        if self.norm:
            x = nn.BatchNorm(not training, momentum=MOMENTUM, name="norm")(x)
        x = nn.Dropout(self.rate, deterministic=not training)(nn.relu(x))
        return nn.Dense(CLASSES, name="out")(x)


class Nnx(nnx.Module):
    def __init__(self, norm, rate, rngs):
        self.hidden = nnx.Linear(COLUMNS, HIDDEN, rngs=rngs)
        self.norm = nnx.BatchNorm(HIDDEN, momentum=MOMENTUM, rngs=rngs) if norm else None
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.out = nnx.Linear(HIDDEN, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = self.hidden(x)
        if self.norm is not None:
            x = self.norm(x)
        return self.out(self.dropout(nnx.relu(x)))


def haiku(norm, rate):
    def network(x, is_training):
        x = hk.Linear(HIDDEN, name="hidden")(x)
        if norm:
            x = hk.BatchNorm(True, True, MOMENTUM, name="norm")(x, is_training)
        x = jax.nn.relu(x)
        if is_training:
            x = hk.dropout(hk.next_rng_key(), rate, x)
        return hk.Linear(CLASSES, name="out")(x)

    return hk.transform_with_state(network)


class Equinox(eqx.Module):
    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm | None
    dropout: eqx.nn.Dropout
    out: eqx.nn.Linear

    def __init__(self, norm, rate, key):
        hidden_key, out_key = jax.random.split(key)
        self.hidden = eqx.nn.Linear(COLUMNS, HIDDEN, key=hidden_key)
        self.norm = eqx.nn.BatchNorm(HIDDEN, "batch", momentum=MOMENTUM, mode="batch") if norm else None
        self.dropout = eqx.nn.Dropout(rate)
        self.out = eqx.nn.Linear(HIDDEN, CLASSES, key=out_key)

    def __call__(self, x, state=None, *, key=None):
        x = self.hidden(x)
        if self.norm is not None:
            x, state = self.norm(x, state)
        outputs = self.out(self.dropout(jax.nn.relu(x), key=key))
        return outputs if self.norm is None else (outputs, state)


def functions(rate):
    def init(key, x):
        hidden_key, out_key = jax.random.split(key)
        return {
            "hidden": {"kernel": jax.random.normal(hidden_key, (COLUMNS, HIDDEN)) / 2, "bias": jnp.zeros(HIDDEN)},
            "out": {"kernel": jax.random.normal(out_key, (HIDDEN, CLASSES)) / 3, "bias": jnp.zeros(CLASSES)},
        }

    def apply(params, x, key=None):
        x = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"][None])
        if key is not None and rate:
            x = jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
        return x @ params["out"]["kernel"] + params["out"]["bias"][None]

    return init, apply


def model(kind, norm, rate):
    """The network as its own library spells it; NNX and Equinox as what makes it."""
    return {
        "linen": lambda: Linen(norm, rate),
        "nnx": lambda: functools.partial(Nnx, norm, rate),
        "haiku": lambda: haiku(norm, rate),
        "equinox": lambda: functools.partial(Equinox, norm, rate),
        "functions": lambda: functions(rate),
    }[kind]()


WITH_NORM = ("linen", "nnx", "haiku", "equinox")
KINDS = (*WITH_NORM, "functions")


@functools.cache
def network(kind, norm, rate):
    return as_network(model(kind, norm, rate))


def canonical(params):
    """Params of any of the five as a dict by canonical path, NumPy arrays."""
    return {
        name: np.asarray(_as(name, leaf)) for name, leaf in zip(_names(params), jax.tree.leaves(params), strict=True)
    }


def weights(params, seed=0):
    """The weights that all five start from, in the structure of one of them: normal numbers by canonical name."""
    leaves = [_numbers(name, leaf, seed) for name, leaf in zip(_names(params), jax.tree.leaves(params), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(params), leaves)


def _names(params):
    names = {"w": "kernel", "b": "bias", "weight": "kernel", "offset": "bias"}
    paths = [path.split("/") for path in leaves_by_path(params)]
    return [
        f"{layer}/{'scale' if layer == 'norm' and name in ('weight', 'scale') else names.get(name, name)}"
        for layer, name in paths
    ]


SHAPES = {
    "hidden/kernel": (COLUMNS, HIDDEN), "hidden/bias": (HIDDEN,), "norm/scale": (HIDDEN,), "norm/bias": (HIDDEN,),
    "out/kernel": (HIDDEN, CLASSES), "out/bias": (CLASSES,),
}  # fmt: skip


def _as(name, leaf):
    """A leaf in its canonical shape, and the other way round: kernels are transposed in Equinox, scales flat or not."""
    return leaf.T if leaf.shape == SHAPES[name][::-1] else leaf.reshape(SHAPES[name])


def _numbers(name, leaf, seed):
    generator = np.random.default_rng([seed, sorted(SHAPES).index(name)])
    numbers = generator.normal(0.0, 0.5, SHAPES[name]).astype(np.float32)
    return jnp.asarray(numbers.T if leaf.shape == SHAPES[name][::-1] else numbers.reshape(leaf.shape))
