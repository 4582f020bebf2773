"""An input column that holds the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from verax.data import epoch_order
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._tables import answers, standard_tables
from verax.findings import Finding, Split

ROWS = 2000
COLUMNS = 300  # of a table; pictures and long texts are not looked at by column
FEWEST = 50
TRIED = 3  # columns that alone say most
ALONE = 0.97  # score of one column: balanced accuracy, or the share of the variance
LACKING = 0.1  # by which the other columns together score less
CARRYING = 0.1  # over chance, by which they score: in a law of one column the others carry nothing


def look(subject: Subject) -> Seen:
    """Returns a column that alone gives the answer almost perfectly, while all others together do not.

    A law of one column, such as a threshold or a straight line, looks alike; but then the others carry nothing of the
    answer. Where they carry a part of it, as the columns of an honest task do, one that carries all is made from it.
    """
    given, are_classes = answers(subject, "read")
    table, _ = standard_tables(subject, "train")
    values, columns = table.values, table.values.shape[1]
    if not 2 <= columns <= COLUMNS or len(values) < FEWEST:
        raise NotApplicable(f"inputs are no table of 2 to {COLUMNS} columns with {FEWEST} rows.")
    order = epoch_order(len(values), seed=4, epoch=0)[:ROWS]
    values, wanted = values[order], given[table.rows][order]
    kinds = len(np.unique(wanted))
    if kinds < 2:
        raise NotApplicable("all answers are the same.")
    first = _first_look(values, wanted, are_classes)
    best = max(np.argsort(first)[::-1][:TRIED], key=lambda column: _score(values[:, [column]], wanted, are_classes))
    alone = _score(values[:, [best]], wanted, are_classes)
    compared = f"column {table.name(best)} alone scores {alone:.3f}"
    if alone < ALONE:
        return Seen(compared)
    rest = np.delete(values, best, axis=1)
    others = max(_score(rest, wanted, are_classes), _linear_score(rest, wanted, are_classes))
    compared += f", all others together {others:.3f}"
    if others > alone - LACKING:
        return Seen(compared)
    chance = 1 / kinds if are_classes else 0.0
    if others < chance + CARRYING * (1 - chance) or not (are_classes or _is_monotone(values[:, best], wanted)):
        return Seen(f"{compared}: a law of that column")
    measure = "balanced accuracy" if are_classes else "share of the variance"
    message = (
        f"input column {table.name(best)} holds the answer: alone it gives it with a {measure} of {alone:.3f}, all "
    )
    message += f"others together with {others:.3f}."
    advice = f"Ask when column {table.name(best)} is known; if it is made from the target or after it, drop it."
    evidence = (compared, f"chance scores {chance:.3f}")
    where = Split("train", None, table.name(best))
    finding = Finding("target-leakage", "warning", message, advice, where, "data", evidence, 0.85)
    return Seen(compared, (finding,))


def _first_look(values: Float[np.ndarray, "rows columns"], wanted: np.ndarray, are_classes: bool) -> np.ndarray:
    """Returns how much each column says of the answer, coarsely: the share of variance between bins of its ranks."""
    scores = np.zeros(values.shape[1])
    targets = (wanted[:, None] == np.unique(wanted)).astype(float) if are_classes else wanted[:, None].astype(float)
    targets = (targets - targets.mean(axis=0)) / np.maximum(targets.std(axis=0), 1e-30)
    for column in range(values.shape[1]):
        edges = np.unique(np.quantile(values[:, column], np.linspace(0, 1, 33)))
        bins = np.searchsorted(edges, values[:, column])
        counts = np.bincount(bins)
        for target in targets.T:
            sums = np.bincount(bins, weights=target)
            scores[column] += float((np.square(sums) / np.maximum(counts, 1)).sum())
    return scores


def _score(values: np.ndarray, wanted: np.ndarray, are_classes: bool) -> float:
    """Returns what a small tree scores on rows it has not seen."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if values.shape[1] == 1:
        kind: Any = DecisionTreeClassifier if are_classes else DecisionTreeRegressor
        model = kind(min_samples_leaf=3, random_state=0)
    else:
        kind = RandomForestClassifier if are_classes else RandomForestRegressor
        model = kind(n_estimators=30, min_samples_leaf=3, random_state=0, max_samples=0.7)
    return _cross_validated(model, values, wanted, are_classes)


def _linear_score(values: np.ndarray, wanted: np.ndarray, are_classes: bool) -> float:
    from sklearn.linear_model import Ridge, RidgeClassifier

    model = RidgeClassifier(class_weight="balanced") if are_classes else Ridge()
    return _cross_validated(model, values, wanted, are_classes)


def _cross_validated(model: Any, values: np.ndarray, wanted: np.ndarray, are_classes: bool) -> float:
    fold = np.arange(len(wanted)) % 3  # the rows are in random order
    predicted = np.empty(len(wanted), wanted.dtype if are_classes else np.float64)
    for part in range(3):
        predicted[fold == part] = model.fit(values[fold != part], wanted[fold != part]).predict(values[fold == part])
    if are_classes:
        return float(np.mean([np.mean(predicted[wanted == name] == name) for name in np.unique(wanted)]))
    return 1 - float(np.square(predicted - wanted).mean() / wanted.var())


def _is_monotone(column: np.ndarray, wanted: np.ndarray) -> bool:
    from scipy.stats import spearmanr

    return bool(spearmanr(column, wanted).statistic ** 2 > ALONE - LACKING)


PROBES = (Probe("columns that hold the answer", ("target-leakage",), look),)
