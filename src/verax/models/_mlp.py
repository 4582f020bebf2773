"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Shaped

from verax.models._activation import Activation, activation_function, activation_name, kernel_init
from verax.models._dropout import Dropout, Rate, check_rate, rate_text
from verax.models._parts import NORMS, Norm, choice, norm_text, normalised, require_floating, whole_numbers


class MLP(nn.Module):
    """A multilayer perceptron: dense layers with an activation between them.

    Each hidden layer is dense, normalised (if asked for), activated, and dropped out. Weights are drawn as suits the
    activation (see `initial_scheme`), those of the last layer by LeCun's scheme; biases are zero.

    Attributes:
      widths: units of each layer; the last is the number of outputs.
      activation: a name, such as `relu`, `gelu` or `tanh`, or a function.
      dropout_rate: share of the hidden units that is set to zero in training, in [0, 1); may be a traced number.
      norm: `batch`, `layer` or `group` normalisation before the activation, or None.

    Raises:
      InputError: if an argument is out of its range; when applied, if the inputs are not floating-point.

    Example:
      >>> model = MLP((128, 64, 10), dropout_rate=0.1)
      >>> model
      MLP(inputs -> 128-64-10, relu, dropout 0.1)
      >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 28, 28)))
      >>> model.apply(variables, jnp.zeros((5, 28, 28))).shape
      (5, 10)
    """

    widths: Sequence[int]
    activation: Activation = "relu"
    dropout_rate: Rate = 0.0
    norm: Norm | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", whole_numbers("widths", self.widths))
        activation_function(self.activation)
        check_rate(self.dropout_rate)
        choice("norm", self.norm, NORMS)
        super().__post_init__()

    def __repr__(self) -> str:
        parts = [activation_name(self.activation), *norm_text(self.norm), *rate_text(self.dropout_rate)]
        return f"MLP(inputs -> {'-'.join(map(str, self.widths))}, {', '.join(parts)})"

    @nn.compact
    def __call__(
        self, inputs: Shaped[Array | np.ndarray, "examples ..."], training: bool = False
    ) -> Float[Array, "examples outputs"]:
        """Returns the outputs; the axes of an example are flattened."""
        require_floating("MLP", inputs)
        function = activation_function(self.activation)
        x = inputs.reshape((inputs.shape[0], prod(inputs.shape[1:])))
        *hidden, outputs = self.widths
        for width in hidden:
            x = nn.Dense(width, use_bias=self.norm is None, kernel_init=kernel_init(self.activation))(x)
            x = function(normalised(x, self.norm, training))
            x = Dropout(self.dropout_rate, deterministic=not training)(x)
        return nn.Dense(outputs, kernel_init=kernel_init(None))(x)
