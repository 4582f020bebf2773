"""Numerical gradients: a scalar function of a tree, evaluated with some of its numbers displaced, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from verax.jaxpr import equations, has_primitive, in_float64
from verax.trees import Tree, is_floating, path_text

# One change of a tree: which floating-point leaf, which of its numbers (in row-major order), by how much.
Shift = tuple[int, Any, Any]

# Displacements are lanes of one vectorised program where that is small. A convolution with a kernel for each lane is
# slower than one call after another (8 lanes of a small CNN: 24 ms against 8 x 0.9 ms), and so are the lanes of a
# larger tree, each of which writes all parameters.
LARGEST_VECTORISED = 4_000
BLOCK_BYTES = 16 * 2**20  # of perturbed parameters and activations at a time: near what the caches hold
LANES = 256  # at most at a time; more gained nothing (2,410 parameters: 23 ms with 256, 31 with 512, 41 with 1,024)
DENSE_LANES = 32  # displacements of all numbers at once are few
CALLBACKS = ("pure_callback", "io_callback", "ffi_call", "pallas_call")
NOT_VECTORISED = ("conv_general_dilated", *CALLBACKS)


@dataclass(frozen=True, eq=False)
class Function:
    """A scalar function of flat leaves, compiled in float64 for their shapes; use it within `float64()`.

    Attributes:
      program: the traced function, all its floating-point numbers in float64.
      places: which of its inputs are the floating-point leaves that move.
      paths: their names.
    """

    program: ClosedJaxpr
    places: tuple[int, ...]
    paths: tuple[str, ...]

    @cached_property
    def is_vectorised(self) -> bool:
        """Whether displacements are lanes of one program."""
        return int(self.starts[-1]) <= LARGEST_VECTORISED and not has_primitive(self.program, NOT_VECTORISED)

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the leaves that move."""
        avals: list[Any] = self.program.in_avals
        return tuple(avals[place].shape for place in self.places)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each leaf starts in the vector of all coordinates, and where the last one ends."""
        return np.concatenate([[0], np.cumsum([prod(shape) for shape in self.shapes])]).astype(int)

    @cached_property
    def block(self) -> int:
        """How many lanes are computed at a time."""
        shapes = [
            getattr(var.aval, "shape", ()) for equation in equations(self.program) for var in equation.eqn.outvars
        ]
        return int(np.clip(BLOCK_BYTES // (8 * (self.starts[-1] + sum(map(prod, shapes)) + 1)), 1, LANES))

    def at(self, flat: Sequence[Any]) -> Point:
        """Returns the function at some leaves."""
        arguments = placed(self.program, flat)
        return Point(self, arguments, tuple(np.asarray(arguments[place], np.float64) for place in self.places))

    def lowered(self) -> Any:
        """Returns the program that evaluates most displacements, ready to be compiled; see `compiled`."""
        avals: list[Any] = self.program.in_avals
        arguments = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
        if not self.is_vectorised:
            return self.single.lower(*arguments)
        lanes = [jax.ShapeDtypeStruct((self.block,), dtype) for dtype in (np.int64, np.float64)]
        return self.at_coordinates.lower(arguments, *lanes)

    def compiled(self, main: Any) -> Function:
        """Returns the function with that program compiled already."""
        made = Function(self.program, self.places, self.paths)
        made.__dict__["at_coordinates" if self.is_vectorised else "single"] = main
        return made

    @cached_property
    def single(self) -> Any:
        """The compiled function of all leaves."""
        run = jaxpr_as_fun(self.program)
        return jax.jit(lambda *arguments: run(*arguments)[0])

    @cached_property
    def at_coordinates(self) -> Any:
        """Compiled: values with one coordinate displaced, a lane each."""

        def value(arguments: list[Any], position: Any, amount: Any) -> Any:
            def change(leaf: int, size: int) -> Any:
                here = lax.eq(lax.iota(np.int64, size), lax.broadcast(position - int(self.starts[leaf]), (size,)))
                return lax.convert_element_type(here, np.float64) * amount  # lax alone: jnp would be traced for longer

            return self._displaced(arguments, change)

        return jax.jit(jax.vmap(value, (None, 0, 0)))

    @cached_property
    def at_displacements(self) -> Any:
        """Compiled: values with all coordinates displaced, a lane each."""

        def value(arguments: list[Any], displacement: Any) -> Any:
            return self._displaced(
                arguments, lambda leaf, size: displacement[self.starts[leaf] : self.starts[leaf + 1]]
            )

        return jax.jit(jax.vmap(value, (None, 0)))

    def _displaced(self, arguments: list[Any], change: Callable[[int, int], Any]) -> Any:
        moved = list(arguments)
        for leaf, (place, shape) in enumerate(zip(self.places, self.shapes, strict=True)):
            moved[place] = arguments[place] + lax.reshape(change(leaf, prod(shape)), shape)
        return jaxpr_as_fun(self.program)(*moved)[0]


@dataclass(frozen=True, eq=False)
class Point:
    """A scalar function at a tree of parameters.

    Attributes:
      function: compiled for the shapes of these leaves.
      arguments: all leaves, on the device.
      leaves: those that move, on the host in float64.
    """

    function: Function
    arguments: list[Any]
    leaves: tuple[np.ndarray, ...]

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return int(self.function.starts[-1])

    @cached_property
    def value(self) -> float:
        """The function's value here."""
        if self.function.is_vectorised and self.size:
            return float(self.coordinates(np.zeros(1, int), np.zeros(1))[0])
        return float(self.evaluate([[]])[0])

    def coordinates(self, positions: np.ndarray, amounts: np.ndarray) -> np.ndarray:
        """Returns the values with one number displaced each: its place in the vector of all, and by how much."""
        if not self.function.is_vectorised:
            leaves = np.searchsorted(self.function.starts, positions, side="right") - 1
            own = positions - self.function.starts[leaves]
            return self.evaluate(
                [[shift] for shift in zip(leaves.tolist(), own.tolist(), amounts.tolist(), strict=True)]
            )
        count, block = len(positions), self.function.block
        padded = -(-count // block) * block
        positions, amounts = np.resize(positions, padded), np.resize(amounts, padded).astype(np.float64)
        run, values = self.function.at_coordinates, []
        for first in range(0, padded, block):
            some = slice(first, first + block)
            values.append(run(self.arguments, positions[some], amounts[some]))
        return np.concatenate([np.zeros(0), *map(np.asarray, values)])[:count]

    def evaluate(self, displacements: Sequence[Sequence[Shift]]) -> np.ndarray:
        """Returns the values for a list of displacements, each a list of shifts."""
        if not self.function.is_vectorised:
            return self._one_by_one(displacements)
        starts, run, values = self.function.starts, self.function.at_displacements, []
        block = min(self.function.block, DENSE_LANES)
        for first in range(0, len(displacements), block):
            dense = np.zeros((block, starts[-1]))
            for lane, shifts in enumerate(displacements[first : first + block]):
                for leaf, positions, amount in shifts:
                    dense[lane, starts[leaf] : starts[leaf + 1]][positions] += amount
            values.append(run(self.arguments, dense))
        return np.concatenate([np.zeros(0), *map(np.asarray, values)])[: len(displacements)]

    def _one_by_one(self, displacements: Sequence[Sequence[Shift]]) -> np.ndarray:
        """A call for each displacement; only the leaves that move are sent again."""
        values = []
        for shifts in displacements:
            moved = list(self.arguments)
            for leaf, positions, amount in shifts:
                displaced = self.leaves[leaf].copy()
                displaced.reshape(-1)[positions] += amount
                moved[self.function.places[leaf]] = displaced
            values.append(self.function.single(*moved))
        return np.array([float(value) for value in values])  # read at the end: calls overlap with their preparation


@contextmanager
def float64() -> Iterator[None]:
    """Turns float64 on, for a check alone. Promotion is standard meanwhile: constants that are float32 in the caller's
    code meet float64 arguments, which strict promotion would refuse."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def numerical_gradient(f: Callable[[Any], Any], params: Tree, *, eps: float = 1e-5) -> Tree:
    """Returns the gradient of a scalar function by central differences of every coordinate, computed in float64.

    `(f(params + eps) - f(params - eps)) / (2 * eps)`, with an error of order `eps ** 2` from curvature and of order
    `1e-16 / eps` from rounding. The precision of the caller is left alone: float64 is on during the call only, and
    narrower types that `f` asks for are replaced by it.

    Args:
      f: a deterministic scalar function of the parameters.
      params: any tree of arrays. Leaves that hold no floating-point numbers do not move; their gradient is zero.
      eps: displacement of a coordinate, in the units of `params`. The default is near the cube root of float64's
        machine epsilon, where rounding and curvature balance.

    Returns:
      A tree like `params` of float64 NumPy arrays.

    Raises:
      ValueError: if `f` does not return one floating-point number, or `eps` is not positive.

    Example:
      >>> gradient = numerical_gradient(lambda p: jnp.sum(p["weight"] ** 2), {"weight": jnp.array([1.0, 3.0])})
      >>> gradient["weight"].round(6)
      array([2., 6.])
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}.")
    leaves, structure = jax.tree.flatten(params)
    with float64():
        program = in_float64(trace(lambda *leaves: f(jax.tree.unflatten(structure, leaves)), leaves))
        at = Function(program, *moving(params)).at(leaves)
        whole = central_differences(at, eps)
    gradients = iter(np.split(whole, at.function.starts[1:-1]))
    return jax.tree.map(
        lambda leaf: next(gradients).reshape(np.shape(leaf)) if is_floating(leaf) else np.zeros(np.shape(leaf)), params
    )


def central_differences(at: Point, eps: float) -> np.ndarray:
    """Returns the central difference of each coordinate."""
    positions = np.arange(at.size)
    amounts = np.repeat([eps, -eps], at.size)
    plus, minus = at.coordinates(np.tile(positions, 2), amounts).reshape(2, -1)
    return (plus - minus) / (2 * eps)


def moving(params: Tree) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Returns which leaves of a tree hold floating-point numbers, and their paths."""
    named = [(index, path_text(path)) for index, (path, leaf) in enumerate(jax.tree.leaves_with_path(params))
             if is_array(leaf) and is_floating(leaf)]  # fmt: skip
    return tuple(index for index, _ in named), tuple(path for _, path in named)


def is_array(leaf: Any) -> bool:
    """Returns whether a leaf is an array or a number, which a program can take; a flag or a function is not."""
    return hasattr(leaf, "dtype") or (isinstance(leaf, int | float | complex) and not isinstance(leaf, bool))


def trace(f: Callable[..., Any], leaves: Sequence[Any]) -> ClosedJaxpr:
    """Returns the program of a scalar function of leaves, traced anew; call it within `float64()`.

    Floating-point leaves are given in float64. A function that refuses them (a loop whose state it starts in float32)
    is traced in its own types instead.

    Raises:
      ValueError: if it does not return one floating-point number.
    """
    try:
        program, shape = jax.make_jaxpr(lambda *given: f(*given), return_shape=True)(*map(_widened, leaves))
    except TypeError:
        with jax.enable_x64(False):
            program, shape = jax.make_jaxpr(lambda *given: f(*given), return_shape=True)(*map(_narrowed, leaves))
    results = jax.tree.leaves(shape)
    if len(results) != 1 or results[0].shape != () or not is_floating(results[0]):
        found = ", ".join(f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]" for leaf in results) or "nothing"
        raise ValueError(
            f"the function must return one floating-point number, got {found}. "
            "Take the mean, or one part of what it returns."
        )
    return program


def placed(program: ClosedJaxpr, leaves: Sequence[Any]) -> list[Any]:
    """Returns leaves on the device, in the types that a program takes."""
    avals: list[Any] = program.in_avals
    return [
        leaf if jnp.issubdtype(aval.dtype, jax.dtypes.extended) else jnp.asarray(leaf, aval.dtype)
        for leaf, aval in zip(leaves, avals, strict=True)
    ]


def _widened(leaf: Any) -> Any:
    return jnp.asarray(leaf, jnp.float64) if is_floating(leaf) else leaf


def _narrowed(leaf: Any) -> Any:
    """Returns a leaf as it is where float64 is off."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        return leaf
    return jnp.asarray(np.asarray(leaf))
