"""Training and held-out inputs of different laws; where the difference is a transform, that transform by name."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Bool, Float

from verax.data import Examples, epoch_order
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._changes import with_train_rows
from verax.doctor.probes._extreme_values import by_column
from verax.doctor.probes._scales import SPARSE
from verax.doctor.probes._tables import Table, table
from verax.doctor.probes._transforms import EXACT, Transform, found_transform
from verax.findings import Finding, Split
from verax.trees import Tree

FEWEST = 30  # rows of a split: of fewer, a column's mean and deviation say little
ROWS = 3000  # of each split that are told apart
AREA = 0.75  # under the curve of a classifier that tells the splits apart (deepchecks warns from there)
RATE = 1e-3  # false discoveries among the columns that differ (Benjamini and Hochberg)
AFFECTED = 0.5  # of the outputs' spread by which they move when the transform is undone


def look(subject: Subject) -> Seen:
    """Returns whether held-out inputs went through another transform, or follow another law."""
    if not subject.held_out:
        raise NotApplicable("there is no held-out split.")
    train, held = table(subject, "read"), table(subject, subject.held_out)
    if min(len(train.values), len(held.values)) < FEWEST:
        raise NotApplicable(f"a split has fewer than {FEWEST} rows.")
    if train.values.shape[1] != held.values.shape[1]:
        raise NotApplicable("an example of the splits has not the same shape.")
    if not (np.isfinite(train.values).all() and np.isfinite(held.values).all()):
        raise NotApplicable("some inputs are not finite.")
    findings = tuple(_fitted_on_all(train, held))
    varied = (np.ptp(train.values, axis=0) > 0) & ~_is_sparse(train.values)
    transform = found_transform(train, held, varied)
    if transform and (moved := _moved(subject, train, transform)) > AFFECTED:
        finding = _mismatch(subject, train, held, varied, transform, moved)
        return Seen(f"splits differ by a transform: {transform.name}", (*findings, finding))
    columns, said = _differing(train, held, np.ptp(train.values, axis=0) > 0)
    if not columns.size or transform:
        return Seen(said, findings)
    area = _told_apart(train, held)
    compared = f"{said}; a classifier tells the splits apart with an area of {area:.2f} under its curve"
    if area < AREA:
        return Seen(compared, findings)
    names = ", ".join(f"{train.name(c)} {_of(train, c)} against {_of(held, c)}" for c in columns[:3])
    message = (
        f"inputs of {subject.held_out} follow another law than those of train: a classifier tells them apart with "
    )
    message += f"an area of {area:.2f} under its curve."
    advice = (
        "Draw the splits from the same rows, collect or weight rows like those to be predicted, or say whom it is for."
    )
    evidence = (said, f"most different: {names}")
    where = Split(subject.held_out, None, train.name(columns[0]))
    finding = Finding("distribution-shift", "warning", message, advice, where, "data", evidence, 0.85)
    return Seen(compared, findings, (Suspicion(finding, (Repair("rows of both splits drawn anew", drawn_anew),)),))


def _is_sparse(values: Float[np.ndarray, "rows columns"]) -> Bool[np.ndarray, " columns"]:
    return (values == np.median(values, axis=0)).mean(axis=0) > SPARSE


def _of(whole: Table, column: int | np.integer) -> str:
    values = whole.values[:, column]
    return f"{values.mean():.3g} ± {values.std():.3g}"


def undone(train: Table, transform: Transform) -> Callable[[Tree], Tree]:
    """Returns the change of held-out inputs that brings them to the columns of training."""

    def change(column: int, values: np.ndarray) -> np.ndarray:
        return values * transform.factor[column] + transform.offset[column]

    return by_column(train, set(range(train.values.shape[1])), change)


def _moved(subject: Subject, train: Table, transform: Transform) -> float:
    """Returns by how much the first outputs change when the transform is undone, in their spread.

    A network that normalises its inputs itself may not mind.
    """
    probe = subject.held_probe
    assert probe is not None
    inputs = jax.tree.map(np.asarray, probe.inputs)
    key = subject.noise(0)
    given, mended = (
        np.concatenate(
            [np.asarray(leaf, np.float64).reshape(len(leaf), -1) for leaf in jax.tree.leaves(outputs)], axis=1
        )
        for outputs in (
            subject.evaluated(subject.variables, each, key) for each in (inputs, undone(train, transform)(inputs))
        )
    )
    spread = mended.std(axis=0)
    return float((np.abs(given - mended).mean(axis=0) / np.maximum(spread, 1e-12)).max()) if (spread > 0).any() else 1.0


def _mismatch(
    subject: Subject, train: Table, held: Table, varied: np.ndarray, transform: Transform, moved: float
) -> Finding:
    assert subject.held_out is not None
    columns = np.flatnonzero(varied)[:3]
    evidence = [f"column {train.name(c)}: train {_of(train, c)}, {subject.held_out} {_of(held, c)}" for c in columns]
    before, after = _distance(train, held, varied), _distance(train, held, varied, transform)
    evidence.append(
        f"median Kolmogorov-Smirnov distance {before:.2f} as they are, {after:.2f} with the transform undone"
    )
    evidence.append(f"undoing it moves the first outputs by {moved:.2g} of their spread")
    message = f"inputs of train and {subject.held_out} went through different transforms: {transform.name}."
    advice = "Fit the transform on the training rows, and apply that same object to all splits and at serving."
    part = "batches" if subject.own_batches and _is_of_the_reader(subject, held, varied) else "data"
    where = Split(subject.held_out)
    return Finding("train-test-preprocessing-mismatch", "error", message, advice, where, part, tuple(evidence), 0.97)


def _is_of_the_reader(subject: Subject, held: Table, varied: np.ndarray) -> bool:
    """Returns whether the splits are alike before the reader has the training rows."""
    return found_transform(table(subject, "train"), held, varied) is None


def _distance(train: Table, held: Table, varied: np.ndarray, transform: Transform | None = None) -> float:
    from scipy.stats import ks_2samp

    columns = np.flatnonzero(varied)[:100]
    values = held.values[:ROWS] if transform is None else held.values[:ROWS] * transform.factor + transform.offset
    return float(np.median([ks_2samp(train.values[:ROWS, c], values[:, c], method="asymp").statistic for c in columns]))


def _differing(train: Table, held: Table, varied: np.ndarray) -> tuple[np.ndarray, str]:
    """Returns the columns of which the splits have different laws, the most different first."""
    from scipy.stats import ks_2samp

    one, other = _sample(train), _sample(held)
    tests = [ks_2samp(one[:, column], other[:, column], method="asymp") for column in range(one.shape[1])]
    values = np.where(varied, [test.pvalue for test in tests], 1.0)
    order = np.argsort(values)
    passed = values[order] <= RATE * np.arange(1, len(values) + 1) / len(values)
    count = int(np.flatnonzero(passed).max()) + 1 if passed.any() else 0
    columns = order[:count]
    columns = columns[np.argsort([-tests[column].statistic for column in columns])] if count else columns
    return columns, f"{count} of {len(values)} columns differ between the splits (rate of false discoveries {RATE:g})"


def _sample(whole: Table) -> np.ndarray:
    order = epoch_order(len(whole.values), seed=3, epoch=0)[
        : min(ROWS, max(FEWEST, 2_000_000 // whole.values.shape[1]))
    ]
    return whole.values[order]


def _told_apart(train: Table, held: Table) -> float:
    """Returns the area under the curve of a linear classifier that tells the splits apart, on rows it has not seen."""
    from sklearn.metrics import roc_auc_score

    one, other = _sample(train), _sample(held)
    size = min(len(one), len(other))
    values = np.concatenate([one[:size], other[:size]])
    values = (
        np.argsort(np.argsort(values, axis=0), axis=0) / len(values) - 0.5
    )  # ranks: the tails of the law matter not
    label = np.repeat([0.0, 1.0], size)
    values = np.concatenate([values, np.square(values)], axis=1)  # other spreads, not only other places
    fold = np.arange(len(label)) % 2
    scores = np.empty(len(label))
    for part in (0, 1):
        design, wanted = values[fold != part], label[fold != part] - 0.5
        design = design - design.mean(axis=0)
        penalty = 0.01 * len(design) * np.eye(design.shape[1]) * np.square(design).mean()
        weights = np.linalg.solve(design.T @ design + penalty, design.T @ wanted)
        scores[fold == part] = values[fold == part] @ weights
    return float(np.mean([roc_auc_score(label[fold == part], scores[fold == part]) for part in (0, 1)]))


def drawn_anew(subject: Subject) -> Subject:
    """Returns the program with its training and held-out rows put together and split at random, in the old sizes."""
    assert subject.held_out is not None
    train, held = subject.train, subject.splits[subject.held_out]
    both = jax.tree.map(lambda one, other: np.concatenate([one, other]), tuple(train), tuple(held))
    order = epoch_order(train.size + held.size, seed=subject.seed, epoch=0)
    first, second = order[: train.size], order[train.size :]
    splits = {**subject.splits, subject.held_out: Examples(*jax.tree.map(lambda leaf: leaf[second], both))}
    whole = subject.changed(splits={**splits, "train": Examples(*both)})
    return with_train_rows(whole, first)


def _fitted_on_all(train: Table, held: Table) -> list[Finding]:
    """Returns a remark where the columns of all splits together are standardised, and those of training are not."""
    both = np.concatenate([train.values, held.values])
    if both.shape[1] < 2 or not _is_standard(both) or _is_standard(train.values):
        return []
    message = (
        "columns of train and test together have mean 0 and deviation 1: their scaler was fitted on test rows too."
    )
    advice = "Fit scalers on the training rows only."
    worst = float(np.abs(train.values.mean(axis=0)).max())
    evidence = (
        f"means of the training columns are up to {worst:.3g}, those of all rows {np.abs(both.mean(axis=0)).max():.1g}",
    )
    return [Finding("preprocessing-fit-on-test", "info", message, advice, Split("train"), "data", evidence, 1.0)]


def _is_standard(values: np.ndarray) -> bool:
    varied = values[:, np.ptp(values, axis=0) > 0]
    near = (np.abs(varied.mean(axis=0)) < 1e-4).all() and (np.abs(varied.std(axis=0) - 1) < EXACT).all()
    return bool(varied.size and near)


PROBES = (
    Probe(
        "laws of the splits",
        ("train-test-preprocessing-mismatch", "distribution-shift", "preprocessing-fit-on-test"),
        look,
    ),
)
