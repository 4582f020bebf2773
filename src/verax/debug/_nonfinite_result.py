"""The first operation whose result is not finite, as a value that prints in a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from verax.debug._nonfinite_rows import MOST_ROWS
from verax.findings import Finding, Leaf
from verax.jaxpr import Place

Phase = Literal["input", "forward", "backward"]


@dataclass(frozen=True)
class Operand:
    """What an operation was given.

    Attributes:
      type: dtype and shape, `float32[32,10]`.
      low: its smallest finite number; None where it has none.
      high: its largest.
      there: the number from which the first bad one was computed; None where it is computed from many.
    """

    type: str
    low: float | None
    high: float | None
    there: float | None = None

    def __str__(self) -> str:
        there = "" if self.there is None else f", there {self.there:.6g}"
        numbers = "" if self.low is None or self.high is None else f" in [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.type}{numbers}{there}"


@dataclass(frozen=True)
class NonFinite:
    """The first operation that matters whose operands are finite and whose result is not.

    Attributes:
      id: the cause by its name in the catalogue of findings: `log-of-zero`, `division-by-zero`, ...
      phase: `forward`; `backward` where the outputs are finite and their gradient is not; `input` where a number
        was not finite before anything was computed.
      operation: in words: `log`, `division`, `gradient of sqrt`; of an input empty.
      what: what happened, with the number.
      advice: what to try.
      place: layer and line of the user's code.
      leaf: the nearest parameter that feeds the operation, or the input that is not finite; a path.
      operands: what the operation was given.
      value: the first bad number: NaN or an Inf.
      index: where in the result it stands.
      count: how many numbers of the result are bad.
      size: of how many.
      turns: the iterations of the loops around the operation, counted from 0, the outermost first.
      rows: positions along the leading axis of the batch (examples, or lanes of a `vmap`) that do it in a batch filled
        with that row alone; at most 8. Empty where none does or nothing is known of rows.
      batch_size: of how many; 0 where nothing is known of rows.
    """

    id: str
    phase: Phase
    operation: str
    what: str
    advice: str
    place: Place = field(default_factory=Place)
    leaf: str = ""
    operands: tuple[Operand, ...] = ()
    value: float = float("nan")
    index: tuple[int, ...] = ()
    count: int = 1
    size: int = 1
    turns: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    batch_size: int = 0

    @property
    def finding(self) -> Finding:
        """The same as a finding, at the line of the user's code."""
        place = self._layer if self.place.span else ""
        said = "; ".join(text for text in (place, self._rows) if text)
        message = f"{self.what.removesuffix('.')} ({said})." if said else self.what
        where = self.place.span or (Leaf(self._layer) if self._layer else None)
        return Finding(self.id, "error", message, self.advice, where)

    def __str__(self) -> str:
        line = f"{self.place.span.file}:{self.place.span.line}" if self.place.span else ""
        at = f"{self._layer} ({line})" if self._layer and line else self._layer or line or "unknown place"
        share = f"{self.count} of {self.size} numbers, the first at {list(self.index)}" if self.index else ""
        turns = f"iteration {', '.join(map(str, self.turns))}" if self.turns else ""
        bad = "; ".join(text for text in (f"result {self.value}", share, turns) if text)
        operands = "operands " + "; ".join(map(str, self.operands)) if self.operands else ""
        place = at if at.startswith("next to") else f"at {at}"
        lines = (f"{self.id}: {self.what}", place, operands, bad, self._rows, self.advice)
        return "\n  ".join(text for text in lines if text)

    @property
    def _layer(self) -> str:
        if self.phase == "input":
            return self.leaf
        return self.place.layer or (f"next to {self.leaf}" if self.leaf else "")

    @property
    def _rows(self) -> str:
        if not self.rows:
            return ""
        if len(self.rows) == self.batch_size:
            return f"each of the {self.batch_size} rows"
        more = ", ..." if len(self.rows) == MOST_ROWS else ""
        rows = ", ".join(map(str, self.rows))
        return f"row{'s' if len(self.rows) > 1 else ''} {rows}{more} of {self.batch_size}, counted from 0"
