"""The signal of a network by layer, forward and backward, with how its weights are drawn: what several probes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from verax.debug import Activations, LayerActivation
from verax.debug._activations import read
from verax.debug._describe import aligned
from verax.debug._layers import GIVEN, Fact, Layer, Reading, facts_of
from verax.doctor._subject import Subject
from verax.network import Variables
from verax.trees import is_floating, leaves_by_path

MOST_FLOPS = 5e8  # of the forward pass that is read, operation by operation: a second or two on a slow core
FEWEST_ROWS = 32
HALVING = ("relu", "relu6", "leaky_relu", "gelu", "silu", "elu", "softplus")  # He's scheme makes up for the lost half


@dataclass(frozen=True, eq=False)
class Weight:
    """The weights of one layer.

    Attributes:
      path: of the parameter.
      scale: root mean square, over that of the scheme for what follows: He's before rectifiers, else 1 / sqrt(fan_in).
      fan_in: inputs of a unit.
      use: what the layer does, as `debug.show` reads it.
      ratio: norm of the gradient over that of the weights.
      gradient: norm of the gradient.
    """

    path: str
    scale: float
    fan_in: int
    use: Layer
    ratio: float
    gradient: float


@dataclass(frozen=True, eq=False)
class Signal:
    """The signal of a network at some weights.

    Attributes:
      layers: activations on the probe rows, in training.
      hidden_sigmoids: as in `debug`'s reader.
      weights: those that multiply what flows through the network, by path, in the order of use.
      size: root mean square of every parameter, by path.
      gradient: norm of its gradient on the first batch, by path.
      rows: how many rows were read.
    """

    layers: Activations
    hidden_sigmoids: tuple[int, ...]
    weights: dict[str, Weight]
    size: dict[str, float]
    gradient: dict[str, float]
    rows: int

    @cached_property
    def hidden(self) -> list[LayerActivation]:
        """The hidden layers that have an activation and weights of their own."""
        return [layer for layer in self.layers if layer.is_hidden and self.of(layer)]

    def of(self, layer: LayerActivation) -> list[Weight]:
        """Returns the weights of a layer."""
        return [self.weights[path] for path in map(_plain, layer.kernels) if path in self.weights]

    def biases_of(self, layer: LayerActivation) -> list[str]:
        """Returns the paths of what is added to a layer's products."""
        return [path for path in map(_plain, layer.biases) if path in self.size]

    def table(self, most: int = 12) -> tuple[str, ...]:
        """Returns the layers as lines of evidence."""
        rows = [("layer", "activation", "spread", "std", "silent", "flat", "weights / scheme", "|g| / |w|")]
        for layer in list(self.layers)[:most]:
            weights = self.of(layer)
            silent, flat = ("-" if share is None else f"{share:.0%}" for share in (layer.silent, layer.flat))
            scale = ", ".join(f"{weight.scale:.2g}" for weight in weights) or "-"
            ratio = ", ".join(f"{weight.ratio:.2g}" for weight in weights) or "-"
            rows.append(
                (layer.name, layer.function, f"{layer.spread:.2g}", f"{layer.std:.2g}", silent, flat, scale, ratio)
            )
        more = (f"and {len(self.layers) - most} more layers",) if len(self.layers) > most else ()
        return (*aligned(rows, right=tuple(range(2, 8))).splitlines(), *more)


_KNOWN: WeakKeyDictionary[Subject, Signal] = WeakKeyDictionary()


def initial_signal(subject: Subject) -> Signal:
    """Returns the signal at the initial weights; read once for each subject."""
    if subject not in _KNOWN:
        _KNOWN[subject] = signal_of(subject, subject.variables)
    return _KNOWN[subject]


def signal_of(subject: Subject, variables: Variables) -> Signal:
    """Returns the signal at some weights: forward in training on the probe rows, backward on the first batch."""
    reading = _reading(subject)
    flops = sum(reading.flops.values()) / max(1, _rows(subject.batch.inputs))
    rows = int(np.clip(MOST_FLOPS / max(flops, 1), FEWEST_ROWS, _rows(subject.probe.inputs)))
    inputs = jax.tree.map(lambda leaf: leaf[:rows], subject.probe.inputs)

    def forward(variables: Variables, inputs: Any, key: Any) -> Any:
        return subject.forward(variables, inputs, key)[0]

    try:
        reader = read(forward, variables, inputs, subject.noise(0))
    except (TypeError, ValueError):  # of a program that is written for batches of its own size
        rows = _rows(subject.batch.inputs)
        reader = read(forward, variables, subject.batch.inputs, subject.noise(0))
    (_, _), grads = subject.gradient(*variables, subject.batch, subject.noise(0))
    params = _norms(variables.params)
    gradient = {path: norm for path, (norm, _) in _norms(grads).items()}
    size = {path: norm / sqrt(max(1, count)) for path, (norm, count) in params.items()}
    weights = {
        path: _weight(path, layer, size[path], gradient.get(path, 0.0), params[path][0])
        for path, layer in reading.layers.items()
        if path in params and not layer.looked_up and layer.fan_in
    }
    return Signal(reader.activations, reader.hidden_sigmoids, weights, size, gradient, rows)


def _reading(subject: Subject) -> Reading:
    state, inputs = (len(jax.tree.leaves(tree)) for tree in (subject.variables.model_state, subject.batch.inputs))
    given: Sequence[Fact] = [*facts_of(subject.paths, state, inputs), GIVEN]
    return Reading(subject.training_program, given)


def _weight(path: str, use: Layer, size: float, gradient: float, norm: float) -> Weight:
    halved = any(mark in HALVING for mark in use.follows)
    scheme = sqrt((2 if halved else 1) / use.fan_in)
    return Weight(path, size / scheme, use.fan_in, use, gradient / norm if norm else 0.0, gradient)


def _norms(tree: Any) -> dict[str, tuple[float, int]]:
    floating = {path: leaf for path, leaf in leaves_by_path(tree).items() if is_floating(leaf)}
    arrays = {path: np.asarray(leaf, np.float64) for path, leaf in floating.items()}
    return {path: (float(np.linalg.norm(array)), array.size) for path, array in arrays.items()}


def _rows(inputs: Any) -> int:
    return np.shape(jax.tree.leaves(inputs)[0])[0]


def _plain(path: str) -> str:
    """Returns a parameter's path without the name that the params have among the variables."""
    return path.removeprefix("params/")
