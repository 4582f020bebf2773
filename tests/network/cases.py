"""Networks of every supported library and spelling, for tests that run over all of them."""

from functools import partial

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx


def inputs(rows=16, columns=4, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(rows, columns)), jnp.float32)


def hidden_then_out(x, dropout, norm):
    """A layer, BatchNorm and dropout, called from inside a compact module."""
    x = norm(nn.Dense(8)(x))
    return nn.Dense(3)(dropout(nn.relu(x)))


class Training(nn.Module):
    @nn.compact
    def __call__(self, x, training: bool):
        off = not training
        norm = nn.BatchNorm(use_running_average=off, momentum=0.5)
        return hidden_then_out(x, nn.Dropout(0.5, deterministic=off), norm)


class Train(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=True):
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.5)
        return hidden_then_out(x, nn.Dropout(0.5, deterministic=not train), norm)


class IsTraining(nn.Module):
    @nn.compact
    def __call__(self, x, is_training):
        norm = nn.BatchNorm(momentum=0.5)
        return hidden_then_out(
            x, nn.Dropout(0.5, deterministic=not is_training), lambda x: norm(x, use_running_average=not is_training)
        )


class Deterministic(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic):
        norm = nn.BatchNorm(use_running_average=deterministic, momentum=0.5)
        return hidden_then_out(x, nn.Dropout(0.5, deterministic=deterministic), norm)


class UseRunningAverage(nn.Module):
    @nn.compact
    def __call__(self, x, use_running_average: bool):
        norm = nn.BatchNorm(use_running_average=use_running_average, momentum=0.5)
        return hidden_then_out(x, nn.Dropout(0.5, deterministic=use_running_average), norm)


class TwoFlags(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic, use_running_average):
        norm = nn.BatchNorm(use_running_average=use_running_average, momentum=0.5)
        return hidden_then_out(x, nn.Dropout(0.5, deterministic=deterministic), norm)


class Field(nn.Module):
    deterministic: bool | None = None

    @nn.compact
    def __call__(self, x):
        norm = nn.BatchNorm(use_running_average=self.deterministic, momentum=0.5)
        return hidden_then_out(x, nn.Dropout(0.5, deterministic=self.deterministic), norm)


class Setup(nn.Module):
    """`setup`, and a list of layers as an attribute."""

    widths: tuple[int, ...] = (8, 8)

    def setup(self):
        self.layers = [nn.Dense(width) for width in self.widths]
        self.norms = [nn.BatchNorm(momentum=0.5) for _ in self.widths]
        self.dropout = nn.Dropout(0.5)
        self.out = nn.Dense(3)

    def __call__(self, x, train):
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = nn.relu(norm(layer(x), use_running_average=not train))
        return self.out(self.dropout(x, deterministic=not train))


class CNN(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = x.reshape((x.shape[0], 2, 2, 1))
        x = nn.Conv(4, (2, 2))(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.5)(x))
        x = nn.Dropout(0.5, deterministic=not train)(nn.max_pool(x, (2, 2)))
        return nn.Dense(3)(x.reshape((x.shape[0], -1)))


class Frozen(nn.Module):
    """Spells its mode in a way of its own."""

    @nn.compact
    def __call__(self, x, frozen=False):
        norm = nn.BatchNorm(use_running_average=frozen, momentum=0.5)
        return hidden_then_out(x, nn.Dropout(0.5, deterministic=frozen), norm)


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.relu(nn.Dense(8)(x)))


class DropoutOnly(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=not train)(nn.Dense(8)(x)))


class OwnNoise(nn.Module):
    """Draws from a stream of its own name."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(3)(x)
        return x + jax.random.normal(self.make_rng("sample"), x.shape) if train else x


class OwnNoiseWithNorm(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))
        return x + jax.random.normal(self.make_rng("sample"), x.shape) if train else x


class Counting(nn.Module):
    """A mutable collection that is not batch statistics, and one that grows with every pass."""

    @nn.compact
    def __call__(self, x, train):
        calls = self.variable("counters", "calls", lambda: jnp.zeros((), jnp.int32))
        if train and not self.is_initializing():
            calls.value += 1
        x = nn.Dense(3)(x)
        self.sow("activations", "out", x)
        self.sow("intermediates", "out", x)
        return x


def kept(key, x):
    """Dropout at rate 0.5 (Haiku's own multiplies bools with floats, which strict promotion refuses)."""
    return 2 * x * jax.random.bernoulli(key, 0.5, x.shape).astype(x.dtype)


def haiku_dropout(x, is_training):
    x = hk.Linear(8)(x)
    return hk.Linear(3)(kept(hk.next_rng_key(), x) if is_training else x)


def haiku_centred(x, is_training):
    """BatchNorm in small (Haiku's own counts in integers, which strict promotion refuses to mix with floats)."""
    mean = hk.get_state("mean", (1, x.shape[1]), init=jnp.zeros)
    if is_training:
        batch = x.mean(axis=0, keepdims=True)
        hk.set_state("mean", 0.5 * mean + 0.5 * batch)
        mean = batch
    return x - mean


def haiku_norm(x, is_training):
    x = haiku_centred(hk.Linear(8)(x), is_training)
    return hk.Linear(3)(kept(hk.next_rng_key(), x) if is_training else x)


def haiku_plain(x):
    return hk.Linear(3)(x)


class Nnx(nnx.Module):
    """Mode by attributes, layers in a list."""

    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(4, 8, rngs=rngs), nnx.BatchNorm(8, momentum=0.5, rngs=rngs)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.out(self.dropout(nnx.relu(x)))


class NnxArgument(Nnx):
    """One argument for noise and statistics."""

    def __call__(self, x, train):
        linear, norm = self.layers
        x = norm(linear(x), use_running_average=not train)
        return self.out(self.dropout(nnx.relu(x), deterministic=not train))


class EquinoxDropout(eqx.Module):
    layers: list
    dropout: eqx.nn.Dropout

    def __init__(self, key):
        self.layers = [eqx.nn.Linear(4, 8, key=key), eqx.nn.Linear(8, 3, key=jax.random.fold_in(key, 1))]
        self.dropout = eqx.nn.Dropout(0.5)

    def __call__(self, x, *, key=None):
        hidden, out = self.layers
        return out(self.dropout(jax.nn.relu(hidden(x)), key=key))


class Centred(eqx.Module):
    """BatchNorm in small (Equinox's own counts in integers, which strict promotion refuses to mix with floats)."""

    mean: eqx.nn.StateIndex
    inference: bool

    def __init__(self, width):
        self.mean = eqx.nn.StateIndex(jnp.zeros(width))
        self.inference = False

    def __call__(self, x, state):
        mean = state.get(self.mean)
        if not self.inference:
            batch = jax.lax.pmean(x, "batch")
            state, mean = state.set(self.mean, 0.5 * mean + 0.5 * batch), batch
        return x - mean, state


class EquinoxCentred(EquinoxDropout):
    norm: Centred

    def __init__(self, key):
        super().__init__(key)
        self.norm = Centred(8)

    def __call__(self, x, state, *, key=None):
        hidden, out = self.layers
        x, state = self.norm(hidden(x), state)
        return out(self.dropout(jax.nn.relu(x), key=key)), state


def functions_init(key, x):
    return jax.random.normal(key, (x.shape[1], 3))


def functions_apply(params, x, key=None):
    return x @ params if key is None else kept(key, x @ params)


def functions_apply_with_mode(params, x, deterministic, rng):
    return functions_apply(params, x, None if deterministic else rng)


# name: (model, holds statistics)
MODELS = {
    "training": (Training(), True),
    "train": (Train(), True),
    "is_training": (IsTraining(), True),
    "deterministic": (Deterministic(), True),
    "use_running_average": (UseRunningAverage(), True),
    "two flags": (TwoFlags(), True),
    "field": (Field(), True),
    "setup and lists": (Setup(), True),
    "cnn": (CNN(), True),
    "dropout only": (DropoutOnly(), False),
    "own stream": (OwnNoise(), False),
    "haiku": (hk.transform(haiku_dropout), False),
    "haiku with state": (hk.transform_with_state(haiku_norm), True),
    "nnx": (Nnx, True),
    "nnx with an argument": (partial(NnxArgument), True),
    "equinox": (EquinoxDropout, False),
    "equinox with state": (partial(EquinoxCentred), True),
    "functions": ((functions_init, functions_apply), False),
    "functions with mode": ((functions_init, functions_apply_with_mode), False),
}
LINEN_WITH_NORM = [name for name, (model, norm) in MODELS.items() if norm and isinstance(model, nn.Module)]
