"""The multilayer perceptron in Flax NNX."""

from __future__ import annotations

from typing import Any

from _task import CLASSES, DROPOUT_RATE, HIDDEN
from flax import nnx


class MLP(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        widths = (784, *HIDDEN)
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in zip(widths, HIDDEN, strict=False)])
        self.dropout = nnx.Dropout(DROPOUT_RATE, rngs=rngs)
        self.outputs = nnx.Linear(widths[-1], CLASSES, rngs=rngs)

    def __call__(self, inputs: Any) -> Any:
        hidden = inputs
        for layer in self.layers:
            hidden = self.dropout(nnx.relu(layer(hidden)))
        return self.outputs(hidden)
