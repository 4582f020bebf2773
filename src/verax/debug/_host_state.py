"""The Python values that a function can reach without being given them, by name; and which of them changed."""

from __future__ import annotations

import functools
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from verax.findings import is_library_file
from verax.trees import leaf_digest

DEPTH = 4  # of attributes, items and called functions that are looked into
ITEMS = 1000  # of a container that are compared
BYTES = 1 << 24  # of a NumPy array that are compared
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)


def host_state(fn: Callable[..., Any]) -> dict[str, Any]:
    """Returns what a function may read or change besides its arguments, by name: a fingerprint of each value.

    That is what its own code and the plain functions that it calls name: closure cells, globals, attributes of the
    object that it is bound to. Random generators come as their state; a traced value as the word "tracer".

    Example:
      >>> history = []
      >>> host_state(lambda x: history.append(x))
      {"'history'": ('list', 0, ())}
    """
    return {name: fingerprint(value) for name, value in _reached(fn, set(), 0)}


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Returns the names of what is there twice and differs."""
    return [name for name, value in before.items() if name in after and after[name] != value]


def holds(value: Any, word: str) -> bool:
    """Returns whether a fingerprint has a word in it: "tracer", "generator"."""
    return value == word or (isinstance(value, tuple) and any(holds(each, word) for each in value))


def fingerprint(value: Any, depth: int = 0) -> Any:
    """Returns something comparable that changes with a value."""
    if isinstance(value, Tracer):
        return ("tracer", id(value))
    if isinstance(value, GENERATORS):
        return ("generator", repr(_generator_state(value)))
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if isinstance(value, np.ndarray) and value.dtype != object and value.nbytes <= BYTES:
        return leaf_digest(value)
    if depth < DEPTH and not isinstance(value, type | types.ModuleType | types.FunctionType | jax.Array):
        kind = type(value).__name__
        if isinstance(value, dict):
            items = list(value.items())[:ITEMS]
            return (kind, len(value), tuple((repr(key)[:99], fingerprint(item, depth + 1)) for key, item in items))
        if isinstance(value, list | tuple | set | frozenset):
            return (kind, len(value), tuple(fingerprint(item, depth + 1) for item in list(value)[:ITEMS]))
        if isinstance(attributes := getattr(value, "__dict__", None), dict) and not _of_library(type(value)):
            return (kind, id(value), fingerprint(attributes, depth + 1))
    return id(value)


def _reached(fn: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    """Yields what a callable reaches by name, and what the functions reach that it names."""
    if isinstance(fn, functools.partial):
        yield from _values((("an argument of functools.partial", each) for each in fn.args), seen, depth)
        yield from _values(((f"the argument {name!r}", each) for name, each in fn.keywords.items()), seen, depth)
        yield from _reached(fn.func, seen, depth)
    elif isinstance(fn, types.MethodType):
        yield from _attributes(fn.__self__)
        yield from _reached(fn.__func__, seen, depth)
    elif hasattr(fn, "__wrapped__"):
        yield from _reached(fn.__wrapped__, seen, depth)
    elif isinstance(fn, types.FunctionType):
        file = fn.__code__.co_filename
        if id(fn) in seen or depth > DEPTH or (is_library_file(file) and not file.startswith("<")):
            return
        seen.add(id(fn))
        cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False)
        yield from _values(((repr(name), _content(cell)) for name, cell in cells), seen, depth)
        names = _names(fn.__code__)
        yield from _values(((repr(n), fn.__globals__[n]) for n in names if n in fn.__globals__), seen, depth)
        yield from _values(((f"a default of {fn.__name__}", each) for each in fn.__defaults__ or ()), seen, depth)
    elif callable(fn) and not isinstance(fn, type) and not _of_library(type(fn)):
        yield from _attributes(fn)
        yield from _reached(type(fn).__call__, seen, depth)


def _values(named: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in named:
        if callable(value):
            yield from _reached(value, seen, depth + 1)
        if not isinstance(value, types.ModuleType | type | types.FunctionType):
            yield name, value


def _attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    yield from ((f"{type(owner).__name__}.{name}", value) for name, value in getattr(owner, "__dict__", {}).items())


def _names(code: types.CodeType) -> list[str]:
    """Returns the names that code uses, that of nested functions included."""
    inner = [name for const in code.co_consts if isinstance(const, types.CodeType) for name in _names(const)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return None


def _generator_state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return [np.asarray(each).tolist() for each in generator.get_state(legacy=True)]
    bits = generator.bit_generator if isinstance(generator, np.random.Generator) else generator
    return bits.state


def _of_library(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    return kind.__module__ == "builtins" or (file is not None and is_library_file(file))
