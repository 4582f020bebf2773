"""A run at Weights & Biases, replayed from its history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from verax.report._writers import Tracked, Write, outcome, replay, require, scalars, tracked
from verax.train import Record, Run

Mode = Literal["online", "offline", "disabled"]


def wandb(run: Run | str | Path, project: str = "verax", *, mode: Mode | None = None) -> str:
    """Writes a run to Weights & Biases and returns its id there.

    The id follows from the run, so that writing it again continues the same run: steps that it has are left out. With
    `mode="offline"` nothing is sent: `wandb sync` does that later.

    Args:
      run: a run, or its folder; files of W&B go into the folder, else into `wandb/` where the program runs.
      project: the project's name.
      mode: `online`, `offline` or `disabled`; what W&B itself is set to (`WANDB_MODE`) if not given.

    Raises:
      ImportError: if wandb is not installed.
      InputError: if there is no history.
    """
    require("wandb")
    known = tracked(run)
    replay(known, lambda known: wandb_writer(known, project, mode=mode))
    return known.id


@contextmanager
def wandb_writer(run: Tracked, project: str, *, mode: Mode | None = None) -> Iterator[Write]:
    """Yields a function that adds a record to a run at Weights & Biases."""
    library = require("wandb")
    where = {} if run.folder is None else {"dir": str(run.folder)}
    opened: Any = library.init(
        project=project, id=run.id, name=run.name, config=run.hyperparameters, resume="allow", mode=mode, **where
    )
    known_steps = opened.step if getattr(opened, "resumed", False) else 0
    code = 1  # until the run has come to its end

    def write(record: Record) -> None:
        nonlocal code
        by_step: dict[int, dict[str, float]] = defaultdict(dict)
        for each in scalars(record):
            by_step[each.step][each.name] = each.value
        for step, values in by_step.items():
            if step >= known_steps:
                opened.log(values, step=step)
        if (end := outcome(record)) is not None:
            opened.summary.update(end)
            code = int(end["failed"])

    try:
        yield write
    finally:
        opened.finish(exit_code=code)
