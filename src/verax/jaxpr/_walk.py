"""Every equation of a jaxpr, the nested ones too, each with its place: name stack and source line."""

from __future__ import annotations

import itertools
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params
from jax.extend.source_info_util import summarize

from verax.findings import Span
from verax.trees import host

_OWN_FOLDER = Path(__file__).parents[1]
_OWN = str(_OWN_FOLDER)
_CALLING = ("network", "train", "debug", "doctor", "jaxpr", "export", "tune", "certify")
_CALLERS = tuple(str(_OWN_FOLDER / name) for name in _CALLING)
_JAX_FOLDER = str(Path(jax.__file__).parent)
_LIBRARIES = tuple({sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib")})
_WRAPPED = re.compile(r"(?:jit|pjit)\([^()]*\)|\w+\(([^()]*)\)")  # of jit it is the name of a function, of no layer
_STRUCTURE = re.compile(r"while|body|cond|closed_call|core_call|checkpoint|rematted_computation|scan|branch_\d+_fun")


@dataclass(frozen=True)
class Place:
    """Where an equation comes from.

    Attributes:
      name: the name stack, `MLP/Dense_0`; empty for plain functions.
      span: the nearest line of the user's own code, else of the library that made the equation; None if not known.
    """

    name: str = ""
    span: Span | None = None

    @property
    def layer(self) -> str:
        """The name without what transformations add to it: `MLP/Dense_0` of `transpose(jvp(MLP))/Dense_0`."""
        name = self.name
        while (bare := _WRAPPED.sub(r"\1", name)) != name:
            name = bare
        return "/".join(part for part in name.split("/") if part and not _STRUCTURE.fullmatch(part))

    @property
    def is_backward(self) -> bool:
        """Whether it belongs to a gradient."""
        return "transpose(" in self.name

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
        return Place(name, (None if self.within_jax else _span(self.eqn)) or around.span)

    @property
    def lines(self) -> list[Span]:
        """The user's own lines that led to it, the innermost first."""
        return _user_lines(_frames(self.eqn))

    @property
    def within_jax(self) -> bool:
        """Whether a compiled function of JAX itself, as `jnp.where`, is around it.

        JAX traces those once a process: the lines of their equations are those of whoever called them first.
        """
        return self.outer is not None and (is_function_of_jax(self.outer.eqn) or self.outer.within_jax)

    @property
    def key(self) -> tuple[int, ...]:
        """Tells it from all others of its program, for as long as the program lives: one that is called from two places
        has two keys for each of its equations."""
        return (*(self.outer.key if self.outer else ()), id(self.eqn))


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


def is_function_of_jax(eqn: JaxprEqn) -> bool:
    """Returns whether an equation calls a compiled function that JAX defines.

    Example:
      >>> jaxpr = jax.make_jaxpr(lambda key: jax.jit(jax.random.normal)(key))(jax.random.key(0))
      >>> [is_function_of_jax(each.eqn) for each in equations(jaxpr) if each.eqn.primitive.name == "random_bits"]
      [False]
      >>> [eqn.params["name"] for eqn in jaxpr.eqns[0].params["jaxpr"].eqns if is_function_of_jax(eqn)]
      ['_normal']
    """
    if eqn.primitive.name not in ("jit", "pjit"):
        return False
    source = getattr(eqn.params["jaxpr"].jaxpr.debug_info, "func_src_info", None) or ""
    return source.partition(" at ")[2].startswith(_JAX_FOLDER)


def first_difference(first: ClosedJaxpr, second: ClosedJaxpr) -> tuple[Equation, str] | None:
    """Returns the first equation in which two programs differ, and how; None if no equation does.

    Example:
      >>> first, second = (jax.make_jaxpr(lambda x: jnp.sin(x) + number)(0.0) for number in (1.0, 2.0))
      >>> equation, how = first_difference(first, second)
      >>> equation.eqn.primitive.name, how
      ('add', '1.0 in one, 2.0 in the other')
    """
    for one, other in zip_longest(_with_constants(first, None), _with_constants(second, None)):
        if one is None or other is None or one[1] != other[1]:
            names = [each[0].eqn.primitive.name if each else "nothing" for each in (one, other)]
            return next(each[0] for each in (other, one) if each), f"{names[0]} in one, {names[1]} in the other"
        for here, there in zip(one[2], other[2], strict=True):
            if here != there:
                return other[0], f"{_shown(here)} in one, {_shown(there)} in the other"
    return None


def _with_constants(jaxpr: Any, outer: Equation | None) -> Iterator[tuple[Equation, Any, list[Any]]]:
    """Yields every equation with its type and the constants that it uses."""
    inner = jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
    consts = dict(zip(inner.constvars, getattr(jaxpr, "consts", ()), strict=False))
    for eqn in inner.eqns:
        equation = Equation(eqn, outer)
        used = [var.val if isinstance(var, Literal) else consts.get(var) for var in eqn.invars]
        outs = [str(var.aval) for var in eqn.outvars]
        yield equation, (eqn.primitive.name, outs, len(used)), [None if each is None else _value(each) for each in used]
        for value in eqn.params.values():
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, (Jaxpr, ClosedJaxpr)):
                    yield from _with_constants(each, equation)


def _shown(value: tuple[str, tuple[int, ...], bytes] | None) -> str:
    if value is None:
        return "no constant"
    dtype, shape, data = value
    if not shape:
        return str(np.frombuffer(data, jnp.dtype(dtype))[0])
    return f"{dtype}[{','.join(map(str, shape))}]" + (
        f" from {np.frombuffer(data, jnp.dtype(dtype))[0]}" if data else ""
    )


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


def _facts(jaxpr: Any) -> Iterator[Any]:
    """Yields what makes a program: primitives, types, literals and constants. Names and callbacks are left out."""
    for const in getattr(jaxpr, "consts", ()):
        yield _value(const)
    for eqn in jaxpr.eqns:
        yield eqn.primitive.name, [str(var.aval) for var in eqn.outvars]
        yield [_value(var.val) for var in eqn.invars if isinstance(var, Literal)]
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, (Jaxpr, ClosedJaxpr)):
                    yield from _facts(inner)


def _value(const: Any) -> tuple[str, tuple[int, ...], bytes]:
    array = host(const) if isinstance(const, jax.Array) else np.asarray(const)
    return str(array.dtype), array.shape, array.tobytes()


def _user_lines(frames: Iterable[Any]) -> list[Span]:
    own = [frame for frame in frames if not frame.file_name.startswith((*_LIBRARIES, _OWN, "<"))]
    return [Span(frame.file_name, frame.line_num) for frame in own]


def _frames(eqn: JaxprEqn) -> list[Any]:
    traceback = eqn.source_info.traceback
    return traceback.frames if traceback is not None else []


def _span(eqn: JaxprEqn) -> Span | None:
    """Returns the innermost line of the user's own code that Verax called; failing that, the innermost outside JAX.

    What called Verax is no place of the program, though it is the user's too.
    """
    frames = _frames(eqn)
    if not frames:
        return None
    called = itertools.takewhile(lambda frame: not frame.file_name.startswith(_CALLERS), frames)
    for line in _user_lines(called):
        return line
    file, _, rest = summarize(eqn.source_info).partition(" (")[0].partition(":")
    line = rest.partition(":")[0]
    return Span(file, int(line)) if line.isdigit() else None
