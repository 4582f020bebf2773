"""Values far from the rest of their column: one repeated exactly is a code for missing, a few are outliers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from verax.data import Batch
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject, on_device
from verax.doctor.probes._changes import on_leaf, with_inputs, with_train_targets
from verax.doctor.probes._tables import Table, examples, numbers, table
from verax.findings import Finding, Split
from verax.trees import Tree

CODES = {9, 99, 999, 9999, 99999, 88, 888, 8888, 1e6, 1e9, 1e10, 1e20, 1e30, 999999, 2147483647, 32767}
AWAY = 10.0  # robust deviations from the median of the rest
GAP = 5.0  # robust deviations to the nearest other value: at a cap of a sensor, others are close by
REPEATED = 0.005  # of the rows, and at least REPEATS of them
REPEATS = 5
OUTLYING = 50.0  # robust deviations; a normal number has 5 in two million, a log-normal one 50 in 30,000
FEW = 0.02  # of the rows at most: more are a tail of the law, not a few
RULES = 2.0  # times the gradient without them: then they are more than half of it
CLIPPED = 5.0  # robust deviations to which outliers are brought
TAKEN = 3.0  # times the spread of the outputs by which codes move them: then they are taken for numbers


class Code(NamedTuple):
    """A value that stands for a missing one.

    Attributes:
      column: of the table.
      value: that is repeated.
      count: of rows that hold it.
      away: from the median of the rest, in robust deviations.
      rest: median, mean and standard deviation of the rest.
    """

    column: int
    value: float
    count: int
    away: float
    rest: tuple[float, float, float]

    @property
    def is_known(self) -> bool:
        """Whether it is one of the numbers that are in use for this."""
        return abs(self.value) in CODES or abs(self.value) > 1e20


def look_for_codes(subject: Subject) -> Seen:
    """Returns columns in which an extreme value is repeated exactly, at a distance from all others."""
    whole = table(subject, "read")
    codes = codes_of(whole)
    compared = f"{whole.values.shape[1]} columns; {len(codes)} hold an extreme value that is repeated exactly"
    if not codes or whole.is_of_one_kind:  # a saturated pixel is no code
        return Seen(compared)
    worst = max(codes, key=lambda code: (code.is_known, code.away))
    effect = _effect(subject, whole, codes)
    name = whole.name(worst.column)
    message = f"input column {name} holds {worst.value:g} in {worst.count:,} of {len(whole.values):,} rows, "
    message += f"{worst.away:.3g} robust deviations from the rest: a code for missing values that is fed as a number."
    advice = (
        f"Decode {worst.value:g} to missing, impute it with the median of the column, and add a column that says so."
    )
    evidence = tuple(
        f"column {whole.name(code.column)}: {code.value:g} in {code.count:,} rows, the rest {code.rest[1]:.3g} ± "
        f"{code.rest[2]:.3g}"
        for code in codes[:5]
    )
    evidence += (f"with the medians instead, outputs of these rows move by {effect:.3g} of the outputs' spread",)
    proved = worst.is_known and effect > TAKEN
    finding = Finding(
        "missing-value-sentinel",
        "error" if proved else "warning",
        message,
        advice,
        Split("train", None, name),
        "data",
        evidence,
        0.95 if proved else 0.8,
    )
    if proved:
        return Seen(compared, (finding,))
    repairs = [Repair("codes replaced by the median of their column", lambda it: imputed(it, whole, codes))]
    if _was_scaled_along(whole, codes):
        again = Repair("codes imputed and their columns standardised again", lambda it: imputed(it, whole, codes, True))
        repairs.insert(0, again)
    return Seen(compared, (), (Suspicion(finding, tuple(repairs)),))


def codes_of(whole: Table) -> list[Code]:
    """Returns the values of all columns that are repeated exactly, at a distance from all others."""
    return [code for column, values in enumerate(whole.values.T) for code in _codes(column, values)]


def _codes(column: int, values: Float[np.ndarray, " rows"]) -> list[Code]:
    found = []
    for value in (values.min(), values.max()):
        same = values == value
        count = int(same.sum())
        if count < max(REPEATS, REPEATED * len(values)) or count > len(values) / 2:
            continue
        rest = values[~same]
        middle = float(np.median(rest))
        scale = 1.4826 * float(np.median(np.abs(rest - middle))) or float(rest.std())
        if scale == 0:
            continue
        gap = float(np.abs(rest - value).min())
        spread = float(rest.std())
        if abs(value - middle) > AWAY * scale and gap > GAP * scale and gap > spread:
            found.append(
                Code(column, float(value), count, abs(value - middle) / scale, (middle, float(rest.mean()), spread))
            )
    return found


def _was_scaled_along(whole: Table, codes: list[Code]) -> bool:
    """Returns whether columns with codes have mean 0 and deviation 1 only with them."""
    columns = whole.values[:, [code.column for code in codes]]
    return bool((np.abs(columns.mean(axis=0)) < 0.1).all() and (np.abs(columns.std(axis=0) - 1) < 0.1).all())


def imputed(subject: Subject, whole: Table, codes: list[Code], again: bool = False) -> Subject:
    """Returns the program with the median in the place of codes; the columns standardised again, if so asked."""

    def change(column: int, values: np.ndarray) -> np.ndarray:
        mine = [code for code in codes if code.column == column]
        for code in mine:
            values = np.where(np.isclose(values, code.value, rtol=1e-6, atol=0), code.rest[0], values)
        return (values - mine[0].rest[1]) / (mine[0].rest[2] or 1.0) if again else values

    return with_inputs(subject, by_column(whole, {code.column for code in codes}, change))


def by_column(
    whole: Table, columns: set[int], change: Callable[[int, np.ndarray], np.ndarray]
) -> Callable[[Tree], Tree]:
    """Returns a change of inputs that maps some columns of their table, each by itself."""

    def of(inputs: Tree) -> Tree:
        start = 0
        for _, place, shape in whole.leaves:
            width = int(np.prod(shape, dtype=int))
            mine = sorted(column for column in columns if start <= column < start + width)
            inputs = on_leaf(place, lambda leaf, mine=mine, start=start: mapped(leaf, mine, start))(inputs)
            start += width
        return inputs

    def mapped(leaf: np.ndarray, mine: list[int], start: int) -> np.ndarray:
        if not mine:
            return leaf
        flat = leaf.reshape(len(leaf), -1).astype(leaf.dtype if leaf.dtype.kind == "f" else np.float32)
        for column in mine:
            flat[:, column - start] = change(column, flat[:, column - start].astype(np.float64))
        return flat.reshape(leaf.shape)

    return of


def _effect(subject: Subject, whole: Table, codes: list[Code]) -> float:
    """Returns by how much the first outputs of rows with codes move if these are imputed, in the outputs' spread."""
    cells = np.stack([whole.values[:, code.column] == code.value for code in codes]).any(axis=0)
    clean = whole.rows[~cells]
    if subject.own_batches or not clean.size:
        return 0.0
    size = len(jax.tree.leaves(subject.probe.inputs)[0])  # the shape for which the evaluation is compiled
    rows = np.resize(whole.rows[cells], size)
    split = "train"
    given, mended = subject.splits[split].inputs, imputed(subject, whole, codes).splits[split].inputs

    def outputs(inputs: Tree, chosen: np.ndarray) -> np.ndarray:
        some = jax.tree.map(lambda leaf: leaf[chosen], inputs)
        leaves = jax.tree.leaves(subject.evaluated(subject.variables, some, subject.noise(0)))
        return np.concatenate([np.asarray(leaf, np.float64).reshape(size, -1) for leaf in leaves], axis=1)

    spread = outputs(given, np.resize(clean, size)).std(axis=0)
    moved = np.abs(outputs(given, rows) - outputs(mended, rows)).mean(axis=0)
    return float((moved / (spread + 1e-30)).max())


def look_for_outliers(subject: Subject) -> Seen:
    """Returns a suspicion where a few values of inputs or targets are so far off that they rule the gradient."""
    seen, suspicions = [], []
    for which, look in (("inputs", _input_outliers), ("targets", _target_outliers)):
        try:
            said, found = look(subject)
        except NotApplicable as reason:
            said, found = str(reason), None
        seen.append(f"{which}: {said}")
        suspicions += [found] if found else []
    return Seen("; ".join(seen), (), tuple(suspicions))


def _input_outliers(subject: Subject) -> tuple[str, Suspicion | None]:
    whole = table(subject, "read")
    values = whole.values
    middle, scale = robust(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.where(scale > 0, np.abs(values - middle) / scale, 0.0)
    for code in codes_of(whole):
        away[values[:, code.column] == code.value, code.column] = 0.0
    rows = np.asarray((away > OUTLYING).any(axis=1))
    said = f"largest deviation {away.max():.3g}"
    if not rows.any() or rows.mean() > FEW:
        return said, None
    columns = np.flatnonzero((away > OUTLYING).any(axis=0))

    def clipped(column: int, numbers: np.ndarray) -> np.ndarray:
        reach = CLIPPED * scale[column]
        return np.clip(numbers, middle[column] - reach, middle[column] + reach)

    change = by_column(whole, set(columns.tolist()), clipped)
    row, column = np.unravel_index(int(away.argmax()), away.shape)
    ratio = _gradient_ratio(
        subject, rows, whole.rows, lambda batch: Batch(change(batch.inputs), batch.targets, batch.weight)
    )
    if ratio < RULES:
        return f"{said}, which does not rule the gradient ({ratio:.2g} times that without)", None
    where = Split("train", int(whole.rows[row]) if not subject.own_batches else None, whole.name(column))
    text = f"{int(rows.sum())} rows hold input values up to {away.max():.3g} robust deviations from their column"
    evidence = (f"{values[row, column]:g} where the column is {middle[column]:.3g} ± {scale[column]:.3g}",)
    return said, _outliers(text, where, ratio, evidence, Repair("inputs clipped", lambda it: with_inputs(it, change)))


def _target_outliers(subject: Subject) -> tuple[str, Suspicion | None]:
    targets = numbers(subject, "read")
    if targets is None:
        raise NotApplicable("not one number for each example")
    middle, scale = (float(each[0]) for each in robust(targets[:, None]))
    away = np.abs(targets - middle) / scale if scale > 0 else np.zeros_like(targets)
    said = f"largest deviation {away.max():.3g}"
    rows = np.asarray(away > OUTLYING)
    if not rows.any() or rows.mean() > FEW:
        return said, None

    def change(tree: Tree) -> Tree:
        low, high = middle - CLIPPED * scale, middle + CLIPPED * scale
        return jax.tree.map(lambda leaf: np.clip(leaf, low, high).astype(np.asarray(leaf).dtype), tree)

    places = np.arange(len(targets))
    ratio = _gradient_ratio(
        subject, rows, places, lambda batch: Batch(batch.inputs, change(batch.targets), batch.weight)
    )
    if ratio < RULES:
        return f"{said}, which does not rule the gradient ({ratio:.2g} times that without)", None
    row = int(away.argmax())
    text = f"{int(rows.sum())} targets lie up to {away.max():.3g} robust deviations from the rest"
    evidence = (f"target {targets[row]:g} where the rest is {middle:.3g} ± {scale:.3g}",)
    where = Split("train", row if not subject.own_batches else None)
    repair = Repair("targets clipped", lambda it: with_train_targets(it, change))
    return said, _outliers(text, where, ratio, evidence, repair)


def robust(values: Float[np.ndarray, "rows columns"]) -> tuple[np.ndarray, np.ndarray]:
    """Returns medians and robust deviations of columns; 0 where more than half of a column is one value."""
    middle = np.median(values, axis=0)
    return middle, 1.4826 * np.median(np.abs(values - middle), axis=0)


def _outliers(text: str, where: Split, ratio: float, evidence: tuple[str, ...], repair: Repair) -> Suspicion:
    message = f"{text}, and make the gradient {ratio:.3g} times as large."
    advice = "Correct or drop these rows; if they are real, clip or take logarithms, or use a loss such as Huber's."
    finding = Finding("extreme-outliers", "warning", message, advice, where, "data", evidence, 0.8)
    return Suspicion(finding, (repair,))


def _gradient_ratio(
    subject: Subject, rows: Bool[np.ndarray, " rows"], places: np.ndarray, change: Callable[[Batch], Batch]
) -> float:
    """Returns the norm of the first gradient of a batch with outlying rows, over that with them brought near."""
    size = len(jax.tree.leaves(subject.first_epoch[0].inputs)[0])
    read = examples(subject, "read")
    usual = max(1, round(size * float(rows.mean())))  # of them in a batch
    bad, good = places[rows][:usual], places[~rows]
    chosen = np.concatenate([bad, np.resize(good, size - len(bad))])
    inputs, targets = jax.tree.map(lambda leaf: leaf[chosen], (read.inputs, read.targets))
    batch = Batch(inputs, targets, np.ones(size, np.float32))
    norms = []
    for each in (batch, change(batch)):
        _, grads = subject.gradient(*subject.variables, on_device(each), subject.noise(0))
        norms.append(
            float(np.sqrt(sum(np.square(np.asarray(leaf, np.float64)).sum() for leaf in jax.tree.leaves(grads))))
        )
    return norms[0] / norms[1] if norms[1] > 0 else np.inf


PROBES = (
    Probe("codes for missing values", ("missing-value-sentinel",), look_for_codes),
    Probe("outliers", ("extreme-outliers",), look_for_outliers),
)
