"""The loss along a run with the moments at which something was found, numbered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from verax.findings import Finding, Severity
from verax.plot._canvas import FONT, LINE, ORANGE, PURPLE, SERIES, Axes, axes_or_new, ink, legend, short
from verax.plot._curves import SPLITS, Curve, log_if_far, mark_not_finite, thinned
from verax.train import History

MOST = 9  # moments in a picture
LOOKS = {"error": (ORANGE, ":"), "warning": (PURPLE, "-."), "info": (LINE, "--")}
APART = 0.06  # of the width: numbers closer than this stand above one another


class Mark(NamedTuple):
    """A step at which something was found.

    Attributes:
      number: in the picture, from 1.
      step: of the run.
      findings: one of each id, the worst first.
    """

    number: int
    step: int
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """That of its worst finding."""
        return self.findings[0].severity

    @property
    def names(self) -> str:
        """The ids of its findings."""
        return ", ".join(each.id for each in self.findings)


def find_marks(findings: Iterable[Finding], *, most: int = MOST) -> tuple[Mark, ...]:
    """Returns the moments of those findings that have one, in order; the worst where there are more than `most`.

    Example:
      >>> found = [Finding("late", "info", "m", step=9), Finding("bad", "error", "m", step=4)]
      >>> [(mark.number, mark.step, mark.names) for mark in find_marks(found)]
      [(1, 4, 'bad'), (2, 9, 'late')]
    """
    by_step: dict[int, dict[str, Finding]] = {}
    rank = list(LOOKS)
    for finding in sorted(findings, key=lambda each: rank.index(each.severity)):
        if finding.step is not None:
            by_step.setdefault(finding.step, {}).setdefault(finding.id, finding)
    worst = sorted(list(by_step)[:most])  # steps stand in the order of their worst finding
    return tuple(Mark(number, step, tuple(by_step[step].values())) for number, step in enumerate(worst, 1))


def loss_and_moments(history: History, findings: Iterable[Finding] = (), *, ax: Axes = None) -> Axes:
    """Draws the loss step by step, with a numbered line at each moment that a finding has.

    Lines are dotted for errors, dashed and dotted for warnings, dashed for remarks; the legend below says what each is.
    Of more than nine moments the worst are drawn.

    Args:
      history: what was measured.
      findings: those that have a `step` are marked.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if the history has no loss.
    """
    curves = _losses(history)
    if not curves:
        raise ValueError("history must have a train/loss or a validation/loss, got neither.")
    marks = find_marks(findings)
    ax = axes_or_new(ax, height=2.5 + 0.22 * len(marks))
    for name, (steps, values) in curves.items():
        color, line, marker = SERIES[SPLITS.index(name)]
        look = {"color": color, "marker": marker if len(values) <= 30 else None, "markersize": 3.5, "linewidth": 1.6}
        ax.plot(steps, values, line, label=name, **look)
    log_if_far(ax, curves)
    if not any(each.id.startswith("non-finite") for mark in marks for each in mark.findings):
        mark_not_finite(ax, curves)
    ax.set(xlabel="step", ylabel="loss")
    ax.xaxis.get_major_locator().set_params(integer=True)
    legend(ax)
    if marks:
        _draw(ax, marks)
    return ax


def _losses(history: History) -> dict[str, Curve]:
    """Returns steps and losses of each split: of training every step where they are known, else every epoch."""
    every = history.series("train/loss", "chunk")
    known = {
        "train": every if every[0] else history.series("train/loss"),
        "validation": history.series("validation/loss"),
    }
    return {
        name: thinned(np.array(steps, float), np.array(values, float))
        for name, (steps, values) in known.items()
        if steps
    }


def _draw(ax: Axes, marks: tuple[Mark, ...]) -> None:
    """Draws a line with its number at each moment, and what the numbers mean below the axes."""
    curves = ax.get_legend()
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, marks[0].step), max(high, marks[-1].step + 0.02 * (high - low)))
    wide = max(np.ptp(ax.get_xlim()), 1e-9)
    ends: list[int] = []  # the last step whose number stands at each height
    drawn = []
    for mark in marks:
        color, line = LOOKS[mark.severity]
        said = short(f"{mark.number}  step {mark.step:,}: {mark.names}", 46)
        drawn.append(ax.axvline(mark.step, color=color, linestyle=line, linewidth=1.4, label=said))
        free = (height for height, end in enumerate(ends) if mark.step - end > APART * wide)
        height = next(free, len(ends))
        ends[height : height + 1] = [mark.step]
        ax.annotate(
            str(mark.number), (mark.step, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2 + 11 * height),
            textcoords="offset points", ha="center", va="bottom", fontsize=FONT - 1, color=ink(ax),
        )  # fmt: skip
    legend(ax, handles=drawn, loc="upper left", bbox_to_anchor=(0.0, -0.26), borderaxespad=0.0)
    ax.add_artist(curves)
