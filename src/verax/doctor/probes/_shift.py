"""Training and held-out inputs of different laws; where the difference is a transform, that transform by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from verax.data import Examples, epoch_order
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._changes import with_train_rows
from verax.doctor.probes._extreme_values import by_column
from verax.doctor.probes._scales import SPARSE
from verax.doctor.probes._tables import Table, table, without_extremes
from verax.findings import Finding, Split
from verax.trees import Tree

FEWEST = 30  # rows of a split: of fewer, a column's mean and deviation say little
ROWS = 3000  # of each split that are told apart
AREA = 0.75  # under the curve of a classifier that tells the splits apart (deepchecks warns from there)
RATE = 1e-3  # false discoveries among the columns that differ (Benjamini and Hochberg)
NEARLY_ALL = 0.8  # of the columns
FACTOR = 2.0  # of a column's deviation in the splits: a sample of 30 has 1.3 at most, nearly always
OFFSET = 3.0  # deviations by which a column's mean is off
AFFECTED = 0.5  # of the outputs' spread by which they move when the transform is undone
MOST = 0.6  # of the columns must differ as they are, for one line to be looked for that maps all,
LEFT = 0.1  # and no more than these with it
CLOSE = 0.05  # to a mean of 0 and a deviation of 1, or to 0 and 1 for the ends
EXACT = 1e-3


class Transform(NamedTuple):
    """How held-out columns are brought to those of training: `x * factor + offset`.

    Attributes:
      name: in words.
      factor: of each column.
      offset: likewise.
    """

    name: str
    factor: Float[np.ndarray, " columns"]
    offset: Float[np.ndarray, " columns"]


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


def found_transform(train: Table, held: Table, varied: Bool[np.ndarray, " columns"]) -> Transform | None:
    """Returns the transform that sets the splits apart, None if there is none.

    It is one and the same for all columns, or a scaler that one of the splits went through and the other did not.
    """
    if not varied.any():
        return None
    one, other = without_extremes(train.values[:, varied]), without_extremes(held.values[:, varied])
    wide, narrow = one.std(axis=0), other.std(axis=0)
    if (narrow == 0).all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(narrow > 0, wide / narrow, 1.0)
    off = np.abs(other.mean(axis=0) - one.mean(axis=0)) > OFFSET * np.maximum(wide, narrow)
    scaled = (factor > FACTOR) | (factor < 1 / FACTOR)
    if (off | scaled).mean() < NEARLY_ALL:
        return _one_map(train, held, varied)
    name = _scalers(one, other)
    constant = _constant_factor(one, other)
    size = train.values.shape[1]
    if constant and name.count(" are ") < 2:
        return Transform(f"a factor of {constant:.4g}", np.full(size, constant), np.zeros(size))
    if not name and train.is_of_one_kind:
        return None
    factors, offsets = np.ones(size), np.zeros(size)
    factors[varied] = factor
    offsets[varied] = one.mean(axis=0) - factor * other.mean(axis=0)
    return Transform(name or "another scale and origin of nearly every column", factors, offsets)


def _one_map(train: Table, held: Table, varied: Bool[np.ndarray, " columns"]) -> Transform | None:
    """Returns the one line that brings all columns of a split to those of the other, where they differ without it."""
    one, other = train.values[:, varied], held.values[:, varied]
    before = _differ(one, other)
    if before < MOST or one.shape[1] < 3:
        return None
    size = train.values.shape[1]
    for factor, offset in _lines(one, other):
        if _differ(one, other * factor + offset) <= LEFT:
            name = f"x becomes {factor:.3g} x {offset:+.3g}"
            return Transform(name, np.full(size, factor), np.full(size, offset))
    return None


def _lines(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yields lines that map the ends, or the means and deviations, of all columns together; upside down too."""
    reach = np.ptp(one) / np.ptp(other)  # exact for pixels, which have few levels
    yield reach, one.min() - reach * other.min()
    yield -reach, one.max() + reach * other.min()
    for sign in (1, -1):
        factor = sign * _common(one.std(axis=0) / np.maximum(other.std(axis=0), 1e-30))
        yield factor, _common(one.mean(axis=0) - factor * other.mean(axis=0))


def _common(values: Float[np.ndarray, " columns"]) -> float:
    return float(np.median(values))


def _differ(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the share of columns with other laws."""
    from scipy.stats import ks_2samp

    columns = range(min(one.shape[1], 100))
    tests = [ks_2samp(one[:ROWS, column], other[:ROWS, column], method="asymp").pvalue for column in columns]
    return float((np.array(tests) < RATE).mean())


def _constant_factor(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the one factor that brings the columns of a split to those of the other; 0 if there is none."""
    sizes = np.sqrt(np.square(one).mean(axis=0)), np.sqrt(np.square(other).mean(axis=0))
    known = (sizes[0] > 0) & (sizes[1] > 0)
    if not known.any():
        return 0.0
    ratios = sizes[0][known] / sizes[1][known]
    middle = float(np.median(ratios))
    means = np.abs(one.mean(axis=0) - middle * other.mean(axis=0))[known] / np.maximum(one.std(axis=0)[known], 1e-30)
    spreads = one.std(axis=0)[known], middle * other.std(axis=0)[known]
    alike = (np.abs(np.log(ratios / middle)) < np.log(1.5)) & (means < 1)
    alike &= np.maximum(*spreads) < 1.5 * np.minimum(*spreads)
    if alike.mean() < NEARLY_ALL:
        return 0.0
    whole = round(1 / middle) if middle < 1 else round(middle)
    for known_factor in (255, 256, 128, 127.5, 16, 15, 100, 1000, whole):
        exact = 1 / known_factor if middle < 1 else known_factor
        if abs(np.log(exact / middle)) < 0.1:
            return float(exact)
    return middle


def _scalers(one: np.ndarray, other: np.ndarray) -> str:
    names = [(_scaler(values), split) for values, split in ((one, "training"), (other, "held-out"))]
    said = [f"{split} columns {name}" for name, split in names if name]
    if not said or names[0][0] == names[1][0]:
        return ""
    return ", ".join(said) + ("" if len(said) == 2 else f", {'held-out' if names[0][0] else 'training'} ones not")


def _scaler(values: np.ndarray) -> str:
    """Returns which scaler the columns of a split went through: they are exactly what it leaves."""
    if (np.abs(values.mean(axis=0)) < CLOSE).mean() > 0.9 and (np.abs(values.std(axis=0) - 1) < CLOSE).mean() > 0.9:
        return "are standardised"
    ends = values.min(axis=0), values.max(axis=0)
    for low in (0, -1):
        if (np.abs(ends[0] - low) < EXACT).mean() > 0.9 and (np.abs(ends[1] - 1) < EXACT).mean() > 0.9:
            return f"are scaled to [{low}, 1]"
    return ""


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
