"""IDX files, the format of MNIST and its relatives: a big-endian header, then the numbers."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verax.data._batch import Examples
from verax.data._reader import Contents, Reader, as_leaf, as_path, existing_file, file_stamp
from verax.data._source import Source
from verax.findings import InputError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def from_idx(
    images: Any,
    labels: Any,
    *,
    test_images: Any = None,
    test_labels: Any = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Source:
    """Returns a source over IDX files, plain or gzip (told by their content). Nothing is read before `load`.

    Args:
      images: path of the train images.
      labels: path of the train labels.
      test_images: path of the test images, if there is a test split.
      test_labels: path of its labels.
      classes: names of the classes.
      name: of the data; the folder's by default.
    """
    if (test_images is None) != (test_labels is None):
        raise InputError("test_images and test_labels are given together, got one of them.")
    paths = {"images": images, "labels": labels, "test_images": test_images, "test_labels": test_labels}
    files = tuple(as_path(path, argument) for argument, path in paths.items() if path is not None)
    return Source(name or files[0].resolve().parent.name, IdxFiles(files, None if classes is None else tuple(classes)))


@dataclass(frozen=True)
class IdxFiles(Reader):
    """Images and labels of train, and of test if there are four files."""

    files: tuple[Path, ...]
    classes: tuple[str, ...] | None

    def stamp(self) -> Hashable:
        return file_stamp(*self.files)

    def read(self) -> Contents:
        return idx_contents(self.files, self.classes)


def idx_contents(files: Sequence[Path], classes: tuple[str, ...] | None) -> Contents:
    """Returns the splits in two or four IDX files."""
    splits = {}
    for split, images, labels in zip(("train", "test"), files[0::2], files[1::2], strict=False):
        inputs, targets = read_idx(images), read_idx(labels)
        if inputs.ndim < 2 or targets.ndim != 1:
            found = f"{images.name} has shape {inputs.shape} and {labels.name} {targets.shape}"
            raise InputError(f"images must have two axes or more and labels one, but {found}. Were the files swapped?")
        splits[split] = Examples(
            as_leaf(inputs), as_leaf(targets.astype(np.int32) if targets.dtype.kind in "iu" else targets)
        )
    return Contents(splits, classes, target="label")


def read_idx(path: Path) -> np.ndarray:
    """Returns the array in an IDX file, plain or gzip.

    Raises:
      InputError: if the file is missing, truncated, too long, or of another kind.
    """
    existing_file(path, "an IDX file")
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(
                f"{path} must be a whole gzip file, but it is damaged or cut short at {len(content):,} bytes: {error}."
            ) from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES or content[3] == 0:
        raise InputError(
            f"{path} must be an IDX file, which begins with 00 00, a type and a number of axes; found "
            f"{content[:4].hex(' ') or 'an empty file'}."
        )
    dtype, start = np.dtype(_TYPES[content[2]]), 4 + 4 * content[3]
    if len(content) < start:
        raise InputError(f"{path} must have {content[3]} axes in its header, but it ends after {len(content)} bytes.")
    shape = tuple(map(int, np.frombuffer(content, ">u4", content[3], 4)))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise InputError(
            f"{path} must have {expected:,} bytes for shape {shape} as its header says, found {len(content):,}. Copy "
            "it again."
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)
