"""A Transformer that classifies sequences or predicts the next token."""

from __future__ import annotations

from math import inf
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Shaped

from verax.findings import InputError
from verax.models._activation import Activation, activation_function, activation_name, kernel_init
from verax.models._attention import Block, causal_mask
from verax.models._dropout import Dropout, Rate, check_rate, rate_text
from verax.models._parts import require_floating, whole_number

EMBEDDING_STD = 0.02  # GPT-2's: where it is tied, the first logits are small


class Transformer(nn.Module):
    """A pre-norm Transformer: a causal language model, or with `classes` an encoder that classifies sequences.

    Inputs are integer tokens (examples, time), where there is a `vocabulary`, else floating-point sequences (examples,
    time, features). With `classes` the last layer acts on the mean over the positions; without, every position has
    logits over the vocabulary. Embeddings are drawn with standard deviation 0.02, layers as suits what follows them
    (see `initial_scheme`), and those that end one of the `2 · layers` residual branches with `1 / sqrt(2 · layers)` of
    that, as in GPT-2.

    Attributes:
      layers: residual blocks of attention and a two-layer perceptron.
      heads: of attention; a divisor of `width`.
      width: channels.
      context: the longest sequence, in positions.
      vocabulary: number of different tokens; None for floating-point sequences.
      classes: number of outputs of a classifier or regressor of whole sequences; None for a language model.
      causal: whether a position sees only itself and those before it; None means yes without `classes`, else no.
      expansion: hidden units of the perceptrons, as a multiple of `width`.
      activation: of the perceptrons, a name or a function.
      bias: whether layers and normalisations have biases.
      tied: whether the language model's last layer is the embedding, transposed.
      padding: a token that stands for no token: attention and the mean leave it out.
      std: standard deviation of the layers' weights, where it shall not depend on their width: 0.02 is GPT-2's, which
        suits widths from 768 on; None is the scheme.
      dropout_rate: share set to zero in training of embeddings, attention weights and branches, in [0, 1); may be
        a traced number.

    Raises:
      InputError: if an argument is out of its range or two do not fit; when applied, if the inputs are of another kind
        or longer than `context`.

    Example:
      >>> model = Transformer(layers=4, heads=4, width=128, context=64, vocabulary=65, bias=False)
      >>> model
      Transformer(tokens 65 x 64 -> 4 layers of 4 heads x 32 -> tokens 65, causal, gelu)
      >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 64), int))
      >>> model.apply(variables, jnp.zeros((2, 10), int)).shape
      (2, 10, 65)

    References:
      Vaswani et al. (2017), "Attention Is All You Need"; Radford et al. (2019), "Language Models are Unsupervised
      Multitask Learners" (pre-norm, initialisation); Press and Wolf (2017) (tied embedding).
    """

    layers: int
    heads: int
    width: int
    context: int
    vocabulary: int | None = None
    classes: int | None = None
    causal: bool | None = None
    expansion: int = 4
    activation: Activation = "gelu"
    bias: bool = True
    tied: bool = True
    padding: int | None = None
    std: float | None = None
    dropout_rate: Rate = 0.0

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "width", "context", "expansion", "vocabulary", "classes"):
            value = getattr(self, name)
            if value is not None or name not in ("vocabulary", "classes"):
                object.__setattr__(self, name, whole_number(name, value))
        if self.width % self.heads:
            raise InputError(f"heads must divide width, got heads={self.heads} and width={self.width}.")
        if self.vocabulary is None and self.classes is None:
            raise InputError("give vocabulary (a language model), classes (a classifier of sequences), or both.")
        if self.padding is not None and not 0 <= self.padding < (self.vocabulary or 0):
            raise InputError(f"padding must be a token in [0, {self.vocabulary or 0}), got {self.padding}.")
        if self.std is not None and not 0 < self.std < inf:
            raise InputError(f"std must be positive, got {self.std!r}.")
        activation_function(self.activation)
        check_rate(self.dropout_rate)
        super().__post_init__()

    def __repr__(self) -> str:
        inputs = f"tokens {self.vocabulary}" if self.vocabulary else "features"
        outputs = f"tokens {self.vocabulary}" if self.classes is None else f"{self.classes}"
        body = f"{self.layers} layers of {self.heads} heads x {self.width // self.heads}"
        parts = ["causal"] if _is_causal(self.causal, self.classes) else []
        parts += [activation_name(self.activation), *rate_text(self.dropout_rate)]
        return f"Transformer({inputs} x {self.context} -> {body} -> {outputs}, {', '.join(parts)})"

    @nn.compact
    def __call__(
        self, inputs: Shaped[Array | np.ndarray, "examples time ..."], training: bool = False
    ) -> Float[Array, "examples ... outputs"]:
        """Returns logits (examples, time, vocabulary), or with `classes` outputs (examples, classes)."""
        _check_inputs(inputs, self.vocabulary, self.context)
        looked_up, drawn = nn.initializers.normal(EMBEDDING_STD), kernel_init(None, std=self.std)
        time, embed, present = inputs.shape[1], None, None
        if self.vocabulary is None:
            x = nn.Dense(self.width, use_bias=self.bias, kernel_init=kernel_init(None), name="features")(inputs)
        else:
            tokens = inputs.astype(jnp.int32)
            present = None if self.padding is None else tokens != self.padding
            embed = nn.Embed(self.vocabulary, self.width, embedding_init=looked_up, name="tokens")
            x = embed(tokens)
        positions = self.param("positions", looked_up, (self.context, self.width))
        x = x + positions[None, :time].astype(x.dtype)
        x = Dropout(self.dropout_rate, deterministic=not training)(x)
        mask = _mask(time, _is_causal(self.causal, self.classes), present)
        for layer in range(self.layers):
            block = Block(
                self.heads, self.expansion, self.activation, self.bias, self.dropout_rate, self.std,
                2 * self.layers, name=f"block_{layer}",
            )  # fmt: skip
            x = block(x, mask, training)
        x = nn.LayerNorm(epsilon=1e-5, use_bias=self.bias, name="norm")(x)
        if self.classes is not None:
            return nn.Dense(self.classes, kernel_init=drawn, name="classes")(_mean(x, present))
        if self.tied and embed is not None:
            return embed.attend(x)
        return nn.Dense(self.vocabulary or 0, use_bias=False, kernel_init=drawn, name="logits")(x)


def _is_causal(causal: bool | None, classes: int | None) -> bool:
    return classes is None if causal is None else causal


def _mask(
    time: int, causal: bool, present: Bool[Array, "examples time"] | None
) -> Bool[Array, "#examples 1 #time time"] | None:
    """Returns who sees whom: None if all see all."""
    masks: list[Any] = [causal_mask(time)] if causal else []
    masks += [] if present is None else [present[:, None, None, :]]
    return None if not masks else masks[0] if len(masks) == 1 else masks[0] & masks[1]


def _mean(
    x: Float[Array, "examples time channels"], present: Bool[Array, "examples time"] | None
) -> Float[Array, "examples channels"]:
    """Returns the mean over the positions that hold a token."""
    if present is None:
        return jnp.mean(x, axis=1)
    counted = present.astype(x.dtype)[..., None]
    return jnp.sum(x * counted, axis=1) / jnp.maximum(jnp.sum(counted, axis=1), 1)


def _check_inputs(inputs: Any, vocabulary: int | None, context: int) -> None:
    found = f"got {inputs.dtype} of shape {inputs.shape}."
    if vocabulary is None:
        require_floating("a Transformer without a vocabulary", inputs)
        if inputs.ndim != 3:
            raise InputError(f"inputs of a Transformer must be sequences (examples, time, features), {found}")
    elif not jnp.issubdtype(inputs.dtype, jnp.integer) or inputs.ndim != 2:
        raise InputError(
            f"inputs of a Transformer with a vocabulary must be integer tokens (examples, time), {found} "
            "Leave out vocabulary for floating-point sequences."
        )
    if inputs.shape[1] > context:
        raise InputError(
            f"inputs have {inputs.shape[1]} positions, which is more than context={context}. "
            "Cut the sequences, or make the model with a longer context."
        )
