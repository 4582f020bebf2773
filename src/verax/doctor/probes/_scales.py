"""The scale of the inputs: columns of very different size, far from zero, or constant."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from verax.doctor._probe import Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._changes import with_inputs
from verax.doctor.probes._extreme_values import codes_of
from verax.doctor.probes._tables import Table, is_dense, numeric_leaves, table
from verax.findings import Finding, Split
from verax.trees import Tree

# Gradient descent takes as many steps as the condition number of the inputs' second moments, at best. Columns whose
# deviations differ by r give at least r^2, a mean of m deviations gives 1 + m^2. Beyond 10, these are 100.
RATIO = 10.0
OFFSET = 10.0
SIZE = 10.0  # or below 1 / SIZE: root mean square; layers are initialised for inputs of about 1
SPARSE = 0.95  # a column that is one value in so many rows has no scale of its own: an indicator, a border pixel
EXTREME = 10.0  # robust deviations: numbers beyond are for the probe of extreme values, and left out here,
TAIL = 0.3  # unless they are so large a share of the column that it is made of two parts
CHANCE = 1e-6  # that a column which varies in the test rows was constant in training by chance
SHOWN = 3


class Scales(NamedTuple):
    """Of each column, without its extreme values."""

    mean: Float[np.ndarray, " columns"]
    spread: Float[np.ndarray, " columns"]
    size: float  # root mean square of all


def look(subject: Subject) -> Seen:
    """Returns a suspicion where the scales of the inputs hinder the optimizer, and the columns that never change."""
    whole = table(subject, "read")
    values = whole.values
    constant = np.ptp(values, axis=0) == 0
    findings = tuple(_constant(subject, whole, constant))
    if constant.all() or not np.isfinite(values).all() or set(np.unique(values[:1000])) <= {0.0, 1.0}:
        return Seen(f"{values.shape[1]} columns, {int(constant.sum())} of them constant", findings)
    scales = column_scales(values)
    reasons = list(_reasons(whole, scales, constant))
    compared = f"deviations {scales.spread[~constant].min():.2g} to {scales.spread.max():.2g}, size {scales.size:.2g}"
    if not reasons:
        return Seen(compared, findings)
    dtype = jax.tree.leaves(subject.batch.inputs)[whole.leaves[0][1]].dtype
    message = f"inputs are not normalised: {reasons[0]}."
    advice = (
        "Subtract the training mean of each column and divide by its deviation; use the same numbers for test rows."
    )
    evidence = (*reasons, *_extremes(whole, scales, constant), f"inputs are {dtype}")
    finding = Finding("input-not-normalized", "warning", message, advice, Split("train"), "data", evidence, 0.8)
    repair = Repair("inputs standardised", standardised)
    return Seen(compared, findings, (Suspicion(finding, (repair,)),))


def column_scales(values: Float[np.ndarray, "rows columns"]) -> Scales:
    """Returns means and deviations of the columns, without what is extreme in them."""
    middle = np.median(values, axis=0)
    robust = 1.4826 * np.median(np.abs(values - middle), axis=0)
    usual = np.where(robust > 0, np.abs(values - middle) <= EXTREME * robust, True)
    usual |= usual.mean(axis=0) < 1 - TAIL
    share = usual.sum(axis=0)
    mean = np.where(usual, values, 0).sum(axis=0) / share
    spread = np.sqrt(np.where(usual, np.square(values - mean), 0).sum(axis=0) / share)
    size = float(np.sqrt(np.where(usual, np.square(values), 0).sum() / share.sum()))
    return Scales(mean, spread, size)


def _is_usual(values: Float[np.ndarray, "rows columns"]) -> Bool[np.ndarray, " columns"]:
    return (values == np.median(values, axis=0)).mean(axis=0) < SPARSE


def _reasons(whole: Table, scales: Scales, constant: Bool[np.ndarray, " columns"]) -> list[str]:
    reasons = []
    coded = {code.column for code in codes_of(whole)}  # their scale is that of the code
    columns = np.flatnonzero(~constant & _is_usual(whole.values) & (scales.spread > 0))
    columns = np.array([column for column in columns if column not in coded], int)
    if len(columns) > 1 and not whole.is_of_one_kind:
        spread = scales.spread[columns]
        if spread.max() > RATIO * spread.min():
            reasons.append(f"deviations of the columns differ by a factor of {spread.max() / spread.min():.3g}")
    if len(columns):
        offset = np.abs(scales.mean[columns]) / scales.spread[columns]
        worst = columns[offset.argmax()]
        if offset.max() > OFFSET:
            reasons.append(f"column {whole.name(worst)} lies {offset.max():.3g} deviations from zero")
    sparse = not is_dense(whole.values[:, ~constant]).any()
    if scales.size > SIZE or (scales.size < 1 / SIZE and not sparse):
        reasons.append(
            f"numbers have a root mean square of {scales.size:.3g}, where layers are initialised for about 1"
        )
    return reasons


def _extremes(whole: Table, scales: Scales, constant: Bool[np.ndarray, " columns"]) -> list[str]:
    columns = np.flatnonzero(~constant)
    order = columns[np.argsort(scales.spread[columns])]
    if len(order) < 2 * SHOWN:
        shown = {"columns": order}
    else:
        shown = {"widest": order[::-1][:SHOWN], "narrowest": order[:SHOWN]}
    return [
        f"{which}: " + ", ".join(f"{whole.name(c)} {scales.mean[c]:.3g} ± {scales.spread[c]:.3g}" for c in chosen)
        for which, chosen in shown.items()
    ]


def standardised(subject: Subject) -> Subject:
    """Returns the program with inputs that have mean 0 and deviation 1 in the training rows.

    A table is standardised by column, a series by feature, an image as a whole by channel. Constant columns only move.
    """
    read = table(subject, "read")
    numbers = {place for _, place, _ in numeric_leaves(subject, subject.train.inputs)}
    start, centres = 0, {}
    for _, place, shape in read.leaves:
        width = int(np.prod(shape, dtype=int))
        values = read.values[:, start : start + width].reshape(len(read.values), *shape)
        start += width
        axes = tuple(range(values.ndim - 1)) if values.ndim > 2 else (0,)
        if values.ndim > 3 and values.shape[-1] > 4:
            axes = tuple(range(values.ndim))  # no axis of channels at the end
        mean, spread = values.mean(axis=axes, keepdims=True), values.std(axis=axes, keepdims=True)
        centres[place] = mean, np.where(spread > 1e-9 * np.abs(mean), spread, 1.0)

    def change(inputs: Tree) -> Tree:
        leaves, structure = jax.tree.flatten(inputs)
        for place in numbers & centres.keys():
            mean, spread = centres[place]
            values = (np.asarray(leaves[place], np.float64) - mean) / np.where(spread > 0, spread, 1.0)
            leaves[place] = values.reshape(leaves[place].shape).astype(np.float32)
        return jax.tree.unflatten(structure, leaves)

    return with_inputs(subject, change)


def _constant(subject: Subject, whole: Table, constant: Bool[np.ndarray, " columns"]) -> list[Finding]:
    columns = np.flatnonzero(constant)
    if not columns.size:
        return []
    advice = "Check the join or the filter that made them, or drop them."
    names = ", ".join(whole.name(column) for column in columns[:8]) + (", ..." if len(columns) > 8 else "")
    if constant.all():
        message = f"all {len(columns)} input columns are constant: no input tells one example from another."
        return [Finding("constant-feature", "error", message, advice, Split("train"), "data", (), 1.0)]
    if subject.held_out and (moved := _moves(subject, whole, columns)):
        column, share, rows = moved
        message = f"input column {whole.name(column)} never changes in training and does in {share:.0%} of the rows of "
        message += f"{subject.held_out}."
        where = Split("train", None, whole.name(column))
        evidence = (f"constant over {len(whole.values):,} training rows, other values in {rows:,} rows",)
        return [Finding("constant-feature", "warning", message, advice, where, "data", evidence, 0.95)]
    message = f"{len(columns)} of {len(constant)} input columns never change: {names}."
    return [Finding("constant-feature", "info", message, "", Split("train"), "data", (), 1.0)]


def _moves(subject: Subject, whole: Table, columns: np.ndarray) -> tuple[int, float, int] | None:
    """Returns the constant column that differs from its constant in the largest share of held-out rows, by more than
    chance."""
    assert subject.held_out is not None
    held = table(subject, subject.held_out).values[:, columns]
    differs = held != whole.values[0, columns]
    shares = differs.mean(axis=0)
    if (np.ptp(held, axis=0) == 0).all():
        return None  # another constant is another transform
    best = int(shares.argmax())
    if len(whole.values) * np.log1p(-min(shares[best], 1 - 1e-12)) > np.log(CHANCE):
        return None
    return int(columns[best]), float(shares[best]), int(differs[:, best].sum())


PROBES = (Probe("scale of inputs", ("input-not-normalized", "constant-feature"), look),)
