"""One small network in every library, its layers in an order that a test gives: what stands before a normalisation."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

import verax as vx
from tests.doctor.programs import squared_loss
from verax.doctor import TrainingProgram

LIBRARIES = ("linen", "nnx", "haiku", "equinox", "functions")
COLUMNS, WIDTH, RATE = 6, 8, 0.25


class Linen(linen.Module):
    layers: tuple[str, ...]
    fast: bool = True

    @linen.compact
    def __call__(self, x, train: bool = False):
        for layer in self.layers:
            if layer in ("dense", "dense without bias"):
                x = linen.Dense(WIDTH, use_bias=layer == "dense")(x)
            if layer == "batch norm":
                x = linen.BatchNorm(use_running_average=not train, use_fast_variance=self.fast)(x)
            if layer == "layer norm":
                x = linen.LayerNorm()(x)
            if layer == "dropout":
                x = linen.Dropout(RATE, deterministic=not train)(x)
            if layer == "relu":
                x = linen.relu(x)
        return linen.Dense(1)(x)


class Nnx(nnx.Module):
    def __init__(self, layers, rngs):
        made, width = [], COLUMNS
        for layer in layers:
            if layer in ("dense", "dense without bias"):
                made.append(nnx.Linear(width, WIDTH, use_bias=layer == "dense", rngs=rngs))
                width = WIDTH
            if layer == "batch norm":
                made.append(nnx.BatchNorm(width, rngs=rngs))
            if layer == "layer norm":
                made.append(nnx.LayerNorm(width, rngs=rngs))
            if layer == "dropout":
                made.append(nnx.Dropout(RATE, rngs=rngs))
            if layer == "relu":
                made.append(jax.nn.relu)
        self.layers = nnx.List([*made, nnx.Linear(width, 1, rngs=rngs)])

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def _haiku(layers):
    def forward(x, is_training):
        for layer in layers:
            if layer in ("dense", "dense without bias"):
                x = hk.Linear(WIDTH, with_bias=layer == "dense")(x)
            if layer == "batch norm":
                x = hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.9)(x, is_training)
            if layer == "layer norm":
                x = hk.LayerNorm(-1, create_scale=True, create_offset=True)(x)
            if layer == "dropout" and is_training:
                x = hk.dropout(hk.next_rng_key(), RATE, x)
            if layer == "relu":
                x = jax.nn.relu(x)
        return hk.Linear(1)(x)

    return hk.transform_with_state(forward)


def _equinox(layers):
    import equinox as eqx

    class Net(eqx.Module):
        layers: list[Any]
        head: Any

        def __init__(self, key):
            made, width = [], COLUMNS
            for layer in layers:
                key, own = jax.random.split(key)
                if layer in ("dense", "dense without bias"):
                    made.append(eqx.nn.Linear(width, WIDTH, use_bias=layer == "dense", key=own))
                    width = WIDTH
                if layer == "batch norm":
                    made.append(eqx.nn.BatchNorm(width, axis_name="batch", mode="batch"))
                if layer == "layer norm":
                    made.append(eqx.nn.LayerNorm(width))
                if layer == "dropout":
                    made.append(eqx.nn.Dropout(RATE))
                if layer == "relu":
                    made.append(eqx.nn.Lambda(jax.nn.relu))
            self.layers, self.head = made, eqx.nn.Linear(width, 1, key=key)

        def __call__(self, x, state, key=None):
            for number, layer in enumerate(self.layers):
                if isinstance(layer, eqx.nn.BatchNorm):
                    x, state = layer(x, state)
                else:
                    x = layer(x, key=None if key is None else jax.random.fold_in(key, number))
            return self.head(x), state

    module, state = eqx.nn.make_with_state(Net)(key=jax.random.key(0))
    return vx.from_equinox(module, state=state)


def _functions(layers):
    def init(key, x):
        params, width = {}, COLUMNS
        for number, layer in enumerate(layers):
            if layer in ("dense", "dense without bias"):
                params[f"{number}"] = {"w": jax.random.normal(key, (width, WIDTH)) / 2}
                params[f"{number}"] |= {"b": jnp.zeros(WIDTH)} if layer == "dense" else {}
                width = WIDTH
        return {**params, "head": jax.random.normal(key, (width, 1))}

    def apply(params, x, key=None):
        for number, layer in enumerate(layers):
            if layer in ("dense", "dense without bias"):
                x = x @ params[f"{number}"]["w"] + params[f"{number}"].get("b", 0.0)
            if layer in ("batch norm", "layer norm"):
                axis = 0 if layer == "batch norm" else 1
                x = (x - x.mean(axis, keepdims=True)) / jnp.sqrt(x.var(axis, keepdims=True) + 1e-5)
            if layer == "dropout" and key is not None:
                mask = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - RATE, x.shape)
                x = jnp.where(mask, x / (1 - RATE), 0.0)
            if layer == "relu":
                x = jax.nn.relu(x)
        return x @ params["head"]

    return init, apply


def normalised(library: str, *layers: str, **parts: Any) -> TrainingProgram:
    """A regression of a network with these layers and a head."""
    made = {
        "linen": lambda: Linen(layers),
        "nnx": lambda: Nnx(layers, nnx.Rngs(0)),
        "haiku": lambda: _haiku(layers),
        "equinox": lambda: _equinox(layers),
        "functions": lambda: _functions(layers),
    }
    return regression(made[library](), **parts)


def regression(network: Any, **parts: Any) -> TrainingProgram:
    x = np.random.default_rng(0).normal(size=(64, COLUMNS)).astype(np.float32)
    y = np.tanh(x[:, 0])
    return TrainingProgram(network, squared_loss, optax.adam(1e-2), (x, y), task="regression", **parts)
