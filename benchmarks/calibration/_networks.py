"""Networks that several programs of the calibration set share, in the five libraries."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


class Perceptron(nn.Module):
    """Linen: dense layers, with any activation, initial weights, and a head of its own."""

    widths: Sequence[int] = (64,)
    outputs: int = 1
    activation: Callable[[Any], Any] = nn.relu
    kernel_init: Any = nn.initializers.lecun_normal()
    bias_init: Any = nn.initializers.zeros
    head_init: Any = nn.initializers.lecun_normal()
    head: Callable[[Any], Any] = staticmethod(lambda x: x)

    @nn.compact
    def __call__(self, x):
        x = x.reshape((x.shape[0], -1))
        for width in self.widths:
            x = self.activation(nn.Dense(width, kernel_init=self.kernel_init, bias_init=self.bias_init)(x))
        return self.head(nn.Dense(self.outputs, kernel_init=self.head_init, name="head")(x))


class NnxPerceptron(nnx.Module):
    """NNX: dense layers, with dropout after each where asked."""

    def __init__(self, sizes: Sequence[int], activation: Any = nnx.relu, dropout: float = 0.0, *, seed: int = 0):
        rngs = nnx.Rngs(seed)
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.activation = activation

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(layer(x)))
        return self.layers[-1](x)


def haiku_perceptron(
    sizes: Sequence[int], activation: Any = jax.nn.relu, dropout: float = 0.0, **more: Any
) -> hk.Transformed:
    """Haiku: dense layers, with dropout after each where asked."""

    def forward(x, is_training):
        for size in sizes[:-1]:
            x = activation(hk.Linear(size, **more)(x))
            x = hk.dropout(hk.next_rng_key(), dropout, x) if is_training and dropout else x
        return hk.Linear(sizes[-1])(x)

    return hk.transform(forward)


class EquinoxPerceptron(eqx.Module):
    """Equinox: a model of one example."""

    mlp: eqx.nn.MLP

    def __init__(self, inputs: int, outputs: int, width: int, depth: int, activation: Any = jax.nn.relu, seed: int = 0):
        self.mlp = eqx.nn.MLP(inputs, outputs, width, depth, activation, key=jax.random.key(seed))

    def __call__(self, x, key=None):
        return self.mlp(x)


def dense(key: Any, inputs: int, outputs: int, scale: float = 1.0) -> dict[str, Any]:
    """Plain functions: the weights of a dense layer."""
    weights = scale * jax.random.normal(key, (inputs, outputs)) / jnp.sqrt(float(inputs))
    return {"kernel": weights, "bias": jnp.zeros(outputs)}


def affine(layer: dict[str, Any], x: Any) -> Any:
    return x @ layer["kernel"] + layer["bias"]


def perceptron_pair(*sizes: int, activation: Any = jax.nn.relu, scale: float = 1.4) -> tuple[Any, Any]:
    """Plain functions: dense layers."""

    def init(key, x):
        keys = jax.random.split(key, len(sizes))
        widths = (x.reshape(x.shape[0], -1).shape[1], *sizes)
        return [dense(k, a, b, scale) for k, a, b in zip(keys, widths, sizes, strict=False)]

    def apply(params, x, train=False, key=None):
        x = x.reshape(x.shape[0], -1)
        for layer in params[:-1]:
            x = activation(affine(layer, x))
        return affine(params[-1], x)

    return init, apply


class Block(nn.Module):
    """A Transformer block that normalises first."""

    heads: int = 2
    causal: bool = False

    @nn.compact
    def __call__(self, x, seen=None):
        mask = None if seen is None else nn.make_attention_mask(seen, seen)
        if self.causal:
            mask = nn.combine_masks(mask, nn.make_causal_mask(jnp.ones(x.shape[:2])))
        x = x + nn.SelfAttention(self.heads)(nn.LayerNorm()(x), mask=mask)
        hidden = nn.gelu(nn.Dense(2 * x.shape[-1])(nn.LayerNorm()(x)))
        return x + nn.Dense(x.shape[-1])(hidden)
