"""Can the outputs take the values that the targets, or the loss, ask of them: activations of the last layer."""

from __future__ import annotations

import numpy as np

from verax.doctor._last_activation import has_last_activation, without_last_activation
from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.findings import Finding
from verax.jaxpr import Range

OUTSIDE = 0.05  # of the targets; fewer may be outliers
SIZES = (1.0, 2.0, 3.0, 5.0, 10.0, 60.0)  # of a sure answer; smoothed labels have their least between
LOST = 0.1  # of the loss of an uninformed answer: what a range may cost and be left in peace
MOST_LOST = 0.5  # likewise; from here on no training makes up for it


def look(subject: Subject) -> Seen:
    """Compares the range that outputs can take, read from the program, with the targets and the loss's best answers."""
    view = loss_view(subject)
    if view.layout == "numbers":
        return _numbers(view)
    if view.layout not in ("classes", "logits"):
        raise NotApplicable("outputs and targets are not compared one by one.")
    if view.are_probabilities or _normalised(view.outputs):
        return Seen("the outputs are probabilities")
    raw = _wants_probabilities(view)
    if raw is not None:
        return Seen(f"outputs from {view.outputs.min():.3g} to {view.outputs.max():.3g}", (raw,))
    return _scores(view)


def _normalised(outputs: np.ndarray) -> bool:
    """Returns whether outputs sum to one over any axis: a softmax, if over the wrong one another probe says so."""
    return any(bool(np.all(np.abs(outputs.sum(axis) - 1) < 1e-3)) for axis in range(outputs.ndim))


def _numbers(view: LossView) -> Seen:
    targets, reach = np.asarray(view.subject.train.targets, np.float64), view.range
    slack = 1e-3 * float(targets.std())
    outside = np.mean((targets < reach.low - slack) | (targets > reach.high + slack))
    compared = f"outputs within {reach}, targets from {targets.min():.4g} to {targets.max():.4g}"
    if outside <= OUTSIDE:
        return Seen(compared)
    wanted = view.targets.reshape(view.outputs.shape).astype(np.float64)
    held = np.clip(wanted, reach.low, reach.high)
    perfect, nearest = view.alone(wanted).loss.mean(), view.alone(held).loss.mean()
    constant = view.alone(np.full(wanted.shape, np.clip(wanted.mean(), reach.low, reach.high))).loss.mean()
    if not np.all(np.isfinite([perfect, nearest, constant])) or nearest <= perfect:
        return Seen(f"{compared}; the loss does not compare them as they are")
    lost = (nearest - perfect) / max(constant - perfect, 1e-30)
    said = f"{outside:.0%} of the targets lie outside {reach}, the range that the outputs can take."
    evidence = (compared, f"the best attainable outputs leave {lost:.0%} of the loss of a constant one")
    return _found(view, said, "Leave the last layer without an activation.", compared, evidence, bool(lost > LOST))


def _scores(view: LossView) -> Seen:
    """Compares the least loss within the range of the outputs with the least that there is."""
    reach, rows = view.range, len(view.batch.weight)
    answers = [view.right(size) for size in SIZES]
    undecided = view.alone(np.zeros(view.outputs.shape)).loss
    free = np.min([view.alone(each).loss for each in answers], axis=0)
    held = np.min([view.alone(_within(view, each, reach)).loss for each in answers], axis=0)
    compared = f"outputs within {reach}; a sure and right answer costs {held.mean():.3g}, of {undecided.mean():.3g}"
    if not np.all(np.isfinite([free, held, undecided])) or not np.all(undecided > free):
        return Seen(compared)
    lost = (held - free) / (undecided - free)
    sides = [view.yes.reshape(rows, -1).all(1), ~view.yes.reshape(rows, -1).any(1)] if view.layout == "logits" else []
    worst = max([float(lost[side].mean()) for side in sides if side.any()], default=float(lost.mean()))
    evidence = (compared, f"{worst:.0%} of the loss of an undecided answer cannot be learnt away")
    if worst > LOST:
        said = (
            f"outputs within {reach} cannot be sure: a right answer costs {held.mean():.3g}, freely {free.mean():.3g}."
        )
        advice = "Give the loss logits: leave the last layer without an activation."
        return _found(view, said, advice, compared, evidence, worst > MOST_LOST)
    zeros = float(np.mean(view.outputs == 0))
    if reach.low == 0 and zeros > 0.3:
        said = f"the logits are rectified: {zeros:.0%} of them are exactly 0 and have no slope."
        evidence = (compared, f"{zeros:.0%} of the outputs are 0 at the start")
        return _found(view, said, "Leave the last layer without an activation.", compared, evidence, False)
    return Seen(compared)


def _within(view: LossView, answers: np.ndarray, reach: Range) -> np.ndarray:
    """Returns the attainable scores that come nearest to an answer: of classes only their differences count."""
    if view.layout == "logits":
        return np.clip(answers, reach.low, reach.high)
    sure = answers > 0
    top, size = min(reach.high, max(reach.low, 0.0) + answers.max()), answers.max()
    low = max(reach.low, top - size)
    return np.where(sure, top, low)


def _found(view: LossView, said: str, advice: str, compared: str, evidence: tuple[str, ...], is_proved: bool) -> Seen:
    confidence = 1.0 if is_proved else 0.6
    finding = Finding("wrong-output-activation", "error", said, advice, None, "model", evidence, confidence)
    if is_proved:
        return Seen(compared, (finding,))
    if not has_last_activation(view.subject.training_program):
        return Seen(compared)
    repair = Repair("the last activation left out", without_last_activation)
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _wants_probabilities(view: LossView) -> Finding | None:
    """Finds a loss that takes numbers in [0, 1] and gets others: there it is NaN, or has no slope."""
    outside = float(np.mean((view.outputs < 0) | (view.outputs > 1)))
    if outside <= OUTSIDE:
        return None
    within, beyond = (_right_slopes(view, size) for size in (0.5, -1.0))
    if not (np.all(np.isfinite(within)) and np.all(within != 0)) or np.any(np.isfinite(beyond) & (beyond != 0)):
        return None
    there = "has no slope" if np.all(np.isfinite(beyond)) else "is not a number"
    name = "softmax" if view.layout == "classes" else "sigmoid"
    return Finding(
        "wrong-output-activation",
        "error",
        f"the loss takes probabilities, and {outside:.0%} of the outputs lie outside [0, 1], where it {there}.",
        f"Use a cross entropy of logits, or end the network in a {name}.",
        part="model",
        evidence=(f"outputs from {view.outputs.min():.3g} to {view.outputs.max():.3g} at the start",),
        confidence=1.0,
    )


def _right_slopes(view: LossView, size: float) -> np.ndarray:
    """Returns the slope by the right answer's output where that is `size` (of a no, `1 - size`), the others small; NaN
    where the loss is."""
    if view.layout == "logits":
        right, asked = np.ones(view.outputs.shape, bool), view.alone(np.where(view.yes, size, 1 - size))
    else:
        right = (view.right(1.0) > 0) & view.labelled[..., None]
        asked = view.alone(np.where(right, size, 0.5 / view.outputs.shape[-1]))
    loss = asked.loss.reshape(-1, *[1] * (right.ndim - 1))
    return np.where(np.isfinite(loss), asked.slope, np.nan)[right]


PROBES = (Probe("range of the outputs", ("wrong-output-activation",), look),)
