"""Self-attention, and the residual block of a Transformer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from verax.models._activation import Activation, activation_function, kernel_init
from verax.models._dropout import Dropout, Rate


class Attention(nn.Module):
    """Self-attention of several heads; queries, keys and values come from one product.

    Attributes:
      heads: number of heads; it divides the channels.
      bias: whether the layers have biases.
      dropout_rate: share of the attention weights that is set to zero in training; may be traced.
      std: standard deviation of the weights; None is LeCun's.
      branches: residual branches of the network, of which this is one (see `kernel_init`).

    Example:
      >>> attention = Attention(heads=2)
      >>> variables = attention.init(jax.random.key(0), jnp.zeros((1, 3, 8)), causal_mask(3))
      >>> {name: leaves["kernel"].shape for name, leaves in variables["params"].items()}
      {'qkv': (8, 24), 'projection': (8, 8)}
    """

    heads: int
    bias: bool = True
    dropout_rate: Rate = 0.0
    std: float | None = None
    branches: int = 1

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channels"],
        mask: Bool[Array, "#batch 1 #time time"] | None = None,
        training: bool = False,
    ) -> Float[Array, "batch time channels"]:
        """Returns what each position gathers from those that the mask lets it see; from all, if the mask is None."""
        batch, time, channels = x.shape
        depth = channels // self.heads
        drawn, end = (kernel_init(None, std=self.std, branches=branches) for branches in (1, self.branches))
        qkv = nn.Dense(3 * channels, use_bias=self.bias, kernel_init=drawn, name="qkv")(x)
        queries, keys, values = (part.reshape((batch, time, self.heads, depth)) for part in jnp.split(qkv, 3, axis=-1))
        scores = jnp.einsum("bqhd,bkhd->bhqk", queries * depth**-0.5, keys)
        if scores.dtype.itemsize < 4:
            scores = scores.astype(jnp.float32)  # sums of exponentials need the precision
        if mask is not None:
            scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
        weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
        weights = Dropout(self.dropout_rate, deterministic=not training)(weights)
        gathered = jnp.einsum("bhqk,bkhd->bqhd", weights, values).reshape((batch, time, channels))
        return nn.Dense(channels, use_bias=self.bias, kernel_init=end, name="projection")(gathered)


def causal_mask(time: int) -> Bool[Array, "1 1 time time"]:
    """Returns the mask that lets each position see itself and those before it.

    Example:
      >>> causal_mask(3)[0, 0].astype(int).tolist()
      [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    return jnp.tri(time, dtype=bool)[None, None]


class Block(nn.Module):
    """Attention and a two-layer perceptron, each normalised first and added to what comes in.

    Attributes:
      heads: as in `Transformer`.
      expansion: as in `Transformer`.
      activation: as in `Transformer`.
      bias: as in `Transformer`.
      dropout_rate: as in `Transformer`.
      std: as in `Transformer`.
      branches: residual branches of the network, two of which are here (see `kernel_init`).
    """

    heads: int
    expansion: int
    activation: Activation
    bias: bool
    dropout_rate: Rate
    std: float | None
    branches: int

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channels"],
        mask: Bool[Array, "#batch 1 #time time"] | None,
        training: bool,
    ) -> Float[Array, "batch time channels"]:
        """Returns the inputs with what attention and perceptron add to them."""
        channels = x.shape[-1]
        normed = nn.LayerNorm(epsilon=1e-5, use_bias=self.bias, name="attention_norm")(x)
        attention = Attention(self.heads, self.bias, self.dropout_rate, self.std, self.branches, name="attention")
        x = x + Dropout(self.dropout_rate, deterministic=not training)(attention(normed, mask, training))
        normed = nn.LayerNorm(epsilon=1e-5, use_bias=self.bias, name="mlp_norm")(x)
        drawn, end = kernel_init(self.activation, std=self.std), kernel_init(None, std=self.std, branches=self.branches)
        hidden = nn.Dense(self.expansion * channels, use_bias=self.bias, kernel_init=drawn, name="mlp_in")(normed)
        hidden = activation_function(self.activation)(hidden)
        added = nn.Dense(channels, use_bias=self.bias, kernel_init=end, name="mlp_out")(hidden)
        return x + Dropout(self.dropout_rate, deterministic=not training)(added)
