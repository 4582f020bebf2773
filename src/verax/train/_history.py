"""What was measured along a run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["chunk", "epoch", "event"]


@dataclass(frozen=True)
class Record:
    """One measurement.

    Attributes:
      kind: `chunk` (some steps), `epoch` (a pass over the training split) or `event` (something that happened).
      step: steps taken when it was made; a chunk's values belong to the steps that end there.
      epoch: epochs begun, from 1.
      values: by name. A chunk has `train/loss`, a tuple with the mean loss of each of its steps.
      seconds: since the first step was dispatched, compilation not included.
    """

    kind: Kind
    step: int
    epoch: int
    values: dict[str, Any]
    seconds: float

    def to_json(self) -> str:
        """Returns the record as one line of `history.jsonl`; NaN and Inf are written as strings."""
        return json.dumps(_writable(asdict(self)), allow_nan=False)


@dataclass(frozen=True)
class History:
    """The records of a run, in order."""

    records: tuple[Record, ...] = ()

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def series(self, name: str, kind: Kind = "epoch") -> tuple[list[int], list[float]]:
        """Returns steps and values of one quantity; for chunks, one value a step.

        Example:
          >>> History((Record("chunk", 2, 1, {"train/loss": (0.5, 0.25)}, 0.1),)).series("train/loss", "chunk")
          ([1, 2], [0.5, 0.25])
        """
        steps: list[int] = []
        values: list[float] = []
        for record in self.records:
            if record.kind != kind or name not in record.values:
                continue
            value = record.values[name]
            each = list(value) if isinstance(value, tuple | list) else [value]
            steps += range(record.step - len(each) + 1, record.step + 1)
            values += [float(one) for one in each]
        return steps, values

    def last(self, name: str) -> float | None:
        """Returns the latest epoch value of a quantity, or None."""
        values = self.series(name)[1]
        return values[-1] if values else None

    def to_jsonl(self) -> str:
        """Returns the content of `history.jsonl`: a line a record."""
        return "".join(record.to_json() + "\n" for record in self.records)

    @staticmethod
    def from_jsonl(lines: Iterable[str]) -> History:
        """Returns the history that `to_jsonl` wrote."""
        return History(tuple(Record(**_readable(json.loads(line))) for line in lines if line.strip()))


NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _writable(value: Any) -> Any:
    """Returns a value as JSON can hold it: numbers that are not finite by name."""
    if isinstance(value, dict):
        return {name: _writable(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_writable(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _readable(each) for name, each in value.items()}
    if isinstance(value, list):
        return tuple(_readable(each) for each in value)
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value
