"""A repair that is tried: the program is trained again with it, and both are asked the same rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from verax.data import Batch
from verax.doctor._answers import Answers, answers_of
from verax.doctor._probe import Repair
from verax.doctor._subject import Subject, some_rows
from verax.doctor._trajectory import Trajectory, train
from verax.findings import Finding
from verax.network import Variables

ROWS = 4000  # of each split that both are asked: a rare class of 2 % then has 80
SURE = 3.0  # standard errors of the paired difference: by chance one comparison in 700
SURE_ON_TRAIN = 4.0  # more, since rows that were trained on differ for reasons that do not last
SURE_OF_BOTH = 2.0  # enough on rows that were held out, where those trained on are sure


class Worth(NamedTuple):
    """What a repair must do to the mean error, to be one.

    Attributes:
      least: by how much it must fall.
      share: which part of it must go.
    """

    least: float
    share: float


# Judgement: three rows in a hundred and a quarter of the errors are what a person changes a program for. A number of
# the optimizer or the length of a run, which most programs could choose better, is wrong only where it costs much.
REPAIRED, TUNED, LENGTHENED = Worth(0.03, 0.25), Worth(0.05, 0.4), Worth(0.1, 0.5)


@dataclass(frozen=True, eq=False)
class Trial:
    """What a repair did.

    Attributes:
      repair: what was tried.
      helped: whether the program was seen to be better with it.
      before: mean error of the program as it is, on the rows by which it is judged (see `Answers.errors`).
      after: likewise with the repair.
      said: both, in a line.
      steps: that both were trained.
      seconds: that the trial took.
    """

    repair: Repair
    helped: bool
    before: float
    after: float
    said: str
    steps: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """A trained program, asked rows of both splits.

    Attributes:
      train: on rows of the training split.
      held: on rows of the split by which it is judged; None without one.
    """

    train: Answers
    held: Answers | None

    @property
    def judged(self) -> Answers:
        """On the rows by which the program is judged."""
        return self.train if self.held is None else self.held


def outcome_of(subject: Subject, variables: Variables) -> Outcome:
    """Returns how a trained program answers."""
    train, held = rows_of(subject)
    return Outcome(
        answers_of(subject, variables, train), None if held is None else answers_of(subject, variables, held)
    )


def rows_of(subject: Subject) -> tuple[Batch, Batch | None]:
    """Returns the rows by which repairs are compared."""
    return some_rows(subject.train, ROWS), some_rows(subject.held, ROWS) if subject.held else None


def worth_of(finding: Finding) -> Worth:
    """Returns what a repair must do for a finding to be reported."""
    by_part = {"optimizer": TUNED, "schedule": LENGTHENED}
    return by_part.get(finding.part or "", REPAIRED)


def try_repair(
    subject: Subject,
    trajectory: Trajectory,
    outcome: Outcome,
    repair: Repair,
    *,
    seconds: float,
    worth: Worth = REPAIRED,
) -> Trial:
    """Returns what a repair does to the program: trained for as many steps, from the same seed, in the same order.

    Where the repair is more epochs, it is trained for those.

    Args:
      subject: the program as it is.
      trajectory: its run.
      outcome: how it answers after that.
      repair: what is tried.
      seconds: at most, for the training.
      worth: what it must do to have helped.
    """
    began = time.perf_counter()
    changed = repair.change(subject)
    longer = changed.steps - subject.steps if changed.epochs > subject.epochs else 0
    again = train(changed, seconds=seconds, steps=max(trajectory.steps, 1) + longer, looks=4)
    new = outcome_of(changed, again.final)
    helped = is_better(outcome, new, worth)
    before, after = outcome.judged, new.judged
    said = f"with {repair.name}, error {before.error:.3g} -> {after.error:.3g} after {again.steps} steps"
    said += f" (on the training rows {outcome.train.error:.3g} -> {new.train.error:.3g})" if outcome.held else ""
    return Trial(repair, helped, before.error, after.error, said, again.steps, time.perf_counter() - began)


def is_better(before: Outcome, after: Outcome, worth: Worth) -> bool:
    """Returns whether answers are better, by more than chance and by enough to matter."""
    if not after.train.finite or (after.held is not None and not after.held.finite):
        return False
    if not before.train.finite or (before.held is not None and not before.held.finite):
        return True
    on_train = _gain(before.train, after.train)
    if before.held is None or after.held is None:
        return _helps(on_train, before.train.error, SURE_ON_TRAIN, worth)
    on_held = _gain(before.held, after.held)
    if _helps(on_held, before.held.error, SURE, worth):
        return on_train[0] > -max(worth.least, 0.5 * before.train.error)
    both = on_held[1] >= SURE_OF_BOTH and on_held[0] >= 0.5 * worth.least
    return _helps(on_train, before.train.error, SURE_ON_TRAIN, worth) and both


def _gain(before: Answers, after: Answers) -> tuple[float, float]:
    """Returns by how much the mean error fell, and in how many standard errors."""
    if len(before.errors) != len(after.errors) or not len(before.errors):
        return before.error - after.error, 0.0
    difference = (before.errors - after.errors) * before.balance
    spread = float(np.std(difference) / np.sqrt(len(difference)))
    gain = float(difference.mean())
    return gain, gain / spread if spread else float(np.inf * np.sign(gain)) if gain else 0.0


def _helps(gain: tuple[float, float], error: float, sure: float, worth: Worth) -> bool:
    return bool(gain[1] >= sure and gain[0] >= max(worth.least, worth.share * error))
