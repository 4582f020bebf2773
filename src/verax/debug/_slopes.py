"""Derivatives of elementwise operations by their operands, in NumPy: nothing is compiled for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from typing import Any

import numpy as np

Partials = tuple[Any, ...]  # one for each operand: an array, or a number

AFFINE = frozenset({"add", "add_any", "sub", "neg", "convert_element_type", "copy", "copy_p", "reduce_precision"})
AFFINE |= {"stop_gradient", "real", "optimization_barrier"}


def _unary(rule: Callable[[Any, Any], Any]) -> Callable[..., Partials]:
    return lambda inputs, output, params: (rule(inputs[0], output),)


def _larger(inputs: Sequence[Any], output: Any, params: Any) -> Partials:
    ties = 1 + (inputs[0] == inputs[1])  # as JAX's own rule, which halves it between equal operands
    return tuple((each == output) / ties for each in inputs)


def _selected(inputs: Sequence[Any], output: Any, params: Any) -> Partials:
    return 0.0, *((np.asarray(inputs[0]) == case) * 1.0 for case in range(len(inputs) - 1))


def _power(inputs: Sequence[Any], output: Any, params: Any) -> Partials:
    base, exponent = map(np.asarray, inputs[:2])
    return exponent * base ** (exponent - 1), 0.0  # an exponent that depends on the inputs is not followed


# Of a program's equation: `rule(inputs, output, params) -> partial derivatives`.
SLOPES: dict[str, Callable[..., Partials]] = {
    **{name: _unary(lambda x, y: 1.0) for name in AFFINE - {"add", "add_any", "sub", "neg"}},
    **{name: lambda inputs, output, params: (1.0, 1.0) for name in ("add", "add_any")},
    **{name: _unary(lambda x, y: 0.0) for name in ("sign", "floor", "ceil", "round", "is_finite", "not")},
    **{name: lambda inputs, output, params: (0.0, 0.0) for name in ("gt", "ge", "lt", "le", "eq", "ne", "and", "or")},
    "sub": lambda inputs, output, params: (1.0, -1.0),
    "neg": _unary(lambda x, y: -1.0),
    "mul": lambda inputs, output, params: (inputs[1], inputs[0]),
    "div": lambda inputs, output, params: (1 / np.asarray(inputs[1]), -output / np.asarray(inputs[1])),
    "max": _larger,
    "min": _larger,
    "clamp": lambda inputs, output, params: (0.0, (np.asarray(inputs[1]) == output) * 1.0, 0.0),
    "select_n": _selected,
    "pow": _power,
    "integer_pow": lambda inputs, output, params: (params["y"] * np.asarray(inputs[0]) ** (params["y"] - 1.0),),
    "square": _unary(lambda x, y: 2 * x),
    "abs": _unary(lambda x, y: np.sign(x)),
    "exp": _unary(lambda x, y: y),
    "exp2": _unary(lambda x, y: y * np.log(2)),
    "expm1": _unary(lambda x, y: y + 1),
    "log": _unary(lambda x, y: 1 / x),
    "log1p": _unary(lambda x, y: 1 / (1 + x)),
    "sqrt": _unary(lambda x, y: 0.5 / y),
    "rsqrt": _unary(lambda x, y: -0.5 * y**3),
    "cbrt": _unary(lambda x, y: 1 / (3 * y**2)),
    "tanh": _unary(lambda x, y: 1 - y**2),
    "logistic": _unary(lambda x, y: y * (1 - y)),
    "erf": _unary(lambda x, y: 2 / sqrt(pi) * np.exp(-(x**2))),
    "erfc": _unary(lambda x, y: -2 / sqrt(pi) * np.exp(-(x**2))),
    "sin": _unary(lambda x, y: np.cos(x)),
    "cos": _unary(lambda x, y: -np.sin(x)),
    "atan": _unary(lambda x, y: 1 / (1 + x**2)),
    "asinh": _unary(lambda x, y: 1 / np.sqrt(1 + x**2)),
    "sinh": _unary(lambda x, y: np.cosh(x)),
    "cosh": _unary(lambda x, y: np.sinh(x)),
}


def slope_of(name: str, params: Any, inputs: Sequence[Any], output: Any, slopes: Sequence[Any]) -> Any:
    """Returns the derivative of an elementwise operation's result by what its operands are functions of.

    Args:
      name: of the primitive, one of `SLOPES`.
      params: of the equation.
      inputs: its operands.
      output: its result.
      slopes: of each operand; None where it is constant.

    Example:
      >>> slope_of("tanh", {}, [np.zeros(2)], np.zeros(2), [3.0])
      array([3., 3.])
    """
    with np.errstate(all="ignore"):
        numbers = [np.asarray(each) for each in inputs]
        partials = SLOPES[name](numbers, np.asarray(output), params)
        return sum(partial * slope for partial, slope in zip(partials, slopes, strict=True) if slope is not None)
