"""What an activation is called: by the function of JAX around it, or by the operations that it is spelled with."""

from __future__ import annotations

import numpy as np

from verax.debug._layers import CALLS, NAMED
from verax.jaxpr import Equation

COMPARISONS = {"gt", "ge", "lt", "le", "eq", "ne", "is_finite", "and", "or", "not", "sign"}
# What normalisations and losses are made of: an activation only where a layer or the output follows.
IGNORED = frozenset(COMPARISONS | {"square", "integer_pow", "mul", "exp", "exp2", "log", "sqrt", "rsqrt", "abs"})
BOUNDED = frozenset({"tanh", "sigmoid", "soft_sign", "hard_tanh", "hard_sigmoid", "arctan", "erf"})
RECTIFIERS = frozenset({"relu", "relu6"})
SINES = frozenset({"sin"})
_OWN = {"swish": "silu", "hard_swish": "hard_silu"}
_SPELLED: tuple[tuple[set[str], set[str], str], ...] = (  # all of the first, and nothing beyond first and second
    ({"tanh"}, set(), "tanh"),
    ({"logistic"}, set(), "sigmoid"),
    ({"logistic", "mul"}, set(), "silu"),
    ({"tanh", "integer_pow"}, {"mul"}, "gelu"),
    ({"tanh", "mul"}, set(), "gelu"),
    ({"erf"}, set(), "erf"),
    ({"erf", "mul"}, set(), "gelu"),
    ({"erfc", "mul"}, set(), "gelu"),
    ({"sin"}, set(), "sin"),
    ({"cos"}, set(), "sin"),
    ({"atan"}, set(), "arctan"),
    ({"abs", "div"}, set(), "soft_sign"),
    ({"exp", "div"}, {"sub", "max"}, "sigmoid"),
    ({"max", "min"}, set(), "hard"),
    ({"clamp"}, set(), "hard"),
    ({"max"}, {"abs", "mul"}, "relu"),
    ({"select_n"}, {"max", "min", "mul"}, "relu"),
    ({"expm1"}, {"select_n", "max", "min"}, "elu"),
    ({"exp", "select_n"}, {"max", "min"}, "elu"),
    ({"exp", "log1p"}, {"max", "abs", "select_n"}, "softplus"),
    ({"exp", "log"}, set(), "softplus"),
    ({"square"}, set(), "square"),
    ({"integer_pow"}, set(), "power"),
    ({"mul"}, set(), "square"),
    ({"abs"}, set(), "abs"),
    ({"exp"}, set(), "exp"),
)


def label_of(equation: Equation) -> str | None:
    """Returns the name of the outermost activation function of `jax.nn` that an equation is part of."""
    label, outer = None, equation.outer
    while outer is not None:
        name = outer.eqn.params.get("name")
        if name in NAMED and outer.eqn.primitive.name in CALLS:
            label = _OWN.get(name, name)
        outer = outer.outer
    return label


def function_name(functions: frozenset[str], before: np.ndarray, slope: np.ndarray) -> str:
    """Returns the name of an activation, `other` if it has none.

    Args:
      functions: labels and primitives that made it.
      before: the pre-activations.
      slope: at each of these.
    """
    labels = sorted(functions & (NAMED.keys() | set(_OWN.values())) - {"tanh"})
    if len(labels) == 1:
        return labels[0]
    primitives = functions - COMPARISONS
    if primitives == {"mul"} and functions != primitives:
        return _bent("relu", before, slope)  # x * (x > 0)
    for needed, allowed, name in _SPELLED:
        if needed <= primitives <= needed | allowed:
            return _bent(name, before, slope)
    return "other"


def _bent(name: str, before: np.ndarray, slope: np.ndarray) -> str:
    """Returns which of the functions made of straight pieces it is, by where it is flat."""
    if name not in ("relu", "hard") or not slope.size:
        return name
    flat = slope == 0
    if not flat.any():
        return "leaky_relu" if name == "relu" else "hard_tanh"
    largest = np.max(before[~flat], initial=-np.inf)
    smallest = np.min(before[~flat], initial=np.inf)
    if name == "hard" and smallest >= 0:
        return "relu6"
    both = (before[flat] > largest).any() and (before[flat] < smallest).any()
    return "hard_tanh" if both else "relu"
