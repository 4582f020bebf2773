"""An Equinox module taken apart: arrays by path, everything else static."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.findings import InputError
from verax.network._constructor import construct
from verax.trees import Tree, path_text

Path = tuple[str, ...]


class Parts(NamedTuple):
    """A module taken apart.

    Attributes:
      module: itself; its arrays may be shapes only.
      call: its `__call__`.
      structure: of all its leaves.
      leaves: each leaf with its path; arrays are looked up by it, the others are used as they are.
      params: floating-point arrays by path.
      state: what is carried, by path: integer arrays, and the values of stateful layers.
      state_structure: of the `eqx.nn.State`, None if there is none.
      state_paths: the path of each of its leaves.
    """

    module: Any
    call: Callable[..., Any]
    structure: Any
    leaves: list[tuple[Path, Any]]
    params: dict[Path, Any]
    state: dict[Path, Any]
    state_structure: Any
    state_paths: list[Path]


def split(module: Any, state: Any, name: str) -> Parts:
    """Returns a module taken apart.

    Args:
      module: an `eqx.Module`; its arrays may be shapes only.
      state: its `eqx.nn.State`, or None.
      name: for messages.

    Raises:
      InputError: if it is no module that can be called, or its state is missing.
    """
    import equinox as eqx

    if not isinstance(module, eqx.Module):
        raise InputError(f"{name} must give an eqx.Module, got {type(module).__name__}.")
    if not callable(module):
        raise InputError(f"{name} must have a method __call__(self, inputs), and has none.")
    pairs, structure = jax.tree.flatten_with_path(module)
    leaves = [(_path(path), leaf) for path, leaf in pairs]
    arrays = {path: leaf for path, leaf in leaves if is_array(leaf)}
    params = {path: leaf for path, leaf in arrays.items() if jnp.issubdtype(leaf.dtype, jnp.inexact)}
    carried = {path: leaf for path, leaf in arrays.items() if path not in params}
    if state is None:
        place = _first_index(module)
        if place is not None:
            raise InputError(
                f"{name} holds state in {place}. Make it with eqx.nn.make_with_state, and pass both parts: "
                "vx.from_equinox(module, state=state)."
            )
        return Parts(module, type(module).__call__, structure, leaves, params, carried, None, [])
    if not isinstance(state, eqx.nn.State):
        raise InputError(f"state must be an eqx.nn.State, got {type(state).__name__}. Use eqx.nn.make_with_state.")
    values, state_structure = jax.tree.flatten(state)
    paths = _state_paths(module, state_structure, len(values))
    carried.update(zip(paths, values, strict=True))
    return Parts(module, type(module).__call__, structure, leaves, params, carried, state_structure, paths)


def _state_paths(module: Any, structure: Any, count: int) -> list[Path]:
    """Returns the path of each leaf of a state: that of its index in the module, and within its value."""
    numbered = jax.tree.unflatten(structure, range(count))
    paths: dict[int, Path] = {}
    for path, index in _indices(module):
        for inner, number in jax.tree.leaves_with_path(numbered.get(index)):
            paths.setdefault(number, (*_path(path), *_path(inner)))
    return [paths.get(number, ("state", str(number))) for number in range(count)]


def _indices(module: Any) -> list[tuple[Any, Any]]:
    import equinox as eqx

    def is_index(node: Any) -> bool:
        return isinstance(node, eqx.nn.StateIndex)

    return [(path, node) for path, node in jax.tree.leaves_with_path(module, is_leaf=is_index) if is_index(node)]


def _first_index(module: Any) -> str | None:
    return next((path_text(path) for path, _ in _indices(module)), None)


def _path(path: tuple[Any, ...]) -> Path:
    return tuple(path_text((part,)) for part in path)


def is_array(leaf: Any) -> bool:
    """Returns whether a leaf of a module is an array, or the shape of one."""
    return isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct)


def nested(leaves: Mapping[Path, Any]) -> dict[str, Any]:
    """Returns leaves by path as a dict of dicts.

    Example:
      >>> nested({("layers", "0", "bias"): 1, ("layers", "0", "weight"): 2})
      {'layers': {'0': {'bias': 1, 'weight': 2}}}
    """
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *above, last = path or ("value",)
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[last] = leaf
    return tree


def flat(tree: Tree) -> dict[Path, Any]:
    """Returns the leaves of a tree by path; the inverse of `nested`."""
    return {_path(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def constructed(constructor: Callable[..., Any], key: Any) -> tuple[Any, Any]:
    """Returns the module that a constructor makes from a key, and its state or None; may be traced."""
    import equinox as eqx

    result = construct(constructor, "key", key)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], eqx.nn.State):
        return result
    return with_state(result, None)


def with_state(module: Any, state: Any) -> tuple[Any, Any]:
    """Returns a module and its state, taken out of the module where it was left there; None if it has none."""
    import equinox as eqx

    indices = _indices(module) if state is None else []
    if indices and all(jax.tree.leaves(index.init) for _, index in indices):
        return eqx.nn.make_with_state(lambda: module)()
    return module, state


def _is_stateful(node: Any) -> bool:
    """Returns whether a module has a state index among its own fields."""
    import equinox as eqx

    if not isinstance(node, eqx.Module) or isinstance(node, eqx.nn.StateIndex):
        return False
    return any(isinstance(value, eqx.nn.StateIndex) for value in vars(node).values())


def stateful(module: Any) -> list[tuple[Any, Any]]:
    """Returns the modules with state of their own, each with its path."""
    return [each for each in jax.tree.leaves_with_path(module, is_leaf=_is_stateful) if _is_stateful(each[1])]
