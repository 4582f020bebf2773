"""Numbers that are not finite among inputs and targets, and whether the program takes them as numbers."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject, on_device
from verax.findings import Finding, Split
from verax.trees import all_finite, leaves_by_path


class _Bad(NamedTuple):
    split: str
    name: str
    count: int
    rows: np.ndarray  # with such a number
    size: int
    column: str | None
    value: str


def look(subject: Subject) -> Seen:
    """Returns where NaN and infinite values are; they are no fault where loss, gradient and outputs stay finite."""
    found = [bad for split in subject.splits for bad in _bad(subject, split)]
    if not found:
        return Seen(f"every number in {', '.join(subject.splits)} is finite")
    findings = []
    for bad in found:
        harm = _harm_in_training(subject) if bad.split == "train" else _harm_in_evaluation(subject, bad)
        message = f"{bad.name} of {bad.split} hold {bad.value} in {bad.rows.size:,} of {bad.size:,} rows"
        message += f"; {harm}." if harm else "; the program handles them: its loss and gradient stay finite."
        advice = "Remove these rows or impute them before they are batched, and assert np.isfinite in the reader."
        evidence = (f"{bad.count:,} numbers that are not finite", f"first rows: {', '.join(map(str, bad.rows[:5]))}")
        findings.append(
            Finding(
                "non-finite-input",
                "error" if harm else "info",
                message,
                advice if harm else "",
                Split(bad.split, int(bad.rows[0]), bad.column),
                "data",
                evidence,
                1.0,
            )
        )
    return Seen(f"found numbers that are not finite in {len(found)} arrays", tuple(findings))


def _bad(subject: Subject, split: str) -> list[_Bad]:
    found, examples = [], subject.splits[split]
    for name, tree in (("inputs", examples.inputs), ("targets", examples.targets)):
        for path, leaf in leaves_by_path(tree).items():
            if leaf.dtype.kind not in "fc":
                continue
            broken = ~np.isfinite(leaf)
            if broken.any():
                first = tuple(np.argwhere(broken)[0])
                rows = np.flatnonzero(broken.reshape(len(leaf), -1).any(axis=1))
                column = ",".join(map(str, first[1:])) or None
                whole = f"{name}/{path}" if path else name
                found.append(_Bad(split, whole, int(broken.sum()), rows, len(leaf), column, str(leaf[first])))
    return found


def _harm_in_training(subject: Subject) -> str:
    """Returns what is not finite on the first batch that holds such a number; empty if nothing is, or none does."""
    first = subject.first_epoch[0]
    places = (
        place
        for place, batch in enumerate(subject.first_epoch)
        if not _is_finite_data(batch) and _same_shapes(batch, first)
    )
    number = next(places, None)
    if number is None:
        return ""  # the reader drops or mends them
    batch = subject.first_epoch[number]
    variables = subject.variables
    (loss, _), grads = subject.gradient(*variables, on_device(batch), subject.noise(0))
    if not np.isfinite(float(loss)):
        return f"the loss of batch {number} is {float(loss)}"
    return "" if bool(all_finite(grads)) else f"the gradient of batch {number} is not finite"


def _harm_in_evaluation(subject: Subject, bad: _Bad) -> str:
    if bad.name.startswith("targets"):
        return "no score can be taken on them"
    examples, size = subject.splits[bad.split], len(jax.tree.leaves(subject.probe.inputs)[0])
    rows = np.resize(bad.rows, size)  # the shape for which the evaluation is compiled
    outputs = subject.evaluated(
        subject.variables, jax.tree.map(lambda leaf: leaf[rows], examples.inputs), subject.noise(0)
    )
    return "" if bool(all_finite(outputs)) else "the outputs for these rows are not finite"


def _is_finite_data(batch: object) -> bool:
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(batch)]
    return all(np.isfinite(leaf).all() for leaf in leaves if leaf.dtype.kind == "f")


def _same_shapes(batch: object, other: object) -> bool:
    return [np.shape(leaf) for leaf in jax.tree.leaves(batch)] == [np.shape(leaf) for leaf in jax.tree.leaves(other)]


PROBES = (Probe("finite data", ("non-finite-input",), look),)
