"""Follows values through a program as it is evaluated: which are elementwise functions of a layer's output, and how
steep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from verax.debug._activation_names import IGNORED, RECTIFIERS, function_name, label_of
from verax.debug._activation_result import Activations, LayerActivation, Role, measured
from verax.debug._activation_shapes import as_rows, shape_of, units_of_product, units_through
from verax.debug._slopes import AFFINE, SLOPES, slope_of
from verax.jaxpr import Equation

Key = tuple[Any, ...]
Consumer = Literal["product", "reduction", "sum", "output", "other"]
PRODUCTS = {"dot_general", "conv_general_dilated"}
RESHAPING = {"reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "slice", "split", "rev"}
RESHAPING |= {"dynamic_slice", "sharding_constraint"}


@dataclass(frozen=True, eq=False)
class Fact:
    """What is known of a value.

    Attributes:
      data: whether it depends on the inputs.
      uniform: it is one number, however often repeated.
      leaf: the parameter that it is made of.
      stacked: its parameter holds the weights of several layers that a loop goes through.
      layer: of the last product that it comes from.
      kernels: of the products since the last activation.
      biases: what was added since.
      units: the axes that tell units apart; None if not known.
      reduced: a sum or mean of something, with no product since.
      root: of what it is an elementwise function: what has the same root has the same.
      slope: the derivative by that.
      point: what bears the last bias, with its slope: the pre-activation, if a function of it follows.
      before: the pre-activation, with its slope; None while the function is affine.
      functions: the operations that made it more than affine.
      made: the equation that made it what it is.
      record: of the activation that it is, perhaps in another shape.
    """

    data: bool = False
    uniform: bool = False
    leaf: str = ""
    stacked: bool = False
    layer: Key | None = None
    kernels: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()
    units: tuple[int, ...] | None = None
    reduced: bool = False
    root: object = field(default_factory=object)
    slope: Any = 1.0
    point: tuple[Any, Any] | None = None
    before: tuple[Any, Any] | None = None
    functions: frozenset[str] = frozenset()
    made: Key = ()
    record: Record | None = None


@dataclass(eq=False)
class Record:
    """An activation: its numbers in each turn of the loops around it."""

    layer: Key | None
    function: str
    role: Role
    kernels: tuple[str, ...]
    biases: tuple[str, ...]
    before: list[np.ndarray] = field(default_factory=list)
    after: list[np.ndarray] = field(default_factory=list)
    slopes: list[np.ndarray] = field(default_factory=list)


class Reader:
    """Visits an evaluation; `given` are what is known of the program's arguments, in their order.

    Attributes:
      activations: what was seen, once it is finished.
      hidden_sigmoids: which of the program's `logistic` operations are activations of hidden layers, by their number
        among those outside of loops and branches.
    """

    def __init__(self, args: Sequence[Any], given: Sequence[Fact]):
        self._facts: dict[int, tuple[Any, Fact]] = {}  # by identity of a value, which is held so that it stays its own
        self._by_var: dict[Any, Fact] = {}  # of what a loop cuts and stacks, whose values are new in each turn
        self._records: dict[Key, Record] = {}
        self._recorded: dict[int, Record] = {}
        self._places: dict[Key, tuple[str, str]] = {}  # name stack and weight of layers, in the order in which they ran
        self._affine: dict[Key, tuple[Any, Fact]] = {}
        self._sigmoids: list[Key] = []
        self.activations, self.hidden_sigmoids = Activations(()), ()
        for value, fact in zip(args, given, strict=True):
            self._note(value, fact)

    def finish(self, outputs: Sequence[Any]) -> None:
        """Takes note of the program's outputs, which end it."""
        for value in outputs:
            fact = self._fact(value, None)
            record = fact.record or self._end(value, fact, "output")
            if record is not None:
                record.role = "output"
        self.activations = Activations(tuple(self._layers([self._fact(value, None).layer for value in outputs])))
        hidden = {key[0] for key, record in self._records.items() if record.role == "hidden"}
        self.hidden_sigmoids = tuple(number for number, key in enumerate(self._sigmoids) if key in hidden)

    def over(self, equation: Equation, operands: Sequence[Any]) -> None:
        """Notes what is known of the operands of a call, loop or branch before it is entered."""
        eqn = equation.eqn
        facts = [self._fact(*pair) for pair in zip(operands, eqn.invars, strict=True)]
        for value, fact in zip(operands, facts, strict=True):
            self._note(value, fact)
        if eqn.primitive.name not in ("scan", "while"):
            return
        around = Fact(data=any(fact.data for fact in facts), layer=self._latest(facts))
        self._by_var.update({var: replace(around, root=object()) for var in eqn.outvars})
        body = eqn.params["jaxpr" if eqn.primitive.name == "scan" else "body_jaxpr"].jaxpr
        facts = facts[len(facts) - len(body.invars) :]
        for var, outer, fact in zip(body.invars, eqn.invars[-len(body.invars) :], facts, strict=True):
            cut = shape_of(var) != shape_of(outer)
            units = tuple(axis - 1 for axis in fact.units if axis) if cut and fact.units else fact.units
            stacked = cut and not fact.data
            self._by_var[var] = replace(fact, root=object(), point=None, units=units, stacked=stacked, record=None)

    def visit(self, equation: Equation, inputs: Sequence[Any], outputs: Sequence[Any], turns: tuple[int, ...]) -> None:
        """Notes what is known of an equation's results."""
        eqn = equation.eqn
        facts = [self._fact(*pair) for pair in zip(inputs, eqn.invars, strict=True)]
        fact = self._result(equation, inputs, outputs, facts, turns)
        if eqn.primitive.name == "logistic" and not turns and not _within_branch(equation):
            self._sigmoids.append(equation.key)
        for output in outputs:
            fact = fact if output is outputs[0] else replace(fact, root=object(), point=None)
            self._note(output, replace(fact, point=fact.point or (output, fact.slope)) if fact.data else fact)

    def _result(
        self, equation: Equation, inputs: Sequence[Any], outputs: Sequence[Any], facts: list[Fact], turns: tuple
    ) -> Fact:
        name = equation.eqn.primitive.name
        data = [fact for fact in facts if fact.data]
        if not data:
            leaf = next((fact for fact in facts if fact.leaf), Fact())
            same = name in SLOPES or name in RESHAPING
            uniform = same and bool(facts) and all(fact.uniform for fact in facts)
            return Fact(uniform=uniform, leaf=leaf.leaf, stacked=leaf.stacked)
        if name in PRODUCTS:
            return self._product(equation, inputs, outputs[0], facts, turns)
        if name in SLOPES and len(outputs) == 1 and self._is_one_function(name, facts):
            return self._elementwise(equation, inputs, outputs[0], facts)
        return self._mixed(equation, inputs, outputs[0], facts)

    def _product(self, equation: Equation, inputs: Sequence[Any], output: Any, facts: list[Fact], turns: tuple) -> Fact:
        for value, fact in zip(inputs, facts, strict=True):
            self._end(value, fact, "product")
        weights = [fact for fact in facts[:2] if not fact.data]
        side = facts.index(weights[0]) if weights else None
        units = units_of_product(equation.eqn, side)
        if not weights:
            return Fact(True, layer=self._latest(facts), units=units)
        weight = weights[0]
        turn = turns[-1:] if weight.stacked else ()
        key = (*equation.key, *turn)
        number = "".join(f"[{each}]" for each in turn)
        self._places.setdefault(key, (equation.place.layer, weight.leaf + number))
        fact = Fact(True, layer=key, kernels=(weight.leaf,) if weight.leaf else (), units=units)
        self._affine[key] = output, fact
        return fact

    def _is_one_function(self, name: str, facts: list[Fact]) -> bool:
        """Returns whether the result is a function of what its operands are functions of, for every unit alike."""
        data = [fact for fact in facts if fact.data]
        others = [fact for fact in facts if not fact.data and not fact.uniform]
        if len({fact.root for fact in data}) > 1:
            return False
        activated = any(fact.functions for fact in data)
        return not others or (not activated and name in AFFINE)

    def _elementwise(self, equation: Equation, inputs: Sequence[Any], output: Any, facts: list[Fact]) -> Fact:
        eqn, name = equation.eqn, equation.eqn.primitive.name
        data = [(value, fact) for value, fact in zip(inputs, facts, strict=True) if fact.data]
        if name == "mul" and any(not fact.data and not np.any(each) for each, fact in zip(inputs, facts, strict=True)):
            return Fact(uniform=True)  # a gate before the first memory of a cell
        first = data[0][1]
        linear = name in AFFINE or (name == "mul" and len(data) == 1) or (name == "div" and not facts[1].data)
        slope = slope_of(name, eqn.params, inputs, output, [fact.slope if fact.data else None for fact in facts])
        functions = frozenset().union(*(fact.functions for _, fact in data))
        biases = tuple(fact.leaf for fact in facts if not fact.data and fact.leaf and name in ("add", "sub"))
        if linear and not functions:
            biases = tuple(dict.fromkeys((*first.biases, *biases)))
            shifted = name in ("add", "sub") and any(not fact.data and not fact.uniform for fact in facts)
            fact = replace(first, slope=slope, biases=biases, record=None, point=None if shifted else first.point)
            if fact.layer is not None:
                self._affine[fact.layer] = output, fact
            return fact
        before = next((fact.before for _, fact in data if fact.before), None)
        if before is None:
            before = first.point or (data[0][0], first.slope)
        label = label_of(equation)
        if label in RECTIFIERS:
            slope = np.where(np.asarray(output) == 0, 0.0, slope)  # their own rule at 0, where that of max is a half
        functions = functions | ({label} if label else set() if linear else {name})
        return replace(first, slope=slope, before=before, functions=functions, made=equation.key, record=None)

    def _mixed(self, equation: Equation, inputs: Sequence[Any], output: Any, facts: list[Fact]) -> Fact:
        """An operation on several things, or over several units: what it is given ends here as it is."""
        eqn, name = equation.eqn, equation.eqn.primitive.name
        consumer: Consumer = "reduction" if name.startswith(("reduce", "arg")) else "sum" if name == "add" else "other"
        data = [(value, fact) for value, fact in zip(inputs, facts, strict=True) if fact.data]
        ended = [fact.record or self._end(value, fact, consumer) for value, fact in data]
        if name == "div" and len(data) == 2 and data[0][1].functions == {"exp"} and data[1][1].reduced:
            softmax = replace(data[0][1], functions=frozenset({"softmax"}), made=equation.key)
            ended = [self._record(output, softmax, with_slopes=False)]
        if name == "mul" and len(data) == 2:
            for record, (_, other) in zip(ended, reversed(data), strict=True):
                multiplied = other.layer is not None and not other.reduced
                if record is not None and multiplied and record.function in ("sigmoid", "tanh", "hard_sigmoid"):
                    record.role = "gate"
        pending = [fact for _, fact in data if not fact.functions and fact.record is None]
        reduced = consumer == "reduction" or all(fact.reduced for _, fact in data)
        biases = [fact.leaf for fact in facts if not fact.data and fact.leaf and name in ("add", "sub")]
        fact = Fact(
            True,
            layer=self._latest([fact for _, fact in data]),
            kernels=tuple(dict.fromkeys(path for fact in pending for path in fact.kernels)),
            biases=tuple(dict.fromkeys([*(path for fact in pending for path in fact.biases), *biases])),
            units=units_through(eqn, data[0][1].units, facts.index(data[0][1])),
            reduced=reduced,
            record=ended[0] if name in RESHAPING or (ended[0] and ended[0].function == "softmax") else None,
        )
        return fact

    def _end(self, value: Any, fact: Fact, consumer: Consumer) -> Record | None:
        """Returns the record of an activation that is used as it is; None if a value is no activation."""
        if not fact.data or not fact.functions or fact.before is None or fact.reduced:
            return None
        if id(value) in self._recorded:
            return self._recorded[id(value)]
        if not np.issubdtype(np.asarray(value).dtype, np.floating) and str(value.dtype) != "bfloat16":
            return None
        if fact.functions <= IGNORED and consumer in ("reduction", "other", "sum"):
            return None
        return self._record(value, fact)

    def _record(self, value: Any, fact: Fact, with_slopes: bool = True) -> Record:
        assert fact.before is not None
        (before, steepness), key = fact.before, (fact.made, fact.layer)
        with np.errstate(all="ignore"):
            slope = np.where(np.asarray(steepness) == 0, 0.0, np.asarray(fact.slope) / np.asarray(steepness))
        rows = [as_rows(each, fact.units) for each in (before, value, np.broadcast_to(slope, np.shape(value)))]
        record = self._records.get(key)
        if record is None:
            role: Role = "hidden" if fact.layer else "input"
            role = role if with_slopes else "softmax"
            function = function_name(fact.functions, rows[0], rows[2]) if with_slopes else "softmax"
            record = self._records[key] = Record(fact.layer, function, role, fact.kernels, fact.biases)
        for numbers, new in zip((record.before, record.after, record.slopes), rows, strict=True):
            numbers.append(new)
        if not with_slopes:
            record.slopes.clear()
        self._recorded[id(value)] = record
        return record

    def _layers(self, outputs: Sequence[Key | None]) -> Iterator[LayerActivation]:
        order, names = {key: place for place, key in enumerate(self._places)}, self._names()
        records = list(self._records.values())
        seen = {record.layer for record in records}
        for key, (value, fact) in self._affine.items():
            if key not in seen:
                role: Role = "output" if key in outputs else "hidden"
                record = Record(key, "linear", role, fact.kernels, fact.biases)
                record.before = record.after = [as_rows(value, fact.units)]
                records.append(record)
        records.sort(key=lambda record: order.get(record.layer, -1) if record.layer else -1)
        for record in records:
            before, after = (np.concatenate(part) for part in (record.before, record.after))
            slopes = np.concatenate(record.slopes) if record.slopes else None
            name = names[record.layer] if record.layer else ""
            yield measured(name, record.function, record.role, record.kernels, record.biases, before, after, slopes)

    def _names(self) -> dict[Key, str]:
        """Returns the name stack of each layer, or the path of its weight where there is none or others share it."""
        weights: dict[str, set[str]] = {}
        for name, leaf in self._places.values():
            weights.setdefault(name, set()).add(leaf)
        return {key: name if name and len(weights[name]) == 1 else leaf for key, (name, leaf) in self._places.items()}

    def _latest(self, facts: Sequence[Fact]) -> Key | None:
        order = list(self._places)
        layers = [fact.layer for fact in facts if fact.data and fact.layer is not None]
        return max(layers, key=order.index, default=None)

    def _fact(self, value: Any, var: Any) -> Fact:
        known = self._facts.get(id(value))
        if known is not None:
            return known[1]
        if var is not None and not hasattr(var, "val") and var in self._by_var:
            return self._by_var[var]
        array = np.asarray(value) if not hasattr(value, "dtype") or np.ndim(value) else value
        return Fact(uniform=bool(np.size(array) == 1 or (isinstance(array, np.ndarray) and _is_one_value(array))))

    def _note(self, value: Any, fact: Fact) -> None:
        if not isinstance(value, int | float | bool | complex | np.generic):
            self._facts[id(value)] = value, fact


def _within_branch(equation: Equation) -> bool:
    outer = equation.outer
    return outer is not None and (outer.eqn.primitive.name == "cond" or _within_branch(outer))


def _is_one_value(array: np.ndarray) -> bool:
    return array.size > 0 and bool((array == array.flat[0]).all())
