"""A convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal, get_args

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Shaped

from verax.findings import InputError
from verax.models._activation import Activation, activation_function, activation_name, kernel_init
from verax.models._dropout import Dropout, Rate, check_rate, rate_text
from verax.models._parts import NORMS, Norm, as_images, choice, norm_text, normalised, whole_number, whole_numbers

Padding = Literal["SAME", "VALID"]


class ConvNet(nn.Module):
    """Convolutions, each followed by a pool, and dense layers on what is left.

    A convolution is normalised (if asked for), activated and pooled; the last pool's output is flattened, dropped out
    and fed to the dense layers, each activated and dropped out. Weights are drawn as suits the activation, those of the
    last layer by LeCun's scheme; biases are zero.

    Attributes:
      classes: number of outputs.
      widths: channels of each convolution.
      dense: units of the hidden dense layers; empty for none.
      kernel: height and width of every convolution's kernel.
      pool: height and width of the windows whose maximum is kept; 1 for no pooling.
      padding: `SAME` keeps height and width, `VALID` takes places where the whole kernel fits.
      activation: a name, such as `relu`, `gelu` or `tanh`, or a function.
      dropout_rate: share of the dense layers' inputs that is set to zero in training, in [0, 1); may be traced.
      norm: `batch`, `layer` or `group` normalisation after each convolution, or None.

    Raises:
      InputError: if an argument is out of its range; when applied, if the inputs are no floating-point images or too
        small for so many pools.

    Example:
      >>> model = ConvNet(10, widths=(32, 64), dense=(), padding="VALID", dropout_rate=0.5)
      >>> model
      ConvNet(images -> 32-64 conv 3x3, pool 2 -> 10, relu, dropout 0.5)
      >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 28, 28)))
      >>> vx.trees.count(variables)
      34826
    """

    classes: int
    widths: Sequence[int] = (32, 64)
    dense: Sequence[int] = (128,)
    kernel: int = 3
    pool: int = 2
    padding: Padding = "SAME"
    activation: Activation = "relu"
    dropout_rate: Rate = 0.0
    norm: Norm | None = None

    def __post_init__(self) -> None:
        for name in ("classes", "kernel", "pool"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        object.__setattr__(self, "widths", whole_numbers("widths", self.widths))
        object.__setattr__(self, "dense", whole_numbers("dense", self.dense, empty=True))
        choice("padding", self.padding, get_args(Padding))
        activation_function(self.activation)
        check_rate(self.dropout_rate)
        choice("norm", self.norm, NORMS)
        super().__post_init__()

    def __repr__(self) -> str:
        convolutions = f"{'-'.join(map(str, self.widths))} conv {self.kernel}x{self.kernel}, pool {self.pool}"
        head = "-".join(map(str, (*self.dense, self.classes)))
        parts = [activation_name(self.activation), *norm_text(self.norm), *rate_text(self.dropout_rate)]
        return f"ConvNet(images -> {convolutions} -> {head}, {', '.join(parts)})"

    @nn.compact
    def __call__(
        self, inputs: Shaped[Array | np.ndarray, "examples ..."], training: bool = False
    ) -> Float[Array, "examples classes"]:
        """Returns the outputs for images (examples, height, width), or with a last axis of channels."""
        x = as_images("ConvNet", inputs)
        function, drawn = activation_function(self.activation), kernel_init(self.activation)
        for number, width in enumerate(self.widths, start=1):
            _require_place(x.shape, self.kernel if self.padding == "VALID" else 1, number, inputs.shape)
            x = nn.Conv(
                width, (self.kernel, self.kernel), padding=self.padding, use_bias=self.norm is None, kernel_init=drawn
            )(x)
            x = function(normalised(x, self.norm, training))
            if self.pool > 1:
                _require_place(x.shape, self.pool, number, inputs.shape)
                x = nn.max_pool(x, (self.pool, self.pool), (self.pool, self.pool))
        x = x.reshape((x.shape[0], prod(x.shape[1:])))
        x = Dropout(self.dropout_rate, deterministic=not training)(x)
        for width in self.dense:
            x = function(nn.Dense(width, kernel_init=drawn)(x))
            x = Dropout(self.dropout_rate, deterministic=not training)(x)
        return nn.Dense(self.classes, kernel_init=kernel_init(None))(x)


def _require_place(shape: Sequence[Any], size: int, layer: int, images: Sequence[Any]) -> None:
    """Raises an InputError if a window does not fit into an image; the number of examples may be symbolic."""
    if min(shape[1:3]) < size:
        raise InputError(
            f"images of {images[1]}x{images[2]} are too small: layer {layer} of ConvNet gets {shape[1]}x{shape[2]}, "
            f"and its window is {size}x{size}. Give fewer widths, a smaller pool or padding='SAME'."
        )
