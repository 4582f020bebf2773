"""A residual network for images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Shaped

from verax.findings import InputError
from verax.models._activation import Activation, activation_function, activation_name, kernel_init
from verax.models._dropout import Dropout, Rate, check_rate, rate_text
from verax.models._parts import NORMS, Norm, as_images, choice, norm_text, normalised, whole_number, whole_numbers

Stem = Literal["small", "large"]


class ResNet(nn.Module):
    """A residual network: stages of blocks with two 3x3 convolutions each, then the mean over the image.

    The defaults are ResNet-20 as for CIFAR-10; they suit images of 28 to 64 pixels. The second convolution of each
    block begins as zero (its norm's scale, or its kernel where there is no norm), so each block begins as its shortcut
    and depth does no harm at the start. Each stage after the first halves height and width in its first block, whose
    shortcut is then a 1x1 convolution.

    Attributes:
      classes: number of outputs.
      widths: channels of each stage.
      blocks: residual blocks of each stage, as many numbers as `widths`.
      stem: what comes before the stages: `small` is a 3x3 convolution; `large`, for images of 100 pixels and more, is
        a 7x7 convolution with stride 2 and a pool with stride 2.
      activation: a name, such as `relu` or `silu`, or a function.
      dropout_rate: share set to zero between the two convolutions of a block in training, in [0, 1); may be traced.
      norm: `batch`, `group` or `layer` normalisation after each convolution, or None. `group` serves where a batch is
        too small for good statistics.

    Raises:
      InputError: if an argument is out of its range; when applied, if the inputs are no floating-point images.

    Example:
      >>> model = ResNet(10)
      >>> model
      ResNet(images -> 16x3-32x3-64x3 blocks -> 10, relu, batch norm)
      >>> variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
      >>> vx.trees.count(variables["params"])
      272474

    References:
      He et al. (2016), "Deep Residual Learning for Image Recognition", section 4.2; Goyal et al. (2017), section 5.1
      (zero scale at the end of a branch); Zagoruyko and Komodakis (2016), "Wide Residual Networks" (dropout).
    """

    classes: int
    widths: Sequence[int] = (16, 32, 64)
    blocks: Sequence[int] = (3, 3, 3)
    stem: Stem = "small"
    activation: Activation = "relu"
    dropout_rate: Rate = 0.0
    norm: Norm | None = "batch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", whole_number("classes", self.classes))
        for name in ("widths", "blocks"):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name)))
        if len(self.widths) != len(self.blocks):
            raise InputError(
                f"widths and blocks must have a number for each stage, got {len(self.widths)} widths {self.widths} and "
                f"{len(self.blocks)} blocks {self.blocks}."
            )
        choice("stem", self.stem, get_args(Stem))
        activation_function(self.activation)
        check_rate(self.dropout_rate)
        choice("norm", self.norm, NORMS)
        super().__post_init__()

    def __repr__(self) -> str:
        stages = "-".join(f"{width}x{blocks}" for width, blocks in zip(self.widths, self.blocks, strict=True))
        parts = [activation_name(self.activation), *norm_text(self.norm), *rate_text(self.dropout_rate)]
        return f"ResNet(images -> {stages} blocks -> {self.classes}, {', '.join(parts)})"

    @nn.compact
    def __call__(
        self, inputs: Shaped[Array | np.ndarray, "examples ..."], training: bool = False
    ) -> Float[Array, "examples classes"]:
        """Returns the outputs for images (examples, height, width), or with a last axis of channels."""
        x = as_images("ResNet", inputs)
        size, strides = (7, 2) if self.stem == "large" else (3, 1)
        x = nn.Conv(
            self.widths[0], (size, size), strides, use_bias=self.norm is None, kernel_init=kernel_init(self.activation)
        )(x)
        x = activation_function(self.activation)(normalised(x, self.norm, training))
        if self.stem == "large":
            x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for stage, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True)):
            for block in range(blocks):
                strides = 2 if stage and not block else 1
                x = ResidualBlock(width, strides, self.activation, self.dropout_rate, self.norm)(x, training)
        x = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.classes, kernel_init=kernel_init(None))(x)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input is carried: `activation(shortcut(x) + branch(x))`.

    The branch begins as zero. The shortcut is the input itself, or a 1x1 convolution where shapes change.

    Attributes:
      width: channels of the output.
      strides: of the first convolution: 2 halves height and width.
      activation: as in `ResNet`.
      dropout_rate: as in `ResNet`.
      norm: as in `ResNet`.

    Example:
      >>> block, images = ResidualBlock(4), jnp.abs(jax.random.normal(jax.random.key(1), (2, 5, 5, 4)))
      >>> bool((block.apply(block.init(jax.random.key(0), images), images) == images).all())
      True
    """

    width: int
    strides: int = 1
    activation: Activation = "relu"
    dropout_rate: Rate = 0.0
    norm: Norm | None = "batch"

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "examples height width channels"], training: bool = False
    ) -> Float[Array, "examples rows columns outputs"]:
        """Returns the block's output."""
        function, zeros = activation_function(self.activation), nn.initializers.zeros
        bias = self.norm is None
        x = nn.Conv(
            self.width, (3, 3), self.strides, use_bias=bias, kernel_init=kernel_init(self.activation), name="first"
        )(inputs)
        x = function(normalised(x, self.norm, training))
        x = Dropout(self.dropout_rate, deterministic=not training)(x)
        drawn = zeros if self.norm is None else kernel_init(self.activation)
        x = nn.Conv(self.width, (3, 3), use_bias=bias, kernel_init=drawn, name="second")(x)
        x = normalised(x, self.norm, training, scale_init=zeros)
        shortcut = inputs
        if inputs.shape[-1] != self.width or self.strides > 1:
            shortcut = nn.Conv(
                self.width, (1, 1), self.strides, use_bias=bias, kernel_init=kernel_init(None), name="shortcut"
            )(inputs)
            shortcut = normalised(shortcut, self.norm, training)
        return function(shortcut + x)
