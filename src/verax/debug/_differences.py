"""Numerical gradients: a scalar function of a tree, evaluated with some of its numbers displaced, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from verax.jaxpr import equations, has_primitive
from verax.trees import Tree, is_floating, path_text

# One change of a tree: which floating-point leaf, which of its numbers (in row-major order), by how much.
Shift = tuple[int, Any, Any]
# Values of the function for a list of displacements, each a list of shifts.
Evaluate = Callable[[Sequence[Sequence[Shift]]], np.ndarray]

# Loops over coordinates are vectorised for small programs. A convolution with a kernel for each lane is slower than one
# call after another (8 lanes of a small CNN: 24 ms against 8 x 0.9 ms), and so are the lanes of a larger tree (17,000
# coordinates of an MLP: 10 s against 3 s).
LARGEST_VECTORISED = 4_000
BLOCK_BYTES = 128 * 2**20  # of perturbed parameters and activations at a time


@dataclass(frozen=True)
class Point:
    """A scalar function at a tree of parameters, traced in float64.

    Attributes:
      paths: the floating-point leaves of the parameters.
      leaves: their values in float64.
      program: the traced function of all leaves of parameters and arguments.
      evaluate: the function's values at displaced parameters.
    """

    paths: tuple[str, ...]
    leaves: tuple[np.ndarray, ...]
    program: ClosedJaxpr
    evaluate: Evaluate

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return sum(leaf.size for leaf in self.leaves)


@contextmanager
def float64() -> Iterator[None]:
    """Turns float64 on, for a check alone. Promotion is standard meanwhile: constants that are float32 in the caller's
    code meet float64 arguments, which strict promotion would refuse."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def numerical_gradient(f: Callable[[Any], Any], params: Tree, *, eps: float = 1e-5) -> Tree:
    """Returns the gradient of a scalar function by central differences of every coordinate, computed in float64.

    `(f(params + eps) - f(params - eps)) / (2 * eps)`, with an error of order `eps ** 2` from curvature and of order
    `1e-16 / eps` from rounding. The precision of the caller is left alone: float64 is on during the call only.

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
    with float64():
        at = point(f, params)
        gradients = iter([central_differences(at, leaf, eps) for leaf in range(len(at.leaves))])
    return jax.tree.map(
        lambda leaf: next(gradients).reshape(np.shape(leaf)) if is_floating(leaf) else np.zeros(np.shape(leaf)), params
    )


def central_differences(at: Point, leaf: int, eps: float) -> np.ndarray:
    """Returns the central difference of each coordinate of a leaf."""
    positions = range(at.leaves[leaf].size)
    values = at.evaluate([[(leaf, position, sign * eps)] for sign in (1, -1) for position in positions])
    plus, minus = values.reshape(2, -1)
    return (plus - minus) / (2 * eps)


def widened(tree: Tree) -> Tree:
    """Returns a tree with its floating-point leaves in float64; call it within `float64()`."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64) if is_floating(leaf) else leaf, tree)


def point(f: Callable[..., Any], params: Tree, *args: Any) -> Point:
    """Traces `f(params, *args)`; call it, and what it returns, within `float64()`.

    Raises:
      ValueError: if `f` does not return one floating-point number.
    """
    wide, wide_args = widened(params), widened(args)
    program = trace(f, wide, *wide_args)
    flat = jax.tree.leaves((wide, wide_args))
    moving = [
        (index, path_text(path))
        for index, (path, leaf) in enumerate(jax.tree.leaves_with_path(wide))
        if is_floating(leaf)
    ]
    places = [index for index, _ in moving]
    leaves = tuple(np.asarray(flat[index], np.float64) for index in places)
    small = sum(leaf.size for leaf in leaves) <= LARGEST_VECTORISED
    vectorise = small and not has_primitive(program, "conv_general_dilated")
    make = _evaluate_in_blocks if vectorise else _evaluate_one_by_one
    return Point(tuple(path for _, path in moving), leaves, program, make(program, flat, places))


def trace(f: Callable[..., Any], *args: Any) -> ClosedJaxpr:
    """Returns the program of a scalar function, traced anew even if it was traced before.

    Raises:
      ValueError: if it does not return one floating-point number.
    """
    program, shape = jax.make_jaxpr(lambda *args: f(*args), return_shape=True)(*args)
    results = jax.tree.leaves(shape)
    if len(results) != 1 or results[0].shape != () or not is_floating(results[0]):
        found = ", ".join(f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]" for leaf in results) or "nothing"
        raise ValueError(
            f"the function must return one floating-point number, got {found}. "
            "Take the mean, or one part of what it returns."
        )
    return program


def _evaluate_one_by_one(program: ClosedJaxpr, flat: list[Any], places: list[int]) -> Evaluate:
    """A call for each displacement; only the leaves that move are sent again."""
    run = jax.jit(jaxpr_as_fun(program))
    fixed = [jax.device_put(leaf) for leaf in flat]
    hosted = {index: np.asarray(flat[index]) for index in places}

    def evaluate(displacements: Sequence[Sequence[Shift]]) -> np.ndarray:
        values = []
        for shifts in displacements:
            moved = list(fixed)
            for leaf, positions, amount in shifts:
                displaced = hosted[places[leaf]].copy()
                displaced.reshape(-1)[positions] += amount
                moved[places[leaf]] = displaced
            values.append(run(*moved)[0])
        return np.array([float(value) for value in values])  # read at the end: calls overlap with their preparation

    return evaluate


def _evaluate_in_blocks(program: ClosedJaxpr, flat: list[Any], places: list[int]) -> Evaluate:
    """Blocks of displacements, a lane each, of a size that bounds the memory."""
    sizes = [int(np.size(flat[index])) for index in places]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    shapes = [getattr(var.aval, "shape", ()) for equation in equations(program) for var in equation.eqn.outvars]
    activations = sum(map(prod, shapes))
    block = int(np.clip(BLOCK_BYTES // (8 * (starts[-1] + activations + 1)), 1, 1024))
    run = jaxpr_as_fun(program)

    @jax.jit
    def values_at(arguments: list[Any], displacements: Any) -> Any:
        def value(displacement: Any) -> Any:
            moved = list(arguments)
            for number, index in enumerate(places):
                change = displacement[starts[number] : starts[number + 1]]
                moved[index] = arguments[index] + change.reshape(arguments[index].shape)
            return run(*moved)[0]

        return jax.vmap(value)(displacements)

    def blocks(displacements: Sequence[Sequence[Shift]]) -> Iterator[np.ndarray]:
        for first in range(0, len(displacements), block):
            some = displacements[first : first + block]
            dense = np.zeros((block, starts[-1]))
            for lane, shifts in enumerate(some):
                for leaf, positions, amount in shifts:
                    dense[lane, starts[leaf] : starts[leaf + 1]][positions] += amount
            yield np.asarray(values_at(flat, dense), np.float64)[: len(some)]

    def evaluate(displacements: Sequence[Sequence[Shift]]) -> np.ndarray:
        return np.concatenate([np.zeros(0), *blocks(displacements)])

    return evaluate
