"""The order in which rows come: batches that follow the classes or the file."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Float, Int

from verax.data import Batch
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._tables import answers, table
from verax.findings import Finding, Split

EXPECTED = 5  # rows of a class in a window, at least: the chi-square law is not to be trusted below (Cochran 1954)
WINDOWS = 4
SURE = 1e-6  # p value
BOUND = 0.3  # Cramer's V squared, or the share of the variance between windows: 0 when shuffled, 1 when sorted


def look(subject: Subject) -> Seen:
    """Returns a suspicion where windows of neighbouring batches hold other answers, or inputs, than the whole epoch.

    Only the order in which rows come counts: the same mixed order in every epoch is no fault.
    """
    batches = subject.first_epoch
    sizes = [len(jax.tree.leaves(batch.targets)[0]) for batch in batches]
    if len(batches) < WINDOWS:
        raise NotApplicable(f"an epoch has fewer than {WINDOWS} batches.")
    try:
        given, are_classes = _answers_in_order(subject)
    except NotApplicable:
        given, are_classes = None, False
    if given is not None and len(given) != sum(sizes):  # batches of several shapes are not read as one table
        given = None
    seen = []
    if given is not None:
        kinds = len(np.unique(given)) if are_classes else 2
        window = _windows(sizes, EXPECTED * kinds if are_classes else 2 * EXPECTED)
        bound, p_value = _by_class(given, window) if are_classes else _by_number(given[:, None], window)
        compared = f"{window.max() + 1} windows of batches explain {bound:.0%} of the answers (p = {p_value:.2g})"
        if bound > BOUND and p_value < SURE:
            return Seen(compared, (), (_suspicion(subject, compared, _shown(given, sizes, are_classes)),))
        seen.append(compared)
    values = _inputs_in_order(subject)
    if values is not None:
        window = _windows(sizes, 2 * EXPECTED)
        bound, p_value = _by_number(values, window)
        compared = f"they explain {bound:.0%} of an input column at most"
        seen.append(compared)
        if bound > 0.5 and p_value < SURE:
            return Seen("; ".join(seen), (), (_suspicion(subject, compared, ()),))
    if not seen:
        raise NotApplicable("neither answers nor inputs are numbers or classes.")
    return Seen("; ".join(seen))


def _answers_in_order(subject: Subject) -> tuple[np.ndarray, bool]:
    if subject.own_batches:
        return answers(subject, "read")
    given = [jax.tree.leaves(batch.targets) for batch in subject.first_epoch]
    _, are_classes = answers(subject, "train")
    stacked = np.concatenate([leaves[0] for leaves in given])
    if are_classes and stacked.ndim == 2 and stacked.shape[1] > 1:
        return stacked.argmax(axis=1), True
    return stacked.reshape(-1), are_classes


def _inputs_in_order(subject: Subject) -> np.ndarray | None:
    if not subject.own_batches:
        return None  # shuffled by the default reader
    try:
        whole = table(subject, "read")
    except NotApplicable:
        return None
    rows = sum(len(jax.tree.leaves(batch.targets)[0]) for batch in subject.first_epoch)
    return whole.values if len(whole.values) == rows and np.isfinite(whole.values).all() else None


def _windows(sizes: list[int], least: int) -> Int[np.ndarray, " rows"]:
    """Returns the window of each row: neighbouring batches together, of which each has so many rows at least."""
    windows, current, filled = [], 0, 0
    for size in sizes:
        windows += [current] * size
        filled += size
        if filled >= least:
            current, filled = current + 1, 0
    if filled and current:
        windows[-filled:] = [current - 1] * filled
    return np.array(windows)


def _by_class(labels: Int[np.ndarray, " rows"], window: Int[np.ndarray, " rows"]) -> tuple[float, float]:
    """Returns Cramer's V squared of labels and windows, and the p value of the chi-square test."""
    from scipy.stats import chi2

    counts = np.zeros((window.max() + 1, len(np.unique(labels))))
    np.add.at(counts, (window, np.unique(labels, return_inverse=True)[1]), 1)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    statistic = float((np.square(counts - expected) / expected).sum())
    least = min(counts.shape) - 1
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    if freedom <= 0:
        return 0.0, 1.0
    bound = max(0.0, statistic - freedom) / (counts.sum() * least)
    return bound, float(chi2.sf(statistic, freedom))


def _by_number(values: Float[np.ndarray, "rows columns"], window: Int[np.ndarray, " rows"]) -> tuple[float, float]:
    """Returns the largest share of a column's variance that lies between windows, and its p value over all columns."""
    from scipy.stats import f

    rows, groups = len(values), window.max() + 1
    if groups < 2 or rows <= groups:
        return 0.0, 1.0
    counts = np.bincount(window, minlength=groups)[:, None]
    sums = np.zeros((groups, values.shape[1]))
    np.add.at(sums, window, values)
    total = np.square(values - values.mean(axis=0)).sum(axis=0)
    between = (counts * np.square(sums / counts - values.mean(axis=0))).sum(axis=0)
    known = total > 0
    if not known.any():
        return 0.0, 1.0
    share = np.where(known, between / np.where(known, total, 1), 0)
    best = float(min(share.max(), 1 - 1e-12))
    ratio = best / (groups - 1) / ((1 - best) / (rows - groups))
    chance = (groups - 1) / (rows - 1)
    return max(0.0, (best - chance) / (1 - chance)), float(
        min(1.0, known.sum() * f.sf(ratio, groups - 1, rows - groups))
    )


def _shown(given: np.ndarray, sizes: list[int], are_classes: bool) -> tuple[str, ...]:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    lines = []
    for number in (0, len(sizes) // 2, len(sizes) - 1):
        part = given[starts[number] : starts[number + 1]]
        names, counts = np.unique(part, return_counts=True)
        classes = ", ".join(f"{count} of {name}" for name, count in zip(names[:6], counts, strict=False))
        lines.append(f"batch {number}: {classes if are_classes else f'mean {part.mean():.3g} ± {part.std():.3g}'}")
    return tuple(lines)


def _suspicion(subject: Subject, compared: str, evidence: tuple[str, ...]) -> Suspicion:
    message = f"batches follow the order of the rows: {compared}."
    advice = "Shuffle the rows anew in each epoch before batching: rng.permutation(len(x))."
    finding = Finding("unshuffled-data", "warning", message, advice, Split("train"), "batches", evidence, 0.9)
    return Suspicion(finding, (Repair("batches shuffled", shuffled_batches),))


def shuffled_batches(subject: Subject) -> Subject:
    """Returns the program with the rows of its own batches in a random order, in batches of the same sizes."""

    def batches(epoch: int) -> Iterator[Batch]:
        given = list(subject.batches_of(epoch))
        sizes = [len(jax.tree.leaves(batch.inputs)[0]) for batch in given]
        order = np.random.default_rng([subject.seed, epoch, 7]).permutation(sum(sizes))
        whole = jax.tree.map(lambda *leaves: np.concatenate(leaves)[order], *given)
        start = 0
        for size in sizes:
            yield jax.tree.map(lambda leaf: leaf[start : start + size], whole)  # noqa: B023
            start += size

    return subject.changed(batches_of=batches)


PROBES = (Probe("order of the batches", ("unshuffled-data",), look),)
