"""Text as windows of tokens, each with the tokens that follow: split by position, never copied."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt

from verax.data._batch import Examples
from verax.data._reader import Contents, Reader, as_path, existing_file, file_stamp
from verax.data._schema import suggestion
from verax.data._source import Source
from verax.data._split import SPLITS, Division
from verax.findings import Finding, InputError, Split

LEVELS = ("character", "byte")
_NOTHING_CARVED = Division(0, 0, 0)
_LONG = 300  # characters: no path is longer, most texts are


def from_text(
    path: str | Path | None = None,
    *,
    text: str | None = None,
    context: int,
    stride: int | None = None,
    validation: float | int = 0.1,
    calibration: float | int = 0.0,
    test: float | int = 0.1,
    level: str = "character",
    vocabulary: str | None = None,
    unknown: str | None = None,
    name: str | None = None,
) -> Source:
    """Returns a source of windows over a text: inputs (windows, context) of tokens, targets the token after each.

    The text is split by position: train comes first, then validation, calibration and test, and no window crosses a
    boundary. Tokens are uint8 where the vocabulary allows it, uint16 or uint32 otherwise; the windows are views of one
    array of them, so that on the host overlapping windows cost nothing. The schema's `classes` are the vocabulary: the
    name of token 5 is `source.load().schema.classes[5]`.

    The vocabulary is that of the train part, in the order of the characters' code points. A character that appears
    only later is an error, because the network could never have learnt it, unless `unknown` stands for it.

    Args:
      path: of a UTF-8 file.
      text: the text itself, instead of a file.
      context: tokens a window, at least 1.
      stride: tokens from one window's start to the next; by default `context`, so that each token is predicted once.
        With 1, every position begins a window. What is left at the end of a part and fills no window is left out.
      validation: fraction of the text, in [0, 1); 0 for none. Likewise the next two.
      calibration: see `validation`.
      test: see `validation`.
      level: `character`, or `byte`: the bytes of UTF-8, a vocabulary of 256 that knows every text.
      vocabulary: all characters that tokens stand for, in their order; by default those of the train part.
      unknown: one character that stands for all that the vocabulary lacks; it is added at the vocabulary's end.
      name: of the data; the file's by default.

    Raises:
      InputError: if an argument is out of its range; when loaded, if the file is missing or no UTF-8, a part is shorter
        than a window, or a character is unknown.

    Example:
      >>> source = vx.data.from_text(text="to be or not to be " * 5, context=4, validation=0, test=0)
      >>> train = source.load().raw("train")
      >>> vocabulary = source.load().schema.classes
      >>> ["".join(vocabulary[token] for token in row) for row in (train.inputs[0], train.targets[0])]
      ['to b', 'o be']
    """
    if (path is None) == (text is None):
        raise InputError("from_text takes the path of a file or text=, one of them.")
    if isinstance(path, str) and ("\n" in path or len(path) > _LONG):
        raise InputError(f"path must be that of a file, got a text of {len(path):,} characters. Pass it as text=.")
    if level not in LEVELS:
        raise InputError(f"level must be 'character' or 'byte', got {level!r}. {suggestion(str(level), LEVELS)}")
    if level == "byte" and (vocabulary is not None or unknown is not None):
        raise InputError("vocabulary and unknown are for characters: bytes are always known. Leave them out.")
    if vocabulary is not None and not (isinstance(vocabulary, str) and 0 < len(set(vocabulary)) == len(vocabulary)):
        raise InputError(f"vocabulary must be a text of distinct characters, got {vocabulary!r}.")
    if unknown is not None and (not isinstance(unknown, str) or len(unknown) != 1):
        raise InputError(f"unknown must be one character, got {unknown!r}.")
    context = _whole("context", context)
    stride = context if stride is None else _whole("stride", stride)
    file = None if path is None else as_path(path, "path")
    reader = _Text(
        file, text, context, stride, _fractions(validation, calibration, test), level, vocabulary, unknown
    )  # fmt: skip
    return TextSource(name or (file.stem if file else "text"), reader, _NOTHING_CARVED)


@dataclass(frozen=True)
class TextSource(Source):
    """A source over a text, which is split by position."""

    def split(self, test: float | int = 0.1, validation: float | int = 0.1, calibration: float | int = 0.0) -> Source:
        """Returns the source with other fractions; the parts stay in the order train, validation, calibration, test.

        Raises:
          InputError: if a fraction is not in [0, 1), or nothing is left to train on.
        """
        return replace(self, reader=replace(self.reader, fractions=_fractions(validation, calibration, test)))


@dataclass(frozen=True)
class _Text(Reader):
    path: Path | None
    text: str | None = field(repr=False)
    context: int
    stride: int
    fractions: tuple[float, float, float]
    level: str
    vocabulary: str | None
    unknown: str | None

    def stamp(self) -> Hashable:
        return None if self.path is None else file_stamp(self.path)

    def read(self) -> Contents:
        codes = self._codes()
        train = 1 - sum(self.fractions)
        ends = [math.floor(share * codes.size + 1e-6) for share in itertools.accumulate((train, *self.fractions))]
        parts = {
            split: codes[begin:end]
            for split, begin, end in zip(SPLITS, [0, *ends[:-1]], [*ends[:-1], codes.size], strict=True)
            if end > begin
        }
        self._check_lengths(parts)
        names, tokens = self._tokens(codes, parts)
        splits, begin = {}, 0
        for split, part in parts.items():
            splits[split] = windows(tokens[begin : begin + part.size], self.context, self.stride)
            begin += part.size
        return Contents(splits, names, kind="text", target="next token")

    def _codes(self) -> np.ndarray:
        """The text as numbers: bytes, or code points."""
        if self.path is None:
            content = (self.text or "").encode("utf-8", "surrogatepass")
        else:
            content = existing_file(self.path, "a text file").read_bytes()
        if self.level == "byte":
            return np.frombuffer(content, np.uint8)
        try:
            return np.frombuffer(content.decode("utf-8").encode("utf-32-le"), "<u4")
        except UnicodeDecodeError as error:
            where = "text" if self.path is None else str(self.path)
            raise InputError(
                f"{where} must be UTF-8, but byte {error.start:,} is not. Convert it, or pass level='byte'."
            ) from error

    def _check_lengths(self, parts: dict[str, np.ndarray]) -> None:
        short = [
            Finding(
                "empty-split",
                "error",
                f"a window and its next token need {self.context + 1} tokens, this part of the text has {part.size}.",
                "Choose a smaller context, or another fraction (0 for none).",
                Split(split),
            )
            for split, part in parts.items()
            if part.size <= self.context
        ]
        if short or "train" not in parts:
            raise InputError(short or "the text is empty: there is nothing to train on.")

    def _tokens(self, codes: np.ndarray, parts: dict[str, np.ndarray]) -> tuple[tuple[str, ...], np.ndarray]:
        """The vocabulary, and the text as positions in it, in the smallest type that holds them."""
        if self.level == "byte":
            return tuple(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in range(256)), codes
        known = np.unique(parts["train"]) if self.vocabulary is None else np.array([ord(c) for c in self.vocabulary])
        names = tuple(chr(code) for code in known)
        table = np.full(max(int(codes.max()), int(known.max(initial=0))) + 1, -1, np.int32)
        table[known] = np.arange(known.size)
        if self.unknown is not None and self.unknown not in names:
            names = (*names, self.unknown)
        tokens = table[codes]
        if (tokens < 0).any():
            if self.unknown is None:
                raise InputError(self._unknown(codes, tokens < 0, parts))
            tokens[tokens < 0] = names.index(self.unknown)
        return names, tokens.astype(np.min_scalar_type(max(1, len(names) - 1)))

    def _unknown(self, codes: np.ndarray, is_unknown: np.ndarray, parts: dict[str, np.ndarray]) -> list[Finding]:
        source = "train never shows" if self.vocabulary is None else "vocabulary lacks"
        findings, begin = [], 0
        for split, part in parts.items():
            bad = np.flatnonzero(is_unknown[begin : begin + part.size])
            if bad.size:
                found = ", ".join(repr(chr(code)) for code in np.unique(part[bad])[:5])
                message = f"{bad.size:,} characters that {source}, first {chr(part[bad[0]])!r}; among them {found}."
                advice = "Pass unknown='?' (one character that stands for them), or level='byte'."
                findings.append(Finding("token-unseen-in-train", "error", message, advice, Split(split, int(bad[0]))))
            begin += part.size
        return findings


def windows(tokens: UInt[np.ndarray, "tokens"], context: int, stride: int) -> Examples:
    """Returns all windows of a part and the windows one token later, as views.

    Example:
      >>> from verax.data._text import windows
      >>> [leaf.tolist() for leaf in windows(np.arange(6, dtype=np.uint8), context=2, stride=2)]
      [[[0, 1], [2, 3]], [[1, 2], [3, 4]]]
    """
    view = np.lib.stride_tricks.sliding_window_view
    return Examples(view(tokens[:-1], context)[::stride], view(tokens[1:], context)[::stride])


def _fractions(validation: Any, calibration: Any, test: Any) -> tuple[float, float, float]:
    """The fractions in the order of the parts."""
    given = {"validation": validation, "calibration": calibration, "test": test}
    for name, value in given.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number or not 0 <= float(value) < 1:
            raise InputError(f"{name} must be a fraction of the text in [0, 1), got {value!r}.")
    if sum(given.values()) >= 1:
        raise InputError(
            f"the fractions must leave text to train on, but they add up to {sum(given.values()):g}: {given}."
        )
    return float(validation), float(calibration), float(test)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or int(value) < 1:
        raise InputError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)
