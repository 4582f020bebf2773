"""What each parameter does in a forward pass: read from its jaxpr, so the same for every network library."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params

_OWN_NAMES = ("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus", "tanh")
_OWN_NAMES += ("hard_tanh", "soft_sign", "sigmoid", "softmax")
NAMED = {  # functions of jax.nn, by the name that their call has in a jaxpr
    **{name: name for name in _OWN_NAMES},
    "swish": "silu",
    "hard_silu": "silu",
    "hard_swish": "silu",
    "squareplus": "softplus",
    "log_sigmoid": "sigmoid",
    "hard_sigmoid": "sigmoid",
    "log_softmax": "softmax",
}
CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint"}
RESHAPING = {"reshape", "transpose", "broadcast_in_dim", "convert_element_type", "squeeze", "expand_dims", "copy"}
RESHAPING |= {"slice", "dynamic_slice", "split", "rev", "sharding_constraint", "reduce_precision", "stop_gradient"}
PASSING = RESHAPING | {"concatenate", "pad", "gather", "neg", "sort", "optimization_barrier", "cumsum", "copy_p"}
PASSING |= {"reduce_sum", "reduce_max", "reduce_min", "reduce_window_max", "reduce_window_sum", "reduce_window"}
COMPARING = {"gt", "ge", "lt", "le"}
STATISTICS = COMPARING | {"eq", "ne", "square", "abs", "sign", "is_finite", "argmax", "argmin", "real"}
UNARY = {"tanh": "tanh", "logistic": "sigmoid", "erf": "gelu", "erfc": "gelu", "exp": "exp", "sin": "sin", "cos": "sin"}


@dataclass
class Layer:
    """A parameter that multiplies what flows through a network, or is looked up in.

    Attributes:
      fan_in: inputs of a unit; 0 for an embedding.
      fan_out: units that an input reaches.
      follows: what its outputs go into first: `relu`, `norm`, `residual` (a sum with what does not come from a layer),
        `linear` (another product), `output`, ...
      looked_up: it is an embedding, at least once.
      rescaled: its inputs are normalised, after whatever layer came before.
      summed: its outputs are added to those of another layer.
    """

    fan_in: int = 0
    fan_out: int = 0
    follows: set[str] = field(default_factory=set)
    looked_up: bool = False
    rescaled: bool = False
    summed: bool = False


@dataclass(frozen=True)
class Fact:
    """What is known of a value in a program.

    Attributes:
      rank: 0 for a constant, 1 for what is made of parameters and state alone, 2 for what depends on the inputs.
      leaf: path of the parameter that it is, perhaps reshaped.
      pending: the layers whose outputs it is, with nothing but sums and shapes since.
      compared: the layers whose outputs decided it.
      scaler: a root of something: what is multiplied by it is normalised.
      rescaled: normalised since the last layer.
      raw: an input of the network, perhaps in another shape.
    """

    rank: int = 0
    leaf: str | None = None
    pending: frozenset[str] = frozenset()
    compared: frozenset[str] = frozenset()
    scaler: bool = False
    rescaled: bool = False
    raw: bool = False


GIVEN, DATA = Fact(rank=1), Fact(rank=2)


class Reading:
    """One reading of a program, equation by equation.

    Attributes:
      layers: by path of the parameter, in the order of use.
      flops: floating-point operations of products and convolutions, by the layer that ran last; None before the first.
      made_in: for each value that the outermost program computes from the inputs, the layer that ran last.
    """

    def __init__(self, closed: ClosedJaxpr, given: Sequence[Fact]):
        self.layers: dict[str, Layer] = {}
        self.flops: dict[str | None, int] = defaultdict(int)
        self.made_in: dict[Any, str | None] = {}
        self._current: str | None = None
        self._times = 1
        results = self._run(closed.jaxpr, [GIVEN] * len(closed.consts), given, outermost=True)
        for fact in results:
            self._mark(fact, "output")

    def _run(self, jaxpr: Jaxpr, consts: Sequence[Fact], given: Sequence[Fact], outermost: bool = False) -> list[Fact]:
        facts = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *given], strict=True))

        def of(var: Any) -> Fact:
            return Fact() if isinstance(var, Literal) else facts[var]

        for eqn in jaxpr.eqns:
            results = self._equation(eqn, [of(var) for var in eqn.invars])
            facts.update(zip(eqn.outvars, results, strict=True))
            if outermost:
                made = zip(eqn.outvars, results, strict=True)
                self.made_in.update((var, self._current) for var, fact in made if fact.rank == 2 and not fact.raw)
        return [of(var) for var in jaxpr.outvars]

    def _equation(self, eqn: JaxprEqn, operands: list[Fact]) -> list[Fact]:
        name, inner = eqn.primitive.name, list(jaxprs_in_params(eqn.params))
        if eqn.params.get("name") in NAMED and name in CALLS:
            result = [self._activated(operands, NAMED[eqn.params["name"]])]
        elif inner:
            return self._nested(eqn, inner, operands)
        elif name in ("dot_general", "conv_general_dilated"):
            result = [self._product(eqn, operands)]
        elif name == "gather" and operands[0].leaf and operands[1].rank == 2:
            result = [self._lookup(operands[0].leaf)]
        else:
            result = [self._elementwise(eqn, name, operands)]
        return result * len(eqn.outvars)

    def _nested(self, eqn: JaxprEqn, inner: list[Any], operands: list[Fact]) -> list[Fact]:
        name = eqn.primitive.name
        if name == "cond":
            return self._branches(inner, operands[1:])
        if name == "while":
            skipped, inner = eqn.params["cond_nconsts"], [eqn.params["body_jaxpr"]]
            operands = operands[skipped:]
        jaxpr = getattr(inner[0], "jaxpr", inner[0])
        if len(jaxpr.invars) != len(operands):
            operands = [replace(DATA, pending=_pending(operands))] * len(jaxpr.invars)
        if name in ("scan", "while"):  # what is carried depends on the inputs after the first turn
            carried = _carried(eqn, jaxpr) if name == "scan" else range(eqn.params["body_nconsts"], len(operands))
            operands = [replace(fact, rank=2) if place in carried else fact for place, fact in enumerate(operands)]
        times, self._times = self._times, self._times * (eqn.params["length"] if name == "scan" else 1)
        results = self._run(jaxpr, [GIVEN] * len(jaxpr.constvars), operands)
        self._times = times
        return results if len(results) == len(eqn.outvars) else [DATA] * len(eqn.outvars)

    def _branches(self, branches: list[Any], operands: list[Fact]) -> list[Fact]:
        """Reads every branch; the one with most operations is counted."""
        before, tallies, results = self.flops, [], []
        for branch in branches:
            self.flops = defaultdict(int)
            jaxpr = getattr(branch, "jaxpr", branch)
            results = self._run(jaxpr, [GIVEN] * len(jaxpr.constvars), operands)
            tallies.append(self.flops)
        for layer, flops in max(tallies, key=lambda tally: sum(tally.values())).items():
            before[layer] += flops
        self.flops = before
        return results

    def _product(self, eqn: JaxprEqn, operands: list[Fact]) -> Fact:
        left, right = operands[:2]
        weight = left if left.leaf else right if right.leaf else None
        data = right if weight is left else left
        if weight is None or weight.leaf is None or data.rank < 2 or data.leaf:
            for fact in operands:
                self._mark(fact, "linear")
            result = Fact(rank=max(fact.rank for fact in operands))
        else:
            self._mark(data, "linear")
            layer = self.layers.setdefault(weight.leaf, Layer())
            layer.fan_in, layer.fan_out = _fans(eqn, 0 if weight is left else 1)
            layer.rescaled |= data.rescaled
            self._current = weight.leaf
            result = replace(DATA, pending=frozenset([weight.leaf]))
        self.flops[self._current] += self._times * _flops(eqn)
        return result

    def _lookup(self, leaf: str) -> Fact:
        self.layers.setdefault(leaf, Layer()).looked_up = True
        self._current = leaf
        return DATA

    def _elementwise(self, eqn: JaxprEqn, name: str, operands: list[Fact]) -> Fact:
        rank = max((fact.rank for fact in operands), default=0)
        if rank < 2:  # parameters among themselves
            leaf = operands[0].leaf if name in RESHAPING else None
            return Fact(rank, leaf, scaler=rank == 1 and (_is_root(name) or any(fact.scaler for fact in operands)))
        if name in ("reshape", "squeeze", "expand_dims"):
            return operands[0]
        data = [fact for fact in operands if fact.rank == 2]
        pending, rescaled = _pending(data), all(fact.rescaled for fact in data)
        passed = replace(DATA, pending=pending, rescaled=rescaled)
        if name in ("add", "sub", "add_any"):
            return self._sum(data, passed)
        if name in ("mul", "div"):
            return self._scaled(eqn, name, operands, passed)
        if name in ("max", "min"):
            cut = any(isinstance(var, Literal) and np.all(var.val == 0) for var in eqn.invars)
            return self._activated(operands, "relu") if cut else passed
        if name == "select_n":
            chosen = [fact for fact in operands[1:] if fact.rank == 2]
            if operands[0].compared & _pending(chosen):
                return self._activated(chosen, "relu")
            return replace(DATA, pending=_pending(chosen), rescaled=all(fact.rescaled for fact in chosen))
        if _is_root(name):
            return replace(DATA, scaler=True)
        if name in PASSING:
            return replace(passed, scaler=all(fact.scaler for fact in data))
        power = eqn.params.get("y") if name == "integer_pow" else None
        if name in STATISTICS or power == 2:
            return replace(DATA, compared=pending if name in COMPARING else frozenset())
        # jax.nn.gelu has no name in a jaxpr, but the cube of its approximation by tanh
        return self._activated(operands, "gelu" if power == 3 else UNARY.get(name, "other"))

    def _sum(self, data: list[Fact], passed: Fact) -> Fact:
        if all(fact.pending for fact in data):
            if len({fact.pending for fact in data}) > 1:
                for path in passed.pending:
                    self.layers[path].summed = True
            return passed
        for fact in data:
            if len(data) > 1:
                self._mark(fact, "residual")
        return replace(passed, pending=frozenset())

    def _scaled(self, eqn: JaxprEqn, name: str, operands: list[Fact], passed: Fact) -> Fact:
        left, right = operands
        if name == "mul" and eqn.invars[0] is eqn.invars[1]:
            return DATA  # a square: a statistic
        if right.scaler or (left.scaler and name == "mul"):
            other = left if right.scaler else right
            if other.scaler or other.rank < 2:
                return replace(DATA, scaler=True)
            self._mark(other, "norm")
            return replace(DATA, rescaled=True)
        if left.rank == right.rank == 2:
            return self._activated(operands, "product")
        return replace(passed, scaler=left.scaler)

    def _activated(self, operands: list[Fact], function: str) -> Fact:
        data = [fact for fact in operands if fact.rank == 2]
        for fact in data:
            self._mark(fact, function)
        return replace(DATA if data else GIVEN, rescaled=bool(data) and all(fact.rescaled for fact in data))

    def _mark(self, fact: Fact, what: str) -> None:
        for path in fact.pending:
            self.layers[path].follows.add(what)


def facts_of(paths: Sequence[str], others: int, data: int) -> Iterator[Fact]:
    """Yields the facts of a program's arguments: parameters by path, then other given values, then inputs."""
    for path in paths:
        yield Fact(1, path)
    for _ in range(others):
        yield GIVEN
    for _ in range(data):
        yield Fact(2, raw=True)


def kept_bytes(closed: ClosedJaxpr, reading: Reading) -> dict[str | None, int]:
    """Returns the bytes of a program's distinct results that depend on the inputs, by the layer that made them."""
    kept: dict[str | None, int] = defaultdict(int)
    for var in dict.fromkeys(var for var in closed.jaxpr.outvars if not isinstance(var, Literal)):
        if var in reading.made_in:
            kept[reading.made_in[var]] += prod(var.aval.shape) * _itemsize(var.aval.dtype)
    return kept


def _itemsize(dtype: Any) -> int:
    return dtype.itemsize if not jax.dtypes.issubdtype(dtype, jax.dtypes.extended) else 0


def _pending(facts: Sequence[Fact]) -> frozenset[str]:
    return frozenset().union(*(fact.pending for fact in facts))


def _carried(eqn: JaxprEqn, body: Jaxpr) -> range:
    """Returns the places of a scan's operands that are carried: not constants, not cut along the first axis.

    The names of its parameters change between releases of JAX.
    """
    cut = sum(_shape(outer) != _shape(inner) for outer, inner in zip(eqn.invars, body.invars, strict=True))
    carries = sum(_shape(outer) == _shape(inner) for outer, inner in zip(eqn.outvars, body.outvars, strict=True))
    last = len(eqn.invars) - cut
    return range(last - carries, last)


def _is_root(name: str) -> bool:
    return name in ("rsqrt", "sqrt", "cbrt")


def _shape(var: Any) -> tuple[int, ...]:
    return var.aval.shape


def _fans(eqn: JaxprEqn, side: int) -> tuple[int, int]:
    """Returns the inputs of a unit and the units of an input, for the operand that is the parameter."""
    shape = _shape(eqn.invars[side])
    if eqn.primitive.name == "dot_general":
        contracted, batch = (sides[side] for sides in eqn.params["dimension_numbers"])
        fan_in = prod(shape[axis] for axis in contracted)
        return fan_in, prod(shape) // max(1, fan_in * prod(shape[axis] for axis in batch))
    out, _, *_ = eqn.params["dimension_numbers"].rhs_spec
    per_output = prod(shape) // max(1, shape[out])
    return per_output, prod(shape) // max(1, shape[eqn.params["dimension_numbers"].rhs_spec[1]])


def _flops(eqn: JaxprEqn) -> int:
    """Returns the multiplications and additions of a product or a convolution."""
    result = prod(_shape(eqn.outvars[0]))
    left, right = map(_shape, eqn.invars[:2])
    if eqn.primitive.name == "dot_general":
        return 2 * result * prod(left[axis] for axis in eqn.params["dimension_numbers"][0][0])
    out = right[eqn.params["dimension_numbers"].rhs_spec[0]]
    spread = prod(eqn.params["lhs_dilation"])  # a transposed convolution multiplies with zeros in between
    return 2 * result * prod(right) // max(1, out * spread)
