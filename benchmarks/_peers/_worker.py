"""The far end of the line to `benchmarks/training.py`: a process that trains when told to and is quiet otherwise.

    prepare TASK       ->  ready {"seconds": of building, compiling and a first epoch, "versions": {...}}
    run TASK EPOCHS    ->  done {"steps": taken, "seconds": taken}

Anything else that a library prints goes to stderr.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Sequence

from _task import TASKS, Task

Span = tuple[int, float]  # steps and the seconds they took
Run = Callable[[int], Span]


def serve(make: Callable[[Task], Run], libraries: Sequence[str]) -> None:
    """Answers until the line is closed.

    Args:
      make: builds a task and returns `run(epochs)`, which trains, waits for the result and says how long that took.
      libraries: whose versions are reported.
    """
    line = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    runs: dict[str, Run] = {}
    for request in sys.stdin:
        verb, name, *rest = request.split()
        if verb == "prepare":
            started = time.perf_counter()
            runs[name] = make(TASKS[name])
            runs[name](1)
            versions = {each: _version(each) for each in libraries}
            answer = {"seconds": time.perf_counter() - started, "versions": versions}
            print("ready", json.dumps(answer), file=line)
        else:
            steps, seconds = runs[name](int(rest[0]))
            _settle()
            print("done", json.dumps({"steps": steps, "seconds": seconds}), file=line)


def timed(train: Callable[[int], object], task: Task) -> Run:
    """Returns `run` for a `train(epochs)` that returns only when its work is finished."""

    def run(epochs: int) -> Span:
        started = time.perf_counter()
        train(epochs)
        return epochs * task.steps, time.perf_counter() - started

    return run


def _settle(longest: float = 10.0, pause: float = 0.02) -> None:
    """Waits until this process uses no more processor time, so that work dispatched ahead does not disturb the next."""
    until = time.perf_counter() + longest
    while time.perf_counter() < until:
        before = time.process_time()
        time.sleep(pause)
        if time.process_time() - before < 0.1 * pause:
            return


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return getattr(importlib.import_module(library), "__version__", "unknown")  # run from a checkout
