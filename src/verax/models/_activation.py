"""Activations by name, and the initialisation that suits each."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from verax.findings import InputError

Activation = str | Callable[..., Any]

ACTIVATIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "relu": jax.nn.relu,
        "relu6": jax.nn.relu6,
        "leaky_relu": jax.nn.leaky_relu,
        "elu": jax.nn.elu,
        "celu": jax.nn.celu,
        "selu": jax.nn.selu,
        "gelu": jax.nn.gelu,
        "silu": jax.nn.silu,
        "swish": jax.nn.silu,
        "mish": jax.nn.mish,
        "softplus": jax.nn.softplus,
        "tanh": jnp.tanh,
        "hard_tanh": jax.nn.hard_tanh,
        "soft_sign": jax.nn.soft_sign,
        "sigmoid": jax.nn.sigmoid,
    }
)


class Scheme(NamedTuple):
    """How the weights of a layer are drawn: with variance `scale / fan`, where fan is `fan_in` or `fan_avg`."""

    name: str
    scale: float
    mode: Literal["fan_in", "fan_avg"]

    def std(self, fan_in: float | int, fan_out: float | int) -> float:
        """Returns the standard deviation of the weights of a layer with so many inputs and outputs to a unit."""
        return math.sqrt(self.scale / (fan_in if self.mode == "fan_in" else (fan_in + fan_out) / 2))


LECUN = Scheme("LeCun", 1.0, "fan_in")
GLOROT = Scheme("Glorot", 1.0, "fan_avg")
HE = Scheme("He", 2.0, "fan_in")

_SCHEMES = {
    "linear": LECUN,
    "selu": LECUN,
    "elu": Scheme("He", 1.5505, "fan_in"),
    "celu": Scheme("He", 1.5505, "fan_in"),
    "gelu": Scheme("He", 2.3517, "fan_in"),
    "silu": Scheme("He", 2.8108, "fan_in"),
    "swish": Scheme("He", 2.8108, "fan_in"),
    "mish": Scheme("He", 2.2107, "fan_in"),
    "tanh": GLOROT,
    "hard_tanh": GLOROT,
    "soft_sign": GLOROT,
    "sigmoid": GLOROT,
    "softplus": LECUN,
}


def initial_scheme(activation: Activation | None) -> Scheme:
    """Returns how to draw the weights of a layer that this activation follows.

    A layer keeps the mean square of its input where `fan_in · Var[w] · E[f(z)²] = 1` for a standard normal `z` (He et
    al. 2015, eq. 10). That gives the scale 2 for relu (He), exactly 1 for selu and for no activation (LeCun), 2.35 for
    gelu, 2.81 for silu, 1.55 for elu. Saturating functions (tanh, sigmoid) get Glorot's scheme, which keeps them in the
    part where they are steep. A function that is not known counts as a relu.

    Args:
      activation: a name, a function, or None for a linear layer.

    Example:
      >>> initial_scheme("relu"), initial_scheme(None).std(fan_in=100, fan_out=10)
      (Scheme(name='He', scale=2.0, mode='fan_in'), 0.1)

    References:
      LeCun et al. (1998), "Efficient BackProp"; Glorot and Bengio (2010); He et al. (2015), "Delving Deep into
      Rectifiers"; Klambauer et al. (2017), "Self-Normalizing Neural Networks".
    """
    return _SCHEMES.get("linear" if activation is None else activation_name(activation), HE)


def kernel_init(activation: Activation | None, *, std: float | None = None, branches: int = 1) -> Any:
    """Returns the initialiser of a kernel that this activation follows: `init(key, shape, dtype)`.

    Args:
      activation: as in `initial_scheme`.
      std: standard deviation to draw with instead of the scheme's; the distribution is then normal, not truncated.
      branches: of how many residual branches the kernel ends one: variance is divided by that number, so that their
        sum has the variance of one.
    """
    if std is not None:
        return jax.nn.initializers.normal(std / math.sqrt(branches))
    scheme = initial_scheme(activation)
    return jax.nn.initializers.variance_scaling(scheme.scale / branches, scheme.mode, "truncated_normal")


def activation_function(activation: Any) -> Callable[..., Any]:
    """Returns an activation given by name or as a function.

    Raises:
      InputError: if no activation has this name, or it is neither a name nor a function.

    Example:
      >>> activation_function("relu")(-1.0).tolist()
      0.0
      >>> activation_function("rellu")
      Traceback (most recent call last):
      verax.findings.InputError: unknown activation 'rellu'. Did you mean 'relu'? Any function of an array works too.
    """
    if not isinstance(activation, str):
        if not callable(activation):
            raise InputError(f"activation must be a name such as 'relu', or a function, got {activation!r}.")
        return activation
    if activation not in ACTIVATIONS:
        close = difflib.get_close_matches(activation, ACTIVATIONS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(ACTIVATIONS)}."
        raise InputError(f"unknown activation {activation!r}. {hint} Any function of an array works too.")
    return ACTIVATIONS[activation]


def activation_name(activation: Activation) -> str:
    """Returns the name of an activation given by name or as a function."""
    if isinstance(activation, str):
        return activation
    if isinstance(activation, functools.partial):
        return activation_name(activation.func)
    return getattr(activation, "__name__", type(activation).__name__)
