"""The linter's speed beside that of pylint and of flake8 with bugbear, on the same files, one process each.

    python benchmarks/lint_speed.py FOLDER [--peers-python PATH] [--pylint-lines 20000] [--rounds 3] [--json OUT]

FOLDER holds sources, such as `benchmarks/lint_sources.py FOLDER` fetches: 200,000 lines at least. Peers lie in an
environment of their own (benchmarks/peers-requirements.txt); an absent peer is a row that says so. pylint takes a
sample of the files, of about `--pylint-lines` lines drawn once, since it takes minutes on all: its lines a second are
compared, its start left out. Also measured: a second run with a warm cache, the most memory, and the start on one file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SMALL = "import jax\n\n\ndef draw(key):\n    return jax.random.normal(key, (3,))\n"
PROMISED = {"warm_seconds": 1.0, "start_seconds": 0.25, "memory_megabytes": 500.0}
AT_LEAST = 3.0
COMMANDS = {
    "flake8 with bugbear": ["-m", "flake8", "--jobs", "1", "--isolated", "--select", "E9,F,B"],
    "pylint": ["-m", "pylint", "--recursive", "y", "--jobs", "1", "--rcfile", os.devnull, "--disable", "R,C"],
}


def timed(command: Sequence[str], **environment: str) -> tuple[float, float]:
    """Returns the seconds and the most megabytes of a command; what it finds is not looked at."""
    clock = time.perf_counter()
    with tempfile.TemporaryFile() as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in range(33):
        raise RuntimeError(f"{command[:4]} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - clock, usage.ru_maxrss / 1024


def lines_of(files: Sequence[Path]) -> int:
    """Returns the number of lines."""
    return sum(file.read_bytes().count(b"\n") for file in files)


def has(python: str, module: str) -> bool:
    """Returns whether an environment has a module."""
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def listed(files: Sequence[Path], folder: Path) -> list[str]:
    """Returns links to the files under short names in one folder, which every command line takes."""
    for place, file in enumerate(files):
        (folder / f"f{place}.py").symlink_to(file.resolve())
    return [str(folder)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the sources")
    parser.add_argument(
        "--peers-python", default=os.environ.get("VERAX_PEERS_PYTHON"), help="the Python with the peers"
    )
    parser.add_argument("--pylint-lines", type=int, default=20_000, help="of the sample for pylint (default: 20000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write rows and summary to a file")
    options = parser.parse_args(arguments)
    files = sorted(options.folder.rglob("*.py"))
    sample = random.Random(0).sample(files, len(files))
    while len(sample) > 1 and lines_of(sample) > options.pylint_lines:
        sample = sample[: max(1, int(len(sample) * 0.8))]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        caches = Path(place) / "cache"
        small = Path(place) / "small.py"
        small.write_text(SMALL)
        verax = [sys.executable, "-m", "verax", "lint"]
        whole = [*verax, "--jobs", "1", str(options.folder)]
        cold: list[float] = []
        warm: list[float] = []
        start: list[float] = []
        memory: list[float] = []
        peers: dict[str, list[float]] = {}
        chosen: dict[str, Sequence[Path]] = {"flake8 with bugbear": files, "pylint": sample}
        folders = {}
        for name, each in chosen.items():
            folders[name] = Path(place) / name.split()[0]
            folders[name].mkdir()
            listed(each, folders[name])
        for round_ in range(options.rounds):
            cache = str(caches / str(round_))
            seconds, most = timed(whole, VERAX_CACHE=cache)
            cold.append(seconds)
            memory.append(most)
            warm.append(timed(whole, VERAX_CACHE=cache)[0])
            start.append(timed([*verax, "--no-cache", str(small)])[0])
            for name, command in COMMANDS.items():
                if options.peers_python and has(options.peers_python, command[1]):
                    base = timed([options.peers_python, *command, str(small)])[0]
                    taken = timed([options.peers_python, *command, str(folders[name])])[0]
                    peers.setdefault(name, []).append(max(taken - base, 1e-3))
    total = lines_of(files)
    own = max(statistics.median(cold) - statistics.median(start), 1e-3)
    rows.append({"linter": "verax", "lines": total, "seconds": own, "rate": total / own})
    for name, each in chosen.items():
        if name in peers:
            seconds, lines = statistics.median(peers[name]), lines_of(each)
            rows.append({"linter": name, "lines": lines, "seconds": seconds, "rate": lines / seconds})
        else:
            rows.append({"linter": name, "lines": 0, "seconds": None, "rate": None})
    summary: dict[str, Any] = {
        "warm_seconds": statistics.median(warm),
        "start_seconds": statistics.median(start),
        "memory_megabytes": max(memory),
    }
    print("| linter | lines | seconds | lines a second | Verax against it |\n|---|---:|---:|---:|---:|")
    met = True
    for row in rows:
        if row["rate"] is None:
            print(f"| {row['linter']} | | not installed | | |")
            continue
        ratio = rows[0]["rate"] / row["rate"]
        print(f"| {row['linter']} | {row['lines']:,} | {row['seconds']:.1f} | {row['rate']:,.0f} | ×{ratio:.1f} |")
        if row is not rows[0]:
            summary[f"speedup_vs_{row['linter'].split()[0]}"] = ratio
            met &= ratio >= AT_LEAST
    print()
    for name, limit in PROMISED.items():
        met &= summary[name] <= limit
        print(f"{name}: {summary[name]:.2f} ({'met' if summary[name] <= limit else 'MISSED'}, at most {limit:g})")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "summary": {**summary, "met": met}}, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
