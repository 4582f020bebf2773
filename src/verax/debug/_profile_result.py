"""A profile: what was measured, as one frozen value that prints as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verax.debug._profile_batches import BatchSize
from verax.debug._profile_compile import ProgramTime
from verax.debug._profile_cost import Machine
from verax.debug._profile_time import Spread
from verax.debug._profile_trace import Operation
from verax.findings import Finding, Span

SHOWN = 12  # operations
LIBRARIES = "site-packages/"


@dataclass(frozen=True)
class Profile:
    """Where the time of a training step goes; prints as tables.

    Attributes:
      name: of what was profiled.
      device: the kind of device it ran on.
      operations: by their own time, the longest first; `origin` says layer and source line.
      operation_seconds: of all operations a step; threads add up, so it can be more than `step_seconds`.
      programs: what was compiled and how long it took.
      step_seconds: of a step on the device, with data that lie there.
      loop_seconds: of a step in its loop, with the host's work; None if there was no loop.
      input_wait: share of the loop's time in which the device waits for the host; None if there was no loop.
      flops: floating-point operations of a step, as XLA counts them.
      flops_are_a_lower_bound: whether a loop of unknown length was counted once.
      bytes: read and written by a step, as XLA counts them in the compiled program.
      machine: the speed of a large float32 matrix product and of copying memory here.
      memory: bytes of the compiled program by kind, and the peak of the process.
      batch_size: examples a step; None if not known.
      batch_sizes: the rates at other batch sizes.
      advice: which batch size is efficient; empty if none was compared.
      findings: what deserves attention: `input-wait`, `slow-callback`.
      trace: JAX's trace, if it was kept.
    """

    name: str
    device: str
    operations: tuple[Operation, ...]
    operation_seconds: float
    programs: tuple[ProgramTime, ...]
    step_seconds: Spread
    loop_seconds: Spread | None
    input_wait: Spread | None
    flops: float
    flops_are_a_lower_bound: bool
    bytes: float
    machine: Machine
    memory: dict[str, int]
    batch_size: int | None
    batch_sizes: tuple[BatchSize, ...]
    advice: str
    findings: tuple[Finding, ...]
    trace: Path | None

    @property
    def compile_seconds(self) -> float:
        """Seconds of lowering and compilation of all programs together; some of them at the same time."""
        return sum(row.lowering + row.compiling for row in self.programs)

    @property
    def flops_per_second(self) -> float:
        """Floating-point operations a second of the step on the device."""
        return self.flops / self.step_seconds.median

    @property
    def utilisation(self) -> float:
        """Share of the speed of a large float32 matrix product on this machine."""
        return self.flops_per_second / self.machine.flops_per_second

    def __str__(self) -> str:
        parts = [
            f"{self.name} on {self.device}",
            "\n".join(self._speed()),
            f"Operations, by their own time ({self.operation_seconds * 1e6:,.0f} µs a step on all threads)\n"
            + _table(("µs a step", "share", "calls", "operation", "layer", "source"), self._operation_rows(), left=3),
            "Compilation, seconds\n"
            + _table(
                ("tracing", "lowering", "compiling", "program"),
                [
                    (f"{row.tracing:.2f}", f"{row.lowering:.2f}", f"{row.compiling:.2f}", _program(row))
                    for row in self.programs
                ],
                left=3,
            ),
            "Memory, MiB\n"
            + _table(
                ("MiB", "of"),
                [
                    (f"{count / 2**20:,.1f}", name.removesuffix("_bytes").replace("_", " "))
                    for name, count in self.memory.items()
                ],
                left=1,
            ),
        ]
        if self.batch_sizes:
            parts.append("Batch sizes\n" + _table(*self._batch_table()) + f"\n{self.advice}")
        if self.findings:
            parts.append("\n".join(f"{finding.severity}: {finding}" for finding in self.findings))
        if self.trace:
            parts.append(f"trace: {self.trace}")
        return "\n\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Returns the profile as plain values."""
        return {
            "name": self.name,
            "device": self.device,
            "step_seconds": self.step_seconds._asdict(),
            "loop_seconds": _plain(self.loop_seconds),
            "input_wait": _plain(self.input_wait),
            "flops": self.flops,
            "flops_are_a_lower_bound": self.flops_are_a_lower_bound,
            "flops_per_second": self.flops_per_second,
            "bytes": self.bytes,
            "bytes_per_second": self.bytes / self.step_seconds.median,
            "machine": self.machine._asdict(),
            "utilisation": self.utilisation,
            "operation_seconds": self.operation_seconds,
            "operations": [
                {
                    "operation": row.origin.operation,
                    "layer": row.origin.module,
                    "backward": row.origin.backward,
                    "source": None if row.origin.span is None else f"{row.origin.span.file}:{row.origin.span.line}",
                    "seconds": row.seconds,
                    "share": row.share,
                    "calls": row.calls,
                    "names": list(row.names),
                }
                for row in self.operations
            ],
            "compile_seconds": self.compile_seconds,
            "programs": [row._asdict() for row in self.programs],
            "memory": self.memory,
            "batch_size": self.batch_size,
            "batch_sizes": [
                {
                    "size": row.size,
                    "examples_per_second": row.examples_per_second._asdict() if row.rates else None,
                    "times_current": row.times(self._current)._asdict() if row.rates else None,
                    "program_bytes": row.program_bytes,
                    "reason": row.reason,
                }
                for row in self.batch_sizes
            ],
            "advice": self.advice,
            "findings": [str(finding) for finding in self.findings],
            "trace": None if self.trace is None else str(self.trace),
        }

    @property
    def _current(self) -> BatchSize:
        return next(row for row in self.batch_sizes if row.size == self.batch_size)

    def _speed(self) -> list[str]:
        step, least = self.step_seconds, "at least " if self.flops_are_a_lower_bound else ""
        lines = [f"step          {_time(step)} on the device"]
        if self.batch_size:
            rate = step.inverse(self.batch_size)
            lines[0] += f", {rate.median:,.0f} examples/s"
        if self.loop_seconds is not None and self.input_wait is not None:
            lines.append(f"in the loop   {_time(self.loop_seconds)}; {_wait(self.input_wait)}")
        else:
            lines.append("in the loop   not measured: pass batches= to see the wait for input")
        peak = self.machine
        lines.append(
            f"arithmetic    {least}{self.flops_per_second / 1e9:,.2f} GFLOP/s ({self.flops / 1e6:,.2f} MFLOP a step), "
            f"{self.utilisation:.1%} of {peak.flops_per_second / 1e9:,.0f} GFLOP/s, a large float32 product here"
        )
        rate = self.bytes / step.median
        lines.append(
            f"memory        {rate / 1e9:,.2f} GB/s ({self.bytes / 1e6:,.2f} MB a step as compiled), "
            f"{rate / peak.bytes_per_second:.0%} of {peak.bytes_per_second / 1e9:,.0f} GB/s, a large copy here"
        )
        return lines

    def _operation_rows(self) -> list[tuple[str, ...]]:
        rows = []
        for row in self.operations[:SHOWN]:
            layer = row.origin.module + (" (gradient)" if row.origin.backward else "")
            cells = (f"{row.seconds * 1e6:,.1f}", f"{row.share:.1%}", f"{row.calls:g}", row.origin.operation)
            rows.append((*cells, layer.strip(), _place(row.origin.span)))
        if others := self.operations[SHOWN:]:
            seconds, share = sum(row.seconds for row in others), sum(row.share for row in others)
            rows.append((f"{seconds * 1e6:,.1f}", f"{share:.1%}", "", f"{len(others)} others", "", ""))
        return rows

    def _batch_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]], int]:
        rows = []
        for row in self.batch_sizes:
            if not row.rates:
                rows.append((f"{row.size}", "", "", "", row.reason))
                continue
            rate, ratio = row.examples_per_second, row.times(self._current)
            memory = f"{(row.program_bytes or 0) / 2**20:,.1f}"
            quartiles = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            rows.append((f"{row.size}", f"{rate.median:,.0f}", quartiles, memory, ""))
        return ("batch size", "examples/s", f"times that of {self.batch_size}", "MiB", ""), rows, 4


def _plain(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else spread._asdict()


def _time(seconds: Spread) -> str:
    """Returns a duration with its quartiles: `152 µs (148 to 160)`."""
    unit, factor = next((pair for pair in (("s", 1.0), ("ms", 1e3)) if seconds.median * pair[1] >= 1.0), ("µs", 1e6))
    low, median, high = (_three(value * factor) for value in (seconds.low, seconds.median, seconds.high))
    return f"{median} {unit} ({low} to {high})"


def _three(value: float) -> str:
    """Returns a number with three digits, or more if it is a large one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _wait(wait: Spread) -> str:
    if wait.low <= 0:
        return f"no wait for the host beyond the noise ({wait.low:.0%} to {wait.high:.0%} of the time)"
    return f"the device waits for the host {wait.median:.0%} of the time ({wait.low:.0%} to {wait.high:.0%})"


def _place(span: Span | None) -> str:
    """Returns a line of source; of libraries without the folder that they are installed in."""
    if span is None:
        return ""
    _, installed, file = span.file.rpartition(LIBRARIES)
    return f"{file if installed else '/'.join(span.file.split('/')[-2:])}:{span.line}"


def _program(row: ProgramTime) -> str:
    return row.name if row.programs == 1 else f"{row.name} ({row.programs} programs)"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Returns a table; the columns from `left` on are aligned to the left."""
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
    lines = []
    for row in [columns, *rows]:
        cells = [
            f"{cell:<{width}}" if index >= left else f"{cell:>{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)
