"""Sequences: tokens, masks, tied weights, own readers of several lengths."""

from __future__ import annotations

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx

from calibration import _sets as sets
from calibration._healthy import classification, healthy, sequence
from calibration._networks import Block, affine, dense


def rows_as_steps(x, is_training):
    """Time first by transposition, as `dynamic_unroll` wants it."""
    core = hk.GRU(32)
    hidden, _ = hk.dynamic_unroll(core, x.transpose(1, 0, 2), core.initial_state(x.shape[0]))
    return hk.Linear(3)(hidden[-1])


@healthy("scrambling-reshape", "cross-example-leak", "vanishing-gradient", acc=0.9)
def gru_time_first():
    return classification(
        "haiku", hk.transform(rows_as_steps), optax.adam(1e-2), sets.series(seed=1), batch_size=32, epochs=8, seed=91
    )


class Remembering(eqx.Module):
    """An LSTM of one example, its forget gates nearly open at first."""

    cell: eqx.nn.LSTMCell
    out: eqx.nn.Linear

    def __init__(self):
        first, second = jax.random.split(jax.random.key(92))
        cell = eqx.nn.LSTMCell(1, 24, key=first)
        self.cell = eqx.tree_at(lambda cell: cell.bias, cell, cell.bias.at[24:48].set(4.0))
        self.out = eqx.nn.Linear(24, 3, key=second)

    def __call__(self, x, key=None):
        def step(state, row):
            return self.cell(row, state), None

        (hidden, _), _ = jax.lax.scan(step, (jnp.zeros(24), jnp.zeros(24)), x)
        return self.out(hidden)


@healthy("saturated-activation", "vanishing-gradient", "unrolled-loop", acc=0.9)
def lstm_open_gates():
    return classification(
        "equinox", Remembering(), optax.adam(1e-2), sets.series(seed=2), batch_size=32, epochs=10, seed=92
    )


class Reader(nn.Module):
    """A Transformer that classifies padded sequences."""

    @nn.compact
    def __call__(self, x):
        seen = x > 0
        h = nn.Embed(30, 24)(x) + self.param("places", nn.initializers.normal(0.1), (1, x.shape[1], 24))
        h = Block()(h, seen)
        weight = seen[..., None].astype(h.dtype)
        return nn.Dense(3)((nn.LayerNorm()(h) * weight).sum(1) / weight.sum(1))


@healthy("padding-in-loss", "causal-leak", "integer-input", acc=0.85)
def transformer_classifier():
    splits = sets.words(seed=3, padded=True)
    return classification("linen", Reader(), optax.adam(2e-3), splits, epochs=5, seed=93)


class LanguageModel(nn.Module):
    """A causal Transformer whose output layer is its embedding."""

    @nn.compact
    def __call__(self, x):
        embed = nn.Embed(12, 32, embedding_init=nn.initializers.normal(0.3))
        h = embed(x) + self.param("places", nn.initializers.normal(0.1), (1, x.shape[1], 32))
        h = Block(causal=True)(h)
        return embed.attend(nn.LayerNorm()(h))


@healthy("causal-leak", "unintended-weight-sharing", "underfitting", "no-better-than-baseline", acc=0.45)
def tied_language_model():
    """Text with an entropy of its own: half of the tokens cannot be told."""
    return sequence("linen", LanguageModel(), optax.adam(3e-3), sets.chains(seed=4), batch_size=32, epochs=10, seed=94)


class BothWays(nnx.Module):
    """Two recurrent passes, one from each end."""

    def __init__(self):
        rngs = nnx.Rngs(95)
        self.embed = nnx.Embed(20, 16, rngs=rngs)
        self.forth = nnx.RNN(nnx.GRUCell(16, 24, rngs=rngs))
        self.back = nnx.RNN(nnx.GRUCell(16, 24, rngs=rngs), reverse=True, keep_order=True)
        self.out = nnx.Linear(48, 3, rngs=rngs)

    def __call__(self, x):
        h = self.embed(x)
        return self.out(jnp.concatenate([self.forth(h), self.back(h)], -1))


@healthy("causal-leak", "label-out-of-range", "padding-in-loss", acc=0.9)
def tagger_both_ways():
    """A tag may depend on what follows; positions with label -1 are left out of the loss."""
    return sequence("nnx", BothWays(), optax.adam(5e-3), sets.tags(seed=5), batch_size=32, epochs=8, seed=95)


def causal_convolutions():
    """Convolutions that see the past only, and scores at every position."""

    def init(key, x):
        keys = jax.random.split(key, 4)
        kernels = [0.2 * jax.random.normal(k, (3, 24, 24)) for k in keys[:2]]
        return {"embed": jax.random.normal(keys[2], (12, 24)), "kernels": kernels, "out": dense(keys[3], 24, 12)}

    def apply(params, x, train=False, key=None):
        h = params["embed"][x]
        for kernel in params["kernels"]:
            dims = ("NWC", "WIO", "NWC")
            h = h + jax.nn.relu(jax.lax.conv_general_dilated(h, kernel, (1,), [(2, 0)], dimension_numbers=dims))
        return affine(params["out"], h)

    return init, apply


@healthy("causal-leak", "integer-input", "label-misalignment", acc=0.45)
def causal_convolution_text():
    return sequence(
        "pair", causal_convolutions(), optax.adam(3e-3), sets.chains(seed=6), batch_size=32, epochs=8, seed=96
    )


class Bag(nnx.Module):
    """The mean of token embeddings."""

    def __init__(self):
        rngs = nnx.Rngs(97)
        self.embed = nnx.Embed(30, 16, rngs=rngs)
        self.out = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.out(self.embed(x).mean(1))


@healthy("integer-input", "input-not-normalized", "missing-nonlinearity", "parameter-without-gradient", acc=0.85)
def bag_of_tokens():
    return classification("nnx", Bag(), optax.adam(1e-2), sets.words(seed=7), epochs=10, seed=97)


def by_length(x, y, epoch):
    """Batches of sequences of like length, cut to one of two lengths."""
    rng = np.random.default_rng([98, epoch])
    lengths = (x > 0).sum(1)
    short = rng.permutation(np.flatnonzero(lengths <= 9)), 9
    long = rng.permutation(np.flatnonzero(lengths > 9)), 12
    batches = [(rows[i : i + 32], cut) for rows, cut in (short, long) for i in range(0, len(rows) - 31, 32)]
    for place in rng.permutation(len(batches)):
        rows, cut = batches[place]
        yield x[rows, :cut], y[rows]


class PaddedBag(nn.Module):
    @nn.compact
    def __call__(self, x):
        weight = (x > 0)[..., None].astype(jnp.float32)
        h = nn.relu(nn.Dense(24)(nn.Embed(30, 16)(x)))
        return nn.Dense(3)((h * weight).sum(1) / weight.sum(1))


@healthy("recompilation", "unshuffled-data", "padding-in-loss", acc=0.85)
def two_lengths():
    """Two shapes, so two programs, by right."""
    splits = sets.words(seed=8, padded=True)
    return classification(
        "linen", PaddedBag(), optax.adam(5e-3), splits, batch_size=32, batches=by_length, epochs=6, seed=98
    )


class Merged(nn.Module):
    """Merges examples and time for a layer and parts them again."""

    @nn.compact
    def __call__(self, x):
        rows, steps, _ = x.shape
        h = nn.relu(nn.Dense(24)(x.reshape(rows * steps, -1)))
        h = h.reshape(rows, steps * 24)
        return nn.Dense(3)(nn.relu(nn.Dense(48)(h)))


@healthy("scrambling-reshape", "cross-example-leak", acc=0.9)
def merged_and_parted():
    splits = sets.series(1200, seed=9)
    return classification("linen", Merged(), optax.adam(3e-3), splits, epochs=15, seed=99)


class Scanned(nn.Module):
    """Layers under `scan`, each computed again on the way back."""

    @nn.compact
    def __call__(self, x):
        class Layer(nn.Module):
            @nn.compact
            def __call__(self, carry, _):
                return carry + nn.Dense(32, kernel_init=nn.initializers.normal(0.05))(
                    nn.relu(nn.Dense(32)(carry))
                ), None

        layers = nn.scan(nn.remat(Layer), variable_axes={"params": 0}, split_rngs={"params": True}, length=4)
        x, _ = layers()(nn.Dense(32)(x.reshape(x.shape[0], -1)), None)
        return nn.Dense(3)(x)


@healthy("unintended-weight-sharing", "unrolled-loop", "key-reuse", acc=0.9)
def scanned_layers():
    splits = sets.series(1200, seed=10)
    return classification("linen", Scanned(), optax.adam(2e-3), splits, epochs=10, seed=101)
