"""Do positions that are padding count in the loss of a sequence."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.findings import Finding

MANY = 0.3  # of the positions: judgement; below it padding costs little and only a repair can tell


def look(subject: Subject) -> Seen:
    """Asks whether the loss has a slope at positions that are not scored, or that hold one target at the end of rows
    whose inputs are constant there."""
    if subject.task != "sequence":
        raise NotApplicable("the task is no sequence.")
    view = loss_view(subject)
    targets, labels = np.asarray(view.targets), view.labels
    value, is_unscored = _padding_value(subject, targets, view)
    if value is None:
        return Seen("no target marks padding")
    padded = (targets == value).reshape(labels.shape)
    slope = np.abs(view.together(view.sample(0)).slope).sum(-1)
    share, weight = float(padded.mean()), float(slope[padded].sum() / max(slope.sum(), 1e-30))
    compared = f"{share:.0%} of the positions have target {value}; {weight:.0%} of the slope of the loss is theirs"
    if weight <= 1e-6:
        return Seen(compared)
    at_end = _fills_an_end(padded) and _is_constant(view, padded)
    is_proved = is_unscored and at_end and share >= MANY
    if not (is_unscored or at_end):
        return Seen(compared)
    finding = Finding(
        "padding-in-loss",
        "error",
        f"padding counts in the loss: {share:.0%} of the positions have target {value}, {weight:.0%} of its slope.",
        f"Multiply the losses by targets != {value} and divide by the sum of that mask.",
        part="loss",
        evidence=(compared, *(("they fill the ends of the rows, where the inputs are constant",) * at_end)),
        confidence=1.0 if is_proved else 0.6,
    )
    if is_proved:
        return Seen(compared, (finding,))
    repair = Repair(f"the loss without slope at target {value}", lambda subject: _masked(subject, value, share))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _padding_value(subject: Subject, targets: np.ndarray, view: LossView) -> tuple[int | None, bool]:
    """Returns the one target that is never scored, and True; where all are, the one that fills the ends of rows."""
    scored = np.asarray(subject.scored(targets), bool) if subject.scored else targets >= 0
    if not scored.all() and scored.shape == targets.shape:
        left_out = np.unique(targets[~scored])
        alone = len(left_out) == 1 and not np.any(targets[scored] == left_out[0])
        return (int(left_out[0]), True) if alone else (None, False)
    last = np.unique(targets[:, -1], return_counts=True) if targets.ndim > 1 else ((), ())
    common = int(last[0][np.argmax(last[1])]) if len(last[0]) else None
    if common is None or not _fills_an_end((targets == common).reshape(view.labels.shape)):
        return None, False
    return common, False


def _fills_an_end(padded: np.ndarray) -> bool:
    """Returns whether padding is one piece at the same end of all rows, and no row is without anything else."""
    rows = padded.reshape(len(padded), -1)
    grows, falls = np.all(np.diff(rows.astype(int)) >= 0), np.all(np.diff(rows.astype(int)) <= 0)
    return bool((grows or falls) and rows.any() and np.mean(rows.any(1)) > 0.5 and len(set(rows.sum(1))) > 1)


def _is_constant(view: LossView, padded: np.ndarray) -> bool:
    """Returns whether all inputs at padded positions are the same number."""
    inputs = [np.asarray(leaf) for leaf in jax.tree.leaves(view.batch.inputs)]
    along = [leaf for leaf in inputs if leaf.shape[: padded.ndim] == padded.shape]
    return bool(along) and all(np.ptp(leaf[padded]) == 0 for leaf in along)


def _masked(subject: Subject, value: int, share: float) -> Subject:
    """Returns the program whose loss has no slope at padding; the rest weighs what all did."""

    def losses(outputs: Any, batch: Any) -> Any:
        (given,), (targets,) = jax.tree.leaves(outputs), jax.tree.leaves(batch.targets)
        counts = (targets != value).reshape(given.shape[:-1])[..., None]
        held = jnp.where(counts, given, jax.lax.stop_gradient(given))
        return jnp.asarray(subject.losses(held, batch)) / (1 - share)

    return subject.changed(losses=losses)


PROBES = (Probe("padding in the loss", ("padding-in-loss",), look),)
