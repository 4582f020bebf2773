"""Raw inputs of a model, checked before anything is computed."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from verax.data import Column, Schema
from verax.export._signature import Signature
from verax.findings import Finding, InputError, Leaf, Split, raise_errors
from verax.trees import Tree, leaves_by_path


def check_raw(signature: Signature, schema: Schema, raw: Tree) -> Tree:
    """Returns raw inputs as the NumPy arrays that the program takes.

    Raises:
      InputError: naming row and column, if a shape, dtype or value is not what training knew.
    """
    if schema.kind == "tree":
        return _check_tree(signature, schema, raw)
    dtype = np.dtype(signature.inputs[""]["dtype"])
    checked = _check_table(schema, raw) if schema.kind == "table" else schema.encode(raw)
    _check_white(signature, checked)
    return np.ascontiguousarray(checked, dtype)


def _check_white(signature: Signature, images: np.ndarray) -> None:
    """Raises InputError if pixels are brighter than the white of the training images: 255 where it was 16."""
    first = next(iter(signature.preprocessing.get("steps", [])), {})
    white = first.get("maximum") if first.get("kind") == "scale_uint8" else None
    if white is not None and images.size and images.max() > white:
        index = tuple(map(int, np.argwhere(images > white)[0]))
        raise InputError(
            f"pixels must lie in [0, {white}], as in training, got {images[index]} at index {list(index)}. "
            f"For pictures up to {images.max()}, scale them to {white} first."
        )


def _check_table(schema: Schema, raw: Any) -> np.ndarray:
    """Returns columns of codes and numbers, all checked at once: `Schema.encode` is slow for large arrays."""
    wanted = len(schema.columns)
    expected = f"raw inputs must be numbers of shape (examples, {wanted}), a column for each of the schema's"
    try:
        array = np.asarray(raw)
    except ValueError as error:
        raise InputError(f"{expected}, got rows of different lengths.") from error
    if array.dtype.kind not in "fiub":
        raise InputError(f"{expected}, got {array.dtype}. Rows with texts go through predict_rows.")
    if array.ndim != 2 or array.shape[1] != wanted:
        raise InputError(f"{expected}, got shape {array.shape}.")
    with np.errstate(over="ignore"):
        codes = array.astype(np.float32)
    findings = [
        Finding(name, "error", message, advice, Split("input", row, column.name))
        for index, column in enumerate(schema.columns)
        for name, row, message, advice in _column_problems(column, codes[:, index])
    ]
    raise_errors(findings)
    return codes


def _column_problems(column: Column, values: np.ndarray) -> list[tuple[str, int, str, str]]:
    """Returns id, first bad row, message and advice of each kind of bad value."""
    absent = np.isnan(values)
    checks = [("infinite-value", np.isinf(values), "a finite number within float32 is expected", "Correct the value.")]
    if not column.missing:
        advice = "Fill it in, or train with impute()."
        checks.append(("missing-value", absent, "a value is expected: training had none missing here", advice))
    if column.categories is not None:
        known = (values == np.floor(values)) & (values >= 0) & (values < len(column.categories))
        expected = f"a code in [0, {len(column.categories)}) is expected"
        bad = ~known & ~absent & ~np.isinf(values)
        checks.append(("unknown-category", bad, expected, "Pass texts through predict_rows."))
    return [
        (
            name,
            int(bad.argmax()),
            f"{expected}, found {values[bad.argmax()]} (rows like this: {int(bad.sum())}).",
            advice,
        )
        for name, bad, expected, advice in checks
        if bad.any()
    ]


def _check_tree(signature: Signature, schema: Schema, raw: Tree) -> Tree:
    leaves, problems = leaves_by_path(raw), []
    for path in sorted(set(leaves) ^ set(signature.inputs)):
        found = "an array is expected, found none." if path in signature.inputs else "no array is expected here."
        problems.append(Finding("wrong-structure", "error", found, "", Leaf(path or "raw")))
    for path in [path for path in leaves if path in signature.inputs]:
        message = _leaf_problem(np.asarray(leaves[path]), signature.inputs[path], schema.missing)
        if message:
            problems.append(Finding("wrong-input", "error", message, "", Leaf(path or "raw")))
    raise_errors(problems)
    rows = {path: np.shape(leaf)[0] for path, leaf in leaves.items()}
    if len(set(rows.values())) > 1:
        raise InputError(f"raw inputs must all have the same number of rows, got {rows}.")
    return jax.tree.map(np.ascontiguousarray, raw)


def _leaf_problem(array: np.ndarray, wanted: dict[str, Any], missing: bool) -> str:
    expected = f"{wanted['dtype']} of shape ({', '.join(['examples', *map(str, wanted['shape'])])}) is expected"
    if array.dtype.name != wanted["dtype"] or array.ndim == 0 or list(array.shape[1:]) != wanted["shape"]:
        return f"{expected}, found {array.dtype.name} of shape {array.shape}."
    if array.dtype.kind == "f":
        bad = ~np.isfinite(array) & ~(np.isnan(array) & missing)
        if bad.any():
            index = tuple(map(int, np.argwhere(bad)[0]))
            return f"{expected} with finite values, found {array[index]} at index {list(index)}."
    return ""
