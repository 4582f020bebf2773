"""Equal rows: within a split, across splits, and with different labels."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int

from verax.data import epoch_order
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._changes import with_train_rows
from verax.doctor.probes._tables import CLASSIFIED, ROWS, classes, remembered
from verax.findings import Finding, Split
from verax.trees import Tree

SAMPLE = 300  # distinct rows whose nearest distinct rows are looked for
AMONG = 3000
NEARLY = 0.1  # of the columns, or one: rows that differ in no more are neighbours in a space of few values
FEW_NEARLY = 0.1  # of the copies: with more rows that nearly are, copies are what chance makes of few values
SHARE = 0.05  # of test rows
FEWEST = 3  # test rows
REPEATED = 0.1  # of training rows
ALL = 0.95  # of test rows: then the score is taken on training rows
CONFLICTING = 0.1  # of training rows
DISAGREEING = 0.3  # of how often two random rows disagree; annotators who differ do so less often


class Copies(NamedTuple):
    """Groups of equal rows.

    Attributes:
      train: the group of each training row.
      held: likewise of held-out rows.
      natural: why equal rows are what independent draws give; empty if they are not.
    """

    train: Int[np.ndarray, " train"]
    held: Int[np.ndarray, " held"]
    natural: str


@remembered
def copies(subject: Subject, held_out: str | None) -> Copies:
    """Returns which rows have equal inputs, and whether that is natural: whether a new draw would have them too.

    It is where inputs take few values. Then there are, beside equal rows, about as many that nearly are: that differ
    in a column or in a tenth of them. Rows of a continuous law, and pictures, are equal only if they were copied.
    """
    train = subject.train.inputs
    held = subject.splits[held_out].inputs if held_out else jax.tree.map(lambda leaf: leaf[:0], train)
    digests = np.concatenate([_digests(train), _digests(held)])
    size = len(jax.tree.leaves(train)[0])
    _, group = np.unique(digests, return_inverse=True)
    flat = _flat(train)
    flat = flat[:ROWS]
    dull = (flat == flat[:, :1]).all(axis=1) if flat.shape[1] > 1 else np.zeros(len(flat), bool)
    counts = np.bincount(group[: len(flat)][~dull], minlength=group.max() + 1)
    return Copies(group[:size], group[size:], _why_natural(flat, group[: len(flat)], counts))


def _why_natural(flat: np.ndarray, group: Int[np.ndarray, " rows"], counts: Int[np.ndarray, " groups"]) -> str:
    _, first = np.unique(group, return_index=True)
    distinct = flat[np.sort(first)]
    if len(distinct) < 20:
        return f"there are {len(distinct)} distinct rows"
    copied = max(1, int(counts[counts > 1].sum()))
    is_continuous = flat.dtype.kind == "f" and any(
        len(np.unique(distinct[:AMONG, column])) > 0.5 * len(distinct[:AMONG]) for column in range(distinct.shape[1])
    )
    if not is_continuous and len(distinct) < len(flat) / 2:
        return f"{len(flat):,} rows are of {len(distinct):,} kinds"
    order = epoch_order(len(distinct), seed=2, epoch=0)
    among = distinct[order[:AMONG]]
    sample = among[:SAMPLE]
    limit = max(1, int(NEARLY * flat.shape[1]))
    nearly = 0
    for row in range(len(sample)):
        different = (among != sample[row]).sum(axis=1)
        different[row] = flat.shape[1] + 1
        nearly += bool(different.min() <= limit) and flat.shape[1] >= 1
    if nearly / len(sample) * len(distinct) > FEW_NEARLY * copied and (flat.shape[1] > 1 or not is_continuous):
        return f"{nearly / len(sample):.0%} of the distinct rows differ from another in {limit} columns or fewer"
    return ""


def _flat(rows: Tree) -> np.ndarray:
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(rows)], axis=1)


def _digests(rows: Tree) -> np.ndarray:
    flat = np.ascontiguousarray(_flat(rows)) + 0  # the sign of a zero is none
    return np.array([hashlib.blake2b(row.tobytes(), digest_size=12).hexdigest() for row in flat], dtype="<U24")


def look_across(subject: Subject) -> Seen:
    """Returns whether held-out rows are training rows, beyond what few possible values explain."""
    if not subject.held_out:
        raise NotApplicable("there is no held-out split.")
    found = copies(subject, subject.held_out)
    known = np.isin(found.held, found.train)
    share = float(known.mean())
    compared = f"{known.sum():,} of {known.size:,} rows of {subject.held_out} equal a training row"
    if found.natural or known.sum() < FEWEST or share < SHARE:
        return Seen(f"{compared}; {found.natural}" if found.natural and known.any() else compared)
    where = Split(subject.held_out, int(known.argmax()))
    evidence = tuple(
        f"row {row} of {subject.held_out} is row {int((found.train == found.held[row]).argmax())} of train"
        for row in np.flatnonzero(known)[:3]
    )
    if share >= ALL:
        message = f"{compared}: the score is taken on training rows."
        advice = "Hold rows out before training, and evaluate on those."
        finding = Finding("evaluating-on-train", "error", message, advice, where, "data", evidence, 1.0)
    else:
        message = f"{compared} ({share:.0%}): the score is partly taken on training rows."
        advice = "Split first, by group, then repeat, balance or augment the training rows alone."
        finding = Finding("train-test-overlap", "error", message, advice, where, "data", evidence, 1.0)
    return Seen(compared, (finding,))


def look_within(subject: Subject) -> Seen:
    """Returns repeated training rows, which harm where they outvote the others, and equal rows with unequal labels."""
    found = copies(subject, subject.held_out)
    _, group, counts = np.unique(found.train, return_inverse=True, return_counts=True)
    spare = len(found.train) - len(counts)
    share = float((counts[group] > 1).mean())
    compared = f"{spare:,} of {len(found.train):,} training rows repeat another one"
    if found.natural or not spare:
        return Seen(f"{compared}; {found.natural}" if spare else compared)
    largest = int(counts.argmax())
    evidence = (
        f"the largest group has {counts.max()} rows: {', '.join(map(str, np.flatnonzero(group == largest)[:5]))}",
    )
    conflict = _conflicting(subject, group)
    if conflict:
        return Seen(compared, (conflict,))
    message = f"{compared} ({share:.0%} of the rows have a copy)."
    advice = "Keep one of each, or weight the rows; remove copies before the data are split."
    where = Split("train", int((counts[group] > 1).argmax()))
    if share < REPEATED or subject.own_batches:
        return Seen(compared, (Finding("duplicate-examples", "info", message, "", where, "data", evidence, 1.0),))
    finding = Finding("duplicate-examples", "warning", message, advice, where, "data", evidence, 0.7)
    kept = np.sort(np.unique(found.train, return_index=True)[1])
    repair = Repair("repeated rows kept once", lambda it: with_train_rows(it, kept))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _conflicting(subject: Subject, group: Int[np.ndarray, " rows"]) -> Finding | None:
    """Returns a finding where copies of a row carry different labels."""
    if subject.task not in CLASSIFIED or (labels := classes(subject, "train")) is None:
        return None
    pairs = np.unique(np.stack([group, labels]), axis=1)[0]
    kinds = np.bincount(pairs, minlength=group.max() + 1)  # labels of each group
    hit: Bool[np.ndarray, " rows"] = kinds[group] > 1
    copied = np.bincount(group)[group] > 1
    if hit.mean() < CONFLICTING:
        return None
    agreeing, total = 0.0, 0.0
    for each in np.unique(group[copied]):
        counts = np.unique(labels[group == each], return_counts=True)[1]
        size = counts.sum()
        agreeing += float((counts * (counts - 1)).sum()) / (size - 1)
        total += size
    overall = 1 - float(np.square(np.unique(labels, return_counts=True)[1] / len(labels)).sum())
    rate = 1 - agreeing / total
    if rate < DISAGREEING * overall:
        return None
    first = int(hit.argmax())
    rows = np.flatnonzero(group == group[first])[:4]
    message = (
        f"{hit.mean():.0%} of the training rows have a copy with another label; copies disagree in {rate:.0%} of all "
    )
    message += f"pairs, random rows in {overall:.0%}."
    advice = "Look for a join that repeats rows, or a column that was dropped; keep one label for each row."
    evidence = (
        f"rows {', '.join(map(str, rows))} are equal, with labels {', '.join(str(labels[row]) for row in rows)}",
    )
    return Finding("conflicting-labels", "error", message, advice, Split("train", first), "data", evidence, 0.95)


PROBES = (
    Probe("copies across splits", ("train-test-overlap", "evaluating-on-train"), look_across),
    Probe("copies within training", ("duplicate-examples", "conflicting-labels"), look_within),
)
