"""Wrong labels: predicted from the other rows, by the nearest ones and by a linear model, labels of training rows fail
where those of the held-out rows do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._nearest import Nearest, nearest
from verax.doctor.probes._tables import answers, standard_tables
from verax.findings import Finding, Split

VOTERS = 15
SHARE = 0.1  # of the labels; fewer a network outvotes by itself
SURE = 4.0  # standard errors between the splits
FEWEST = 50  # rows of a split
CLASSES = 4  # below, wrong labels cannot be seen to be spread over all other classes
EVEN = 0.85  # of the largest entropy that wrong labels can have; few labels have less than 1 by chance
FLAT = 0.8  # of the errors that remain among the surest quarter; honest overlap leaves few
PLENTY = 30  # errors among them
MOST = 0.5  # wrong labels beyond which neighbours may say as little as labels do
LEAST = 1.4  # times the squared error of the held-out rows
BEYOND = 0.06  # of the training targets further off than all but 2 % of the held-out ones: a wrong number may be near
COLUMNS = 500  # of the linear model


class Predicted(NamedTuple):
    """Answers of rows as predicted from the others.

    Attributes:
      model: which.
      train: of the training rows, each left out of its own prediction.
      held: of the held-out rows.
    """

    model: str
    train: np.ndarray
    held: np.ndarray


def look(subject: Subject) -> Seen:
    """Returns whether a large share of the training labels is wrong.

    Classes that overlap, and honest noise, are alike in both splits: then rows are predicted equally well in both.
    """
    own, are_classes = answers(subject, "read")
    if len(own) < FEWEST or own.std() == 0:
        raise NotApplicable(f"fewer than {FEWEST} training rows, or one answer for all.")
    within = nearest(subject, ("read", "read"))
    if are_classes and (found := _spread_over_classes(subject, within, own)):
        return found
    if not subject.held_out:
        raise NotApplicable("there is no held-out split to compare with.")
    held, _ = answers(subject, subject.held_out)
    across = nearest(subject, (subject.held_out, "read"))
    fresh = across.distances[:, 0] >= 0.2 * np.median(within.distances[:, 0])  # a copy of a training row is no test
    if fresh.sum() < FEWEST or held.std() == 0:
        raise NotApplicable(f"fewer than {FEWEST} held-out rows that are new.")
    models = list(_predictions(subject, within, across, own, are_classes))
    compare = _compare_classes if are_classes else _compare_numbers
    said, finding = compare(models, own[within.rows], held[across.rows], fresh)
    return Seen(said, (finding,) if finding else ())


def _predictions(
    subject: Subject, within: Nearest, across: Nearest, own: np.ndarray, are_classes: bool
) -> Iterator[Predicted]:
    """Yields what each cheap model predicts."""
    names = np.unique(own)
    votes = [own[found.indices[:, :VOTERS]] for found in (within, across)]
    if are_classes:
        nearest_ones = [names[(each[:, :, None] == names).sum(axis=1).argmax(axis=1)] for each in votes]
        wanted = (own[within.rows, None] == names).astype(np.float64)
    else:
        nearest_ones, wanted = [each.mean(axis=1) for each in votes], own[within.rows, None].astype(np.float64)
    yield Predicted("nearest rows", *nearest_ones)
    assert subject.held_out is not None
    train, held = standard_tables(subject, subject.held_out)
    if train.values.shape[1] > min(COLUMNS, len(within.rows) // 2):
        return
    given, asked = (
        table.values[np.searchsorted(table.rows, found.rows)] for table, found in ((train, within), (held, across))
    )
    left_out, predicted = _linear(given, wanted, asked)
    if are_classes:
        yield Predicted("linear model", names[left_out.argmax(axis=1)], names[predicted.argmax(axis=1)])
    else:
        yield Predicted("linear model", left_out[:, 0], predicted[:, 0])


def _linear(
    given: Float[np.ndarray, "rows columns"], wanted: Float[np.ndarray, "rows outputs"], asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns predictions of a ridge regression for its own rows, each left out in turn, and for others."""
    middle = wanted.mean(axis=0)
    design = np.concatenate([given, np.ones((len(given), 1))], axis=1)
    inverse = np.linalg.inv(design.T @ design + 0.01 * len(given) * np.eye(design.shape[1]))
    weights = inverse @ (design.T @ (wanted - middle))
    lever = np.einsum("ij,jk,ik->i", design, inverse, design)[:, None]
    left_out = (design @ weights - lever * (wanted - middle)) / (1 - lever)
    return left_out + middle, np.concatenate([asked, np.ones((len(asked), 1))], axis=1) @ weights + middle


def _compare_classes(
    models: list[Predicted], own: np.ndarray, held: np.ndarray, fresh: Bool[np.ndarray, " held"]
) -> tuple[str, Finding | None]:
    right = [((each.train == own).mean(), (each.held == held)[fresh].mean(), each) for each in models]
    train, other, model = max(right, key=lambda each: each[1])
    said = f"{model.model} predict {train:.1%} of the training labels, {other:.1%} of the held-out ones"
    majority = max(np.mean(held == name) for name in np.unique(held))
    pooled = (train * len(own) + other * fresh.sum()) / (len(own) + fresh.sum())
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(own) + 1 / fresh.sum()))
    classes = len(np.unique(own))
    chance = 1 / classes
    share = (other - train) / max(other - chance * (1 - other), 1e-9) if other > chance else 0.0
    if other < majority or share < SHARE or other - train < SHARE / 2 or (other - train) / error < SURE:
        return said, None
    doubtful = np.flatnonzero(model.train != own)[:10]
    evidence = (said, f"first rows in doubt: {', '.join(map(str, doubtful))}")
    return said, _finding(float(share), said, evidence, 0.9)


def _compare_numbers(
    models: list[Predicted], own: np.ndarray, held: np.ndarray, fresh: Bool[np.ndarray, " held"]
) -> tuple[str, Finding | None]:
    errors = [(np.square(each.train - own).mean(), np.square(each.held - held)[fresh].mean(), each) for each in models]
    train, other, model = min(errors, key=lambda each: each[1])
    said = f"{model.model} predict training targets to {np.sqrt(train):.3g}, held-out ones to {np.sqrt(other):.3g}"
    if other >= 0.9 * held.var() or train < LEAST * other:
        return said, None
    # A tail of the law has large errors in both splits; the share of training rows beyond nearly all held-out errors.
    limit = np.quantile(np.abs(model.held - held)[fresh], 0.98)
    share = float((np.abs(model.train - own) > limit).mean())
    error = np.sqrt(0.02 * 0.98 * (1 / len(own) + 1 / fresh.sum()))
    if share < BEYOND or (share - 0.02) / error < SURE:
        return said, None
    evidence = (said, f"errors beyond {limit:.3g}: {share:.0%} of the training rows, 2 % of the held-out ones")
    return said, _finding(share, said, evidence, 0.85)


def _finding(share: float, said: str, evidence: tuple[str, ...], confidence: float) -> Finding:
    message = f"about {share:.0%} of the training labels are wrong, or more: {said}."
    advice = "Relabel or drop the rows in doubt; failing that, use a robust loss and stop early."
    return Finding("label-noise", "warning", message, advice, Split("train"), "data", evidence, confidence)


def _spread_over_classes(subject: Subject, within: Nearest, own: np.ndarray) -> Seen | None:
    """Returns a finding where labels contradict their neighbours as random ones do, in every region alike.

    Classes that overlap are taken for one another, and seldom where neighbours are of one mind; labels drawn at random
    are spread evenly over all other classes, and no region is spared. With few classes, or one predictor that is bad
    everywhere, the two cannot be told apart.
    """
    names = np.unique(own)
    if len(names) < CLASSES:
        return None
    votes = (own[within.indices[:, :VOTERS]][:, :, None] == names).sum(axis=1)
    top = np.sort(votes, axis=1)
    margin, voted = top[:, -1] - top[:, -2], names[votes.argmax(axis=1)]
    mine = own[within.rows]
    wrong = voted != mine
    surest = margin >= np.quantile(margin, 0.75)
    among = wrong[surest]
    if among.sum() < PLENTY or among.mean() < SHARE or among.mean() < FLAT * wrong.mean() or wrong.mean() > MOST:
        return None
    spread = _evenness(mine[wrong], voted[wrong], names)
    if spread < EVEN:
        return None
    best = _best_error(subject, within, mine)
    if best < FLAT * wrong.mean():
        return None  # another model tells these labels: neighbours do not
    said = f"nearest rows of one mind contradict {among.mean():.1%} of the training labels"
    evidence = (
        said,
        f"wrong labels are spread over the classes with {spread:.0%} of the largest entropy",
        f"a forest on other rows contradicts {best:.1%}",
    )
    return Seen(said, (_finding(float(wrong.mean()), said, evidence, 0.85),))


def _evenness(given: np.ndarray, voted: np.ndarray, names: np.ndarray) -> float:
    """Returns the entropy of wrong labels among the other classes, over its largest value: the mean over classes."""
    values = []
    for name in names:
        counts = np.array([np.sum(given[voted == name] == other) for other in names if other != name])
        if counts.sum() >= 2 * len(counts):
            shares = counts[counts > 0] / counts.sum()
            values.append(-float((shares * np.log(shares)).sum()) / np.log(len(counts)))
    return float(np.mean(values)) if len(values) >= len(names) / 2 else 0.0


def _best_error(subject: Subject, within: Nearest, own: np.ndarray) -> float:
    """Returns the share of labels that a forest contradicts, on rows it has not seen."""
    from sklearn.ensemble import RandomForestClassifier

    train, _ = standard_tables(subject, "read")
    values = train.values[np.searchsorted(train.rows, within.rows)]
    fold = np.random.default_rng(0).permutation(len(own)) % 3
    predicted = np.empty_like(own)
    for part in range(3):
        forest = RandomForestClassifier(50, min_samples_leaf=2, random_state=0)
        predicted[fold == part] = forest.fit(values[fold != part], own[fold != part]).predict(values[fold == part])
    return float((predicted != own).mean())


PROBES = (Probe("wrong labels", ("label-noise",), look),)
