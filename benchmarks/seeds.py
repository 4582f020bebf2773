"""What eight seeds as lanes cost against single runs: the README's network on digits, from a cold cache and warm.

    python benchmarks/seeds.py [--seeds 8] [--rounds 3] [--json OUT]

Every run is a process of its own, timed from its start to its end, imports and compilation included. Cold runs have an
empty folder for compiled programs; warm ones the folder that the cold run of their kind has filled. The kinds take
turns within a round, so that a busy spell of the machine hits all; medians are compared.
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
from collections.abc import Sequence
from pathlib import Path

AT_MOST = 3.0  # single runs that eight lanes may cost, from a cold cache

PROGRAM = """
import sys
import optax
from flax import linen as nn
import verax as vx

class MLP(nn.Module):
    hidden: int
    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.relu(nn.Dense(self.hidden)(x.reshape((x.shape[0], -1))))
        x = nn.Dropout(0.1, deterministic=not training)(x)
        return nn.Dense(10)(x)

def experiment(hidden: int = 128, learning_rate: float = 1e-3) -> vx.Experiment:
    return vx.Experiment(network=MLP(hidden), objective=vx.classification(), optimizer=optax.adamw(learning_rate),
                         data=vx.data.digits(), batch_size=32, epochs=20)

lanes = int(sys.argv[1])
if lanes:
    runs = vx.train(experiment, seeds=lanes)
    accuracies = [run.history.last("validation/accuracy") for run in runs]
else:
    accuracies = [vx.train(experiment).history.last("validation/accuracy")]
print(sum(accuracies) / len(accuracies))
"""


def seconds_of(lanes: int, cache: Path) -> float:
    """Returns the wall time of one process; 0 lanes stand for a single run."""
    environment = {**os.environ, "VERAX_CACHE": str(cache), "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    clock = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(lanes)], env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - clock
    if done.returncode:
        sys.exit(done.stderr)
    if not 0.9 < float(done.stdout.split()[-1]) <= 1:
        sys.exit(f"the network did not learn: validation accuracy {done.stdout.split()[-1]}")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="how many lanes (default: 8)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    options = parser.parse_args(arguments)

    measured: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for what, lanes in (("single run", 0), (f"{options.seeds} seeds", options.seeds)):
                cache = Path(folder) / f"{number}-{lanes}"
                for cold in ("cold", "warm"):
                    measured.setdefault((what, cold), []).append(seconds_of(lanes, cache))
    rows = []
    print("| compilation cache | single run, s | seeds as lanes, s | cost in single runs |\n|---|---:|---:|---:|")
    for cold in ("cold", "warm"):
        single, lanes = (statistics.median(measured[what, cold]) for what in ("single run", f"{options.seeds} seeds"))
        row = {"cache": cold, "seeds": options.seeds, "single_seconds": single, "lanes_seconds": lanes}
        rows.append({**row, "ratio": lanes / single})
        print(f"| {cold} | {single:.2f} | {lanes:.2f} | {lanes / single:.2f} |", flush=True)
    met = rows[0]["ratio"] <= AT_MOST
    verdict = "met" if met else "MISSED"
    print(f"\n{options.seeds} seeds, cold: {rows[0]['ratio']:.2f} single runs, {verdict} (at most {AT_MOST:g})")
    if options.json:
        summary = {"ratio_cold": rows[0]["ratio"], "ratio_warm": rows[1]["ratio"], "at_most": AT_MOST, "met": met}
        Path(options.json).write_text(json.dumps({"rows": rows, "summary": summary}, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
