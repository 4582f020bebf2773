"""How a run went: does it still learn, did it turn, is it better than an answer that does not look at the inputs?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
import optax

from verax.doctor._answers import Answers, constant_error
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor._trajectory import Trajectory, require_whole
from verax.doctor._trial import Outcome
from verax.findings import Finding, Moment

ROSE = 1.25  # of its best: more than twice the tenth by which the held-out loss of a healthy run wanders (judgement)
ROSE_ALONE = 1.6  # likewise, where the answers are as right as before: a classifier grows sure of its few mistakes
SURE = 3.0  # standard errors
SMALL_STEP = 1e-4  # update over weight: below it, a run of thousands of steps moves little (TheDeepChecker's limit)
STILL_FALLING = 0.1  # of all that the loss fell, in the last quarter of the run
POOR = 0.7  # of the error of the best constant answer: most of what can be learnt was not (judgement)
LARGE_STEP = 0.1  # update over weight (DeepDiagnosis, TheDeepChecker)
LONGER, ENOUGH = 10, 5000  # times as many epochs are tried, or 4 times where that is more steps than these


def overfits(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns whether the held-out loss turned while the training loss fell on."""
    if not subject.held or len(trajectory.looks) < 3:
        raise NotApplicable("there is no held-out split, or the run is too short to turn")
    require_whole(trajectory)
    curve, first = trajectory.held_curve, trajectory.train_curve
    best = int(np.argmin(curve))
    said = f"held-out loss {curve[best]:.4g} at best (step {trajectory.looks[best].step}), {curve[-1]:.4g} at the end"
    rise, certain = curve[-1] - curve[best], _certainty(trajectory.looks[best].held, trajectory.looks[-1].held)
    learnt_on = first[-1] < first[best]
    limit = ROSE if _more_errors(trajectory.looks[best].held, trajectory.looks[-1].held) else ROSE_ALONE
    if not (learnt_on and rise > (limit - 1) * abs(curve[best]) and certain >= SURE):
        return Seen(said)
    evidence = (
        said + f", {certain:.1f} standard errors apart",
        f"training loss {first[best]:.4g} then, {first[-1]:.4g} at the end",
        f"held-out error {outcome.judged.error:.3g}, of training rows {outcome.train.error:.3g}",
    )
    finding = Finding(
        "overfitting",
        "warning",
        f"the held-out loss rose by {rise / max(abs(curve[best]), 1e-30):.0%} after step "
        f"{trajectory.looks[best].step}, while the training loss fell on.",
        "Stop at the best step (stopping=vx.EarlyStopping()), or a smaller network, decay or dropout.",
        Moment(trajectory.looks[best].step),
        "model",
        evidence,
        0.9,
    )
    return Seen(said, (finding,))


def _certainty(before: Answers | None, after: Answers | None) -> float:
    """Returns by how many standard errors losses differ, row by row."""
    if before is None or after is None or before.losses is None or after.losses is None:
        return float("inf")
    difference = after.losses - before.losses
    spread = difference.std() / np.sqrt(len(difference))
    return float(difference.mean() / spread) if spread else 0.0


def _more_errors(before: Answers | None, after: Answers | None) -> bool:
    """Returns whether answers are more often wrong, or further off, by two standard errors."""
    if before is None or after is None:
        return True
    difference = after.errors - before.errors
    return bool(difference.mean() > 2 * difference.std() / np.sqrt(len(difference)))


def is_learnt(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns whether the network ended better than the best constant answer, and how its loss moved."""
    if subject.task == "custom":
        raise NotApplicable("a custom task does not say what a good answer is")
    if trajectory.broken is None:
        require_whole(trajectory)
    rows = subject.held or subject.train
    constant, error = constant_error(subject, rows), outcome.judged.error
    said = f"error {error:.3g} at the end, {constant:.3g} of the best constant answer"
    if trajectory.broken is not None or not outcome.judged.finite:
        return Seen(said)
    errors = outcome.judged.errors * outcome.judged.balance
    spread = float(errors.std() / np.sqrt(max(1, len(errors))))
    if error < constant - 2 * spread:
        return Seen(said)
    looks, curve = trajectory.looks, trajectory.train_curve
    start, end = curve[0], curve[-1]
    fell = end < 0.9 * start if start > 0 else end < start
    ids = "no-better-than-baseline" if fell else "loss-divergence" if end > 3 * abs(start) else "loss-not-decreasing"
    finding = Finding(
        ids,
        "warning",
        f"after training, the error {error:.3g} is no better than {constant:.3g}, that of the best constant answer.",
        "Look for a cause: none of the other probes named one that explains it.",
        evidence=(said, f"loss of fixed training rows {start:.4g} -> {end:.4g}"),
        confidence=0.5,
        step=looks[int(np.nanargmin(curve))].step
        if ids == "loss-divergence"
        else None,  # from where it never came back
    )
    return Seen(said, (finding,))


def course(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns what there is to remark on the way of the loss: each has many causes, or none that harms."""
    if trajectory.broken is None:
        require_whole(trajectory)
    curve, lowest = trajectory.curve, float(np.min(trajectory.losses))
    said = f"loss {curve[0]:.4g} -> {curve[-1]:.4g}, {lowest:.4g} at the lowest step"
    remarks = []
    if subject.task in ("classification", "binary", "multilabel", "sequence") and lowest < 0:
        advice = "Look at the coding of the labels and the sign of the loss."
        said_so = f"the loss fell to {lowest:.3g}; of classes it cannot be below 0."
        first = int(np.argmax(trajectory.losses < 0)) + 1
        remarks.append(replace(_remark("negative-loss", said_so, advice), step=first))
    if _swings(curve):
        advice = "Lower the learning rate, or take larger batches."
        remarks.append(_remark("loss-oscillation", "the loss of fixed rows rises nearly as much as it falls.", advice))
    constant, error = constant_error(subject, subject.train) if subject.task != "custom" else 0.0, outcome.train.error
    if subject.task != "custom" and outcome.train.finite and error > POOR * constant:
        at_best = f"{error:.3g} of the training rows, {constant:.3g} of the best constant answer"
        remarks.append(
            _remark("underfitting", f"the error stays at {at_best}.", "Look for a cause; the task may be hard.")
        )
    return Seen(said, tuple(remarks))


def _remark(name: str, said: str, advice: str) -> Finding:
    return Finding(name, "info", said, advice, confidence=0.5)


def steps_fit(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns whether the run suggests that steps are too small or too large, or too few."""
    if trajectory.steps < 10 or not len(trajectory.updates):
        raise NotApplicable(f"{trajectory.steps} steps, {len(trajectory.updates)} of them measured, say too little")
    later = slice(len(trajectory.updates) // 10, None)
    ratios = trajectory.updates[later] / np.maximum(trajectory.weights[later], 1e-30)
    ranks = np.array([np.ndim(leaf) for leaf in jax.tree.leaves(subject.variables.params)])
    is_weight = ranks >= min(2, ranks.max())  # biases start at 0: their first steps are as large as they are
    moving = is_weight & (trajectory.weights[-1] > 0) & (trajectory.updates.max(axis=0) > 0)
    if not moving.any():
        raise NotApplicable("no parameter moved")
    ratio = float(np.median(np.median(ratios[:, moving], axis=0)))
    curve = trajectory.curve
    fell, recent = curve[0] - curve[-1], curve[3 * len(curve) // 4] - curve[-1]
    falling = np.isfinite(fell) and fell > 0 and recent > STILL_FALLING * fell
    said = f"a step changes weights by {ratio:.2g} of their size"
    evidence = (said, f"loss of fixed training rows {curve[0]:.4g} -> {curve[-1]:.4g} in {trajectory.steps} steps")
    suspicions = []
    if ratio < SMALL_STEP or (falling and ratio < 10 * SMALL_STEP):
        low = f"the learning rate is too low: a step changes the weights by {ratio:.1g} of their size."
        suspicions.append(_rate("learning-rate-too-low", low, "Multiply it by 10 to 100", (100.0, 10.0), evidence))
    if falling and ratio >= 10 * SMALL_STEP:
        suspicions.append(_too_short(subject, trajectory, evidence))
    first = float(np.median(trajectory.updates[:10, moving] / np.maximum(trajectory.weights[:10, moving], 1e-30)))
    if (
        _swings(curve)
        or max(first, ratio) > LARGE_STEP
        or curve.max() > ROSE * curve[0]
        or trajectory.broken is not None
    ):
        high = f"the learning rate is too high: a step changes the weights by {ratio:.1g} of their size."
        suspicions.append(_rate("learning-rate-too-high", high, "Divide it by 10 to 100", (0.1, 0.01), evidence))
    return Seen(said, (), tuple(suspicions))


def _rate(name: str, said: str, advice: str, factors: Sequence[float], evidence: tuple[str, ...]) -> Suspicion:
    """Returns the suspicion that steps are too large or too small, with other sizes to be tried."""
    more = "vx.find_learning_rate gives an interval."
    finding = Finding(name, "warning", said, f"{advice}; {more}", None, "optimizer", evidence, 0.9)
    return Suspicion(finding, tuple(map(scaled_updates, factors)))


def _too_short(subject: Subject, trajectory: Trajectory, evidence: tuple[str, ...]) -> Suspicion:
    times = LONGER if LONGER * subject.steps <= ENOUGH else 4
    finding = Finding(
        "insufficient-training",
        "warning",
        f"the run ends after {trajectory.steps} steps while the loss still falls.",
        f"Train longer: epochs={times * subject.epochs} was tried.",
        part="schedule",
        evidence=evidence,
        confidence=0.8,
    )
    longer = Repair(f"{times} times as many epochs", lambda subject: subject.changed(epochs=times * subject.epochs))
    return Suspicion(finding, (longer,))


def scaled_updates(factor: float) -> Repair:
    """Returns the repair that multiplies every update."""
    return Repair(
        f"updates × {factor:g}",
        lambda subject: subject.changed(optimizer=optax.chain(subject.optimizer, optax.scale(factor))),
    )


def _swings(curve: np.ndarray) -> bool:
    """Returns whether the loss of fixed rows goes up as much as down: it jumps without settling."""
    moves = np.diff(curve[len(curve) // 4 :])
    if len(moves) < 4 or not np.isfinite(moves).all():
        return not bool(np.isfinite(curve).all())
    up, down = moves[moves > 0].sum(), -moves[moves < 0].sum()
    return bool(up > 0.5 * down and up > 0.05 * abs(curve[len(curve) // 4 :].min()))


PROBES = (
    Probe("course of the loss", ("negative-loss", "loss-oscillation", "underfitting"), course, "run"),
    Probe("held-out loss along the run", ("overfitting",), overfits, "run"),
    Probe(
        "better than a constant",
        ("no-better-than-baseline", "loss-not-decreasing", "loss-divergence"),
        is_learnt,
        "run",
    ),
    Probe(
        "size and number of steps",
        ("learning-rate-too-low", "learning-rate-too-high", "insufficient-training"),
        steps_fit,
        "run",
    ),
)
