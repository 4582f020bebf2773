"""Data from arrays in memory and from `.npz` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from verax.data._batch import Examples
from verax.data._reader import (
    Contents,
    Reader,
    as_leaf,
    as_path,
    as_targets,
    class_names,
    existing_file,
    file_stamp,
    is_text,
)
from verax.data._schema import suggestion
from verax.data._source import Source
from verax.data._split import SPLITS
from verax.data._structure import check_structure
from verax.findings import Finding, InputError, raise_errors

_UNREADABLE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
_USUAL = {
    "train": (("x_train", "y_train"), ("train_inputs", "train_targets"), ("x", "y"), ("X", "y"), ("inputs", "targets")),
    "validation": (
        ("x_validation", "y_validation"),
        ("x_valid", "y_valid"),
        ("x_val", "y_val"),
        ("validation_inputs", "validation_targets"),
    ),
    "calibration": (("x_calibration", "y_calibration"), ("calibration_inputs", "calibration_targets")),
    "test": (("x_test", "y_test"), ("test_inputs", "test_targets")),
}


def from_arrays(
    inputs: Any = None,
    targets: Any = None,
    *,
    train: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    calibration: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    classes: Sequence[str] | None = None,
    name: str = "arrays",
) -> Source:
    """Returns a source over arrays in memory: one pair to be split, or splits that exist as `(inputs, targets)` pairs.

    Inputs may be any tree of arrays with a common leading axis of examples (preprocessing steps need a single array).
    Targets that are texts become classes, in the order of `classes` or of the alphabet. Arrays are not copied: leave
    them as they are while the source is in use.

    Raises:
      InputError: if lengths, types or shapes do not fit together, with all such problems.

    Example:
      >>> inputs, targets = np.zeros((50, 3), np.float32), np.arange(50) % 2
      >>> source = from_arrays(inputs, targets).split(test=10, validation=5, calibration=5)
      >>> {split: source.load().raw(split).size for split in source.load().splits}
      {'train': 30, 'validation': 5, 'calibration': 5, 'test': 10}
    """
    splits = {"train": train, "validation": validation, "calibration": calibration, "test": test}
    pairs = {split: pair for split, pair in splits.items() if pair is not None}
    if inputs is not None or targets is not None:
        if "train" in pairs:
            raise InputError("from_arrays takes inputs and targets or train=(inputs, targets), got both.")
        if inputs is None or targets is None:
            missing = "inputs" if inputs is None else "targets"
            raise InputError(
                f"{missing} must be given, got None. For an autoencoder pass the same array as inputs and targets."
            )
        pairs = {"train": (inputs, targets), **pairs}
    if "train" not in pairs:
        raise InputError("from_arrays needs inputs and targets, or train=(inputs, targets).")
    for split, pair in pairs.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"{split} must be a pair (inputs, targets), got {type(pair).__name__}.")
    return Source(name, _Arrays(_contents(pairs, classes)))


def from_npz(
    path: Any,
    *,
    inputs: str | None = None,
    targets: str | None = None,
    train: tuple[str, str] | None = None,
    validation: tuple[str, str] | None = None,
    calibration: tuple[str, str] | None = None,
    test: tuple[str, str] | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Source:
    """Returns a source over an `.npz` file; arrays are named by their keys in it.

    Without any name the usual ones are looked for: `x`, `y`; `inputs`, `targets`; `x_train`, `y_train`, `x_validation`
    (or `x_valid`, `x_val`), `x_test` and so on. Nothing is read before `load`, and objects (pickle) never.

    Args:
      path: of the file.
      inputs: key of the inputs to be split; together with `targets`.
      targets: key of the targets to be split.
      train: keys `(inputs, targets)` of a split that exists; likewise the next three.
      validation: as `train`.
      calibration: as `train`.
      test: as `train`.
      classes: names of the classes.
      name: of the data; the file's by default.
    """
    path = as_path(path, "path")
    if (inputs is None) != (targets is None):
        raise InputError(f"inputs and targets are named together, got inputs={inputs!r}, targets={targets!r}.")
    if inputs is not None and train is not None:
        raise InputError("from_npz takes inputs and targets or train=(inputs, targets), got both.")
    if inputs is not None and targets is not None:
        train = (inputs, targets)
    splits = {"train": train, "validation": validation, "calibration": calibration, "test": test}
    for split, pair in splits.items():
        if pair is not None and (isinstance(pair, str) or len(pair) != 2):
            raise InputError(f"{split} must be two keys (inputs, targets), got {pair!r}.")
    keys = tuple((split, (pair[0], pair[1])) for split, pair in splits.items() if pair is not None)
    if keys and train is None:
        raise InputError("from_npz needs the keys of the train split too: train=(inputs, targets).")
    return Source(name or path.stem, _Npz(path, keys, None if classes is None else tuple(classes)))


def _contents(pairs: Mapping[str, tuple[Any, Any]], classes: Sequence[str] | None) -> Contents:
    """Raises InputError with everything that is wrong with the arrays as such."""
    pairs = {split: (_from_list("inputs", pair[0]), _from_list("targets", pair[1])) for split, pair in pairs.items()}
    texts = [np.asarray(leaf) for _, targets in pairs.values() for leaf in jax.tree.leaves(targets)]
    texts = [array for array in texts if is_text(array)]
    if classes is None and texts:
        classes = class_names([value for array in texts for value in array.flat])
    named = None if classes is None else tuple(str(name) for name in classes)
    if named is not None and len(set(named)) != len(named):
        raise InputError(f"classes must be distinct, got {named}.")
    splits = {
        split: Examples(jax.tree.map(as_leaf, pairs[split][0]), as_targets(pairs[split][1], named))
        for split in SPLITS
        if split in pairs
    }
    raise_errors(check_structure(splits))
    return Contents(splits, named)


def _from_list(name: str, values: Any) -> Any:
    """Lists of plain numbers or texts as an array; anything else, a list of arrays too, as it is."""
    is_plain = isinstance(values, list | tuple) and all(
        isinstance(leaf, bool | int | float | str | np.generic) for leaf in jax.tree.leaves(values)
    )
    try:
        return np.asarray(values) if is_plain else values
    except ValueError as error:
        raise InputError(f"{name} must have rows of the same length, got lists of different lengths.") from error


@dataclass(frozen=True, eq=False)
class _Arrays(Reader):
    contents: Contents = field(repr=False)

    def read(self) -> Contents:
        return self.contents

    def stamp(self) -> None:
        return None


@dataclass(frozen=True)
class _Npz(Reader):
    path: Path
    keys: tuple[tuple[str, tuple[str, str]], ...]
    classes: tuple[str, ...] | None

    def stamp(self) -> Hashable:
        return file_stamp(self.path)

    def read(self) -> Contents:
        with open(existing_file(self.path, "an .npz file"), "rb") as file:
            try:
                archive = np.load(file, allow_pickle=False)
            except _UNREADABLE as error:
                expected = f"{self.path} must be an .npz file, but it cannot be read as one"
                raise InputError(f"{expected}: it is cut short, or of another kind.") from error
            if not isinstance(archive, np.lib.npyio.NpzFile):
                expected = f"{self.path} must be an .npz file with several named arrays"
                raise InputError(f"{expected}, found a single .npy array of shape {np.shape(archive)}.")
            chosen = dict(self.keys) or _usual_keys(self.path, archive.files)
            unknown = [key for pair in chosen.values() for key in pair if key not in archive.files]
            if unknown:
                raise InputError(
                    Finding(
                        "missing-array", "error", f"{self.path} has no array {key!r}.", suggestion(key, archive.files)
                    )
                    for key in unknown
                )
            pairs = {split: (self._array(archive, x), self._array(archive, y)) for split, (x, y) in chosen.items()}
        return _contents(pairs, self.classes)

    def _array(self, archive: Any, key: str) -> np.ndarray:
        try:
            return archive[key]
        except _UNREADABLE as error:
            expected = f"{self.path} must hold plain arrays, but {key!r} cannot be read"
            raise InputError(f"{expected}: it is damaged, or holds Python objects.") from error


def _usual_keys(path: Path, files: Sequence[str]) -> dict[str, tuple[str, str]]:
    found = {split: next((pair for pair in names if set(pair) <= set(files)), None) for split, names in _USUAL.items()}
    chosen = {split: pair for split, pair in found.items() if pair is not None}
    if "train" not in chosen:
        raise InputError(
            f"{path} must have arrays with the usual names (x and y, or x_train and y_train), found {list(files)}. "
            "Name them with inputs= and targets=."
        )
    return chosen
