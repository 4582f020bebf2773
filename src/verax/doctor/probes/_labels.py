"""Labels against the outputs: classes without an output of their own, splits with a single class."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from verax.data import Batch
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._tables import CLASSIFIED, classes, examples
from verax.findings import Finding, Split

FEWEST = 10  # rows of a split that is asked for more than one class
ASKED = 200  # labels of which the loss is asked for their output
ASKED_ALONE = 10  # one by one, for a loss that is finite


class Owner(NamedTuple):
    """What the loss does with each label.

    Attributes:
      output: whose increase lowers the loss most, -1 if none does more than others.
      finite: whether loss and gradient are finite.
      ignored: whether no output changes the loss.
    """

    output: Int[np.ndarray, " labels"]
    finite: Bool[np.ndarray, " labels"]
    ignored: Bool[np.ndarray, " labels"]


def look(subject: Subject) -> Seen:
    """Returns labels for which the network has no output."""
    if subject.task not in ("classification", "sequence"):
        raise NotApplicable(f"of the task {subject.task} the outputs are no classes.")
    labels = {split: _integers(subject, split) for split in ("read", *_others(subject))}
    width = _width(subject)
    if width == 1:
        raise NotApplicable("one output is not one of several classes.")
    known = np.unique(np.concatenate([each.reshape(-1) for each in labels.values()]))
    compared = f"labels {known[0]} to {known[-1]}, {len(known)} of them, for {width} outputs"
    outside = known[(known < 0) | (known >= width)]
    if subject.task == "sequence":
        outside = outside[outside >= 0]  # negative labels are padding: whether the loss counts them is asked elsewhere
    if not outside.size:
        return Seen(compared)
    inside = known[(known >= 0) & (known < width)]
    asked = np.concatenate([outside[:ASKED], inside[:ASKED]])
    owner = owners(subject, asked, width)
    lost = _lost(asked, owner, len(outside[:ASKED]), width, known)
    if not lost.size:
        return Seen(f"{compared}; the loss maps them to outputs of their own, or leaves them out")
    classes_known = known[known >= 0]
    is_short = (
        np.isin(labels["read"], lost).any()
        and len(classes_known) > width
        and classes_known[-1] + 1 == len(classes_known)
    )
    rows = np.isin(labels["read"], lost).reshape(len(labels["read"]), -1).any(axis=1)
    place = "train" if rows.any() else next(name for name in _others(subject) if np.isin(labels[name], lost).any())
    counted = "read" if rows.any() else place
    hit = np.isin(labels[counted], lost).reshape(len(labels[counted]), -1).any(axis=1)
    index = int(hit.argmax()) if not (counted == "read" and subject.own_batches) else None
    evidence = tuple(_said(label, asked, owner) for label in lost[:3].tolist())
    evidence += (f"labels that occur: {_listed(known)}",)
    if is_short:
        message = (
            f"{len(classes_known)} classes for {width} outputs: {hit.mean():.0%} of the rows have a label without one."
        )
        advice = f"Give the last layer {len(classes_known)} outputs."
        finding = Finding("output-size-mismatch", "error", message, advice, None, "model", evidence, 1.0)
    else:
        message = (
            f"labels {_listed(lost)} with {width} outputs, 0 to {width - 1}: {hit.mean():.0%} of the rows have one."
        )
        first = int(known[0])
        shifted = first > 0 and len(known) <= width and known[-1] - first < width
        advice = f"Subtract {first} from the labels." if shifted else "Number the classes from 0 without gaps."
        where = Split(place, index)
        finding = Finding("label-out-of-range", "error", message, advice, where, "data", evidence, 1.0)
    return Seen(compared, (finding,))


def _lost(asked: np.ndarray, owner: Owner, outside: int, width: int, known: np.ndarray) -> np.ndarray:
    """Returns the labels outside the outputs that have none of their own.

    A loss may number classes otherwise (from 1, say): then labels have outputs of their own all the same. A label of
    which the loss takes no notice is left out on purpose if it is negative, or stands alone far from the classes (255).
    """
    outputs = owner.output
    lost = []
    for index in range(outside):
        label, output = asked[index], outputs[index]
        is_void = label > known[known < width].max(initial=-1) + 1 and (known >= width).sum() == 1
        if owner.finite[index] and owner.ignored[index] and (label < 0 or is_void):
            continue
        shared = (outputs == output).sum() > 1
        if not owner.finite[index] or output < 0 or shared:
            lost.append(label)
    return np.array(lost, np.int64)


def owners(subject: Subject, labels: Int[np.ndarray, " labels"], width: int) -> Owner:
    """Returns which output each label belongs to, as the gradient of the loss says, at outputs of 0."""
    read = examples(subject, "read")
    target = jax.tree.leaves(read.targets)[0]
    rest = target.shape[1:]
    shape = (len(labels), *rest, width) if subject.task == "sequence" else (len(labels), width)
    targets = np.broadcast_to(labels.reshape(-1, *[1] * len(rest)), (len(labels), *rest)).astype(target.dtype)
    inputs = jax.tree.map(lambda leaf: jnp.asarray(np.resize(leaf[:1], (len(labels), *leaf.shape[1:]))), read.inputs)
    structure = jax.tree.structure(read.targets)
    labelled = jnp.asarray(targets)

    def loss(outputs: Any, targets: Any) -> Any:
        some = jax.tree.map(lambda leaf: leaf[: len(outputs)], inputs)
        batch = Batch(some, jax.tree.unflatten(structure, [targets]), jnp.ones(len(outputs), jnp.float32))
        return subject.mean_loss(outputs, batch)

    grads = np.asarray(jax.jit(jax.grad(loss))(jnp.zeros(shape, jnp.float32), labelled))
    grads = grads.reshape(len(labels), -1, width).sum(axis=1)
    outside = (labels < 0) | (labels >= width)
    each = [  # a loss may be NaN while its gradient is not
        bool(jnp.isfinite(loss(jnp.zeros((1, *shape[1:]), jnp.float32), labelled[index : index + 1])))
        if outside[index] and index < ASKED_ALONE
        else True
        for index in range(len(labels))
    ]
    finite = np.isfinite(grads).all(axis=1) & np.array(each)
    output = np.where(finite & (np.ptp(np.nan_to_num(grads), axis=1) > 0), np.nan_to_num(grads).argmin(axis=1), -1)
    return Owner(output, finite, (grads == 0).all(axis=1))


def _said(label: int, asked: np.ndarray, owner: Owner) -> str:
    index = int(np.flatnonzero(asked == label)[0])
    if not owner.finite[index]:
        return f"label {label}: its loss is not finite"
    output = int(owner.output[index])
    if output < 0:
        return f"label {label}: the loss knows no output of it, so it is never learnt"
    others = [
        int(other) for other, taken in zip(asked, owner.output, strict=True) if taken == output and other != label
    ]
    return f"label {label}: the loss takes it for output {output}, which is that of label {_listed(others)}"


def _width(subject: Subject) -> int:
    key = subject.noise(0)
    shapes = jax.tree.leaves(jax.eval_shape(subject.evaluate, subject.variables, subject.batch.inputs, key))
    targets = jax.tree.leaves(subject.batch.targets)[0]
    wanted = targets.ndim + 1 if targets.ndim == 1 or subject.task == "sequence" else targets.ndim
    if len(shapes) != 1 or shapes[0].ndim != wanted:
        raise NotApplicable("outputs have no axis of classes behind that of the targets.")
    return shapes[0].shape[-1]


def _integers(subject: Subject, split: str) -> np.ndarray:
    leaves = jax.tree.leaves(examples(subject, split).targets)
    if len(leaves) == 1 and leaves[0].dtype.kind in "iu" and (leaves[0].ndim == 1 or subject.task == "sequence"):
        return leaves[0].astype(np.int64)
    raise NotApplicable("targets are not one array of integer labels.")


def _others(subject: Subject) -> list[str]:
    return [name for name in subject.splits if name != "train"]


def _listed(values: np.ndarray | list[int]) -> str:
    shown = [str(int(value)) for value in values[:8]]
    return ", ".join(shown) + (", ..." if len(values) > 8 else "")


def look_for_single_class(subject: Subject) -> Seen:
    """Returns splits whose rows, and readers whose batches, all have one class."""
    if subject.task not in CLASSIFIED:
        raise NotApplicable(f"targets of the task {subject.task} are no classes.")
    counts: dict[str, int] = {}
    findings = []
    for split in (*subject.splits, "read"):
        labels = classes(subject, split)
        if labels is None:
            raise NotApplicable("targets are not one class for each example.")
        counts[split] = len(np.unique(labels))
        if counts[split] > 1 or len(labels) < FEWEST or (split == "read" and counts["train"] == 1):
            continue
        name = "the batches of the first epoch" if split == "read" else split
        message = f"all {len(labels):,} labels of {name} are {labels[0]}."
        advice = "Check the filter, the join or the threshold that made the labels."
        where = Split("train" if split == "read" else split)
        part = "batches" if split == "read" else "data"
        findings.append(Finding("single-class-labels", "error", message, advice, where, part, (), 1.0))
    said = ", ".join(f"{number} in {split}" for split, number in counts.items() if split != "read")
    return Seen(f"classes: {said}", tuple(findings))


PROBES = (
    Probe("labels and outputs", ("label-out-of-range", "output-size-mismatch"), look),
    Probe("classes of the splits", ("single-class-labels",), look_for_single_class),
)
