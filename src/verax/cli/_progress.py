"""Training as it goes: one live line on a terminal, a few plain lines where output is piped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from verax.cli._say import console, say, seconds_text

PLAIN_LINES = 20  # of a whole run, where output is piped


def watch(records: Generator[Any, None, Any], *, to_stderr: bool = False) -> Any:
    """Runs a generator of records to its end, showing them, and returns what it returns.

    Args:
      records: what `train.records` yields.
      to_stderr: keeps stdout for the result.
    """
    start = next(records)
    total, steps_per_epoch = start.values["total_steps"], max(1, start.values["steps_per_epoch"])
    latest: dict[str, float] = {}
    with _shown(total, to_stderr) as show:
        while True:
            try:
                record = next(records)
            except StopIteration as end:
                return end.value
            for name, value in record.values.items():
                if name.startswith(("train/", "validation/")):
                    latest[name] = sum(value) / len(value) if isinstance(value, tuple) else value
            # The last chunk of an epoch is followed by the epoch's own record.
            if record.kind == "epoch" or (record.kind == "chunk" and record.step % steps_per_epoch):
                show(record, _line(record, latest, total, -(-total // steps_per_epoch)))


def _line(record: Any, latest: dict[str, float], total: int, epochs: int) -> str:
    rate = record.step / max(record.seconds, 1e-9)
    left = (total - record.step) / rate
    time = f"{seconds_text(left)} left" if left else f"in {seconds_text(record.seconds)}"
    place = f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}  step {record.step:>{len(str(total))}}/{total}"
    return f"{place}  {numbers(latest)}  {rate:.0f} steps/s  {time}"


def numbers(values: dict[str, float]) -> str:
    """Returns the latest numbers as text: `loss 0.0123  validation loss 0.0456`.

    Example:
      >>> numbers({"train/loss": 0.5, "validation/accuracy": 0.975})
      'loss 0.5000  validation accuracy 0.9750'
    """
    words = {name: name.removeprefix("train/").replace("/", " ") for name in values}
    losses_first = sorted(values, key=lambda name: not name.endswith("/loss"))
    return "  ".join(f"{words[name]} {_number(values[name])}" for name in losses_first)


def _number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


@contextmanager
def _shown(total: int, to_stderr: bool) -> Iterator[Callable[[Any, str], None]]:
    """Yields a function that shows a record with its text."""
    screen = sys.stderr if to_stderr else sys.stdout
    if screen.isatty():
        with _live_line(to_stderr, total) as show:
            yield show
        return
    said, latest = 0, ""

    def show_plain(record: Any, text: str) -> None:
        nonlocal said, latest
        latest = text
        share = (record.step - said) / total
        if share >= (1 / PLAIN_LINES if record.kind == "epoch" else 1 / 4):
            say(text, to_stderr=to_stderr)
            said, latest = record.step, ""

    yield show_plain
    if latest:
        say(latest, to_stderr=to_stderr)


@contextmanager
def _live_line(to_stderr: bool, total: int) -> Iterator[Callable[[Any, str], None]]:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    text_column = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    with Progress(BarColumn(bar_width=20), text_column, console=console(to_stderr)) as progress:
        task = progress.add_task("first step", total=total)
        yield lambda record, text: progress.update(task, completed=record.step, description=text)
