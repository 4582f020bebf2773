"""What users hand in, as checked NumPy arrays: every problem is reported, with the first bad index and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from verax.findings import Finding, raise_errors
from verax.trees import shape_text

Values = Shaped[Array | np.ndarray, "..."]  # any shape and dtype: a wrong one is answered with an InputError


def probabilities_and_labels(
    probabilities: Values, labels: Values
) -> tuple[Float[np.ndarray, "examples classes"], Int[np.ndarray, " examples"]]:
    """Returns probabilities as float64 in `[0, 1]` and labels as int64.

    Raises:
      InputError: if they are not probabilities of the same examples as the labels, or a label has no column.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    raise_errors([*_rank_problems("probabilities", probabilities), *_label_kind_problems(labels)])
    raise_errors(
        [
            *_length_problems("probabilities", probabilities, labels),
            *_probability_problems(probabilities),
            *_label_range_problems(labels, probabilities.shape[1]),
        ]
    )
    return np.clip(probabilities.astype(np.float64), 0.0, 1.0), labels.astype(np.int64)


def positive_probabilities(probabilities: Values) -> Float[np.ndarray, "examples 1"]:
    """Returns the probability of the positive class as float64, from (examples,), (examples, 1) or (examples, 2).

    Raises:
      InputError: if they are not probabilities of one of these shapes.
    """
    table = np.asarray(probabilities)
    if table.ndim == 2 and table.shape[1] == 2:
        raise_errors(_probability_problems(table) if _is_real(table) else _rank_problems("probabilities", table))
        table = table[:, 1]
    return label_table("probabilities", table.reshape(-1, 1) if table.ndim == 1 else table)


def label_table(name: str, values: Values, *, truth: bool = False) -> Float[np.ndarray, "examples labels"]:
    """Returns the probabilities or the truth of labels as float64 of shape (examples, labels).

    Args:
      name: of the argument, for messages.
      values: (examples, labels), or (examples,) for a single label.
      truth: only 0 and 1 are allowed, rather than all numbers between them.

    Raises:
      InputError: if there is no example, the rank is another, or a number lies outside.
    """
    table = np.asarray(values)
    table = table[:, None] if table.ndim == 1 else table
    raise_errors(_label_table_rank_problems(name, table))
    table = table.astype(np.float64)
    raise_errors(_label_table_value_problems(name, table, truth))
    return np.clip(table, 0.0, 1.0)


def logits_and_labels(
    logits: Values, labels: Values
) -> tuple[Float[np.ndarray, "examples classes"], Int[np.ndarray, " examples"]]:
    """Returns logits as float64 with a column for each class and labels as int64.

    Raises:
      InputError: if they are not finite logits of the same examples as the labels, or a label has no column.
    """
    logits, labels = class_logits(logits), np.asarray(labels)
    raise_errors(_label_kind_problems(labels))
    raise_errors([*_length_problems("logits", logits, labels), *_label_range_problems(labels, logits.shape[1])])
    return logits, labels.astype(np.int64)


def class_logits(logits: Values) -> Float[np.ndarray, "examples classes"]:
    """Returns logits as float64 with a column for each class: one logit an example becomes the two of a sigmoid.

    Raises:
      InputError: if they are not finite numbers of shape (examples, classes), (examples, 1) or (examples,).
    """
    logits = np.asarray(logits)
    if logits.ndim == 2 and logits.shape[1] == 1:
        logits = logits[:, 0]
    if logits.ndim == 1:
        logits = np.stack([np.zeros_like(logits), logits], axis=1)
    raise_errors(_rank_problems("logits", logits))
    raise_errors(_finite_problems("logits", logits))
    return logits.astype(np.float64)


def labels_alone(labels: Values) -> Int[np.ndarray, " examples"]:
    """Returns labels as int64.

    Raises:
      InputError: if they are not integers from 0 of shape (examples,), or there is none.
    """
    labels = np.asarray(labels)
    raise_errors(_label_kind_problems(labels))
    raise_errors(_negative_label_problems(labels))
    return labels.astype(np.int64)


def smallest_positive(probabilities: Values) -> float:
    """Returns the smallest normal number of the probabilities' own precision: what a zero, a probability too small for
    it, counts as in a logarithm. 1.2e-38 in float32, a loss of 87."""
    dtype = np.asarray(probabilities).dtype
    return float(np.finfo(dtype).smallest_normal) if np.issubdtype(dtype, np.floating) else 1.2e-38  # bfloat16


def predictions_and_targets(
    predictions: Values, targets: Values
) -> tuple[Float[np.ndarray, "examples outputs"], Float[np.ndarray, "examples outputs"]]:
    """Returns predicted and true values as float64 of shape (examples, outputs).

    (examples,) and (examples, 1) hold the same numbers in the same order and may be mixed; left to broadcasting they
    would make a table of examples by examples.

    Raises:
      InputError: if shapes differ, are of another rank, or a number is not finite.
    """
    predictions, targets = np.asarray(predictions), np.asarray(targets)
    raise_errors([*_value_rank_problems("predictions", predictions), *_value_rank_problems("targets", targets)])
    predictions, targets = _table(predictions), _table(targets)
    raise_errors(_same_shape_problems(predictions, targets))
    raise_errors([*_finite_problems("predictions", predictions), *_finite_problems("targets", targets)])
    return predictions.astype(np.float64), targets.astype(np.float64)


def example_weight(weight: Values | None, examples: int) -> Float[np.ndarray, " examples"]:
    """Returns weights as float64, all ones where none are given.

    Raises:
      InputError: if they are not one finite non-negative number an example with a positive sum.
    """
    if weight is None:
        return np.ones(examples)
    weight = np.asarray(weight)
    raise_errors(_weight_problems(weight, examples))
    return weight.astype(np.float64)


def class_names(classes: tuple[str, ...] | list[str] | None, count: int) -> tuple[str, ...]:
    """Returns the names of the classes, their numbers where none are given.

    Raises:
      InputError: if there are not as many names as classes.
    """
    if classes is None:
        return tuple(str(index) for index in range(count))
    if len(classes) != count:
        problem = f"classes must name each of {count} columns, got {len(classes)} names."
        raise_errors(
            [Finding("length-mismatch", "error", problem, "Does the network have as many outputs as classes?")]
        )
    return tuple(str(name) for name in classes)


def _table(values: np.ndarray) -> np.ndarray:
    """Returns values of shape (examples, outputs): further axes of outputs are put in a row."""
    return values.reshape(len(values), -1)


def _rank_problems(name: str, values: np.ndarray) -> Iterator[Finding]:
    if values.ndim != 2 or values.shape[1] < 2 or not _is_real(values):
        shape = "(examples, classes) with two classes or more"
        message = f"{name} must be floating-point of shape {shape}, got {shape_text(values)}."
        advice = (
            "A binary classifier gives two columns, np.stack([1 - p, p], axis=1)."
            if values.ndim < 2 or values.shape[-1] == 1
            else ""
        )
        yield Finding("wrong-rank", "error", message, advice)
    elif len(values) == 0:
        yield Finding("empty-split", "error", f"{name} must have at least one example, got none.")


def _label_table_rank_problems(name: str, table: np.ndarray) -> Iterator[Finding]:
    if table.ndim != 2 or table.shape[1] == 0 or not (_is_real(table) or table.dtype.kind in "iub"):
        message = f"{name} must be numbers of shape (examples, labels), got {shape_text(table)}."
        yield Finding("wrong-rank", "error", message, "There is a column for each label, whether it is true or not.")
    elif len(table) == 0:
        yield Finding("empty-split", "error", f"{name} must have at least one example, got none.")


def _label_table_value_problems(name: str, table: np.ndarray, truth: bool) -> Iterator[Finding]:
    wrong = (table != 0) & (table != 1) if truth else ~((table >= -1e-6) & (table <= 1 + 1e-6))
    bad = np.flatnonzero(wrong.any(axis=1))
    if bad.size:
        value = table[bad[0]][wrong[bad[0]]][0]
        allowed, advice = (
            ("be 0 or 1", "A label is true of an example or not.")
            if truth
            else ("lie in [0, 1]", "If these are logits, pass jax.nn.sigmoid(logits).")
        )
        message = f"{name} must {allowed}, got {value:.4g} at index {bad[0]}{_more(bad)}."
        yield Finding("wrong-labels" if truth else "not-probabilities", "error", message, advice)


def _value_rank_problems(name: str, values: np.ndarray) -> Iterator[Finding]:
    if values.ndim == 0 or 0 in values.shape[1:] or not (_is_real(values) or values.dtype.kind in "iub"):
        message = f"{name} must be numbers of shape (examples,) or (examples, outputs), got {shape_text(values)}."
        yield Finding("wrong-rank", "error", message)
    elif len(values) == 0:
        yield Finding("empty-split", "error", f"{name} must have at least one example, got none.")


def _is_real(values: np.ndarray) -> bool:
    return np.issubdtype(values.dtype, np.floating) or values.dtype.name == "bfloat16"


def _label_kind_problems(labels: np.ndarray) -> Iterator[Finding]:
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        message = f"labels must be integer classes of shape (examples,), got {shape_text(labels)}."
        advice = (
            "If they are one-hot, pass labels.argmax(-1)."
            if labels.ndim == 2
            else "Pass whole numbers, labels.astype(int)."
        )
        yield Finding("wrong-labels", "error", message, advice)


def _negative_label_problems(labels: np.ndarray) -> Iterator[Finding]:
    bad = np.flatnonzero(labels < 0)
    if len(labels) == 0:
        yield Finding("empty-split", "error", "labels must have at least one example, got none.")
    elif bad.size:
        message = f"labels must not be negative, got {labels[bad[0]]} at index {bad[0]}{_more(bad)}."
        yield Finding("label-out-of-range", "error", message, "Classes are numbered from 0.")


def _label_range_problems(labels: np.ndarray, classes: int) -> Iterator[Finding]:
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        message = f"labels must lie in [0, {classes}), got {labels[bad[0]]} at index {bad[0]}{_more(bad)}."
        yield Finding("label-out-of-range", "error", message, "Does the network have too few outputs?")


def _length_problems(name: str, values: np.ndarray, labels: np.ndarray) -> Iterator[Finding]:
    if len(values) != len(labels):
        message = f"{name} and labels must have the same number of examples, got {len(values)} and {len(labels)}."
        yield Finding("length-mismatch", "error", message, "Are both of the same split, and is padding cut off?")


def _same_shape_problems(predictions: np.ndarray, targets: np.ndarray) -> Iterator[Finding]:
    if predictions.shape != targets.shape:
        message = f"predictions and targets must have the same shape, got {predictions.shape} and {targets.shape}."
        yield Finding(
            "length-mismatch", "error", message, "Are both of the same split, with as many outputs as targets?"
        )


def _weight_problems(weight: np.ndarray, examples: int) -> Iterator[Finding]:
    advice = "It is the share of each example in every average; 0 leaves an example out."
    if weight.shape != (examples,):
        message = f"weight must have one number for each of {examples} examples, got {shape_text(weight)}."
        yield Finding("bad-weight", "error", message, advice)
        return
    wide = weight.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(wide) & (wide >= 0)))
    if bad.size:
        message = f"weight must be finite and not negative, got {wide[bad[0]]} at index {bad[0]}{_more(bad)}."
        yield Finding("bad-weight", "error", message, advice)
    elif not wide.any():
        yield Finding("bad-weight", "error", f"weight must be positive somewhere, got {examples} zeros.", advice)


def _finite_problems(name: str, values: np.ndarray) -> Iterator[Finding]:
    bad = np.flatnonzero(~np.isfinite(values.astype(np.float64)).all(axis=1))
    if bad.size:
        row = values[bad[0]].astype(np.float64)
        message = f"{name} must be finite, got {row[~np.isfinite(row)][0]} at index {bad[0]}{_more(bad)}."
        yield Finding("non-finite", "error", message, "Did training diverge?")


def _probability_problems(probabilities: np.ndarray) -> Iterator[Finding]:
    if not np.isfinite(probabilities.astype(np.float64)).all():
        yield from _finite_problems("probabilities", probabilities)
        return
    wide = probabilities.astype(np.float64)
    tolerance = 1e-3 if probabilities.dtype.itemsize >= 4 else 0.05  # float16 and bfloat16 keep three digits or fewer
    sums = wide.sum(axis=1)
    outside = ((wide < -tolerance) | (wide > 1 + tolerance)).any(axis=1)
    bad = np.flatnonzero(outside | (np.abs(sums - 1) > tolerance))
    if bad.size:
        found = f"{_row(wide[bad[0]])} at index {bad[0]}{_more(bad)}"
        message = f"probabilities must lie in [0, 1] with rows that sum to 1, got {found}."
        yield Finding("not-probabilities", "error", message, "If these are logits, pass jax.nn.softmax(logits).")


def _row(row: np.ndarray) -> str:
    shown = ", ".join(f"{value:.4g}" for value in row[:4])
    return f"[{shown}{', ...' if len(row) > 4 else ''}] with sum {row.sum():.4g}"


def _more(bad: np.ndarray) -> str:
    return f" (and {bad.size - 1} more)" if bad.size > 1 else ""
