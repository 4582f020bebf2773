"""What a key is made of: terms that are equal where the program computes the same key, whatever it is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.trees import host

State = np.ndarray | int  # the number of each element's term, in the value's shape; or one number for the whole value
KEYS = 1 << 14  # of a larger array of keys only the whole is known
NUMBERS = 16  # integers of an array that are followed one by one: indices, counters, data of fold_in
WORDS = (2, 4)  # uint32 of which a key of the old style is made


class Terms:
    """Terms by number. A term is a kind, what is known of it, and the terms that it was computed from."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, Any, tuple[int, ...]], int] = {}
        self._terms: list[tuple[str, Any, tuple[int, ...]]] = []
        self._fixed: list[bool] = []
        self._without_data: list[bool] = []

    def of(self, kind: str, known: Any = (), parts: Iterable[Any] = ()) -> int:
        """Returns the number of a term, of the numbers of its parts: the same for the same term."""
        term = (kind, known, tuple(map(int, parts)))
        number = self._numbers.get(term)
        if number is None:
            number = self._numbers[term] = len(self._terms)
            self._terms.append(term)
            self._fixed.append(
                kind not in ("key input", "input", "unknown") and all(self._fixed[part] for part in term[2])
            )
            data = kind == "input" or (kind == "captured" and not (isinstance(known, tuple) and known[1] == ()))
            self._without_data.append(not data and all(self._without_data[part] for part in term[2]))
        return number

    def unknown(self) -> int:
        """Returns the number of a term that equals no other."""
        return self.of("unknown", len(self._terms))

    def is_fixed(self, number: int) -> bool:
        """Returns whether a term is made of constants alone."""
        return self._fixed[number]

    def input(self, position: int, aval: Any) -> State:
        """Returns the state of an argument of the program."""
        kind = "key input" if _may_be_key(aval.dtype, aval.shape) else "input"
        return self.spread(self.of(kind, position), aval)

    def reached_by_draws(self, outputs: Iterable[int]) -> set[int]:
        """Returns the terms that outputs are made of, where they are made of keys and constants alone and nothing was
        broadcast on the way."""
        reached, waiting = set(), [number for number in outputs if self._without_data[number]]
        while waiting:
            number = waiting.pop()
            if number not in reached and self._terms[number][0] != "broadcast_in_dim":
                reached.add(number)
                waiting += self._terms[number][2]
        return reached

    def constant(self, value: Any) -> State:
        """Returns the state of a literal, or of an array that the program closes over."""
        dtype, shape = jnp.result_type(value) if not hasattr(value, "dtype") else value.dtype, np.shape(value)
        if is_key(dtype):
            words = self.constant(jax.random.key_data(value))
            return self.wrapped(words, str(dtype), shape) if isinstance(words, np.ndarray) else words
        if not is_followed(dtype, shape):
            small = int(np.prod(shape)) <= NUMBERS
            return self.of("captured", (str(dtype), shape, host(value).tobytes()) if small else id(value))
        array = host(value).astype(dtype)
        return self._each(lambda element: self.of("const", (str(dtype), element.item())), array)

    def values(self, state: State) -> np.ndarray | None:
        """Returns the integers that a state stands for, where all of them are constants."""
        if not isinstance(state, np.ndarray):
            return None
        terms = [self._terms[number] for number in state.flat]
        if not terms or any(kind != "const" for kind, _, _ in terms):
            return None
        return np.array([known[1] for _, known, _ in terms], terms[0][1][0]).reshape(state.shape)

    def spread(self, whole: State, aval: Any) -> State:
        """Returns a state element by element, where the value is one that is followed so."""
        if isinstance(whole, np.ndarray) or not is_followed(getattr(aval, "dtype", None), getattr(aval, "shape", ())):
            return whole
        if not aval.shape:
            return np.array(whole)
        elements = [self.of("element", index, (whole,)) for index in range(int(np.prod(aval.shape)))]
        return np.array(elements, int).reshape(aval.shape)

    def whole(self, state: State) -> int:
        """Returns one number for a whole value."""
        if not isinstance(state, np.ndarray):
            return state
        return int(state[()]) if state.shape == () else self.of("array", state.shape, state.flat)

    def wrapped(self, words: np.ndarray, dtype: str, shape: Sequence[int]) -> np.ndarray:
        """Returns keys of the new style made of words; the same as before, where they were words of such keys."""
        keys = [self._key(tuple(map(int, row)), dtype) for row in words.reshape(-1, words.shape[-1])]
        return np.array(keys, int).reshape(tuple(shape))

    def unwrapped(self, keys: np.ndarray, words: int) -> np.ndarray:
        """Returns the words of keys, along a last axis."""
        rows = [self._words(int(key), words) for key in keys.flat]
        return np.array(rows, int).reshape(*keys.shape, words)

    def split(self, keys: np.ndarray, shape: Sequence[int], dtype: str) -> np.ndarray:
        """Returns the keys that splitting gives, along last axes of the given shape.

        With JAX's default generator (`jax_threefry_partitionable`) `split(key)[i]` is `fold_in(key, i)`.
        """
        count = int(np.prod(shape))
        if dtype == "key<fry>" and jax.config.jax_threefry_partitionable:  # pyright: ignore[reportAttributeAccessIssue]
            data = [self.of("const", ("uint32", index)) for index in range(count)]
            children = [[self.of("child", (), (key, index)) for index in data] for key in keys.flat]
        else:
            children = [[self.of("split", (tuple(shape), i), (key,)) for i in range(count)] for key in keys.flat]
        return np.array(children, int).reshape(*keys.shape, *shape)

    def folded(self, keys: np.ndarray, data: np.ndarray) -> np.ndarray:
        """Returns the keys that folding data in gives."""
        keys, data = np.broadcast_arrays(keys, data)
        pairs = zip(keys.flat, data.flat, strict=True)
        return np.array([self.of("child", (), pair) for pair in pairs], int).reshape(keys.shape)

    def _key(self, words: tuple[int, ...], dtype: str) -> int:
        terms = [self._terms[word] for word in words]
        if all(kind == "word" and known == place for place, (kind, known, _) in enumerate(terms)):
            keys = {parts[0] for _, _, parts in terms}
            if len(keys) == 1:
                return keys.pop()
        return self.of("key", dtype, words)

    def _words(self, key: int, words: int) -> Sequence[int]:
        kind, _, parts = self._terms[key]
        return parts if kind == "key" else [self.of("word", place, (key,)) for place in range(words)]

    def _each(self, term: Any, array: np.ndarray) -> np.ndarray:
        return np.array([term(element) for element in array.reshape(-1)], int).reshape(array.shape)


def aval(variable: Any) -> Any:
    """Returns the shape and dtype of a variable or literal of a jaxpr."""
    return variable.aval


def is_key(dtype: Any) -> bool:
    """Returns whether a dtype is of typed random keys."""
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def is_followed(dtype: Any, shape: Sequence[int]) -> bool:
    """Returns whether a value is followed element by element: keys of both styles, and a few integers."""
    size = int(np.prod(shape))
    if _may_be_key(dtype, shape):
        return size <= KEYS
    return dtype is not None and (jnp.issubdtype(dtype, jnp.integer) or np.dtype(dtype).kind == "b") and size <= NUMBERS


def _may_be_key(dtype: Any, shape: Sequence[int]) -> bool:
    return is_key(dtype) or (dtype == np.uint32 and len(shape) > 0 and shape[-1] in WORDS)
