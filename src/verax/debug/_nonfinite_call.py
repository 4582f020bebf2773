"""A call of a function as a program of its arrays alone, each with its name and its part in the call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.debug._nonfinite_rows import batch_size_of
from verax.findings import InputError
from verax.trees import is_floating, path_text


class Call(NamedTuple):
    """A call as a function of its arrays alone.

    Attributes:
      flat: the function, from arrays to whatever it returns.
      leaves: the arrays.
      paths: the name of each.
      by: numbers of the arrays that a gradient is by.
      rows: numbers of the arrays that hold examples.
      batch_size: how many examples; 0 if there are none.
    """

    flat: Callable[..., Any]
    leaves: list[Any]
    paths: list[str]
    by: list[int]
    rows: list[int]
    batch_size: int


def call_of(
    fn: Callable[..., Any], args: tuple[Any, ...], argnums: tuple[int, ...], batch: tuple[int, ...] | None
) -> Call:
    """Returns a call as a program of its arrays; see `find_nonfinite`.

    Raises:
      InputError: if a number is of no argument, or an array is traced.
    """
    for number in (*argnums, *(batch or ())):
        if not 0 <= number < len(args):
            raise InputError(f"argnums and batch must be numbers of the {len(args)} arguments, got {number}.")
    flat, structure = jax.tree.flatten(args)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in flat):  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError("find_nonfinite needs values, got a traced array. Call it outside of jit, grad and vmap.")
    names = _names(fn, len(args))
    owners, paths = [], []
    for number, arg in enumerate(args):
        for path, _ in jax.tree.leaves_with_path(arg):
            owners.append(number)
            paths.append("/".join(filter(None, (names[number], path_text(path)))))
    traced = [
        place
        for place, leaf in enumerate(flat)
        if hasattr(leaf, "dtype") or (isinstance(leaf, float | complex) and owners[place] in argnums)
    ]
    leaves = [jnp.asarray(flat[place]) for place in traced]
    owners = [owners[place] for place in traced]

    def of_arrays(*arrays: Any) -> Any:
        everything = list(flat)
        for place, array in zip(traced, arrays, strict=True):
            everything[place] = array
        return fn(*jax.tree.unflatten(structure, everything))

    by = [number for number, owner in enumerate(owners) if owner in argnums and is_floating(leaves[number])]
    if batch is None:
        others = {owner for owner, leaf in zip(owners, leaves, strict=True) if owner not in argnums and np.ndim(leaf)}
        batch = tuple(others or range(len(args)))
    rows = [number for number, owner in enumerate(owners) if owner in batch]
    size = batch_size_of([leaves[number] for number in rows])
    return Call(of_arrays, leaves, [paths[place] for place in traced], by, rows, size)


def _names(fn: Callable[..., Any], count: int) -> list[str]:
    """Returns a name for each argument: as the function calls it, else its number."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # a function in C does not tell
        parameters = ()
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return [named[number] if number < len(named) else f"argument {number}" for number in range(count)]
