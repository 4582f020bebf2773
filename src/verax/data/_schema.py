"""What one raw example looks like, and raw rows as arrays: the same when training and when serving."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from verax.findings import Finding, InputError, Split

MISSING = ("?", "", "NA", "nan")
SHOWN = 20  # problems listed in one error: one screen


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      name: as in the file.
      categories: the known values of a categorical column, whose code is their position; None for numbers.
      missing: whether a value may be missing: training saw such rows, or a preprocessing step fills them.
    """

    name: str
    categories: tuple[str, ...] | None = None
    missing: bool = False


@dataclass(frozen=True)
class Schema:
    """What one raw example looks like.

    Attributes:
      kind: `table` (a row of named columns), `image`, `text` (tokens), `array` (any other single array) or `tree`
        (several arrays).
      shape: of one raw example, without the axis of examples; empty for a tree.
      dtype: of the raw array (`uint8`, `float32`); empty for a tree.
      columns: of a table, in the order of the array's last axis; empty otherwise.
      classes: the names of the classes by label, of a text those of the tokens; None if unnamed or no classification.
      target: the name of what is predicted; a column of this name among raw rows is not an input.
      markers: texts that stand for a missing value.
      missing: whether NaN is accepted in an array that is not a table (tables say it by column).
    """

    kind: Literal["array", "image", "table", "text", "tree"]
    shape: tuple[int, ...]
    dtype: str
    columns: tuple[Column, ...] = ()
    classes: tuple[str, ...] | None = None
    target: str = "target"
    markers: tuple[str, ...] = MISSING
    missing: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns the schema as a value that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Schema:
        """Returns the schema that `to_json` wrote, also after a round trip through text.

        Raises:
          InputError: if a field is missing or unknown.
        """
        try:
            fields = dict(config)
            fields["columns"] = tuple(
                Column(column["name"], _tuple_or_none(column["categories"]), bool(column["missing"]))
                for column in fields["columns"]
            )
            fields["classes"] = _tuple_or_none(fields["classes"])
            fields["shape"], fields["markers"] = tuple(fields["shape"]), tuple(fields["markers"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"schema must have the fields that Schema.to_json writes, but reading it failed: {error}."
            ) from error

    def encode(self, rows: Any) -> np.ndarray:
        """Returns raw rows as the raw array that the exported model takes.

          The values of a categorical column become their codes and missing ones NaN. Nothing is clamped or guessed: a
          value that training has never seen is an error. A column named like the target is ignored, so that a file with
          the answers in it can be predicted.

          Args:
            rows: for a table a list of dicts by column name (values are texts or numbers, as `csv.DictReader` gives
              them), or an array or list of rows in the order of `columns`; otherwise an array with an axis of examples.

          Raises:
            InputError: naming row, column and value of each problem.

          Example:
            >>> columns = (Column("age"), Column("work", ("Private", "State"), missing=True))
        >>> schema = Schema("table", (2,), "float32", columns)
            >>> schema.encode([{"age": "39", "work": "State"}, {"age": "50", "work": "?"}])
            array([[39.,  1.],
                   [50., nan]], dtype=float32)
        """
        if self.kind == "tree":
            raise InputError(
                "rows must be one array or a table, but this network takes a tree of arrays: pass the tree itself."
            )
        if self.kind != "table":
            return _encode_array(self, rows)
        if isinstance(rows, Mapping):
            rows = [rows]
        if not isinstance(rows, np.ndarray) and any(isinstance(row, Mapping) for row in rows):
            table = _by_column(self, list(rows))
        else:
            table = _by_position(self, rows)
        arrays, problems = encode_columns(self.columns, table, self.markers, "input")
        raise_problems(problems)
        return arrays


def encode_columns(
    columns: Sequence[Column], table: Mapping[str, Sequence[Any]], markers: Sequence[str], place: str
) -> tuple[np.ndarray, list[Finding]]:
    """Returns `(rows, columns)` float32 codes and what is wrong with the values; `place` names them in findings."""
    arrays, problems = [], []
    for column in columns:
        codes, found = _encode_column(column, table[column.name], frozenset(markers), place)
        arrays.append(codes)
        problems += found
    return np.stack(arrays, axis=1), problems


def _encode_column(
    column: Column, values: Sequence[Any], markers: frozenset[str], place: str
) -> tuple[np.ndarray, list[Finding]]:
    position = {category: float(code) for code, category in enumerate(column.categories or ())}
    codes, problems = np.full(len(values), np.nan, np.float32), []
    seen: dict[str, float] = {}  # texts repeat, so each is looked at once
    for row, value in enumerate(values):
        code = seen.get(value) if isinstance(value, str) else None
        if code is None:
            code = _code(column, position, value, markers)
            if code is None:
                problems.append(_cannot_encode(column, value, markers, Split(place, row, column.name)))
                continue
            if isinstance(value, str):
                seen[value] = code
        codes[row] = code
    return codes, problems


def _code(column: Column, position: Mapping[str, float], value: Any, markers: frozenset[str]) -> float | None:
    """The code of a value, NaN for a missing one that may be missing; None if it has none."""
    if is_missing(value, markers):
        return float("nan") if column.missing else None
    return as_number(value) if column.categories is None else position.get(_category_text(value))


def _cannot_encode(column: Column, value: Any, markers: frozenset[str], where: Split) -> Finding:
    if is_missing(value, markers):
        message = f"a value is expected, found {value!r}, and training had none missing here."
        return Finding("missing-value", "error", message, "Fill it in, or train with impute().", where)
    if column.categories is None:
        message = f"a finite number within float32 is expected, found {value!r}."
        return Finding("not-a-number", "error", message, "Correct the value.", where)
    message = f"a category known from training is expected, found {value!r}."
    return Finding("unknown-category", "error", message, suggestion(str(value).strip(), column.categories), where)


def is_missing(value: Any, markers: frozenset[str]) -> bool:
    """Returns whether a value stands for "not known": None, NaN, or one of the markers."""
    if isinstance(value, str):
        return value.strip() in markers
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def as_number(value: Any) -> float | None:
    """Returns a finite number within the range of float32, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) <= float(np.finfo(np.float32).max) else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns a sentence to add to an error: the nearest known word, or all of them."""
    known = list(known)
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    if near:
        return f"Did you mean {folded[near[0]]!r}?"
    listed = ", ".join(map(repr, known[:SHOWN])) + (", ..." if len(known) > SHOWN else "")
    return f"Known: {listed}." if known else "None is known."


def raise_problems(problems: Sequence[Finding]) -> None:
    """Raises InputError with the first problems and the number of the others, if there is any."""
    if not problems:
        return
    shown = list(problems[:SHOWN])
    if len(problems) > SHOWN:
        shown.append(Finding(problems[-1].id, "error", f"{len(problems) - SHOWN} more problems like these."))
    raise InputError(shown)


def _category_text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).strip()


def _by_column(schema: Schema, rows: list[Any]) -> dict[str, list[Any]]:
    names = [column.name for column in schema.columns]
    problems = []
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            problems.append(
                Finding(
                    "wrong-row",
                    "error",
                    f"a dict by column name is expected, found {type(row).__name__}.",
                    "",
                    Split("input", index),
                )
            )
            continue
        for name in names:
            if name not in row:
                problems.append(
                    Finding(
                        "missing-column",
                        "error",
                        "the column is missing.",
                        suggestion(name, map(str, row)),
                        Split("input", index, name),
                    )
                )
        for name in row:
            if name not in names and name != schema.target:
                found = "the row has more values than columns." if name is None else "the column is not expected."
                problems.append(
                    Finding(
                        "unexpected-column",
                        "error",
                        found,
                        suggestion(str(name), names),
                        Split("input", index, str(name)),
                    )
                )
    raise_problems(problems)
    return {name: [row[name] for row in rows] for name in names}


def _by_position(schema: Schema, rows: Any) -> dict[str, list[Any]]:
    """Rows in the order of the columns; numbers in a categorical column of a numeric array are codes already."""
    names = ", ".join(column.name for column in schema.columns[:8]) + (", ..." if len(schema.columns) > 8 else "")
    expected = f"rows must be dicts by column name or have {len(schema.columns)} values each ({names})"
    if isinstance(rows, np.ndarray):
        if rows.ndim != 2 or rows.shape[1] != len(schema.columns):
            raise InputError(f"{expected}, got an array of shape {rows.shape}.")
    else:
        for index, row in enumerate(rows := list(rows)):
            if isinstance(row, str) or not isinstance(row, Sequence | np.ndarray) or len(row) != len(schema.columns):
                found = (
                    f"{len(row)} values"
                    if isinstance(row, Sequence | np.ndarray) and not isinstance(row, str)
                    else repr(row)
                )
                raise InputError(f"{expected}, got {found} in row {index}.")
    codes = isinstance(rows, np.ndarray) and rows.dtype.kind in "fiu"
    return {
        column.name: [_decode(column, row[index], at) if codes else row[index] for at, row in enumerate(rows)]
        for index, column in enumerate(schema.columns)
    }


def _decode(column: Column, code: Any, row: int) -> Any:
    if column.categories is None or np.isnan(code):
        return code
    if not (float(code).is_integer() and 0 <= code < len(column.categories)):
        message = f"a code in [0, {len(column.categories)}) is expected in an array of numbers, found {code}."
        raise InputError(
            [
                Finding(
                    "unknown-category",
                    "error",
                    message,
                    "Pass dicts with the categories as text.",
                    Split("input", row, column.name),
                )
            ]
        )
    return column.categories[int(code)]


def _encode_array(schema: Schema, rows: Any) -> np.ndarray:
    axes = ", ".join(["examples", *map(str, schema.shape)])
    expected = f"rows must be {schema.dtype} of shape ({axes})"
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise InputError(f"{expected}, got rows of different lengths.") from error
    if array.shape == schema.shape:
        raise InputError(f"{expected}, got one example of shape {array.shape}. Add the axis of examples: rows[None].")
    if array.ndim != len(schema.shape) + 1 or array.shape[1:] != schema.shape:
        raise InputError(f"{expected}, got shape {array.shape}.")
    wanted = np.dtype(schema.dtype)
    if array.dtype.kind not in ("fiub" if wanted.kind == "f" else "iu" if wanted.kind in "iu" else wanted.kind):
        hint = " Were the images scaled already? The model does that itself." if wanted == np.uint8 else ""
        raise InputError(f"{expected}, got {array.dtype}.{hint}")
    if wanted.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        bad = (array < limits.min) | (array > limits.max)
        if bad.any():
            index = tuple(map(int, np.argwhere(bad)[0]))
            raise InputError(
                f"{expected}, got {array[index]} at index {list(index)}, outside [{limits.min}, {limits.max}]."
            )
    with np.errstate(over="ignore"):
        encoded = array.astype(wanted)
    bad = ~np.isfinite(encoded) if wanted.kind == "f" else np.zeros(array.shape, bool)
    if schema.missing:
        bad &= ~np.isnan(encoded)
    if bad.any():
        index = tuple(map(int, np.argwhere(bad)[0]))
        raise InputError(f"{expected} with finite values, got {array[index]} at index {list(index)}.")
    return encoded


def _tuple_or_none(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
