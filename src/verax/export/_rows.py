"""Raw rows from a file, as `Exported.predict_rows` takes them."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from verax.data import Schema
from verax.data._csv import Layout, read_table
from verax.data._idx import read_idx
from verax.data._reader import existing_file
from verax.findings import InputError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_KNOWN = ".csv, .json, .jsonl, .npy, .npz, IDX, .png and other pictures"
_INPUT_NAMES = ("inputs", "x", "X", "images", "x_test")


def read_rows(path: str | Path, schema: Schema) -> Any:
    """Returns the raw rows in a file: dicts by column name for a table, else an array with an axis of examples.

    Values are not looked at; `Schema.encode`, and so `predict_rows`, does that. A picture becomes one example in the
    schema's shape: it is never resized, and colours become grey only where nothing is lost.

    Args:
      path: a `.csv` with a header, `.json` (a list), `.jsonl` (a value a line), `.npy`, `.npz`, IDX file or picture.
      schema: of the model, `Exported.schema`.

    Raises:
      InputError: if the file is missing, damaged, of an unknown kind, or of one that does not fit the model.
    """
    path = existing_file(Path(path).expanduser(), "a file with rows")
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return _picture(path, schema)
    if suffix in (".npy", ".npz"):
        return _arrays(path, suffix)
    if suffix == ".csv":
        return _csv(path, schema)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _json(path, schema, by_line=suffix != ".json")
    if suffix in (".gz", ".idx") or path.name.endswith("-ubyte"):
        return read_idx(path)
    raise InputError(f"path must be a file with rows ({_KNOWN}), got {path.name!r}. Rename it, or convert it.")


def _csv(path: Path, schema: Schema) -> Any:
    if schema.kind != "table":
        raise InputError(
            f"path must hold {_wanted(schema)}, got the table {path.name!r}. Pass a .npy file or a picture."
        )
    table = read_table(path, Layout(None, ",", 0, None))
    names = list(table.columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*table.columns.values(), strict=True)]


def _json(path: Path, schema: Schema, by_line: bool) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be text in UTF-8, but byte {error.start} is none.") from error
    lines = (
        [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()] if by_line else [(1, text)]
    )
    values = []
    for number, line in lines:
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as error:
            at = number + error.lineno - 1
            raise InputError(f"{path} must be JSON, but line {at} column {error.colno} is not: {error.msg}.") from error
    rows = values if by_line else values[0]
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list) or not rows:
        raise InputError(
            f"{path} must hold a list of rows, found {'an empty list' if rows == [] else type(rows).__name__}."
        )
    if schema.kind == "table":
        return rows
    try:
        return np.asarray(rows)
    except ValueError as error:
        raise InputError(f"{path} must hold {_wanted(schema)}, found lists of different lengths.") from error


def _arrays(path: Path, suffix: str) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            held = np.load(file, allow_pickle=False)
            return held if isinstance(held, np.ndarray) else held[_array_name(path, held.files)]
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} must be a {suffix} file with numbers, but reading it failed: {error}. Save it again."
        ) from error


def _array_name(path: Path, names: list[str]) -> str:
    name = names[0] if len(names) == 1 else next((each for each in _INPUT_NAMES if each in names), None)
    if name is None:
        found = ", ".join(names) or "none"
        raise InputError(f"{path} must hold one array, or one named {_INPUT_NAMES[0]!r}, found {found}.")
    return name


def _picture(path: Path, schema: Schema) -> np.ndarray:
    if schema.kind not in ("image", "array") or len(schema.shape) not in (2, 3):
        raise InputError(f"path must hold {_wanted(schema)}, got the picture {path.name!r}.")
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("reading a picture needs Pillow, which is not installed. Run: pip install pillow") from error

    height, width, channels = (*schema.shape, 1)[:3]
    if channels not in (1, 3):
        raise InputError(f"path must hold {_wanted(schema)}, which no picture has. Pass a .npy file.")
    try:
        with Image.open(path) as image:
            image.load()
            if image.size != (width, height):
                found = f"{image.size[0]} x {image.size[1]}"
                raise InputError(
                    f"{path} must be {width} x {height} pixels wide and high, found {found}. "
                    "Resize it as the training pictures were."
                )
            if image.mode not in ("L", "1", "P", "RGB", "RGBA", "LA"):
                raise InputError(f"{path} must have 8 bits a channel, found mode {image.mode!r}. Convert it first.")
            pixels = np.asarray(image.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path} must be a picture, but it is damaged or of another kind: {error}.") from error
    colours, opacity = pixels[..., :3], pixels[..., 3]
    if (opacity != 255).any():
        raise InputError(
            f"{path} must have no transparent pixels, found some. Put it on the background of the training pictures."
        )
    if channels == 1 and (colours != colours[..., :1]).any():
        raise InputError(f"{path} must be grey, found colours. Convert it as the training pictures were.")
    return colours[..., :channels].reshape((1, *schema.shape))


def _wanted(schema: Schema) -> str:
    if schema.kind == "table":
        return f"a table with the columns {', '.join(column.name for column in schema.columns[:5])}"
    return f"{schema.dtype} of shape ({', '.join(['examples', *map(str, schema.shape)])})"
