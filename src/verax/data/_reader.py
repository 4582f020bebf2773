"""What every source does: name the files it stands on, and read them once it is asked to."""

from __future__ import annotations

import abc
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from verax.data._batch import Examples
from verax.data._schema import MISSING, Column, suggestion
from verax.findings import InputError


class Contents(NamedTuple):
    """What a reader found: the splits that are given (`train` at least) and what is known about their rows."""

    splits: dict[str, Examples]
    classes: tuple[str, ...] | None = None
    columns: tuple[Column, ...] = ()
    kind: Literal["image", "text"] | None = None
    target: str = "target"
    markers: tuple[str, ...] = MISSING


@dataclass(frozen=True)
class Reader(abc.ABC):
    """A way to get at data. Nothing is read before `read`."""

    @abc.abstractmethod
    def read(self) -> Contents:
        """Returns the data."""

    @abc.abstractmethod
    def stamp(self) -> Hashable:
        """Returns a value that changes when the data do; None for data in memory, which belong to one source."""


def file_stamp(*paths: Path) -> Hashable:
    """Returns names, sizes and times of files."""
    return tuple(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else str(path) for path in paths
    )


def existing_file(path: Path, what: str) -> Path:
    """Returns the path, if a file is there.

    Raises:
      InputError: with the names of the files beside it, if not.
    """
    if path.is_file():
        return path
    if path.is_dir():
        raise InputError(f"{path} must be {what}, but it is a folder.")
    beside = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file()) if path.parent.is_dir() else []
    hint = (
        suggestion(path.name, beside)
        if beside
        else f"The folder {path.parent} {'is empty' if path.parent.is_dir() else 'does not exist'}."
    )
    raise InputError(f"{path} must be {what}, but there is no such file. {hint}")


def as_path(path: Any, name: str) -> Path:
    """Returns a path given as text or path object.

    Raises:
      InputError: if it is anything else.
    """
    try:
        return Path(path).expanduser()
    except (TypeError, RuntimeError) as error:
        raise InputError(f"{name} must be the path of a file, got {type(path).__name__} {path!r}.") from error


def as_leaf(values: Any) -> np.ndarray:
    """Returns one array as a read-only NumPy array in the type that JAX will compute with.

    Float64 becomes float32 and int64 becomes int32 where the values fit; where they do not, the array is left as it is
    and `check_data` says where.
    """
    array = np.asarray(values)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    narrow = {"f": np.float32, "i": np.int32, "u": np.uint32}.get(array.dtype.kind)
    if narrow is not None and array.dtype.itemsize >= 8:
        with np.errstate(over="ignore", invalid="ignore"):
            narrowed = array.astype(narrow)
        fits = np.isfinite(narrowed) | ~np.isfinite(array) if array.dtype.kind == "f" else narrowed == array
        array = narrowed if fits.all() else array
    array = array.view()
    array.flags.writeable = False
    return array


def as_targets(values: Any, classes: Sequence[str] | None) -> Any:
    """Returns targets as arrays; booleans as the labels 0 and 1, class names as their positions among `classes`.

    Raises:
      InputError: if a text is not among the classes.
    """
    return jax.tree.map(lambda leaf: _target_leaf(leaf, classes), values)


def class_names(values: Sequence[Any]) -> tuple[str, ...]:
    """Returns the distinct texts in order: by number if all are numbers, else by letter."""
    names = {str(value) for value in values}
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))


def is_text(array: np.ndarray) -> bool:
    """Returns whether an array holds texts (NumPy's text types, or objects that are all text)."""
    return array.dtype.kind == "U" or (
        array.dtype.kind == "O" and array.size > 0 and all(isinstance(value, str) for value in array.flat)
    )


def _target_leaf(values: Any, classes: Sequence[str] | None) -> np.ndarray:
    array = np.asarray(values)
    if classes is not None and is_text(array):
        position = {name: code for code, name in enumerate(classes)}
        unknown = [(row, value) for row, value in enumerate(array.flat) if str(value) not in position]
        if unknown:
            row, value = unknown[0]
            raise InputError(
                f"targets must be among the classes, got {str(value)!r} at index {row}. "
                f"{suggestion(str(value), classes)}"
            )
        array = np.array([position[str(value)] for value in array.flat], np.int32).reshape(array.shape)
    return as_leaf(array.astype(np.int32) if array.dtype.kind == "b" else array)
