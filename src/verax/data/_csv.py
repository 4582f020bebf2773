"""Tables from CSV files: numbers, categories, missing values and class names."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from verax.data._batch import Examples
from verax.data._reader import Contents, Reader, as_leaf, as_path, class_names, existing_file, file_stamp
from verax.data._schema import MISSING, Column, as_number, encode_columns, raise_problems, suggestion
from verax.data._source import Source
from verax.findings import Finding, InputError, Split


def from_csv(
    path: Any,
    *,
    target: str,
    test: Any = None,
    columns: Sequence[str] | None = None,
    categorical: Sequence[str] | str = "auto",
    missing: Sequence[str] = MISSING,
    delimiter: str | None = ",",
    skip_rows: int = 0,
    comment: str | None = None,
    task: str | None = None,
    label_suffix: str = "",
    name: str | None = None,
) -> Source:
    """Returns a source over a CSV file: a row per example, one column to be predicted. Nothing is read before `load`.

    Blanks around values are dropped, and so are empty lines. The categories of a column are the distinct values in all
    files given, in order; each is a code in the raw array, so a step `one_hot()` is wanted.

    Args:
      path: of the file.
      target: the column to be predicted.
      test: path of a second file, the test split; it has the same columns.
      columns: the names of the columns where the file has no header.
      categorical: names of the columns that hold categories. By default those whose values are not numbers.
      missing: texts that stand for a missing value.
      delimiter: between values; None for any run of blanks.
      skip_rows: lines to skip at the top of each file.
      comment: lines that begin so are skipped.
      task: whether the target holds classes or numbers; by default classes if it is not all numbers. Give it where
        classes are written as numbers.
      label_suffix: dropped from the end of the target's texts (the labels in `adult.test` end in a full stop).
      name: of the data; the file's by default.

    Raises:
      InputError: if an argument is wrong, or on `load` if the file is.
    """
    if columns is not None:
        columns = tuple(columns)
        if len(set(columns)) != len(columns):
            raise InputError(f"columns must be distinct, got {columns}.")
        for wanted in (target, *(() if categorical == "auto" else categorical)):
            if wanted not in columns:
                raise InputError(f"columns must include {wanted!r}. {suggestion(wanted, columns)}")
    if isinstance(categorical, str) and categorical != "auto":
        raise InputError(
            f"categorical must be 'auto' or a list of column names, got {categorical!r}. Pass ({categorical!r},)."
        )
    if task not in (None, "classification", "regression"):
        raise InputError(
            f"task must be 'classification' or 'regression', got {task!r}. "
            f"{suggestion(str(task), ('classification', 'regression'))}"
        )
    if delimiter is not None and len(delimiter) != 1:
        raise InputError(f"delimiter must be one character or None, got {delimiter!r}.")
    if skip_rows < 0:
        raise InputError(f"skip_rows must not be negative, got {skip_rows}.")
    path = as_path(path, "path")
    chosen = None if isinstance(categorical, str) else tuple(categorical)
    layout = Layout(columns, delimiter, skip_rows, comment)
    files = (path,) if test is None else (path, as_path(test, "test"))
    return Source(name or path.stem, CsvFiles(files, target, layout, chosen, tuple(missing), task, label_suffix))


class Layout(NamedTuple):
    """How the text of a file is laid out; the arguments of `from_csv`."""

    columns: tuple[str, ...] | None
    delimiter: str | None
    skip_rows: int
    comment: str | None


class Table(NamedTuple):
    """The texts of a file by column, and the line of each row."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]


@dataclass(frozen=True)
class CsvFiles(Reader):
    """The train table and perhaps a test table; see `from_csv`."""

    files: tuple[Path, ...]
    target: str
    layout: Layout
    categorical: tuple[str, ...] | None
    missing: tuple[str, ...]
    task: str | None
    label_suffix: str

    def stamp(self) -> Hashable:
        return file_stamp(*self.files)

    def read(self) -> Contents:
        tables: dict[str, Table] = {}
        for split, path in zip(("train", "test"), self.files, strict=False):
            tables[split] = read_table(path, self.layout)
        names = list(tables["train"].columns)
        for table in tables.values():
            for wanted in dict.fromkeys([self.target, *(self.categorical or ()), *names]):
                if wanted not in table.columns:
                    raise InputError(f"{table.path} must have a column {wanted!r}. {suggestion(wanted, table.columns)}")
            if unexpected := [name for name in table.columns if name not in names]:
                raise InputError(
                    f"{table.path} must have the columns of {self.files[0]}, found {unexpected[0]!r} besides."
                )
        columns = tuple(self._column(name, tables) for name in names if name != self.target)
        if not columns:
            raise InputError(
                f"{self.files[0]} must have input columns besides the target {self.target!r}, found none. Is the "
                f"delimiter {self.layout.delimiter!r} right?"
            )
        targets, classes = self._targets(tables)
        splits = {}
        for split, table in tables.items():
            codes, problems = encode_columns(columns, table.columns, self.missing, split)
            raise_problems(_with_lines(problems, table))
            splits[split] = Examples(as_leaf(codes), targets[split])
        return Contents(splits, classes, columns, target=self.target, markers=self.missing)

    def _column(self, name: str, tables: dict[str, Table]) -> Column:
        """Categories are those of all files; in a column that holds mostly numbers, the other values are errors."""
        values = dict.fromkeys(
            value for table in tables.values() for value in table.columns[name] if value not in self.missing
        )
        if self.categorical is None:
            strange = [value for value in values if as_number(value) is None]
            is_categorical = 2 * len(strange) > len(values)
            if strange and not is_categorical:
                table, row = next(
                    (table, table.columns[name].index(strange[0]))
                    for table in tables.values()
                    if strange[0] in table.columns[name]
                )
                raise InputError(
                    f"{table.path} line {table.lines[row]}: column {name!r} holds numbers nearly everywhere, found "
                    f"{strange[0]!r}. "
                    "If it stands for a missing value, add it to missing=; if the column holds categories, name all "
                    "such columns in categorical=."
                )
        else:
            is_categorical = name in self.categorical
        return Column(name, class_names(list(values)) if is_categorical else None, missing=True)

    def _targets(self, tables: dict[str, Table]) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
        texts = {
            split: [value.removesuffix(self.label_suffix) for value in table.columns[self.target]]
            for split, table in tables.items()
        }
        for split, table in tables.items():
            missing = [row for row, value in enumerate(texts[split]) if value in self.missing]
            if missing:
                raise InputError(
                    f"{table.path} line {table.lines[missing[0]]}: the target {self.target!r} is missing, in "
                    f"{len(missing)} rows in all. Remove these rows."
                )
        numbers = {split: [as_number(value) for value in values] for split, values in texts.items()}
        task = self.task or (
            "classification"
            if any(number is None for values in numbers.values() for number in values)
            else "regression"
        )
        if task == "classification":
            classes = class_names([value for values in texts.values() for value in values])
            position = {value: code for code, value in enumerate(classes)}
            return {
                split: as_leaf(np.array([position[value] for value in values], np.int32))
                for split, values in texts.items()
            }, classes
        for split, table in tables.items():
            bad = [row for row, number in enumerate(numbers[split]) if number is None]
            if bad:
                found = texts[split][bad[0]]
                raise InputError(
                    f"{table.path} line {table.lines[bad[0]]}: the target {self.target!r} must be a number, found "
                    f"{found!r}. For classes pass task='classification'."
                )
        return {split: as_leaf(np.array(values, np.float32)) for split, values in numbers.items()}, None


def read_table(path: Path, layout: Layout) -> Table:
    """Returns the texts in a file by column.

    Raises:
      InputError: if the file is missing, is no text, or a row has the wrong number of values; with the line.
    """
    existing_file(path, "a CSV file")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(file, layout))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} must be text in UTF-8, but byte {error.start} is none. Is it compressed, or a spreadsheet?"
        ) from error
    except csv.Error as error:
        raise InputError(f"{path} must be a CSV file, but reading it failed: {error}.") from error
    if layout.columns is None and rows:
        (line, names), *rows = rows
        if all(as_number(name) is not None for name in names):
            raise InputError(
                f"{path} line {line} must name the columns, found numbers only: {', '.join(names[:5])}. If there is "
                "no header, pass columns=."
            )
        if len(set(names)) != len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{path} line {line} must have distinct column names, found {repeated!r} twice.")
    else:
        names = list(layout.columns or ())
    if not rows:
        raise InputError(f"{path} must have rows, found none.")
    for line, values in rows:
        if len(values) != len(names):
            hint = (
                " Was the file cut short?"
                if line == rows[-1][0] and len(values) < len(names)
                else f" Is the delimiter {layout.delimiter!r} right?"
            )
            listed = ", ".join(names[:4]) + ", ..." * (len(names) > 4)
            raise InputError(f"{path} line {line} must have {len(names)} values ({listed}), found {len(values)}.{hint}")
    return Table(
        path,
        {name: [values[index] for _, values in rows] for index, name in enumerate(names)},
        [line for line, _ in rows],
    )


def _rows(file: Any, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yields the line number and the values of each row."""
    numbers: list[int] = []

    def kept() -> Iterator[str]:
        for number, text in enumerate(file, start=1):
            if number > layout.skip_rows and text.strip() and not (layout.comment and text.startswith(layout.comment)):
                numbers.append(number)
                yield text

    if layout.delimiter is None:
        for text in kept():
            yield numbers[-1], text.split()
    else:
        for values in csv.reader(kept(), delimiter=layout.delimiter, skipinitialspace=True, strict=True):
            yield numbers[-1], [value.strip() for value in values]


def _with_lines(problems: Sequence[Finding], table: Table) -> list[Finding]:
    """The same problems, with the file and the line in place of the row."""
    return [
        Finding(
            problem.id,
            problem.severity,
            f"{table.path} line {table.lines[problem.where.index or 0]}: {problem.message}",
            problem.advice,
            problem.where,
        )
        for problem in problems
        if isinstance(problem.where, Split)
    ]
