"""What a gradient check runs, compiled once for a loss and the shapes of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from verax.debug._differences import CALLBACKS, Function, is_array, moving, placed, trace
from verax.jaxpr import (
    Cast,
    OwnDerivative,
    Place,
    equations,
    first_difference,
    has_own_derivatives,
    has_primitive,
    in_float64,
    narrowing_equations,
    own_derivatives,
    same_program,
    without_own,
)
from verax.trees import Tree, path_text

COARSEST = ("bfloat16", "float16", "float32")


class Call(NamedTuple):
    """The arguments of a loss, flat.

    Attributes:
      leaves: arrays and numbers, those of the parameters first.
      static: what else there is (a flag, a string), by its place among all leaves.
      structure: of parameters and arguments.
      places: which leaves are parameters that move.
      paths: their names.
      skipped: the parameters that do not move, with their types.
    """

    leaves: list[Any]
    static: dict[int, Any]
    structure: Any
    places: tuple[int, ...]
    paths: tuple[str, ...]
    skipped: tuple[str, ...]

    @property
    def key(self) -> Any:
        """What tells apart the calls that need programs of their own."""
        types = tuple((np.shape(leaf), str(jnp.result_type(leaf) if not hasattr(leaf, "dtype") else leaf.dtype))
                      for leaf in self.leaves)  # fmt: skip
        return self.structure, types, tuple((place, repr(value)) for place, value in self.static.items())


def call_of(params: Tree, args: tuple[Any, ...]) -> Call:
    """Returns the arguments of a loss taken apart."""
    every, structure = jax.tree.flatten((params, args))
    static = {place: leaf for place, leaf in enumerate(every) if not is_array(leaf)}
    kept = [place for place in range(len(every)) if place not in static]
    places, paths = moving(params)
    skipped = tuple(
        f"{path_text(path) or 'params'} ({_kind(leaf)})"
        for path, leaf in jax.tree.leaves_with_path(params, is_leaf=lambda leaf: leaf is None)
        if path_text(path) not in paths
    )
    return Call([every[place] for place in kept], static, structure, tuple(map(kept.index, places)), paths, skipped)


def _kind(leaf: Any) -> str:
    return str(leaf.dtype) if hasattr(leaf, "dtype") else type(leaf).__name__ if leaf is not None else "None"


@dataclass(frozen=True, eq=False)
class GradientProgram:
    """A loss and its gradient as programs of flat leaves; use it within `float64()`.

    Attributes:
      traced: the loss as it was traced, with its own casts and derivatives.
      function: the same in float64 throughout.
      casts: what was narrow in the traced one.
      precision: `float64`, or the narrowest type that could not be replaced.
      impure: where two traces of the loss first differ, and how; None if they do not.
    """

    traced: ClosedJaxpr
    function: Function
    casts: tuple[Cast, ...]
    precision: str
    impure: tuple[Place, str] | None
    _gradient: Gradient

    def gradient(self, leaves: Sequence[Any]) -> tuple[float, list[np.ndarray]]:
        """Returns the loss and its automatic gradient: flat, for each leaf that moves."""
        return self._gradient(leaves)

    @cached_property
    def own(self) -> tuple[OwnDerivative, ...]:
        """Where the loss brings derivatives of its own."""
        return self._own[0]

    def operands(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Returns what each of these equations is given."""
        own, run = self._own
        values = iter(run(*placed(self.function.program, leaves)) if own else ())
        return [[next(values) for _ in each.eqn.invars] for each in own]

    @cached_property
    def _own(self) -> tuple[tuple[OwnDerivative, ...], Any]:
        if not has_own_derivatives(self.traced):
            return (), None
        own, operands = own_derivatives(self.traced, self.function.places)
        return own, jax.jit(jaxpr_as_fun(in_float64(operands)))

    def gradient_without(self, chosen: Collection[OwnDerivative], leaves: Sequence[Any]) -> list[np.ndarray] | None:
        """Returns the gradient with JAX's own derivatives instead of some that were brought; None if JAX has none."""
        try:
            return gradient_of(without_own(self.traced, chosen), self.function.places)(leaves)[1]
        except (TypeError, ValueError, NotImplementedError):
            return None

    @property
    def callbacks(self) -> tuple[Place, ...]:
        """Where it calls Python."""
        return tuple(each.place for each in equations(self.traced) if each.eqn.primitive.name in CALLBACKS)

    @property
    def may_be_impure(self) -> bool:
        """Whether equal arguments could give two values: a program without calls of Python cannot."""
        return has_primitive(self.traced, CALLBACKS)


def make_program(loss: Callable[..., Any], call: Call) -> GradientProgram:
    """Returns the programs for a call of a loss.

    Raises:
      ValueError: if the loss does not return one floating-point number.
    """

    def of_leaves(*leaves: Any) -> Any:
        given, every = iter(leaves), []
        for place in range(len(leaves) + len(call.static)):
            every.append(call.static[place] if place in call.static else next(given))
        params, args = jax.tree.unflatten(call.structure, every)
        return loss(params, *args)

    traced = trace(of_leaves, call.leaves)
    wide = in_float64(traced)
    left = narrowing_equations(wide)
    function = Function(wide, call.places, call.paths)
    impure = _difference(traced, trace(of_leaves, call.leaves))
    gradient = gradient_of(traced, call.places)
    with ThreadPoolExecutor(2) as beside:  # the compiler leaves the interpreter alone, so that both take turns no more
        once = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}  # it runs once a check
        compiling = [(function.lowered(), {}), (gradient.lowered(), once)]
        main, own = beside.map(lambda each: each[0].compile(compiler_options=each[1]), compiling)
    casts, precision = narrowing_equations(traced), _narrowest(left)
    return GradientProgram(traced, function.compiled(main), casts, precision, impure, Gradient(gradient.program, own))


def _difference(first: ClosedJaxpr, second: ClosedJaxpr) -> tuple[Place, str] | None:
    if same_program(first, second):
        return None
    found = first_difference(first, second)
    return (found[0].place, found[1]) if found else (Place(), "an unused constant")


@dataclass(frozen=True, eq=False)
class Gradient:
    """A function from leaves to a value and its gradient by some of them, in float64.

    Attributes:
      program: of value and gradient.
      run: the program compiled.
    """

    program: ClosedJaxpr
    run: Any

    def lowered(self) -> Any:
        """Returns the program ready to be compiled."""
        avals: list[Any] = self.program.in_avals
        return self.run.lower(*(jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals))

    def __call__(self, leaves: Sequence[Any]) -> tuple[float, list[np.ndarray]]:
        value, *grads = self.run(*placed(self.program, leaves))
        return float(value), [np.asarray(each, np.float64).reshape(-1) for each in grads]


def gradient_of(program: ClosedJaxpr, places: Sequence[int]) -> Gradient:
    """Returns the gradient of a program of leaves by some of them."""
    run = jaxpr_as_fun(program)

    def value_and_gradient(*leaves: Any) -> list[Any]:
        def of_moving(moved: list[Any]) -> Any:
            whole = list(leaves)
            for place, leaf in zip(places, moved, strict=True):
                whole[place] = leaf
            return run(*whole)[0]

        value, grads = jax.value_and_grad(of_moving)([leaves[place] for place in places])
        return [value, *grads]

    avals: list[Any] = program.in_avals
    wide = in_float64(jax.make_jaxpr(value_and_gradient)(*(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals)))
    return Gradient(wide, jax.jit(jaxpr_as_fun(wide)))


def _narrowest(casts: tuple[Cast, ...]) -> str:
    narrow = {cast.narrow for cast in casts}
    return next((name for name in COARSEST if name in narrow), sorted(narrow)[0]) if narrow else "float64"
