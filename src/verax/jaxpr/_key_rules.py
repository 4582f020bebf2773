"""What equations do to arrays of keys and to the small integers that choose among them, element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn

from verax.jaxpr._key_terms import Terms, aval, is_followed

Rule = Callable[[JaxprEqn, list[np.ndarray], Terms], list[Any] | None]


def moved(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[np.ndarray] | None:
    """Returns the states of what an equation gives, where it only moves or computes what is followed; else None."""
    rule = _RULES.get(eqn.primitive.name)
    results = rule(eqn, states, terms) if rule else None
    return None if results is None else list(map(np.asarray, results))


def _slice(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    start, stop, step = (eqn.params[name] for name in ("start_indices", "limit_indices", "strides"))
    return [states[0][tuple(map(slice, start, stop, step or (1,) * len(start)))]]


def _reshape(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    return [states[0].reshape(aval(eqn.outvars[0]).shape)]


def _broadcast(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    shape = np.ones(len(eqn.params["shape"]), int)
    for axis, length in zip(eqn.params["broadcast_dimensions"], states[0].shape, strict=True):
        shape[axis] = length
    return [np.broadcast_to(states[0].reshape(shape), eqn.params["shape"])]


def _transpose(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    return [states[0].transpose(eqn.params["permutation"])]


def _rev(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    return [np.flip(states[0], eqn.params["dimensions"])]


def _concatenate(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    return [np.concatenate(states, eqn.params["dimension"])]


def _unstack(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    return list(np.moveaxis(states[0], eqn.params["axis"], 0))


def _split(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    return np.split(states[0], np.cumsum(eqn.params["sizes"])[:-1], eqn.params["axis"])


def _same(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any]:
    return states


def _dynamic_slice(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any] | None:
    starts = [terms.values(state) for state in states[1:]]
    if any(start is None for start in starts):
        return None
    sizes = eqn.params["slice_sizes"]
    places = [
        int(np.clip(start, 0, length - size))  # type: ignore[arg-type]
        for start, length, size in zip(starts, states[0].shape, sizes, strict=True)
    ]
    return [states[0][tuple(slice(place, place + size) for place, size in zip(places, sizes, strict=True))]]


def _gather(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any] | None:
    indices = terms.values(states[1])
    if indices is None:
        return None
    numbers = eqn.primitive.bind(jnp.asarray(states[0], jnp.int32), jnp.asarray(indices), **eqn.params)
    return [np.array([n if n >= 0 else terms.unknown() for n in np.ravel(numbers)], int).reshape(np.shape(numbers))]


def _select(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any] | None:
    which, *cases = states
    if all(np.array_equal(cases[0], case) for case in cases):
        return [cases[0]]
    chosen = terms.values(which)
    if chosen is not None:
        return [np.choose(np.broadcast_to(chosen.astype(int), cases[0].shape), cases)]
    return _one_by_one(eqn, np.broadcast_arrays(*states), terms)


def _arithmetic(function: Callable[..., Any]) -> Rule:
    def rule(eqn: JaxprEqn, states: list[np.ndarray], terms: Terms) -> list[Any] | None:
        if not is_followed(aval(eqn.outvars[0]).dtype, aval(eqn.outvars[0]).shape):
            return None
        values = [terms.values(state) for state in states]
        if any(value is None for value in values):
            return _one_by_one(eqn, np.broadcast_arrays(*states), terms)
        with np.errstate(all="ignore"):
            return [terms.constant(np.asarray(function(*values)).astype(aval(eqn.outvars[0]).dtype))]  # type: ignore[list-item]

    return rule


def _one_by_one(eqn: JaxprEqn, states: Sequence[np.ndarray], terms: Terms) -> list[Any]:
    kind = f"{eqn.primitive.name} to {aval(eqn.outvars[0]).dtype}"
    columns = zip(*(state.flat for state in states), strict=True)
    return [np.array([terms.of(kind, (), column) for column in columns], int).reshape(states[0].shape)]


_RULES: dict[str, Rule] = {
    "slice": _slice,
    "squeeze": _reshape,
    "reshape": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "rev": _rev,
    "concatenate": _concatenate,
    "unstack": _unstack,
    "split": _split,
    "dynamic_slice": _dynamic_slice,
    "gather": _gather,
    "select_n": _select,
    **dict.fromkeys(("copy", "copy_p", "optimization_barrier", "device_put", "sharding_constraint"), _same),
    **{
        name: _arithmetic(function)
        for name, function in {
            "convert_element_type": lambda value: value,
            "add": np.add,
            "sub": np.subtract,
            "mul": np.multiply,
            "max": np.maximum,
            "min": np.minimum,
            "and": np.bitwise_and,
            "or": np.bitwise_or,
            "lt": np.less,
            "le": np.less_equal,
            "gt": np.greater,
            "ge": np.greater_equal,
            "eq": np.equal,
            "ne": np.not_equal,
        }.items()
    },
}
