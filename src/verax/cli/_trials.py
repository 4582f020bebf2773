"""A study as it goes: the plan first, a row for each trial, and on a terminal a live line under them."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from verax.cli._say import console, say, seconds_text

ROWS = 100  # of a longer study, only what is better than before, and a row for each twentieth of it


def watch_study(
    steps: Generator[Any, None, Any],
    total: int,
    objective: str,
    *,
    seen: list[Any] | None = None,
    last: str = "",
    to_stderr: bool = False,
) -> Any:
    """Runs a generator of plans and trials to its end, showing them, and returns the study.

    Args:
      steps: what `tune.events` yields.
      total: how many trials there will be.
      objective: what chooses.
      seen: is given what comes, so that it is known if the study does not come to its end.
      last: what is done after the last trial, in words.
      to_stderr: keeps stdout for the result.
    """
    seen = [] if seen is None else seen
    rows = Rows(total, objective)
    with _shown(total, to_stderr) as (show, update):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            seen.append(step)
            text = rows.plan(step) if hasattr(step, "tasks") else rows.row(step)
            if text:
                show(text)
            update(rows.ended, rows.line())
            if rows.ended == total and last:
                show(last)


class Rows:
    """What is said of each plan and trial: the best so far, trials per minute, time left.

    Args:
      total: how many trials there will be.
      objective: what chooses.
    """

    def __init__(self, total: int, objective: str):
        self.total, self.objective = total, objective
        self.began = time.perf_counter()
        self.ended = self.known = self.said = 0
        self.best = math.nan
        self.verdicts: Any = None
        self.digits, self.width = len(str(total)), max(len(objective), 8)

    def plan(self, plan: Any) -> str:
        """Returns a plan as text; what its hyperparameters are only where that is new."""
        if self.verdicts is None:
            self.began = time.perf_counter()
        self.known += plan.known
        is_new, self.verdicts = plan.verdicts != self.verdicts, plan.verdicts
        return f"plan: {plan if is_new else plan.head()}"

    def row(self, trial: Any) -> str:
        """Returns the row of a trial, with the columns' names above the first; empty where it says little."""
        from verax.tune._study import setting_text

        self.ended += 1
        is_better = self.is_better(trial)
        if is_better:
            self.best = trial.value
        first = not self.said
        if self.total > ROWS and not is_better and self.ended < self.said + self.total / 20:
            return ""
        self.said = self.ended
        note = "" if trial.state == "complete" else f"  ({trial.stop_reason})"
        best = "-" if math.isnan(self.best) else f"{self.best:.4g}"
        row = (
            f"{self.ended:>{self.digits}} / {self.total}  {trial.value:>{self.width}.4g}  {best:>8}  "
            f"{self.rate():>5}  {self.left():>7}  {setting_text(trial.hyperparameters)}{note}"
        )
        names = (
            f"{'trial':>{2 * self.digits + 3}}  {self.objective:>{self.width}}  {'best':>8}  {'/ min':>5}  {'left':>7}"
        )
        return f"{names}  setting\n{row}" if first else row

    def is_better(self, trial: Any) -> bool:
        """Returns whether a trial is the best so far."""
        from verax.tune._judge import cost

        return trial.state == "complete" and cost(trial.value, self.objective) < cost(self.best, self.objective)

    def line(self) -> str:
        """Returns the line that changes: `12 / 81 trials  best 0.0123  40 a minute  1:45 left`."""
        best = "" if math.isnan(self.best) else f"  best {self.best:.4g}"
        going = f"  {self.rate()} a minute  {self.left()} left" if self.measured() else ""
        return f"{self.ended} / {self.total} trials{best}{going}"

    def measured(self) -> int:
        """Returns how many trials ended here, without those that were known before."""
        return max(0, self.ended - self.known)

    def rate(self) -> str:
        """Returns the trials per minute so far."""
        minutes = (time.perf_counter() - self.began) / 60
        return f"{self.measured() / minutes:.3g}" if self.measured() and minutes else "-"

    def left(self) -> str:
        """Returns the time that the others will take at this rate."""
        if not self.measured():
            return "-"
        return seconds_text((time.perf_counter() - self.began) / self.measured() * (self.total - self.ended))


@contextmanager
def _shown(total: int, to_stderr: bool) -> Iterator[tuple[Callable[[str], None], Callable[[int, str], None]]]:
    """Yields what prints lines, and what updates the live line; where output is piped the latter does nothing."""
    screen = sys.stderr if to_stderr else sys.stdout
    if not screen.isatty():
        yield (lambda text: say(text, to_stderr=to_stderr)), (lambda ended, text: None)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column
    from rich.text import Text

    words = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    with Progress(BarColumn(bar_width=20), TimeElapsedColumn(), words, console=console(to_stderr)) as progress:
        task = progress.add_task("the plan", total=total)
        yield (
            lambda text: progress.console.print(Text(text), soft_wrap=True),
            lambda ended, text: progress.update(task, completed=ended, description=text),
        )
