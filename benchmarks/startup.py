"""Seconds from the start of a process to the end of the first training step, and of the commands that must be instant.

    python benchmarks/startup.py [--rounds 5] [--json OUT] [--peers-python PATH] [--check]

The network is the MLP 784-128-64-10 at batch 128. `cold` starts with an empty compilation cache, `warm` with the one
that the cold start left; Verax keeps one by default, the others only where their users ask for it, so theirs is off.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training import CONTENDERS, Absent, Contender, Worker

WHO = ("verax", "textbook", "keras", "torch", "lightning")
COMMANDS = {
    "python -c 'import verax'": (["-c", "import verax"], 0.3),
    "verax --help": (["-m", "verax", "--help"], 1.0),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind (default: 5)")
    parser.add_argument("--peers-python", default=os.environ.get("VERAX_PEERS_PYTHON"), help="Python of the peers")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a command is slower than promised")
    options = parser.parse_args(arguments)

    rows = first_steps([each for each in CONTENDERS if each.name in WHO], options.rounds, options.peers_python)
    print("| | first step done, cold (s) | warm (s) |\n|---|---:|---:|")
    for row in rows:
        if "absent" in row:
            print(f"| {row['title']} | absent: {row['absent']} | |")
        else:
            print(f"| {row['title']} | {row['cold_seconds']:.2f} | {row['warm_seconds']:.2f} |")
    commands = [command(name, *what, options.rounds) for name, what in COMMANDS.items()]
    print("\n| command | seconds | of it Python's own start | promised |\n|---|---:|---:|---|")
    for row in commands:
        print("| `{command}` | {seconds:.2f} | {python_seconds:.2f} | < {below} {verdict} |".format(**row))
    if options.json:
        Path(options.json).write_text(json.dumps(rows + commands, indent=1) + "\n")
    return 1 if options.check and any(not row["met"] for row in commands) else 0


def first_steps(contenders: Sequence[Contender], rounds: int, peers_python: str | None) -> list[dict[str, Any]]:
    """Returns the median seconds to the first step, cold and warm; contenders take turns."""
    cold: dict[str, list[float]] = {each.name: [] for each in contenders}
    warm: dict[str, list[float]] = {each.name: [] for each in contenders}
    absent: dict[str, str] = {}
    for _ in range(rounds):
        for contender in contenders:
            if contender.name in absent:
                continue
            with tempfile.TemporaryDirectory() as cache:
                try:
                    for times in (cold, warm):
                        times[contender.name].append(_start(contender, peers_python, cache))
                except Absent as reason:
                    absent[contender.name] = str(reason)
    return [
        {"contender": each.name, "title": each.title, "absent": absent[each.name]}
        if each.name in absent
        else {
            "contender": each.name,
            "title": each.title,
            "cold_seconds": statistics.median(cold[each.name]),
            "warm_seconds": statistics.median(warm[each.name]),
            "rounds": rounds,
        }
        for each in contenders
    ]


def _start(contender: Contender, peers_python: str | None, cache: str) -> float:
    started = time.perf_counter()
    worker = Worker(contender, peers_python, VERAX_CACHE=cache)
    try:
        worker.ask("prepare", "first")
        return time.perf_counter() - started
    finally:
        worker.close()


def command(name: str, arguments: Sequence[str], below: float, rounds: int) -> dict[str, Any]:
    """Returns how long a command takes, whole process, next to a Python that does nothing."""
    seconds = _median(lambda: _python(*arguments), rounds)
    empty = _median(lambda: _python("-c", "pass"), rounds)
    met = seconds < below
    made = {"command": name, "seconds": seconds, "python_seconds": empty, "below": below}
    return {**made, "met": met, "verdict": "met" if met else "MISSED"}


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def _median(call: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
