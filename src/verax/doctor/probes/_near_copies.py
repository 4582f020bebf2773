"""Held-out rows that are near copies of training rows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._nearest import NEIGHBOURS, Nearest, nearest
from verax.doctor.probes._tables import answers
from verax.findings import Finding, Split

CHANCE = 1e-3  # that the nearest row is so near, if rows lie as densely as the further ones do
NEARER = 0.4  # than the K-th: counts and other uneven tables bend the law of chance in many dimensions (judgement)
SHARE = 0.1  # of the held-out rows; chance gives 0.1 %
FEWEST = 5  # held-out rows
COPIES = 8  # rows of a group at most: in larger ones a new row finds its like by right
SAME = 0.95  # of near copies that have the answer of their original
NEAR = 0.1  # standard deviations of the targets within which numbers are the same


def look(subject: Subject) -> Seen:
    """Returns whether many held-out rows lie far nearer to a training row than the density of rows explains.

    Where n rows lie evenly in d dimensions, the nearest of K is nearer than t times the K-th with probability
    1 - (1 - t^d)^(K-1). The dimension is that of the data, told from the further neighbours (Levina and Bickel 2004);
    so smooth data of few dimensions, whose rows are near by right, are no leak.
    """
    if not subject.held_out:
        raise NotApplicable("there is no held-out split.")
    found = nearest(subject, (subject.held_out, "read"))
    if found.distances.shape[1] < NEIGHBOURS:
        raise NotApplicable(f"fewer than {NEIGHBOURS} training rows.")
    dimension = intrinsic_dimension(found)
    last = found.distances[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(last > 0, found.distances[:, 0] / last, 1.0)
    chance = -np.expm1((NEIGHBOURS - 1) * np.log1p(-np.minimum(ratio**dimension, 1 - 1e-12)))
    equal = found.distances[:, 0] <= 1e-9 * np.maximum(last, 1e-30)
    near = (chance < CHANCE) & (ratio < NEARER) & ~equal
    share = float(near.mean())
    compared = f"{near.sum():,} of {near.size:,} rows of {subject.held_out} lie nearer to a training row than chance "
    compared += f"explains in {dimension:.1f} dimensions"
    if near.sum() < FEWEST or share < SHARE:
        return Seen(compared)
    group = _group_size(found, near)
    same = _same_answers(subject, found, near)
    if group > COPIES or same < SAME:
        return Seen(f"{compared}; groups of {group:.0f}, {same:.0%} have the answer of the nearest row")
    row = int(np.flatnonzero(near)[found.distances[near, 0].argmin()])
    distance, usual = np.median(found.distances[near, 0]), np.median(last)
    message = f"{share:.0%} of the rows of {subject.held_out} are near copies of training rows, with the same answers."
    advice = "Keep copies, augmentations and repeated measurements of one thing in one split: split by group."
    evidence = (
        compared,
        f"median distance {distance:.2g} standard deviations to the nearest, {usual:.2g} to the {NEIGHBOURS}th",
        f"{same:.1%} of them have the answer of the nearest training row",
        f"nearest: row {found.rows[row]} of {subject.held_out} and row {found.indices[row, 0]} of train",
    )
    where = Split(subject.held_out, int(found.rows[row]))
    finding = Finding("near-duplicate-leak", "warning", message, advice, where, "data", evidence, 0.9)
    return Seen(compared, (finding,))


def intrinsic_dimension(found: Nearest) -> float:
    """Returns the dimension that the distances to the further half of the neighbours speak of, at least 1."""
    count = found.distances.shape[1]
    first = count // 2
    known = found.distances[:, first - 1] > 0
    if not known.any():
        return 1.0
    logs = np.log(found.distances[known, -1, None] / found.distances[known, first - 1 : -1])
    mean = float(np.median(logs.mean(axis=1)))
    # The mean of log(r_K / r_j) over j from first to K - 1 is the mean of H(K - 1) - H(j - 1), over the dimension.
    harmonic = np.cumsum(1 / np.arange(1, count + 1))
    expected = np.mean(harmonic[count - 2] - np.concatenate([[0.0], harmonic])[np.arange(first, count) - 1])
    return max(1.0, float(expected / mean)) if mean > 0 else 1.0


def _group_size(found: Nearest, near: np.ndarray) -> float:
    """Returns how many training rows lie about as near as the nearest, before the distances jump."""
    distances: Float[np.ndarray, "rows neighbours"] = found.distances[near]
    jump = distances[:, 1:] / np.maximum(distances[:, :-1], 1e-30)
    return float(np.median(jump.argmax(axis=1) + 1))


def _same_answers(subject: Subject, found: Nearest, near: np.ndarray) -> float:
    assert subject.held_out is not None
    try:
        own, are_classes = answers(subject, subject.held_out)
        others, _ = answers(subject, "read")
    except NotApplicable:
        return 1.0
    mine, theirs = own[found.rows[near]], others[found.indices[near, 0]]
    return float((mine == theirs).mean() if are_classes else (np.abs(mine - theirs) <= NEAR * own.std()).mean())


PROBES = (Probe("near copies across splits", ("near-duplicate-leak",), look),)
