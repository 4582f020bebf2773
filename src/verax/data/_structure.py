"""Problems that make arrays unusable as data, whatever they mean: types, axes, lengths, splits that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from verax.data._batch import Examples
from verax.data._split import SPLITS
from verax.findings import Finding, Split
from verax.trees import leaves_by_path, shape_text


def check_structure(splits: Mapping[str, Examples]) -> tuple[Finding, ...]:
    """Returns what is wrong with types, shapes and lengths; looks at no value."""
    findings = []
    if "train" not in splits:
        findings.append(
            Finding("empty-split", "error", "there are no rows to train on.", "Pass a train split.", Split("train"))
        )
    for split, examples in splits.items():
        leaves = named_leaves(examples)
        findings += [finding for name, leaf in leaves.items() for finding in _check_leaf(split, name, leaf)]
        findings += _check_lengths(split, leaves)
    if not findings:
        findings += [finding for split in SPLITS if split in splits for finding in _check_same(split, splits)]
    return tuple(findings)


def named_leaves(examples: Examples) -> dict[str, Any]:
    """Returns the arrays of a split under the names used in messages: `inputs`, `targets`, `inputs/left`."""
    return {
        f"{part}/{path}" if path else part: leaf
        for part, tree in (("inputs", examples.inputs), ("targets", examples.targets))
        for path, leaf in leaves_by_path(tree).items()
    }


def _check_leaf(split: str, name: str, leaf: Any) -> list[Finding]:
    kind = leaf.dtype.kind
    if kind not in "fiub" and not jax.dtypes.issubdtype(leaf.dtype, np.floating):
        advice = {
            "c": "Pass real and imaginary parts as two columns.",
            "O": "Rows of different lengths, or mixed types? from_csv reads tables with categories and missing values.",
            "U": "Read tables with from_csv, which turns categories into codes."
            if name == "inputs"
            else "Pass classes=.",
        }.get(kind, "Convert it to a number first.")
        return [
            Finding(
                "wrong-dtype",
                "error",
                f"{name} must be numbers, found {leaf.dtype} of shape {leaf.shape}.",
                advice,
                Split(split),
            )
        ]
    if leaf.ndim == 0:
        message = f"{name} must have a leading axis of examples, found a single number."
        return [
            Finding("wrong-rank", "error", message, "Pass NumPy arrays rather than lists of numbers.", Split(split))
        ]
    if leaf.shape[0] == 0:
        return [
            Finding(
                "empty-split",
                "error",
                f"{name} has no rows, shape {leaf.shape}.",
                "Pass rows, or leave the split out.",
                Split(split),
            )
        ]
    return []


def _check_lengths(split: str, leaves: Mapping[str, Any]) -> list[Finding]:
    for part in ("inputs", "targets"):
        if not any(name.split("/")[0] == part for name in leaves):
            return [
                Finding(
                    "empty-split",
                    "error",
                    f"there are no {part}.",
                    "For an autoencoder pass the inputs as targets too.",
                    Split(split),
                )
            ]
    lengths = {name: leaf.shape[0] for name, leaf in leaves.items() if leaf.ndim}
    if len(set(lengths.values())) <= 1:
        return []
    text = ", ".join(f"{name} {length}" for name, length in lengths.items())
    return [
        Finding(
            "length-mismatch",
            "error",
            f"all arrays must have the same number of rows, found {text}.",
            "Was one of them filtered alone?",
            Split(split),
        )
    ]


def _check_same(split: str, splits: Mapping[str, Examples]) -> list[Finding]:
    """What differs between the rows of a split and those of train."""
    expected, found = named_leaves(splits["train"]), named_leaves(splits[split])
    rows = [(name, _row_text(expected.get(name)), _row_text(found.get(name))) for name in expected | found]
    return [
        Finding(
            "split-mismatch",
            "error",
            f"{name} must be {before} a row as in train, found {after}.",
            "Prepare all splits alike.",
            Split(split),
        )
        for name, before, after in rows
        if before != after
    ]


def _row_text(leaf: Any) -> str:
    return "nothing" if leaf is None else shape_text(jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype))
