"""What decides whether JAX compiles a function again: the tree of its arguments and the type of each leaf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from verax.trees import Tree, leaves_by_path, shape_text

LAST_BATCH = (
    "Pad the last batch to the size of the others and give the added rows weight 0, or drop it; one more program for "
    "it is harmless."
)
OTHER_SHAPE = "Pad to one shape, or to a few: each new shape is a new program."
ONE_TYPE = "Give it one type from the first call on: jnp.asarray(value, dtype)."
NEW_OBJECT = "Make it once, outside of the loop; a static argument needs __hash__ and __eq__ that tell equal ones."
STATIC_NUMBER = "If it is a static argument, pass it as an array instead: jnp.asarray(value)."
GROWING = "Keep the tree as it is: a list of metrics that grows in the state is a new program at every step."
PLACED = "Put it there before the loop: jax.device_put(tree, sharding)."


@dataclass(frozen=True)
class Change:
    """A leaf that differs between two calls: its path, what it was and is (None if not there), what to do."""

    path: str
    before: str | None
    after: str | None
    advice: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before or 'not there'} before, {self.after or 'not there'} now"


@dataclass(frozen=True)
class Signature:
    """The abstract arguments of a call.

    Attributes:
      leaves: the type of each leaf by path: dtype, shape, weak type, sharding; of what is no array, its `repr`.
      structure: the tree.
      numbers: the values of Python numbers, which decide only where an argument is static.
    """

    leaves: tuple[tuple[str, str], ...]
    structure: Any
    numbers: tuple[tuple[str, str], ...]

    @property
    def key(self) -> Any:
        """What two calls share that share a program, as far as can be seen from outside."""
        return self.leaves, self.structure


def signature(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Signature:
    """Returns the signature of a call.

    Example:
      >>> print(*signature((jnp.ones((2, 3)), 1.0), {}).leaves, sep="; ")
      ('argument 0', 'float32[2,3]'); ('argument 1', 'Python float')
    """
    leaves: list[tuple[str, Any]] = []
    for name, tree in (*((f"argument {index}", each) for index, each in enumerate(args)), *kwargs.items()):
        leaves += [(f"{name}/{path}" if path else name, leaf) for path, leaf in leaves_by_path(tree).items()]
    numbers = [(path, repr(leaf)) for path, leaf in leaves if isinstance(leaf, int | float | complex)]
    types = tuple((path, _type(leaf)) for path, leaf in leaves)
    return Signature(types, jax.tree.structure((args, kwargs)), tuple(numbers))


def changes(before: Signature, after: Signature) -> list[Change]:
    """Returns the leaves that differ; if none does, Python numbers that do, since they may be static."""
    old, new = dict(before.leaves), dict(after.leaves)
    paths = [path for path in (*old, *(path for path in new if path not in old)) if old.get(path) != new.get(path)]
    found = [Change(path, old.get(path), new.get(path), _advice(old.get(path), new.get(path))) for path in paths]
    if not found and before.structure != after.structure:
        found = [Change("tree", _shortened(before.structure), _shortened(after.structure), NEW_OBJECT)]
    if not found:
        numbers = dict(before.numbers)
        found = [
            Change(path, numbers[path], value, STATIC_NUMBER)
            for path, value in after.numbers
            if numbers.get(path, value) != value
        ]
    return found


def is_traced(args: Tree) -> bool:
    """Returns whether a call is part of a trace."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args))


def _type(leaf: Any) -> str:
    if isinstance(leaf, bool | int | float | complex):
        return f"Python {type(leaf).__name__}"
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
        return _shortened(leaf)
    weak = " of weak type" if getattr(leaf, "weak_type", False) else ""
    committed = isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.committed
    placed = f" on {getattr(leaf, 'sharding', None)}" if committed else ""
    return f"{shape_text(leaf)}{weak}{placed}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 99 else f"{text[:95]} ..."


def _advice(before: str | None, after: str | None) -> str:
    if before is None or after is None:
        return GROWING
    python = [each.startswith("Python ") for each in (before, after)]
    arrays = [each.partition(" ")[0] for each in (before, after)]
    if any(python) or (arrays[0] == arrays[1] and ("weak" in before) != ("weak" in after)):
        return ONE_TYPE
    if not all(each.endswith("]") for each in arrays):
        return NEW_OBJECT
    (dtype, shape), (other, later) = map(_dtype_and_shape, arrays)
    if dtype != other:
        return ONE_TYPE
    if shape == later:
        return PLACED
    smaller = len(shape) == len(later) and shape[1:] == later[1:] and later < shape
    return LAST_BATCH if smaller else OTHER_SHAPE


def _dtype_and_shape(text: str) -> tuple[str, list[int]]:
    dtype, _, axes = text.removesuffix("]").partition("[")
    return dtype, [int(axis) for axis in axes.split(",") if axis]
