"""Files checked in several processes: each reads names from its input and writes what came of them, as lines of JSON.

Processes of our own rather than those of `multiprocessing`, which run the caller's program again to start, and send
pickles.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from verax.lint._check import BROKEN
from verax.lint._outcome import Outcome, from_plain, to_plain
from verax.lint._settings import Settings

SECONDS = 60.0  # for one file


def checked(paths: Sequence[Path], settings: Settings, count: int) -> Iterator[tuple[Path, Outcome]]:
    """Yields files with what came of them, as they are ready.

    A process that takes too long for a file, or dies of it, is replaced; the file is named as one that broke a rule.
    """
    left: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for path in sorted(paths, key=_size, reverse=True):  # the last ones to be ready are then short
        left.put(path)
    ready: queue.SimpleQueue[tuple[Path, Outcome] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [threading.Thread(target=_serve, args=(left, ready, settings, stop), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        for _ in paths:
            found = ready.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=SECONDS)


def _serve(left: Any, ready: Any, settings: Settings, stop: threading.Event) -> None:
    """Hands files to one process after another until none is left."""
    worker: subprocess.Popen[bytes] | None = None
    try:
        while not stop.is_set():
            try:
                path = left.get_nowait()
            except queue.Empty:
                break
            worker = worker or _started(settings)
            outcome = _asked(worker, path)
            if outcome is None:
                worker.kill()
                _end(worker)
                worker = None
                outcome = Outcome(broken={BROKEN: f"the check died, or took more than {SECONDS:.0f} s."})
            ready.put((path, outcome))
    except BaseException as error:
        ready.put(error)
    finally:
        if worker is not None:
            _end(worker)


def _end(worker: subprocess.Popen[bytes]) -> None:
    """Waits for a process, which ends with its input."""
    assert worker.stdin is not None and worker.stdout is not None
    with contextlib.suppress(OSError):
        worker.stdin.close()
    worker.stdout.close()
    worker.wait()


def _started(settings: Settings) -> subprocess.Popen[bytes]:
    ours = str(Path(__file__).parents[2])
    places = [ours, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, "-P", "-m", "verax.lint._workers"]  # -P: a file json.py of the user is not imported
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert worker.stdin is not None
    about = {**settings.facts(), "root": str(settings.root)}
    worker.stdin.write(json.dumps(about).encode() + b"\n")
    worker.stdin.flush()
    return worker


def _asked(worker: subprocess.Popen[bytes], path: Path) -> Outcome | None:
    """Returns what a process says of a file; None where it dies or takes too long."""
    assert worker.stdin is not None and worker.stdout is not None
    timer = threading.Timer(SECONDS, worker.kill)
    timer.start()
    try:
        worker.stdin.write(json.dumps(str(path)).encode() + b"\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
        return from_plain(json.loads(line), str(path)) if line.endswith(b"\n") else None
    except (OSError, ValueError):
        return None
    finally:
        timer.cancel()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _work() -> None:
    """Answers names of files from the input until it ends."""
    from verax.lint._engine import check_file
    from verax.lint._memory import seldom_collected
    from verax.lint._project import Project

    lines = iter(sys.stdin.buffer)
    settings = _settings(json.loads(next(lines)))
    rules, project = settings.rules(), Project(settings.root)
    with seldom_collected():
        for line in lines:
            outcome = check_file(Path(json.loads(line)), settings, rules, project)
            sys.stdout.buffer.write(json.dumps(to_plain(outcome)).encode() + b"\n")
            sys.stdout.buffer.flush()


def _settings(content: dict[str, Any]) -> Settings:
    lists = {name: tuple(content[name]) for name in ("select", "ignore", "extend_select", "exclude")}
    ignores = tuple((pattern, tuple(codes)) for pattern, codes in content["per_file_ignores"])
    return Settings(
        root=Path(content["root"]), per_file_ignores=ignores, target_jax=content["target_jax"],
        markdown=content["markdown"], **lists,
    )  # fmt: skip


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # the process that asks says so
        _work()
