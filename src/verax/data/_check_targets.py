"""What can be wrong with targets, given the task and the shape of the network's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np

from verax.data._dataset import Dataset
from verax.data._structure import named_leaves
from verax.findings import Finding, Split

Shape = tuple[int, ...]


def check_targets(
    dataset: Dataset,
    task: str | None,
    outputs: Shape | None,
    *,
    padding: int | None = None,
    likelihood: str | None = None,
) -> tuple[Finding, ...]:
    """Returns what is wrong with the targets of all splits; `check_data` says what the arguments mean."""
    findings = [finding for split in dataset.splits for finding in _check_finite(dataset, split)]
    if task in (None, "custom"):
        return tuple(findings)
    if task == "autoencoder":
        return (*findings, *_check_reconstructed(dataset, outputs, likelihood))
    leaves = jax.tree.leaves(dataset.raw("train").targets)
    if len(leaves) != 1:
        message = f"targets must be one array for {task}, found a tree of {len(leaves)} arrays."
        return (
            *findings,
            Finding("target-shape-mismatch", "error", message, "Use objective_from_loss.", Split("train")),
        )
    targets = leaves[0]
    if task == "regression":
        return (*findings, *_check_regression(targets, outputs, likelihood == "gaussian"))
    if task == "multilabel":
        return (*findings, *(_check_multilabel(targets, outputs) or _check_bits(dataset)))
    if task == "language_model":
        return (*findings, *(_check_language_model(targets, outputs) or _check_tokens(dataset, outputs, padding)))
    if task == "classification" and _are_distributions(targets, outputs):
        return (*findings, *(_check_columns(targets, outputs) or _check_distributions(dataset)))
    check = _check_classification if task == "classification" else _check_binary
    shapes = check(targets, outputs)
    if shapes:  # labels of the wrong kind have no range
        return (*findings, *shapes)
    if task == "classification":
        findings += _check_names(dataset, outputs)
    limit = 2 if task == "binary" else _classes(dataset, outputs)
    for split in dataset.splits:
        findings += _check_range(dataset, split, limit, task == "classification")
    findings += _check_classes(dataset)
    return tuple(findings)


def place(dataset: Dataset, split: str, row: int | np.integer, column: str | None = None) -> tuple[Split, str]:
    """Returns a place, and the row of the source that it was carved from, as a remark for the message."""
    origin = dataset.rows.get(split)
    remark = "" if origin is None else f" (row {int(origin[row])} of the data before splitting)"
    return Split(split, int(row), column), remark


def _check_finite(dataset: Dataset, split: str) -> list[Finding]:
    findings = []
    for name, leaf in named_leaves(dataset.raw(split)).items():
        if not name.startswith("targets"):
            continue
        if (found := out_of_type(dataset, split, name, leaf)) is not None:
            findings.append(found)
        elif leaf.dtype.kind not in "iub" and not (finite := np.isfinite(leaf)).all():
            bad = np.flatnonzero(~finite.reshape(len(leaf), -1).all(axis=1))
            where, origin = place(dataset, split, bad[0])
            value = _first(~finite, leaf)
            message = f"{name} must be finite, found {value} in {bad.size:,} of {len(leaf):,} rows{origin}."
            findings.append(Finding("non-finite-input", "error", message, "Remove these rows, or correct them.", where))
    return findings


def out_of_type(dataset: Dataset, split: str, name: str, leaf: np.ndarray) -> Finding | None:
    """The finding for an array that was left in 64 bits because a value of it does not fit into 32, else None."""
    if leaf.dtype.itemsize < 8:
        return None
    narrow = {"f": np.float32, "i": np.int32}.get(leaf.dtype.kind, np.uint32)
    with np.errstate(over="ignore", invalid="ignore"):
        narrowed = leaf.astype(narrow)
    bad = np.isfinite(leaf) & ~np.isfinite(narrowed) if leaf.dtype.kind == "f" else narrowed != leaf
    if not bad.any():
        return None
    index = np.argwhere(bad)[0]
    column = column_name(dataset, index[1:].tolist()) if name == "inputs" else None
    where, origin = place(dataset, split, index[0], column)
    message = (
        f"{name} must fit into {np.dtype(narrow).name}, the type JAX computes in, found {leaf[tuple(index)]!s}{origin}."
    )
    return Finding("value-out-of-range", "error", message, "Change the unit, or take the logarithm.", where)


def column_name(dataset: Dataset, index: Sequence[int]) -> str | None:
    """The name of a feature of a raw example: the column of a table, else its indices."""
    if dataset.schema.columns and index:
        return dataset.schema.columns[index[0]].name
    return ",".join(map(str, index)) or None


def _check_regression(targets: np.ndarray, outputs: Shape | None, is_gaussian: bool) -> list[Finding]:
    if outputs is not None and is_gaussian:
        return _check_gaussian(targets, outputs)
    if outputs is None or targets.shape[1:] == outputs[1:] or (*targets.shape[1:], 1) == tuple(outputs[1:]):
        return []  # a single trailing output is taken off by the loss
    rows, batch = _axes(targets.shape), _axes(outputs)
    message = f"targets must have the shape of the outputs {batch}, found {rows}."
    if targets.size // len(targets) == int(np.prod(outputs[1:])) == 1:
        message += " Their difference would be a table of all pairs of rows."
        return [Finding("loss-broadcasting", "error", message, "Take one axis off: targets[:, 0].", Split("train"))]
    return [
        Finding("output-size-mismatch", "error", message, "Give the network one output per target.", Split("train"))
    ]


def _check_gaussian(targets: np.ndarray, outputs: Shape) -> list[Finding]:
    per_row = (1,) if targets.ndim == 1 else targets.shape[1:]
    expected = (0, *per_row[:-1], 2 * per_row[-1])
    if tuple(outputs[1:]) == expected[1:]:
        return []
    message = (
        f"a Gaussian regressor needs outputs of shape {_axes(expected)}, a mean and a log-variance for each target "
        f"{_axes(targets.shape)}, found {_axes(outputs)}."
    )
    advice = "Give the last layer two outputs per target."
    return [Finding("output-size-mismatch", "error", message, advice, Split("train"))]


def _check_reconstructed(dataset: Dataset, outputs: Shape | None, likelihood: str | None) -> list[Finding]:
    """What is wrong with inputs as the targets of an autoencoder: their shape, and for bits their range."""
    leaves = jax.tree.leaves(dataset.raw("train").inputs)
    if len(leaves) != 1:
        message = f"an autoencoder takes inputs of one array, found a tree of {len(leaves)} arrays."
        return [Finding("target-shape-mismatch", "error", message, "Use objective_from_loss.", Split("train"))]
    inputs = dataset.examples("train").inputs
    if outputs is not None and inputs.shape[1:] != tuple(outputs[1:]):
        message = f"outputs must have the shape of the inputs {_axes(inputs.shape)}, found {_axes(outputs)}."
        advice = "Reshape them in the network's last line."
        return [Finding("output-size-mismatch", "error", message, advice, Split("train"))]
    if likelihood != "bernoulli":
        return []
    advice = "Scale them, vx.data.scale_uint8() for images, or take likelihood='squared'."
    return _first_of_each_split(
        dataset,
        lambda split: dataset.examples(split).inputs,
        lambda values: (values < 0) | (values > 1),
        "value-out-of-range",
        "inputs of a Bernoulli autoencoder must lie in [0, 1]",
        advice,
    )


def _check_multilabel(targets: np.ndarray, outputs: Shape | None) -> list[Finding]:
    found = f"found {targets.dtype} of shape {targets.shape}"
    if targets.ndim != 2:
        advice = "For one class a row use classification()."
        return [
            Finding(
                "target-shape-mismatch",
                "error",
                f"targets must be a table of 0 and 1, (rows, labels), {found}.",
                advice,
                Split("train"),
            )
        ]
    if outputs is not None and tuple(outputs[1:]) != targets.shape[1:]:
        message = f"multilabel needs a logit for each label, outputs of shape {_axes(targets.shape)}, found "
        return [
            Finding(
                "output-size-mismatch",
                "error",
                f"{message}{_axes(outputs)}.",
                "Give the network one output per label.",
                Split("train"),
            )
        ]
    return []


def _check_bits(dataset: Dataset) -> list[Finding]:
    found = _first_of_each_split(
        dataset,
        lambda split: _targets(dataset, split),
        lambda values: (values != 0) & (values != 1),
        "label-encoding-mismatch",
        "targets of multilabel must be 0 or 1",
        "Say which labels are there, one column each.",
    )
    if found:
        return found
    train = _targets(dataset, "train")
    idle = [label for label in range(train.shape[1]) if (train[:, label] == train[0, label]).all()]
    if not idle:
        return []
    names = ", ".join(_label(dataset, label) for label in idle[:5]) + (", ..." if len(idle) > 5 else "")
    message = f"{len(idle)} labels are the same in all rows: {names}. There is nothing to learn of them."
    return [Finding("single-class-labels", "warning", message, "Leave them out, or collect examples.", Split("train"))]


def _check_language_model(targets: np.ndarray, outputs: Shape | None) -> list[Finding]:
    found = f"found {targets.dtype} of shape {targets.shape}"
    if targets.dtype.kind not in "iu":
        return [_encoding(f"targets must be tokens, whole numbers, {found}.", "Pass the numbers of the tokens.")]
    if targets.ndim != 2:
        return [_rank(f"targets must have shape (rows, tokens), {found}.", targets)]
    if outputs is not None and (len(outputs) != 3 or tuple(outputs[1:2]) != targets.shape[1:]):
        message = (
            f"a language model needs outputs of shape (batch, {targets.shape[1]}, vocabulary), the logits of the next "
            f"token at each place, found {_axes(outputs)}."
        )
        return [Finding("output-size-mismatch", "error", message, "Check the network's last layer.", Split("train"))]
    return []


def _check_tokens(dataset: Dataset, outputs: Shape | None, padding: int | None) -> list[Finding]:
    limit = np.iinfo(np.int32).max if outputs is None else outputs[2]
    marked = "" if padding is None else f", or be the padding {padding}"
    found = _first_of_each_split(
        dataset,
        lambda split: _targets(dataset, split),
        lambda values: ((values < 0) | (values >= limit)) & (True if padding is None else values != padding),
        "label-out-of-range",
        f"tokens must lie in [0, {limit}){marked}",
        "Give the network more outputs, or say which token is padding: language_model(padding=...).",
    )
    if padding is None:
        return found
    return found + _first_of_each_split(
        dataset,
        lambda split: _targets(dataset, split),
        lambda values: np.broadcast_to((values == padding).all(axis=1, keepdims=True), values.shape),
        "empty-text",
        "a row must hold a token besides padding",
        "Remove these rows: they count for nothing.",
    )


def _are_distributions(targets: np.ndarray, outputs: Shape | None) -> bool:
    """Returns whether targets are meant as distributions over the classes; hard ones are labels in a wrong coding."""
    axes = targets.ndim if outputs is None else len(outputs)
    return targets.dtype.kind == "f" and targets.ndim == axes >= 2 and not _is_one_hot(targets)


def _check_columns(targets: np.ndarray, outputs: Shape | None) -> list[Finding]:
    if outputs is None or tuple(outputs[1:]) == targets.shape[1:]:
        return []
    message = (
        f"targets that are distributions must have the shape of the outputs {_axes(outputs)}, found "
        f"{_axes(targets.shape)}."
    )
    return [Finding("target-shape-mismatch", "error", message, "For numbers use regression().", Split("train"))]


def _check_distributions(dataset: Dataset) -> list[Finding]:
    negative = _first_of_each_split(
        dataset,
        lambda split: _targets(dataset, split),
        lambda values: values < 0,
        "label-encoding-mismatch",
        "targets that are distributions must not be negative",
        "For numbers use regression().",
    )
    return negative or _first_of_each_split(
        dataset,
        lambda split: _targets(dataset, split).sum(axis=-1, dtype=np.float64),
        lambda sums: np.abs(sums - 1) > 1e-3,
        "label-encoding-mismatch",
        "targets that are distributions must have rows that sum to 1",
        "Divide each row by its sum; for several labels a row use multilabel().",
    )


def _first_of_each_split(
    dataset: Dataset,
    values_of: Callable[[str], np.ndarray],
    is_bad: Callable[[np.ndarray], np.ndarray],
    name: str,
    expected: str,
    advice: str,
) -> list[Finding]:
    """Returns an error for each split with bad values: the first of them, and how many there are."""
    findings = []
    for split in dataset.splits:
        values = values_of(split)
        bad = is_bad(values)
        if bad.any():
            where, origin = place(dataset, split, np.argwhere(bad)[0][0])
            rows = int(bad.reshape(len(bad), -1).any(axis=1).sum())
            message = f"{expected}, found {_first(bad, values)} in {rows:,} of {len(values):,} rows{origin}."
            findings.append(Finding(name, "error", message, advice, where))
    return findings


def _targets(dataset: Dataset, split: str) -> np.ndarray:
    return jax.tree.leaves(dataset.raw(split).targets)[0]


def _check_classification(targets: np.ndarray, outputs: Shape | None) -> list[Finding]:
    found = f"found {targets.dtype} of shape {targets.shape}"
    due = outputs[1:-1] if outputs is not None and len(outputs) > 1 else None
    if _is_one_hot(targets) and targets.shape[1:] != due:
        return [_encoding(f"labels must be integer classes, {found}: one-hot.", "Pass targets.argmax(-1).")]
    if targets.dtype.kind not in "iu":
        return [_encoding(f"labels must be integer classes, {found}.", _advice_for_floats(targets))]
    if outputs is None:
        return []
    if due is None or outputs[len(outputs) - 1] < 2:
        message = (
            f"classification needs outputs of shape (batch, classes) with two classes or more, found {_axes(outputs)}."
        )
        return [Finding("output-size-mismatch", "error", message, "For a single logit use binary().", Split("train"))]
    return [] if targets.shape[1:] == due else [_rank(f"labels must have shape {_axes((0, *due))}, {found}.", targets)]


def _check_binary(targets: np.ndarray, outputs: Shape | None) -> list[Finding]:
    found = f"found {targets.dtype} of shape {targets.shape}"
    if _is_one_hot(targets) and targets.shape[-1] == 2:
        return [_encoding(f"targets must be the integers 0 and 1, {found}: one-hot.", "Pass targets.argmax(-1).")]
    if targets.dtype.kind not in "iu":
        return [_encoding(f"targets must be the integers 0 and 1, {found}.", _advice_for_floats(targets))]
    if targets.ndim != 1:
        return [_rank(f"targets must have shape (rows), {found}.", targets)]
    if outputs is not None and (len(outputs) > 2 or (len(outputs) == 2 and outputs[1] != 1)):
        message = f"binary needs one logit a row, outputs of shape (batch) or (batch, 1), found {_axes(outputs)}."
        return [
            Finding(
                "output-size-mismatch",
                "error",
                message,
                "Give the network one output, or use classification().",
                Split("train"),
            )
        ]
    return []


def _check_range(dataset: Dataset, split: str, limit: int | None, is_multiclass: bool) -> list[Finding]:
    labels = jax.tree.leaves(dataset.raw(split).targets)[0]
    outside = labels < 0 if limit is None else (labels < 0) | (labels >= limit)
    if not outside.any():
        return []
    where, origin = place(dataset, split, np.argwhere(outside)[0][0])
    number, low, high = int(outside.sum()), int(labels.min()), int(labels.max())
    expected = "not be negative" if limit is None else f"lie in [0, {limit})"
    message = (
        f"labels must {expected}, found {_first(outside, labels)}{origin} ({number:,} label{'s' * (number > 1)} "
        "outside)."
    )
    if limit is not None and low == 1 and high == limit:
        return [
            Finding(
                "label-out-of-range",
                "error",
                f"{message} None is 0: are they counted from 1?",
                "Pass labels - 1.",
                where,
            )
        ]
    if not is_multiclass and {low, high} == {-1, 1}:
        return [
            Finding(
                "label-encoding-mismatch", "error", message, "Turn -1 and 1 into 0 and 1: (labels + 1) // 2.", where
            )
        ]
    advice = (
        "A negative label marks no class: remove these rows."
        if low < 0
        else "Give the network more outputs or correct the labels."
    )
    if not is_multiclass and high > 1:
        advice = "For more than two classes use classification()."
    return [Finding("label-out-of-range", "error", message, advice, where)]


def _check_classes(dataset: Dataset) -> list[Finding]:
    """Classes without examples: a train split of one class, or other splits with classes that train has not."""
    known = np.unique(jax.tree.leaves(dataset.raw("train").targets)[0])
    findings = []
    if known.size == 1:
        message = f"all labels are {_label(dataset, int(known[0]))}: there is nothing to tell apart."
        findings.append(
            Finding(
                "single-class-labels", "warning", message, "Check the filter or the order of the file.", Split("train")
            )
        )
    for split in dataset.splits[1:]:
        labels = jax.tree.leaves(dataset.raw(split).targets)[0]
        unseen = np.setdiff1d(labels, known)
        if unseen.size:
            bad = np.isin(labels, unseen)
            where, origin = place(dataset, split, np.argwhere(bad)[0][0])
            names = ", ".join(_label(dataset, label) for label in unseen[:5].tolist()) + (
                ", ..." if unseen.size > 5 else ""
            )
            message = f"{int(bad.sum()):,} labels are of classes that train has not: {names}{origin}."
            findings.append(
                Finding(
                    "class-unseen-in-train",
                    "warning",
                    message,
                    "Split with stratify=True, or collect more of them.",
                    where,
                )
            )
    return findings


def _check_names(dataset: Dataset, outputs: Shape | None) -> list[Finding]:
    names = dataset.schema.classes
    if names is None or outputs is None or outputs[-1] <= len(names):
        return []
    message = f"the network gives {outputs[-1]} outputs, but the data name {len(names)} classes."
    advice = "Give its last layer an output for each."
    return [Finding("output-size-mismatch", "error", message, advice, Split("train"))]


def _classes(dataset: Dataset, outputs: Shape | None) -> int | None:
    """The number of classes that labels must lie below: that of outputs or names, whichever is smaller."""
    known = [outputs[-1]] if outputs is not None else []
    known += [len(dataset.schema.classes)] if dataset.schema.classes is not None else []
    return min(known, default=None)


def _is_one_hot(targets: np.ndarray) -> bool:
    if targets.ndim < 2 or targets.shape[-1] < 2:
        return False
    return bool(((targets == 0) | (targets == 1)).all() and (targets.sum(axis=-1) == 1).all())


def _encoding(message: str, advice: str) -> Finding:
    return Finding("label-encoding-mismatch", "error", message, advice, Split("train"))


def _rank(message: str, targets: np.ndarray) -> Finding:
    advice = (
        "Take one axis off: targets[:, 0]."
        if targets.ndim == 2 and targets.shape[1] == 1
        else "Give one label per answer of the network."
    )
    return Finding("target-shape-mismatch", "error", message, advice, Split("train"))


def _advice_for_floats(targets: np.ndarray) -> str:
    whole = bool((np.isfinite(targets) & (targets == np.round(targets))).all())
    return "Pass targets.astype(int)." if whole else "For numbers use regression()."


def _label(dataset: Dataset, label: int) -> str:
    classes = dataset.schema.classes
    return f"{label} ({classes[label]})" if classes is not None and 0 <= label < len(classes) else str(label)


def _first(mask: np.ndarray, values: np.ndarray) -> str:
    return str(values[tuple(np.argwhere(mask)[0])])


def _axes(shape: Shape) -> str:
    return f"({', '.join(['batch', *map(str, shape[1:])])})"
