"""Whether labels belong to the rows beside them: rows that are alike should have answers that are alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._nearest import Nearest, agreement, correlation, nearest
from verax.doctor.probes._tables import answers
from verax.findings import Finding, Split

LAGS = 64  # rows by which labels may have slipped
CHANCE = 3.0  # standard errors: a signal below is none (1 in 700)
SIGNAL = 6.0  # standard errors: a signal above is one, whatever else was looked at
EFFECT = 0.15  # of what perfect agreement would be: a signal that a network could live on
SHARED = 0.7  # of the agreement within the held-out rows, that the splits have once classes are renumbered
FEWEST = 30  # rows of a split


class Signal(NamedTuple):
    """How far the nearest rows have a row's own answer.

    Attributes:
      effect: 0 for chance, 1 if all do; the correlation, for numbers.
      errors: the same in standard errors under chance.
    """

    effect: float
    errors: float


def look(subject: Subject) -> Seen:
    """Returns whether answers of a split are at chance among alike rows, while they are not in the other split, or
    would not be if they were moved by some rows."""
    splits: list[str] = ["train", *([subject.held_out] if subject.held_out else [])]
    splits += ["read"] if subject.own_batches else []
    signals, best = {}, {}
    for split in splits:
        own, are_classes = answers(subject, split)
        if len(own) < FEWEST or own.std() == 0:
            continue
        found = nearest(subject, (split, split))
        signals[split] = signal(found, own, are_classes)
        best[split] = _best_lag(found, own, are_classes)
    if "train" not in signals:
        raise NotApplicable(f"fewer than {FEWEST} rows, or one answer for all.")
    compared = "; ".join(
        f"{_named(split)}: {each.effect:.2f} ({each.errors:.1f} s.e.)" for split, each in signals.items()
    )
    findings = []
    for split, each in signals.items():
        lag, moved = best[split]
        slipped = moved.errors > SIGNAL and moved.effect > EFFECT and moved.effect > 2 * abs(each.effect)
        others = [name for name in signals if name != split and signals[name].errors > SIGNAL]
        strong = [name for name in others if signals[name].effect > EFFECT]
        at_chance = each.errors < CHANCE and each.effect < max((signals[name].effect for name in strong), default=0) / 3
        if not slipped and not (at_chance and strong):
            continue
        if findings and (split == "read" or slipped):
            continue  # both splits slipped before they were parted; a reader passes on what it is given
        findings.append(_finding(split, each, (lag, moved) if slipped else None, signals))
    return Seen(f"agreement of the nearest rows beyond chance: {compared}", tuple(findings))


def _finding(split: str, each: Signal, slip: tuple[int, Signal] | None, signals: dict[str, Signal]) -> Finding:
    name = _named(split)
    message = f"labels of {name} say nothing about their inputs: nearest rows agree by {each.effect:.2f} beyond chance"
    evidence = tuple(
        f"{_named(other)}: {known.effect:.2f} beyond chance, {known.errors:.1f} standard errors"
        for other, known in signals.items()
    )
    if slip:
        lag, moved = slip
        message += f", by {moved.effect:.2f} if the labels are moved by {lag:+d} row{'s' if abs(lag) > 1 else ''}."
        advice = f"Move them back, y = np.roll(y, {lag}), and look for the header or the shift that one file has."
        evidence += (f"moved by {lag:+d}: {moved.errors:.1f} standard errors",)
    else:
        other = max((other for other in signals if other != split), key=lambda other: signals[other].errors)
        message += f", those of {_named(other)} by {signals[other].effect:.2f}."
        advice = "Shuffle inputs and labels by one and the same permutation, and join them by a key."
    where = Split("train" if split == "read" else split)
    part = "batches" if split == "read" else "data"
    return Finding("label-misalignment", "error", message, advice, where, part, evidence, 0.97)


def _named(split: str) -> str:
    return "the batches" if split == "read" else split


def signal(found: Nearest, own: np.ndarray, are_classes: bool, others: np.ndarray | None = None) -> Signal:
    """Returns how far the nearest rows agree.

    Under chance the mean over n rows with k neighbours each, of which some are mutual, has at most the variance of a
    mean over n k / 2 pairs: each pair counts twice at most.
    """
    others = own if others is None else others
    pairs = found.indices[:, :5].size / 2
    if not are_classes:
        value = correlation(found, _ranks(own), _ranks(others))
        return Signal(value, value * np.sqrt(len(found.rows)))
    shares = np.unique(others, return_counts=True)[1] / len(others)
    chance = float(np.square(shares).sum())
    if chance >= 1:
        return Signal(0.0, 0.0)
    over = agreement(found, own, others) - chance
    return Signal(over / (1 - chance), over / np.sqrt(chance * (1 - chance) / pairs))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Returns the ranks of numbers: a few that are far off say no more than others."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def _best_lag(found: Nearest, own: np.ndarray, are_classes: bool) -> tuple[int, Signal]:
    """Returns by how many rows labels must be rolled to agree best, and how well they do then."""
    lags = [lag for lag in range(-LAGS, LAGS + 1) if lag and abs(lag) < len(own) // 2]
    signals = {lag: signal(found, np.roll(own, lag), are_classes) for lag in lags}
    best: int = max(signals, key=lambda lag: (signals[lag].errors, -abs(lag)))
    return best, signals[best]


def look_across(subject: Subject) -> Seen:
    """Returns whether the classes of the splits have other numbers: rows agree once the numbers are exchanged."""
    from scipy.optimize import linear_sum_assignment

    if not subject.held_out:
        raise NotApplicable("there is no held-out split.")
    own, are_classes = answers(subject, subject.held_out)
    others, _ = answers(subject, "read")
    if not are_classes or min(len(own), len(others)) < FEWEST:
        raise NotApplicable(f"answers are no classes, or a split has fewer than {FEWEST} rows.")
    found = nearest(subject, (subject.held_out, "read"))
    names, places = np.unique(np.concatenate([own, others]), return_inverse=True)
    mine, theirs = places[: len(own)][found.rows], places[len(own) :][found.indices[:, :5]]
    table = np.zeros((len(names), len(names)))
    np.add.at(table, (np.repeat(mine, theirs.shape[1]), theirs.ravel()), 1)
    as_given = float(np.trace(table) / table.sum())
    rows, columns = linear_sum_assignment(-table)
    exchanged = float(table[rows, columns].sum() / table.sum())
    largest = max(np.bincount(places[: len(own)]).max() / len(own), np.bincount(places[len(own) :]).max() / len(others))
    compared = (
        f"nearest training rows have the class of {as_given:.0%} of the held-out rows, {exchanged:.0%} if renumbered"
    )
    within = agreement(nearest(subject, (subject.held_out, subject.held_out)), own, own)
    if exchanged < max(largest + EFFECT, SHARED * within) or as_given > exchanged / 2:
        return Seen(compared)
    moved = [f"{names[a]} is {names[b]}" for a, b in zip(rows, columns, strict=True) if a != b and table[a].sum()]
    message = f"classes of {subject.held_out} are numbered otherwise than in training: {compared}."
    advice = "Fit the label encoder once, on the training labels, and use it for all splits."
    evidence = (f"{subject.held_out} {', '.join(moved[:6])} of train",)
    where = Split(subject.held_out)
    finding = Finding("label-encoding-mismatch", "error", message, advice, where, "data", evidence, 0.95)
    return Seen(compared, (finding,))


PROBES = (
    Probe("labels beside their rows", ("label-misalignment",), look),
    Probe("numbers of the classes", ("label-encoding-mismatch",), look_across),
)
