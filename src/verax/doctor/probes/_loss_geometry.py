"""Does the loss reward right answers: which way it pulls, for every label, and whether it pulls at all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._step_sizes import climbs
from verax.doctor._subject import Subject
from verax.findings import Finding

MOST = 0.9  # of the examples; a proper loss pulls all of them the right way, a wrong one none
FAR = 1e3  # in units of the outputs: beyond all that a loss bends at, within float32


def look(subject: Subject) -> Seen:
    """Asks the loss of each example alone which answer it likes best, and compares that with the target."""
    view = loss_view(subject)
    still = _no_slope(view)
    if still is not None:
        return Seen("the derivative of the loss by the outputs", (still,))
    if view.layout == "other":
        raise NotApplicable("outputs and targets are not compared one by one.")
    if view.layout == "classes":
        return _classes(view)
    return _yes_or_no(view) if view.layout == "logits" else _numbers(view)


def _no_slope(view: LossView) -> Finding | None:
    """Finds a loss whose derivative by the outputs is zero wherever it is asked."""
    asked = [view.together(view.outputs)] + [view.together(view.sample(seed)) for seed in range(3)]
    if any(each.slope.any() for each in asked):
        return None
    values = np.array([float(each.loss) for each in asked])
    evidence = (f"losses at four sets of outputs: {', '.join(f'{value:.4g}' for value in values)}; all derivatives 0",)
    if np.ptp(values) > 1e-6 * np.abs(values).max():
        said = "the derivative of the loss by every output is exactly 0: it is constant nearly everywhere."
        advice = "Argmax, rounding, sign, comparisons and stop_gradient let no gradient pass: use a smooth loss."
        return Finding("non-differentiable-loss", "error", said, advice, None, "loss", evidence, 1.0)
    shape = view.outputs.shape
    if view.subject.task != "regression" and (view.outputs.ndim == 1 or shape[-1] == 1):
        said = f"the loss is {values[0]:.4g} whatever the outputs are: a softmax over one output is always 1."
        advice = "Use the sigmoid cross entropy for one output, or give the network an output for each class."
    else:
        said = f"the loss is {values[0]:.4g} whatever the outputs are."
        advice = "Does the loss use its first argument?"
    return Finding("loss-mismatch", "error", said, advice, None, "loss", evidence, 1.0)


# Classes.


def _classes(view: LossView) -> Seen:
    undecided = np.full(view.outputs.shape, 1 / view.outputs.shape[-1] if view.are_probabilities else 0.0)
    slope, elsewhere = view.alone(undecided).slope, view.alone(view.sample(1)).slope
    pulled = np.any(np.abs(slope) > 1e-5 * np.abs(elsewhere).max(), axis=-1) & view.labelled
    if not pulled.any():
        liked = elsewhere.argmin(-1)
        if np.mean((liked == view.labels)[view.labelled]) > 0.5:
            raise NotApplicable("an undecided answer is pulled nowhere.")
        said = "an undecided answer is pulled nowhere, and other answers not towards their class"
        return Seen(said, (_other_class(view, liked, view.labelled & (liked != view.labels), view.labelled),))
    liked, unliked = slope.argmin(-1), slope.argmax(-1)
    right = np.mean((liked == view.labels)[pulled])
    compared = f"{right:.0%} of {pulled.sum()} undecided answers are pulled towards their class"
    best = np.eye(view.outputs.shape[-1])[liked]
    misread = not view.reads_right(best if view.are_probabilities else 10.0 * best, pulled)
    if misread and np.mean((unliked == view.labels)[pulled]) > MOST:
        return _upside_down(view, compared)
    unlimited = _grows_without_answer(view)
    if unlimited is not None:
        return Seen(compared, (unlimited,))
    if misread and right < 0.5:
        return Seen(compared, (_other_class(view, liked, pulled & (liked != view.labels), pulled),))
    return Seen(compared, _silent_class(view))


def _other_class(view: LossView, liked: np.ndarray, wrong: np.ndarray, pulled: np.ndarray) -> Finding:
    pairs = sorted({(int(label), int(other)) for label, other in zip(view.labels[wrong], liked[wrong], strict=True)})
    shown = ", ".join(f"{label} towards output {other}" for label, other in pairs[:4])
    return Finding(
        "label-encoding-mismatch",
        "error",
        f"{np.mean(wrong[pulled]):.0%} of the targets pull another output up than their own: {shown}.",
        "Give the loss labels in the form that it takes: class numbers from 0, or one-hot rows.",
        part="data",
        evidence=(f"targets {view.targets.dtype}{list(view.targets.shape)}, outputs {list(view.outputs.shape)}",),
        confidence=0.95,
    )


def _grows_without_answer(view: LossView) -> Finding | None:
    """Finds a loss that falls without end when all scores of a row rise together, which is no better answer."""
    if view.are_probabilities or _log_probabilities(view.outputs):
        return None
    near, far = (float(view.together(np.full(view.outputs.shape, by)).loss) for by in (0.0, FAR))
    if not far < near - 10:
        return None
    return Finding(
        "loss-mismatch",
        "error",
        f"the loss falls from {near:.4g} to {far:.4g} when all scores rise by {FAR:.0f}, whichever is the right one.",
        "The loss takes log probabilities: return jax.nn.log_softmax(logits), or use a cross entropy of logits.",
        part="loss",
        evidence=(f"sums of exp(outputs) by row from {_sums(view.outputs)}; of log probabilities they are 1",),
        confidence=0.95,
    )


def _log_probabilities(outputs: np.ndarray) -> bool:
    """Returns whether outputs are logs of probabilities along any axis (a wrong axis is another probe's finding)."""
    with np.errstate(over="ignore"):
        sums = [np.exp(outputs).sum(axis) for axis in range(outputs.ndim)]
    return any(bool(np.all(np.abs(each - 1) < 1e-3)) for each in sums)


def _sums(outputs: np.ndarray) -> str:
    with np.errstate(over="ignore"):
        sums = np.exp(outputs).sum(-1)
    return f"{sums.min():.3g} to {sums.max():.3g}"


def _silent_class(view: LossView) -> tuple[Finding, ...]:
    """Finds classes numbered from 1 whose last one pulls no output: `one_hot(3, 3)` is a row of zeros. (Any other label
    without a pull may be one that is to be left out.)"""
    classes, labels = view.outputs.shape[-1], np.unique(view.labels)
    if labels[0] < 1 or labels[-1] != classes or np.any(view.alone(view.sample(1)).slope[view.labels == classes]):
        return ()
    return (
        Finding(
            "label-encoding-mismatch",
            "error",
            f"target {classes} pulls no output: the loss does not learn from its rows.",
            f"Number the classes from 0 to {classes - 1}.",
            part="data",
            evidence=(f"targets from {labels[0]} to {labels[-1]}, outputs 0 to {classes - 1}",),
            confidence=0.9,
        ),
    )


def _upside_down(view: LossView, compared: str) -> Seen:
    """Reports a loss that rewards wrong answers, unless the optimizer climbs it: then it is a reward."""
    if climbs(view.subject):
        return Seen(f"{compared}, and the optimizer climbs: a reward")
    size = 0.9 if view.are_probabilities else 3.0
    right, wrong = (float(view.together(_answers(view, size, which)).loss) for which in (False, True))
    return Seen(
        compared,
        (
            Finding(
                "loss-sign-error",
                "error",
                f"the loss is upside down: right answers cost {right:.4g}, wrong ones {wrong:.4g}.",
                "Negate it: -log p of the right answer, or add the minus that is missing.",
                part="loss",
                evidence=(compared,),
                confidence=1.0,
            ),
        ),
    )


def _answers(view: LossView, size: float, wrong: bool) -> np.ndarray:
    """Returns confident answers of the kind that the network gives."""
    scores = view.right(1.0, wrong)
    if not view.are_probabilities:
        return size * scores
    rest = (1 - size) / (view.outputs.shape[-1] - 1) if view.layout == "classes" else 1 - size
    return np.where(scores > 0, size, rest)


# Yes or no: one number for each answer.


class Pull(NamedTuple):
    """What the loss of a label does along its output, from low to high.

    Attributes:
      likes: 1 if its least lies at the high end, -1 at the low end, 0 between them, or nowhere if it is constant.
      constant: whether it is the same everywhere.
      unlimited: whether it falls below zero without end.
    """

    likes: int
    constant: bool
    unlimited: bool


def _yes_or_no(view: LossView) -> Seen:
    labels = np.unique(view.targets)
    if len(labels) != 2:
        raise NotApplicable(f"the batch holds {len(labels)} different targets.")
    grid = np.array([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6]) if view.are_probabilities else np.array([-30.0, -3, 0, 3, 30.0])
    curves = np.stack([view.alone(np.full(view.outputs.shape, each)).loss for each in grid])
    if not all(_rows_of(view, label).any() for label in labels):
        raise NotApplicable("no example has the same target in all columns.")
    low, high = (_pull(curves[:, _rows_of(view, label)].mean(1)) for label in labels)
    compared = f"the least loss of target {labels[0]:g} is {_end(low)}, of target {labels[1]:g} {_end(high)}"
    if not np.all(np.isfinite(curves)):
        raise NotApplicable("the loss is not finite at some outputs.")
    if low.likes > 0 and high.likes < 0:
        best = grid[-1] * np.where(view.yes, -1.0, 1.0) if not view.are_probabilities else np.where(view.yes, 0.0, 1.0)
        if view.reads_right(best, np.ones(view.outputs.shape, bool)):
            return Seen(f"{compared}, and the program reads it so")
        return _upside_down(view, compared)
    if any(each.likes == 0 and not each.constant for each in (low, high)):
        return Seen(compared)  # a distance from the label: whether it fits the task is another probe's question
    if (low.likes, high.likes) != (-1, 1) or low.unlimited or high.unlimited:
        return Seen(compared, (_encoding(view, labels, (low, high), compared),))
    return Seen(compared)


def _rows_of(view: LossView, label: Any) -> np.ndarray:
    return np.all((view.targets == label).reshape(len(view.targets), -1), axis=1)


def _pull(curve: np.ndarray) -> Pull:
    middle, ends = curve[len(curve) // 2], (curve[0], curve[-1])
    if np.ptp(curve) <= 1e-6 * np.abs(curve).max():
        return Pull(0, True, False)
    likes = 0 if min(ends) > middle else (1 if ends[1] < ends[0] else -1)
    return Pull(likes, False, bool(min(ends) < -abs(middle)))


def _end(pull: Pull) -> str:
    where = {1: "at high outputs", -1: "at low outputs", 0: "between them"}[pull.likes]
    where = "nowhere: it is constant" if pull.constant else where
    return where + (" and falls without end" if pull.unlimited else "")


def _encoding(view: LossView, labels: np.ndarray, pulls: tuple[Pull, Pull], compared: str) -> Finding:
    constant = [f"{label:g}" for label, pull in zip(labels, pulls, strict=True) if pull.constant]
    unlimited = [f"{label:g}" for label, pull in zip(labels, pulls, strict=True) if pull.unlimited]
    if constant:
        said = f"targets {' and '.join(constant)} have the same loss whatever the output is."
    elif unlimited:
        said = f"the loss of target {' and '.join(unlimited)} falls below zero without end."
    else:
        said = f"targets {labels[0]:g} and {labels[1]:g} both ask for the same output."
    return Finding(
        "label-encoding-mismatch",
        "error",
        f"{said} The loss takes other labels than {labels[0]:g} and {labels[1]:g}.",
        "Map the labels to 0 and 1 for a cross entropy, to -1 and 1 for a hinge loss.",
        part="data",
        evidence=(compared,),
        confidence=0.95,
    )


# Numbers.


def _numbers(view: LossView) -> Seen:
    """Asks whether the loss has a least value at finite outputs, as a distance from a target has."""
    targets = view.targets.reshape(view.outputs.shape).astype(np.float64)
    reach = FAR * max(float(targets.std()), float(np.abs(targets).max()), 1e-6)
    near = np.stack([view.alone(targets + by * targets.std()).loss for by in (-1.0, 0.0, 1.0)])
    low, high = (view.alone(np.full(targets.shape, by)).loss for by in (-reach, reach))
    if not np.all(np.isfinite([*near, low, high])):
        raise NotApplicable("the loss is not finite at all outputs.")
    floor = near.min(0) - np.abs(near).max(0)
    down, up = low < floor, high < floor
    compared = f"the loss falls without end for {np.mean(down | up):.0%} of the examples"
    if np.mean(down & up) > MOST:
        return _reversed_distance(view, compared)
    if np.mean(down | up) > 0.5 and not climbs(view.subject):
        said = f"for {np.mean(down | up):.0%} of the targets the loss falls below zero without end as the output grows."
        advice = "It is a loss for classes or probabilities: use squared or absolute errors for numbers."
        return Seen(compared, (Finding("loss-mismatch", "error", said, advice, None, "loss", (compared,), 0.95),))
    return Seen(compared)


def _reversed_distance(view: LossView, compared: str) -> Seen:
    if climbs(view.subject):
        return Seen(f"{compared}, and the optimizer climbs: a reward")
    said = "the loss is upside down: it falls without end as outputs move away from their targets, to either side."
    advice = "Negate it: the squared error itself is to be made small."
    return Seen(compared, (Finding("loss-sign-error", "error", said, advice, None, "loss", (compared,), 1.0),))


PROBES = (
    Probe(
        "what the loss rewards",
        ("loss-sign-error", "label-encoding-mismatch", "loss-mismatch", "non-differentiable-loss"),
        look,
    ),
)
