"""Which batch size this machine runs efficiently: the step timed at several, compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from verax.debug._profile_subject import Resized, Subject, free_bytes
from verax.debug._profile_time import Spread, seconds_per_step, spread

FACTORS = (0.5, 1, 2, 4)  # of the current batch size
WORTHWHILE = 1.1  # a rate that is not a tenth higher is not worth another batch size


class BatchSize(NamedTuple):
    """The step at one batch size.

    Attributes:
      size: examples a step.
      rates: examples a second on the device, without waiting for input; one number a round, every round measured every
        size in turn. Empty if it could not be measured.
      program_bytes: memory that the program needs; None if it could not be made.
      reason: why it was not measured.
    """

    size: int
    rates: tuple[float, ...]
    program_bytes: int | None
    reason: str = ""

    @property
    def examples_per_second(self) -> Spread:
        """Examples a second."""
        return spread(self.rates)

    def times(self, other: BatchSize) -> Spread:
        """Returns how many times the rate of another size this one's is, compared round by round."""
        return spread(np.array(self.rates) / np.array(other.rates))


def measure_batch_sizes(subject: Subject, sizes: Sequence[int] | None) -> tuple[BatchSize, ...]:
    """Returns the rates of some batch sizes, the current one among them; empty where none can be measured.

    Args:
      subject: what is profiled.
      sizes: to try; None takes FACTORS of the current one, an empty sequence none.
    """
    current = subject.batch_size
    if subject.resized is None or current is None or (sizes is not None and not len(sizes)):
        return ()
    wanted = sizes or [round(current * factor / subject.multiple) * subject.multiple for factor in FACTORS]
    runnable: dict[int, Resized] = {}
    rows: list[BatchSize] = []
    for size in sorted({*wanted, current} - {0}):
        made = _made(subject, size)
        if isinstance(made, str):
            rows.append(BatchSize(size, (), None, made))
        else:
            runnable[size] = made
    seconds = seconds_per_step({str(size): each.run for size, each in runnable.items()})
    for size, each in runnable.items():
        rows.append(BatchSize(size, tuple((size / seconds[str(size)]).tolist()), each.program_bytes))
    return tuple(sorted(rows))


def _made(subject: Subject, size: int) -> Resized | str:
    """Returns the step at a batch size, or why it cannot be run."""
    if subject.most_examples is not None and size > subject.most_examples:
        return f"the training split has {subject.most_examples} examples"
    assert subject.resized is not None
    try:
        made = subject.resized(size)
    except Exception as error:  # the user's own function, which may not take every size
        return (
            f"does not run: {str(error).strip().splitlines()[0][:80] if str(error).strip() else type(error).__name__}"
        )
    if made.program_bytes > free_bytes():
        return f"needs {made.program_bytes / 2**20:,.0f} MiB, more than is free"
    return made


def batch_size_advice(current: int, rows: Sequence[BatchSize]) -> str:
    """Returns in words which batch size is efficient: the smallest that gives about all the speed there is.

    A larger one is named if it is faster by a tenth, by median and by quartiles; a smaller one if it is slower by less
    than a tenth.

    Example:
      >>> rows = [BatchSize(32, (1e3, 1e3, 1e3), 0), BatchSize(64, (1.8e3, 1.9e3, 2e3), 0)]
      >>> batch_size_advice(32, rows)
      'batch size 64 gives 1.90 times the examples/s of 32 (1.85 to 1.95). It changes training ...'
    """
    known = [row for row in rows if row.rates]
    now = next((row for row in known if row.size == current), None)
    if now is None or len(known) < 2:
        return "no other batch size could be measured."
    times = {row.size: row.times(now) for row in known}
    larger = [row for row in known if row.size > current and times[row.size].low > WORTHWHILE]
    if larger:
        best = max(larger, key=lambda row: times[row.size].median)
        chosen = min(row.size for row in larger if best.times(row).median <= WORTHWHILE)
        return (
            f"batch size {chosen} gives {_text(times[chosen])} the examples/s of {current}{_quartiles(times[chosen])}. "
            "It changes training too: try other learning rates with it."
        )
    smaller = [row.size for row in known if row.size < current and times[row.size].median > 1 / WORTHWHILE]
    none = f"none that was tried is faster than {current} by a tenth beyond the noise"
    if smaller:
        chosen = min(smaller)
        return f"{none}; {chosen} gives {_text(times[chosen])} its examples/s{_quartiles(times[chosen])}."
    return f"batch size {current} is efficient: {none}."


def _text(ratio: Spread) -> str:
    return f"{ratio.median:.2f} times"


def _quartiles(ratio: Spread) -> str:
    return f" ({ratio.low:.2f} to {ratio.high:.2f})"
