"""Every equation of a jaxpr, the nested ones too, each with its place: name stack and source line."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params
from jax.extend.source_info_util import summarize

from verax.findings import Span
from verax.trees import host

_OWN_FOLDER = str(Path(__file__).parents[1])
_LIBRARIES = tuple({sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib")})


@dataclass(frozen=True)
class Place:
    """Where an equation comes from.

    Attributes:
      name: the name stack, `MLP/Dense_0`; empty for plain functions.
      span: the nearest line of the user's own code, else of the library that made the equation; None if not known.
    """

    name: str = ""
    span: Span | None = None

    def __str__(self) -> str:
        line = f"{self.span.file}:{self.span.line}" if self.span else ""
        return f"{self.name} ({line})" if self.name and line else self.name or line or "unknown place"


@dataclass(frozen=True)
class Equation:
    """One equation of a program, and the equation that it is nested in (`jit`, `scan`, `cond`, ...), if any."""

    eqn: JaxprEqn
    outer: Equation | None = None

    @property
    def place(self) -> Place:
        """Its place; what a nested equation does not know, it takes from the equation around it."""
        around = self.outer.place if self.outer else Place()
        name = str(self.eqn.source_info.name_stack)
        if around.name and not name.startswith(around.name):
            name = f"{around.name}/{name}" if name else around.name
        return Place(name, _span(self.eqn) or around.span)


def equations(jaxpr: Jaxpr | ClosedJaxpr, outer: Equation | None = None) -> Iterator[Equation]:
    """Yields the equations of a jaxpr in order, each followed by those nested in it.

    Example:
      >>> jaxpr = jax.make_jaxpr(jax.jit(lambda x: jnp.sin(x) + 1))(0.0)
      >>> [equation.eqn.primitive.name for equation in equations(jaxpr)]
      ['jit', 'sin', 'add']
    """
    for eqn in jaxpr.eqns:
        equation = Equation(eqn, outer)
        yield equation
        for inner in jaxprs_in_params(eqn.params):
            yield from equations(inner, equation)


def has_primitive(jaxpr: Jaxpr | ClosedJaxpr, names: str | Iterable[str]) -> bool:
    """Returns whether one of the named primitives occurs anywhere in a jaxpr.

    Example:
      >>> has_primitive(jax.make_jaxpr(jax.jit(jnp.sin))(0.0), {"sin", "cos"})
      True
    """
    wanted = {names} if isinstance(names, str) else set(names)
    return any(equation.eqn.primitive.name in wanted for equation in equations(jaxpr))


def same_program(first: ClosedJaxpr, second: ClosedJaxpr) -> bool:
    """Returns whether two traces are the same program with the same constants.

    Two traces of one function differ where it draws random numbers from the host or changes outside state.

    Example:
      >>> noise = np.random.default_rng(0)
      >>> trace = lambda f: jax.make_jaxpr(f)(0.0)
      >>> same_program(trace(lambda x: x + 1.0), trace(lambda x: x + 1.0))
      True
      >>> add_noise = lambda x: x + noise.normal()
      >>> same_program(trace(lambda x: add_noise(x)), trace(lambda x: add_noise(x)))
      False
    """
    pairs = zip_longest(_facts(first), _facts(second))
    return all(a == b for a, b in pairs)


def differing_place(first: ClosedJaxpr, second: ClosedJaxpr) -> Place | None:
    """Returns where two traces of one function first differ; None if they are the same program.

    Example:
      >>> noise = np.random.default_rng(0)
      >>> f = lambda x: jnp.sin(x) * noise.normal()
      >>> differing_place(*(jax.make_jaxpr(lambda x: f(x))(0.0) for _ in range(2))) is not None
      True
    """
    if same_program(first, second):
        return None
    changed = [
        var
        for var, a, b in zip(first.jaxpr.constvars, first.consts, second.consts, strict=False)
        if _value(a) != _value(b)
    ]
    for a, b in zip_longest(equations(first), equations(second)):
        if a is None or b is None:
            longer = a or b
            return longer.place if longer else None
        if [*_equation_facts(a.eqn)] != [*_equation_facts(b.eqn)] or any(
            var in changed for var in a.eqn.invars if not isinstance(var, Literal)
        ):
            return a.place
    return Place()


def _facts(jaxpr: Any) -> Iterator[Any]:
    """Yields what makes a program: primitives, types, literals and constants. Names and callbacks are left out."""
    for const in getattr(jaxpr, "consts", ()):
        yield _value(const)
    for eqn in jaxpr.eqns:
        yield from _equation_facts(eqn)
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, (Jaxpr, ClosedJaxpr)):
                    yield from _facts(inner)


def _equation_facts(eqn: JaxprEqn) -> Iterator[Any]:
    """Yields what makes an equation, but for the programs in it."""
    yield eqn.primitive.name, [str(var.aval) for var in eqn.outvars]
    yield [_value(var.val) for var in eqn.invars if isinstance(var, Literal)]


def _value(const: Any) -> tuple[str, tuple[int, ...], bytes]:
    array = host(const) if isinstance(const, jax.Array) else np.asarray(const)
    return str(array.dtype), array.shape, array.tobytes()


def _span(eqn: JaxprEqn) -> Span | None:
    """Returns the innermost line outside installed libraries and Verax; failing that, the innermost outside JAX."""
    traceback = eqn.source_info.traceback
    if traceback is None:
        return None
    for frame in traceback.frames:
        if not frame.file_name.startswith((*_LIBRARIES, _OWN_FOLDER, "<")):
            return Span(frame.file_name, frame.line_num)
    file, _, rest = summarize(eqn.source_info).partition(" (")[0].partition(":")
    line = rest.partition(":")[0]
    return Span(file, int(line)) if line.isdigit() else None
