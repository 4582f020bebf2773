"""The range that each output of a program can take, whatever its inputs are: interval arithmetic on a jaxpr."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import JaxprEqn, Literal

from verax.jaxpr._evaluate import called_program, open_program
from verax.jaxpr._walk import Equation


class Range(NamedTuple):
    """An interval of numbers, its ends included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


ANY = Range(-math.inf, math.inf)
POSITIVE = Range(0.0, math.inf)
NEGATIVE = Range(-math.inf, 0.0)
UNIT = Range(0.0, 1.0)
SIGNED_UNIT = Range(-1.0, 1.0)


See = Callable[[Equation, Sequence[Range]], None]


def output_ranges(closed: Any, see: See | None = None) -> list[Range]:
    """Returns the range of each output of a program; what is not known of an operation is taken to be any number.

    The inputs of the program may be any numbers; its constants are what they are. A range holds all values that can
    occur and may be too wide, never too narrow. Goes into calls and branches; what loops give back may be anything.

    Args:
      closed: what `jax.make_jaxpr` gave.
      see: called as `see(equation, ranges of its operands)` for each operation that holds no program that was entered.

    Example:
      >>> import jax.numpy as jnp
      >>> closed = jax.make_jaxpr(lambda x: (jax.nn.relu(x), 3 * jax.nn.sigmoid(x) - 1, jax.nn.softmax(x), x + 1))
      >>> [str(each) for each in output_ranges(closed(jnp.ones(4)))]
      ['[0, inf]', '[-1, 2]', '[0, 1]', '[-inf, inf]']

    References:
      Moore (1966), "Interval Analysis", chapter 2.
    """
    jaxpr, _ = open_program(closed)
    return _run(closed, [ANY] * len(jaxpr.invars), None, see)


def _run(program: Any, given: Sequence[Range], outer: Equation | None, see: See | None) -> list[Range]:
    jaxpr, consts = open_program(program)
    known: dict[Any, Range] = dict(zip(jaxpr.invars, given, strict=True))
    known.update({var: _of_value(const) for var, const in zip(jaxpr.constvars, consts, strict=False)})
    makers: dict[Any, JaxprEqn] = {}

    def of(var: Any) -> Range:
        return _of_value(var.val) if isinstance(var, Literal) else known.get(var, ANY)

    for eqn in jaxpr.eqns:
        ranges = [of(var) for var in eqn.invars]
        known.update(zip(eqn.outvars, _equation(Equation(eqn, outer), ranges, makers, see), strict=True))
        makers.update(dict.fromkeys(eqn.outvars, eqn))
    return [of(var) for var in jaxpr.outvars]


def _of_value(value: Any) -> Range:
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return ANY
    array = np.asarray(value)
    if not array.size or (array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16"):
        return ANY
    low, high = float(array.min()), float(array.max())
    return ANY if math.isnan(low) or math.isnan(high) else Range(low, high)


def _equation(equation: Equation, ranges: list[Range], makers: dict[Any, JaxprEqn], see: See | None) -> Sequence[Range]:
    eqn = equation.eqn
    name, inner = eqn.primitive.name, called_program(eqn)
    if inner is not None:
        return _run(inner, ranges, equation, see)
    if name == "cond":
        branches = [_run(branch, ranges[1:], equation, see) for branch in eqn.params["branches"]]
        return [_around(results) for results in zip(*branches, strict=True)]
    if see is not None:
        see(equation, ranges)
    if name == "select_n" and _is_nan_test(makers.get(eqn.invars[0])):
        return [ranges[1]]  # the other case is NaN
    if name == "mul" and eqn.invars[0] is eqn.invars[1]:
        return [_even(ranges[0])]
    if name == "div" and ranges[0].low >= 0 and _is_own(eqn, "reduce_sum", makers):
        return [UNIT]
    if name == "sub" and _is_own(eqn, "reduce_max", makers):
        return [NEGATIVE]
    rule = _RULES.get(name)
    result = rule(eqn, ranges) if rule else ANY
    return [ANY if any(map(math.isnan, result)) else result] * len(eqn.outvars)


def _is_nan_test(maker: JaxprEqn | None) -> bool:
    return maker is not None and maker.primitive.name == "ne" and maker.invars[0] is maker.invars[1]


def _is_own(eqn: JaxprEqn, reduction: str, makers: dict[Any, JaxprEqn]) -> bool:
    """Returns whether the second operand is a reduction of the first: softmax divides by the sum of what is divided,
    and subtracts its largest number before."""
    var = eqn.invars[1]
    while not isinstance(var, Literal) and var in makers:
        maker = makers[var]
        if maker.primitive.name == reduction:
            return maker.invars[0] is eqn.invars[0]
        if maker.primitive.name not in ("broadcast_in_dim", "reshape", "squeeze", "stop_gradient", "max"):
            return False
        var = maker.invars[-1]  # jax.nn.softmax takes the maximum with -inf, which comes first
    return False


# One rule an operation: (equation, ranges of its operands) -> range of its results.


def _around(ranges: Sequence[Range]) -> Range:
    return Range(min(each.low for each in ranges), max(each.high for each in ranges))


def _corners(a: Range, b: Range, times: Callable[[float, float], float]) -> Range:
    values = [times(x, y) for x in a for y in b]
    return ANY if any(map(math.isnan, values)) else Range(min(values), max(values))


def _product(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y  # 0 times a number that may be as large as it likes is 0


def _quotient(eqn: JaxprEqn, ranges: list[Range]) -> Range:
    a, b = ranges
    if b.low > 0 or b.high < 0:
        return _corners(a, Range(1 / b.high, 1 / b.low), _product)
    return POSITIVE if a.low >= 0 and b.low >= 0 else ANY


def _even(each: Range) -> Range:
    ends = (each.low * each.low, each.high * each.high)
    return Range(0.0 if each.low <= 0 <= each.high else min(ends), max(ends))


def _power(eqn: JaxprEqn, ranges: list[Range]) -> Range:
    exponent = eqn.params["y"]
    if exponent < 0:
        return POSITIVE if exponent % 2 == 0 or ranges[0].low >= 0 else ANY
    if exponent % 2 == 0:
        half = _rising(lambda x: abs(x) ** (exponent // 2))
        return _even(Range(0.0, max(half(eqn, [Range(0.0, abs(end))]).high for end in ranges[0])))
    return _rising(lambda x: x**exponent)(eqn, ranges)


def _sum(eqn: Any, ranges: list[Range]) -> Range:
    terms = float(eqn.invars[0].aval.size // max(eqn.outvars[0].aval.size, 1))
    return Range(_product(ranges[0].low, terms), _product(ranges[0].high, terms))


def _contraction(eqn: JaxprEqn, ranges: list[Range]) -> Range:
    return POSITIVE if ranges[0].low >= 0 and ranges[1].low >= 0 else ANY


def _rising(function: Callable[[float], float]) -> Callable[[JaxprEqn, list[Range]], Range]:
    """Returns the rule of a function that never falls."""

    def rule(eqn: JaxprEqn, ranges: list[Range]) -> Range:
        return Range(_at(function, ranges[0].low), _at(function, ranges[0].high))

    return rule


def _at(function: Callable[[float], float], x: float) -> float:
    try:
        return function(x)
    except OverflowError:
        return math.inf
    except ValueError:
        return -math.inf  # the logarithm and the square root below their domain


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


_SAME = (
    *("reshape", "broadcast_in_dim", "squeeze", "transpose", "convert_element_type", "copy", "slice", "rev", "gather"),
    *("dynamic_slice", "stop_gradient", "reduce_precision", "expand_dims", "reduce_max", "reduce_min", "cummax"),
    *("cummin", "copy_p", "real"),
)
_BOOLS = ("eq", "ne", "lt", "le", "gt", "ge", "is_finite", "reduce_or", "reduce_and", "not", "and", "or")

_RULES: dict[str, Callable[[Any, list[Range]], Range]] = {
    **dict.fromkeys(_SAME, lambda eqn, ranges: ranges[0]),
    **dict.fromkeys(_BOOLS, lambda eqn, ranges: UNIT if eqn.outvars[0].aval.dtype == bool else ANY),
    "concatenate": lambda eqn, ranges: _around(ranges),
    "pad": lambda eqn, ranges: _around(ranges),
    "dynamic_update_slice": lambda eqn, ranges: _around(ranges[:2]),
    "select_n": lambda eqn, ranges: _around(ranges[1:]),
    "add": lambda eqn, ranges: Range(ranges[0].low + ranges[1].low, ranges[0].high + ranges[1].high),
    "sub": lambda eqn, ranges: Range(ranges[0].low - ranges[1].high, ranges[0].high - ranges[1].low),
    "neg": lambda eqn, ranges: Range(-ranges[0].high, -ranges[0].low),
    "mul": lambda eqn, ranges: _corners(ranges[0], ranges[1], _product),
    "div": _quotient,
    "max": lambda eqn, ranges: Range(*(max(ends) for ends in zip(*ranges, strict=True))),
    "min": lambda eqn, ranges: Range(*(min(ends) for ends in zip(*ranges, strict=True))),
    "clamp": lambda eqn, ranges: Range(
        min(max(ranges[1].low, ranges[0].low), ranges[2].high), max(min(ranges[1].high, ranges[2].high), ranges[0].low)
    ),
    "integer_pow": _power,
    "square": lambda eqn, ranges: _even(ranges[0]),
    "abs": lambda eqn, ranges: Range(math.sqrt(_even(ranges[0]).low), max(abs(end) for end in ranges[0])),
    "exp": _rising(math.exp),
    "exp2": _rising(lambda x: 2.0**x),
    "expm1": _rising(math.expm1),
    "log": _rising(lambda x: math.log(x) if x else -math.inf),
    "log1p": _rising(lambda x: math.log1p(x) if x > -1 else -math.inf),
    "sqrt": _rising(lambda x: math.sqrt(max(x, 0.0))),
    "logistic": _rising(_logistic),
    "tanh": _rising(math.tanh),
    "erf": _rising(math.erf),
    "sign": _rising(lambda x: math.copysign(1.0, x) if x else 0.0),
    "floor": _rising(lambda x: math.floor(x) if math.isfinite(x) else x),
    "ceil": _rising(lambda x: math.ceil(x) if math.isfinite(x) else x),
    "round": _rising(lambda x: float(round(x)) if math.isfinite(x) else x),
    "rsqrt": lambda eqn, ranges: POSITIVE,
    "sin": lambda eqn, ranges: SIGNED_UNIT,
    "cos": lambda eqn, ranges: SIGNED_UNIT,
    "reduce_sum": _sum,
    "dot_general": _contraction,
    "conv_general_dilated": _contraction,
}
