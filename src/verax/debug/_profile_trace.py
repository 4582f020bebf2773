"""Where the time of a compiled program goes, operation by operation, from the trace that `jax.profiler` writes."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from verax.debug._profile_hlo import Origin, module_name, origins
from verax.findings import InputError

WAITING = "wait for completion"  # an event of XLA's CPU backend that waits for operations on other threads
SUMMARY_THREAD = "XLA Ops"  # where an accelerator lists its operations a second time, kernels put together


class Operation(NamedTuple):
    """Operations of a program that do the same for the same layer and source line.

    Attributes:
      origin: what they do, and where they come from.
      seconds: a step, without the time of operations inside them (a loop's body).
      share: of the time of all operations.
      calls: a step.
      names: of the compiled operations, as the trace shows them.
    """

    origin: Origin
    seconds: float
    share: float
    calls: float
    names: tuple[str, ...]


def record_trace(run: Callable[[], object], folder: Path) -> Path:
    """Runs a function under JAX's profiler and returns the trace that it wrote, a `*.trace.json.gz`.

    Raises:
      InputError: if there is no trace, as on a platform without a profiler.
    """
    before = set(folder.rglob("*.trace.json.gz"))
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python's own calls are of no use here, and slow the program down
    with jax.profiler.trace(str(folder), profiler_options=options):
        run()
    written = sorted(set(folder.rglob("*.trace.json.gz")) - before)
    if not written:
        raise InputError(f"jax.profiler wrote no trace into {folder}. Is the folder writable, and is JAX complete?")
    return written[-1]


def top_operations(trace: Path, program_text: str, steps: int) -> tuple[tuple[Operation, ...], float]:
    """Returns the operations of a program by their own time, the longest first, and the seconds of all, a step.

    Args:
      trace: a `*.trace.json.gz` of `jax.profiler`.
      program_text: `compiled.as_text()` of the program whose operations are wanted.
      steps: that were traced.
    """
    own, calls = own_seconds(read_events(trace), module_name(program_text))
    known = origins(program_text)
    groups: dict[Origin, list[str]] = defaultdict(list)
    for name in own:
        groups[known.get(name) or Origin(name.partition(".")[0])].append(name)
    total = sum(own.values())
    rows = [
        Operation(
            origin,
            sum(own[name] for name in names) / steps,
            sum(own[name] for name in names) / max(total, 1e-12),
            sum(calls[name] for name in names) / steps,
            tuple(sorted(names)),
        )
        for origin, names in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.seconds, row.names))), total / steps


def read_events(trace: Path) -> list[dict[str, Any]]:
    """Returns the events of a `*.trace.json.gz`."""
    with gzip.open(trace, "rt", encoding="utf-8") as file:
        return list(json.load(file)["traceEvents"])


def own_seconds(events: Iterable[Mapping[str, Any]], module: str) -> tuple[dict[str, float], dict[str, int]]:
    """Returns the seconds that each operation of a compiled module took by itself, and how often it ran.

    An operation's own time is its time on its thread less that of the operations nested in it there. Threads are added
    up: operations that run at the same time all count in full.

    Args:
      events: of a trace in Chrome's format, times in microseconds.
      module: the compiled module, as `hlo_module` of its events says.

    Example:
      >>> arguments = {"hlo_module": "jit_f"}
      >>> loop = {"ph": "X", "pid": 1, "tid": 1, "ts": 0, "dur": 10, "args": {"hlo_op": "while.1", **arguments}}
      >>> body = {"ph": "X", "pid": 1, "tid": 1, "ts": 2, "dur": 6, "args": {"hlo_op": "dot.3", **arguments}}
      >>> {name: round(seconds * 1e6) for name, seconds in own_seconds([loop, body], "jit_f")[0].items()}
      {'while.1': 4, 'dot.3': 6}
    """
    events = list(events)
    threads: dict[tuple[Any, Any], list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        arguments = event.get("args", {})
        is_ours = arguments.get("hlo_module") == module and "hlo_op" in arguments
        if event.get("ph") == "X" and (is_ours or WAITING in event.get("name", "")):
            threads[event["pid"], event["tid"]].append(event)
    for twice in _listed_twice(events):
        threads.pop(twice, None)
    own: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for thread in threads.values():
        open_events: list[tuple[float, str]] = []  # end and operation, the innermost last
        for event in sorted(thread, key=lambda event: (event["ts"], -event["dur"])):
            while open_events and open_events[-1][0] <= event["ts"]:
                open_events.pop()
            if open_events and open_events[-1][1]:
                own[open_events[-1][1]] -= event["dur"] * 1e-6
            name = event.get("args", {}).get("hlo_op", "")
            open_events.append((event["ts"] + event["dur"], name))
            if name:
                own[name] += event["dur"] * 1e-6
                calls[name] += 1
    return dict(own), dict(calls)


def _listed_twice(events: Iterable[Mapping[str, Any]]) -> set[tuple[Any, Any]]:
    """Returns the threads of an accelerator that repeat, kernel by kernel, what its summary of operations says."""
    names = {
        (event["pid"], event["tid"]): event["args"].get("name", "")
        for event in events
        if event.get("ph") == "M" and event.get("name") == "thread_name"
    }
    summed = {pid for (pid, _), name in names.items() if name == SUMMARY_THREAD}
    return {thread for thread, name in names.items() if thread[0] in summed and name != SUMMARY_THREAD}
