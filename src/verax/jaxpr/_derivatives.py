"""Where a program brings its own derivatives (`custom_vjp`, `custom_jvp`, `stop_gradient`), and what it is without."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun
from jax.extend.core import Literal as Constant

from verax.findings import Span
from verax.jaxpr._float64 import CALLS, LOOPS
from verax.jaxpr._rebind import bind, constant, inner_program, inner_programs, jaxpr_of, with_inner
from verax.jaxpr._walk import Equation, Place, has_primitive
from verax.trees import is_floating

KINDS: dict[str, Literal["custom_jvp", "custom_vjp", "stop_gradient"]] = {
    "custom_jvp_call": "custom_jvp",
    "custom_vjp_call": "custom_vjp",
    "custom_vjp_call_jaxpr": "custom_vjp",
    "stop_gradient": "stop_gradient",
}
STEPS = ("round", "floor", "ceil", "sign", "argmax", "argmin", "top_k", "sort", "eq", "ne", "gt", "ge", "lt", "le")
ROUNDING = ("round", "floor", "ceil", "sign", "argmax", "argmin")
_JAX = str(Path(jax.__file__).parent)
THROUGH_STEPS = -1  # among the marks of a value: it comes through a rounding


@dataclass(frozen=True, eq=False)
class OwnDerivative:
    """An equation whose derivative is what somebody wrote, not what JAX derives.

    Attributes:
      kind: how it is written.
      name: the function with the rule; empty for `stop_gradient`.
      definition: where that function is defined; None if not known.
      place: where it is used.
      eqn: the equation.
      inputs: which inputs of the program it depends on.
      depends: for each operand, whether it depends on any of these.
      rounds: whether a derivative of zero would be right: it holds a rounding or a comparison, or comes through one.
    """

    kind: Literal["custom_jvp", "custom_vjp", "stop_gradient"]
    name: str
    definition: Span | None
    place: Place
    eqn: JaxprEqn
    inputs: frozenset[int]
    depends: tuple[bool, ...]
    rounds: bool

    def __str__(self) -> str:
        used = str(self.place)
        if self.kind == "stop_gradient":
            return f"stop_gradient in {used}"
        defined = f", defined at {self.definition.file}:{self.definition.line}" if self.definition else ""
        return f"the {self.kind} of {self.name or 'a function'}{defined}, used in {used}"


def own_derivatives(program: ClosedJaxpr, moving: Collection[int]) -> tuple[tuple[OwnDerivative, ...], ClosedJaxpr]:
    """Returns the equations with their own derivatives that a gradient goes through, and a program of their operands.

    Rules that JAX itself brings (`jax.nn.relu`) are trusted and left out. Inside a loop the operands are those of the
    first step, inside a branch those that it would get if it were taken.

    Args:
      program: of a function of flat leaves.
      moving: the inputs that are differentiated by.

    Example:
      >>> program = jax.make_jaxpr(lambda x: jax.lax.stop_gradient(x) * x)(2.0)
      >>> (found,), operands = own_derivatives(program, [0])
      >>> found.kind, jaxpr_as_fun(operands)(3.0)
      ('stop_gradient', [Array(3.0, dtype=float32, weak_type=True)])
    """
    found: list[tuple[OwnDerivative, list[Any]]] = []

    def operands(*args: Any) -> list[Any]:
        marks = [frozenset([index] if index in moving else []) for index in range(len(args))]
        found.clear()
        _visit(jaxpr_of(program), program.consts, list(args), marks, None, found)
        return [each for _, some in found for each in some]

    captured = jax.make_jaxpr(operands)(*map(_shape, program.in_avals))
    return tuple(each for each, _ in found), captured


def has_own_derivatives(program: ClosedJaxpr) -> bool:
    """Returns whether the program holds any equation that `own_derivatives` would look at."""
    return any(True for _ in _own(program))


def without_own(program: ClosedJaxpr, chosen: Collection[OwnDerivative]) -> ClosedJaxpr:
    """Returns the same program with some of its own derivatives dropped, so that JAX derives through what they compute.

    Example:
      >>> program = jax.make_jaxpr(lambda x: jax.lax.stop_gradient(x) * x)(2.0)
      >>> found, _ = own_derivatives(program, [0])
      >>> float(jax.grad(lambda x: jaxpr_as_fun(without_own(program, found))(x)[0])(3.0))
      6.0
    """
    return _without(program, {id(each.eqn) for each in chosen})


Marks = frozenset[int]


def _visit(
    jaxpr: Jaxpr,
    consts: Sequence[Any],
    args: list[Any],
    marks: list[Marks],
    outer: Equation | None,
    found: list[tuple[OwnDerivative, list[Any]]],
) -> tuple[list[Any], list[Marks]]:
    """Returns the outputs of a jaxpr and the inputs that each depends on; adds what is found on the way."""
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    marked: dict[Any, Marks] = dict(zip(jaxpr.invars, marks, strict=True))

    def read(var: Any) -> Any:
        return constant(var) if isinstance(var, Constant) else values[var]

    def marks_of(var: Any) -> Marks:
        return frozenset() if isinstance(var, Constant) else marked.get(var, frozenset())

    for eqn in jaxpr.eqns:
        operands, given = [read(var) for var in eqn.invars], [marks_of(var) for var in eqn.invars]
        every: Marks = frozenset().union(*given)
        name, here = eqn.primitive.name, Equation(eqn, outer)
        after = [every | {THROUGH_STEPS} if every and _is_rounding(eqn) else every] * len(eqn.outvars)
        with eqn.ctx.manager:
            if name in CALLS:
                inner = inner_program(eqn)
                results, after = _visit(jaxpr_of(inner), inner.consts, operands, given, here, found)
            else:
                if name in LOOPS:
                    _visit_loop(eqn, operands, given, here, found)
                elif name in KINDS and every - {THROUGH_STEPS} and not _is_of_jax(eqn):
                    found.append((_own_derivative(here, given), operands))
                results = bind(eqn, operands, eqn.params)
        values.update(zip(eqn.outvars, results, strict=True))
        marked.update(zip(eqn.outvars, after, strict=True))
    return [read(var) for var in jaxpr.outvars], [marks_of(var) for var in jaxpr.outvars]


def _visit_loop(eqn: JaxprEqn, operands: list[Any], given: list[Marks], here: Equation, found: list[Any]) -> None:
    """Looks into the first step of a loop, and into each branch."""
    if not any(True for inner in inner_programs(eqn).values() for _ in _own(inner)):
        return
    params, every = eqn.params, frozenset[int]().union(*given)
    if eqn.primitive.name == "cond":
        for branch in params["branches"]:
            _visit(jaxpr_of(branch), branch.consts, operands[1:], given[1:], here, found)
        return
    if eqn.primitive.name == "while":
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        body, args = params["body_jaxpr"], operands[first:]
        marks = [*given[first:second], *([every] * len(operands[second:]))]
    else:
        body = params["jaxpr"]
        if params["length"] == 0:
            return
        avals: list[Any] = list(body.in_avals)
        steps = [len(aval.shape) < each.ndim for aval, each in zip(avals, operands, strict=True)]
        last = -1 if params["reverse"] else 0
        args = [each[last] if step else each for each, step in zip(operands, steps, strict=True)]
        marks = [mark if step else every for mark, step in zip(given, steps, strict=True)]
    _visit(jaxpr_of(body), body.consts, args, marks, here, found)


def _own(program: Jaxpr | ClosedJaxpr) -> Iterator[JaxprEqn]:
    for eqn in program.eqns:
        if eqn.primitive.name in KINDS:
            if not _is_of_jax(eqn):
                yield eqn
        else:
            for inner in inner_programs(eqn).values():
                yield from _own(inner)


def _own_derivative(equation: Equation, given: list[Marks]) -> OwnDerivative:
    eqn, name = equation.eqn, equation.eqn.primitive.name
    every: Marks = frozenset().union(*given)
    floating = [is_floating(var.aval) for var in eqn.invars]
    depends = tuple(bool(mark) and real for mark, real in zip(given, floating, strict=True))
    if KINDS[name] == "stop_gradient":
        rounds, function, definition = THROUGH_STEPS in every, "", None
    else:
        rounds = has_primitive(inner_program(eqn), STEPS) or _converts(inner_program(eqn))
        function, definition = _definition(eqn)
    inputs = every - {THROUGH_STEPS}
    return OwnDerivative(KINDS[name], function, definition, equation.place, eqn, inputs, depends, rounds)


def _definition(eqn: JaxprEqn) -> tuple[str, Span | None]:
    """Returns the name of a function with a rule, and where it is defined: JAX notes `name at file:line`."""
    debug = getattr(jaxpr_of(inner_program(eqn)), "debug_info", None)
    name, _, place = str(getattr(debug, "func_src_info", "") or "").partition(" at ")
    file, _, line = place.rpartition(":")
    return name, Span(file, int(line)) if file and line.isdigit() else None


def _is_of_jax(eqn: JaxprEqn) -> bool:
    if eqn.primitive.name == "stop_gradient":
        return False
    _, definition = _definition(eqn)
    return definition is not None and definition.file.startswith(_JAX)


def _is_rounding(eqn: JaxprEqn) -> bool:
    """Returns whether an equation cuts numbers into steps. (Comparisons do too, but stand in every stable softmax.)"""
    if eqn.primitive.name in CALLS or eqn.primitive.name in LOOPS:
        return any(has_primitive(inner, ROUNDING) or _converts(inner) for inner in inner_programs(eqn).values())
    return eqn.primitive.name in ROUNDING or _is_conversion(eqn)


def _converts(program: ClosedJaxpr | Jaxpr) -> bool:
    return any(_is_conversion(eqn) or any(map(_converts, inner_programs(eqn).values())) for eqn in program.eqns)


def _is_conversion(eqn: JaxprEqn) -> bool:
    is_cast = eqn.primitive.name == "convert_element_type"
    return is_cast and is_floating(eqn.invars[0].aval) and not is_floating(eqn.outvars[0].aval)


def _without(program: ClosedJaxpr | Jaxpr, chosen: Collection[int]) -> ClosedJaxpr:
    jaxpr, consts = jaxpr_of(program), getattr(program, "consts", ())
    avals: list[Any] = [var.aval for var in jaxpr.invars]
    return jax.make_jaxpr(lambda *args: _evaluate(jaxpr, consts, list(args), chosen))(*map(_shape, avals))


def _evaluate(jaxpr: Jaxpr, consts: Sequence[Any], args: list[Any], chosen: Collection[int]) -> list[Any]:
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(var: Any) -> Any:
        return constant(var) if isinstance(var, Constant) else values[var]

    for eqn in jaxpr.eqns:
        operands, name = [read(var) for var in eqn.invars], eqn.primitive.name
        with eqn.ctx.manager:
            if id(eqn) in chosen and name == "stop_gradient":
                results = operands
            elif id(eqn) in chosen:
                results = jaxpr_as_fun(inner_program(eqn))(*operands)
            elif name in CALLS and _holds(eqn, chosen):
                inner = inner_program(eqn)
                results = _evaluate(jaxpr_of(inner), inner.consts, operands, chosen)
            elif name in LOOPS and _holds(eqn, chosen):
                results = bind(eqn, operands, with_inner(eqn, lambda inner: _without(inner, chosen)))
            else:
                results = bind(eqn, operands, eqn.params)
        values.update(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _holds(eqn: JaxprEqn, chosen: Collection[int]) -> bool:
    return any(
        id(each) in chosen or _holds(each, chosen) for inner in inner_programs(eqn).values() for each in inner.eqns
    )


def _shape(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))
