"""The textbook grid (81 settings of a perceptron on digits) by Verax, by a loop with a fresh jit, by Optuna with Keras.

    python benchmarks/tuning.py [--rounds 1] [--peers-python PATH] [--only verax,sequential,keras] [--json OUT]

Every method is a process of its own with an empty folder for compiled programs, timed from its start to its end, with
imports and compilation, on the same rows, the same settings and as many steps. They take turns within a round; medians
are compared. Optuna with Keras trains a part of the settings (`--keras-settings`), every ninth by default so that all
widths and depths occur, and its time but for the start is scaled to 81; so is the loop's for 324 trainings unless
`--whole-324` is given. None of them trains the winner anew.

    python benchmarks/tuning.py --compilers

compares XLA's compilers for small CPU programs: seconds to compile and to run the grid's nine programs.

    python benchmarks/tuning.py --steps

shows what each thing that is done for large networks is worth: seconds of processor time of a program without it.
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
from typing import Any

PEERS = Path(__file__).parent / "_peers"
SETTINGS = 81
SEEDS = 4
AT_LEAST = {"speedup_vs_sequential": 4.0, "speedup_vs_optuna_keras": 6.0, "speedup_324": 10.0}
NOISE = 0.02  # of accuracy on 180 validation rows: two standard errors at 0.98


def measured(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """Returns what one process says of itself, and its wall time from start to end."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "VERAX_CACHE": cache, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        clock = time.perf_counter()
        done = subprocess.run(
            [python, str(PEERS / script), *arguments], env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - clock
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": seconds}


def scaled(result: dict[str, Any], trainings: int) -> float:
    """Returns the seconds for so many trainings, of a process that did fewer: its start counts once."""
    return result["start"] + (result["wall"] - result["start"]) * trainings / result["trainings"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured (default: 1)")
    parser.add_argument(
        "--peers-python",
        default=os.environ.get("VERAX_PEERS_PYTHON"),
        help="the Python with Keras and Optuna (benchmarks/peers-requirements.txt)",
    )
    parser.add_argument("--only", default="verax,sequential,keras,verax-324", help="which methods, of these four")
    parser.add_argument("--keras-settings", type=int, default=9, help="of 81, for Optuna with Keras (default: 9)")
    parser.add_argument("--whole-324", action="store_true", help="let the loop train all 324 too: ten minutes more")
    parser.add_argument("--compilers", action="store_true", help="compare XLA's compilers instead")
    parser.add_argument("--steps", action="store_true", help="measure what is done for large networks instead")
    parser.add_argument("--json", metavar="OUT", help="write rows and summary to a file")
    options = parser.parse_args(arguments)
    if options.compilers or options.steps:
        script = "tuning_compilers.py" if options.compilers else "tuning_steps.py"
        print(json.dumps(measured(sys.executable, script), indent=1))
        return 0
    chosen = options.only.split(",")
    seconds: dict[str, list[float]] = {}
    best: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name in chosen:
            if name == "keras" and not options.peers_python:
                continue
            result = _run(name, options)
            seconds.setdefault(name, []).append(scaled(result, SETTINGS * (SEEDS if name.endswith("324") else 1)))
            best.setdefault(name, []).append(result["best"])
            if name == "sequential":
                whole = measured(sys.executable, "tuning_sequential.py", str(SEEDS)) if options.whole_324 else result
                seconds.setdefault("sequential-324", []).append(scaled(whole, SETTINGS * SEEDS))
            print(f"{name}: {seconds[name][-1]:.1f} s, best validation accuracy {result['best']:.4f}", flush=True)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    accuracies = {name: statistics.median(each) for name, each in best.items()}
    pairs = {
        "speedup_vs_sequential": ("sequential", "verax"),
        "speedup_vs_optuna_keras": ("keras", "verax"),
        "speedup_324": ("sequential-324", "verax-324"),
    }
    summary: dict[str, Any] = {
        name: medians[slow] / medians[fast] for name, (slow, fast) in pairs.items() if {slow, fast} <= medians.keys()
    }
    print("\n| method | trainings | seconds | best validation accuracy |\n|---|---:|---:|---:|")
    for name, value in medians.items():
        trainings = SETTINGS * (SEEDS if name.endswith("324") else 1)
        accuracy = f"{accuracies[name]:.4f}" if name in accuracies else ""
        print(f"| {name} | {trainings} | {value:.1f} | {accuracy} |")
    print()
    for name, value in summary.items():
        print(f"{name}: {value:.1f} ({'met' if value >= AT_LEAST[name] else 'MISSED'}, at least {AT_LEAST[name]:g})")
    met = all(value >= AT_LEAST[name] for name, value in summary.items())
    if {"verax", "sequential"} <= accuracies.keys():
        summary["accuracy_difference"] = accuracies["verax"] - accuracies["sequential"]
        met &= summary["accuracy_difference"] >= -NOISE
    if options.json:
        content = {"seconds": seconds, "best": best, "summary": {**summary, "met": met}}
        Path(options.json).write_text(json.dumps(content, indent=1) + "\n")
    return 0 if met else 1


def _run(name: str, options: Any) -> dict[str, Any]:
    if name == "keras":
        return measured(options.peers_python, "tuning_keras.py", str(options.keras_settings))
    if name == "sequential":
        return measured(sys.executable, "tuning_sequential.py", "1")
    if name in ("verax", "verax-324"):
        return measured(sys.executable, "tuning_verax.py", str(SEEDS if name == "verax-324" else 1))
    sys.exit(f"--only must name verax, sequential, keras or verax-324, got {name!r}")


if __name__ == "__main__":
    sys.exit(main())
