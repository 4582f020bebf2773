"""What can be wrong with inputs: values that are not numbers, and numbers that are hard to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np

from verax.data._check_targets import column_name, out_of_type, place
from verax.data._dataset import Dataset
from verax.data._schema import Column
from verax.data._structure import named_leaves
from verax.findings import Finding, InputError, Split

# Beyond these a first layer with the usual initialisation starts far from balance. They are loose on purpose: counts,
# pixels and angles in degrees below them train well enough.
LARGE_VALUE = 100.0  # root mean square of a feature
RANGE_RATIO = 1000.0  # widest range of a feature over the narrowest


def check_inputs(dataset: Dataset) -> tuple[Finding, ...]:
    """Returns the errors among input values: NaN and Inf in any split, after preprocessing has filled what it fills."""
    try:
        _ = dataset.preprocessing
    except InputError as error:
        return (Finding("preprocessing-failed", "error", str(error), "", Split("train")),)
    found = [
        out_of_type(dataset, split, name, leaf) or _check_finite(dataset, split, name, leaf)
        for split in dataset.splits
        for name, leaf in named_leaves(dataset.raw(split)).items()
        if name.startswith("inputs")
    ]
    return tuple(finding for finding in found if finding is not None)


def check_scale(dataset: Dataset) -> tuple[Finding, ...]:
    """Returns what hinders training in the inputs as the network sees them; raw values must be sound."""
    inputs = dataset.examples("train").inputs
    if dataset.schema.kind == "tree" or not isinstance(inputs, np.ndarray):
        return ()
    findings = _check_codes(dataset)
    if dataset.schema.kind == "text" and not dataset.steps:
        return ()  # tokens are for an embedding
    if inputs.dtype.kind in "iub":
        return (*findings, *_check_integers(inputs))
    names = dataset.preprocessing.feature_names(dataset.schema)
    low, high = (reduce(inputs.reshape(len(inputs), -1), axis=0).astype(np.float64) for reduce in (np.min, np.max))
    constant = np.flatnonzero(low == high)
    if constant.size:
        shown = ", ".join(_feature(names, inputs, index) for index in constant[:5]) + (
            ", ..." if constant.size > 5 else ""
        )
        findings.append(
            Finding(
                "constant-feature",
                "info",
                f"{constant.size:,} of {low.size:,} features never change: {shown}.",
                "Harmless; they can be left out.",
                Split("train"),
            )
        )
    if not any(finding.id == "categorical-as-number" for finding in findings):
        findings += _check_scales(dataset, inputs, names, low, high)
    return tuple(findings)


def _check_finite(dataset: Dataset, split: str, name: str, leaf: Any) -> Finding | None:
    if leaf.dtype.kind in "iub" or np.isfinite(leaf).all():
        return None
    bad = ~np.isfinite(leaf) & ~(np.isnan(leaf) & _filled(dataset)) if name == "inputs" else ~np.isfinite(leaf)
    rows = np.flatnonzero(bad.reshape(len(leaf), -1).any(axis=1))
    if not rows.size:
        return None
    index = tuple(np.argwhere(bad[rows[0]])[0].tolist())
    where, origin = place(dataset, split, rows[0], column_name(dataset, index))
    columns = [column.name for column, some in zip(dataset.schema.columns, bad.any(axis=0), strict=False) if some]
    among = f", in columns {', '.join(columns[:8])}{', ...' * (len(columns) > 8)}" if len(columns) > 1 else ""
    value = leaf[(rows[0], *index)]
    message = f"{name} must be finite, found {value} in {rows.size:,} of {len(leaf):,} rows{among}{origin}."
    return Finding("non-finite-input", "error", message, _advice(dataset, where.column, bool(np.isinf(value))), where)


def _filled(dataset: Dataset) -> np.ndarray:
    """Where a missing value is filled by the preprocessing, by feature of a raw example: found by trying."""
    schema, fitted = dataset.schema, dataset.preprocessing
    if not fitted.steps:
        return np.zeros(schema.shape, bool)
    if schema.kind != "table":
        probe = np.full((1, *schema.shape), np.nan, np.float32)
        return np.full(schema.shape, not np.isnan(fitted.on_host(probe)).any())
    probe = np.zeros((len(schema.columns), len(schema.columns)), np.float32)
    np.fill_diagonal(probe, np.nan)
    return np.asarray(~np.isnan(fitted.on_host(probe)).any(axis=1))


def _advice(dataset: Dataset, column: str | None, infinite: bool) -> str:
    if infinite:
        return "Remove these rows, or correct them."
    categorical = next((known for known in dataset.schema.columns if known.name == column and known.categories), None)
    if categorical is None:
        return "Fill missing values: .preprocess(impute(), ...), or remove these rows."
    if categorical.missing:
        return "Add one_hot() to .preprocess(...), which gives a missing category a column of its own."
    return "Training has no missing value there. Remove these rows, or fill them: impute('most_frequent', [column])."


def _check_codes(dataset: Dataset) -> list[Finding]:
    """Categories that reach the network as code numbers, and categories that train never shows."""
    columns = dataset.schema.columns
    encoded = {
        group["index"] for step in dataset.preprocessing.steps if step["kind"] == "one_hot" for group in step["columns"]
    }
    plain = [
        column.name for index, column in enumerate(columns) if column.categories is not None and index not in encoded
    ]
    findings = []
    if plain:
        message = (
            f"{len(plain)} categorical columns reach the network as code numbers: "
            f"{', '.join(plain[:5])}{', ...' * (len(plain) > 5)}."
        )
        findings.append(
            Finding("categorical-as-number", "warning", message, "Add one_hot() to .preprocess(...).", Split("train"))
        )
    for index, column in enumerate(columns):
        if column.categories is not None:
            for split in dataset.splits[1:]:
                findings += _check_unseen(dataset, split, index, column)
    return findings


def _check_unseen(dataset: Dataset, split: str, index: int, column: Column) -> list[Finding]:
    codes = dataset.raw(split).inputs[:, index]
    unseen = np.flatnonzero(~np.isin(codes, dataset.raw("train").inputs[:, index]) & ~np.isnan(codes))
    if not unseen.size:
        return []
    where, origin = place(dataset, split, unseen[0], column.name)
    category = (column.categories or ())[int(codes[unseen[0]])]
    message = f"{unseen.size:,} rows have a category that train never shows, first {category!r}{origin}."
    return [Finding("category-unseen-in-train", "info", message, "Its effect is not learnt.", where)]


def _check_integers(inputs: np.ndarray) -> list[Finding]:
    if inputs.dtype == np.uint8 and inputs.ndim > 1 and inputs.size:
        message = f"uint8 values up to {int(inputs.max())} reach the network as they are."
        return [Finding("input-not-normalized", "warning", message, "Add .preprocess(scale_uint8()).", Split("train"))]
    message = f"inputs of type {inputs.dtype} reach the network as they are."
    return [
        Finding(
            "integer-input",
            "info",
            message,
            "Right for an embedding; otherwise add .preprocess(standardise()).",
            Split("train"),
        )
    ]


def _check_scales(
    dataset: Dataset, inputs: np.ndarray, names: tuple[str, ...], low: np.ndarray, high: np.ndarray
) -> list[Finding]:
    table = inputs.reshape(len(inputs), -1)
    advice = (
        "Add .preprocess(scale_uint8())."
        if dataset.raw("train").inputs.dtype == np.uint8
        else "Add standardise() to .preprocess(...)."
    )
    large = np.flatnonzero(np.maximum(np.abs(low), np.abs(high)) > LARGE_VALUE)
    if large.size:
        sizes = (
            np.sqrt(np.square(table[:, large], dtype=np.float64).mean(axis=0))
            if large.size < 64
            else _root_mean_squares(table)[large]
        )
        worst = int(sizes.argmax())
        if sizes[worst] > LARGE_VALUE:
            feature = _feature(names, inputs, large[worst])
            message = (
                f"inputs should be of the order of 1, but feature {feature} has root mean square {sizes[worst]:.3g} "
                f"(range {low[large[worst]]:.3g} to {high[large[worst]]:.3g})."
            )
            return [Finding("input-not-normalized", "warning", message, advice, Split("train", column=feature))]
    spans = high - low
    varying = np.flatnonzero(spans > 0)
    if varying.size > 1 and spans[varying].max() > RANGE_RATIO * spans[varying].min():
        widest, narrowest = varying[spans[varying].argmax()], varying[spans[varying].argmin()]
        message = (
            f"features should have like scales, but {_feature(names, inputs, widest)} spans {spans[widest]:.3g} "
            f"and {_feature(names, inputs, narrowest)} {spans[narrowest]:.3g}."
        )
        return [
            Finding(
                "input-not-normalized",
                "warning",
                message,
                advice,
                Split("train", column=_feature(names, inputs, widest)),
            )
        ]
    return []


def _root_mean_squares(table: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("rf,rf->f", table, table) / len(table))


def _feature(names: tuple[str, ...], inputs: np.ndarray, index: Any) -> str:
    if names:
        return names[int(index)]
    return ",".join(str(int(axis)) for axis in np.unravel_index(int(index), inputs.shape[1:])) or "0"
