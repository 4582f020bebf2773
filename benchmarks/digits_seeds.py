"""Test accuracy of the demo's experiment over seeds: mean - 2 standard deviations must be at least 0.97.

python benchmarks/digits_seeds.py [--seeds 10] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import verax as vx
from verax.cli._demo import experiment
from verax.evaluate import evaluate

AT_LEAST = 0.97


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds, from 0 (default: 10)")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    options = parser.parse_args(arguments)

    print("| seed | test accuracy | 95 % interval |\n|---:|---:|---|", flush=True)
    rows = []
    for seed in range(options.seeds):
        run = vx.train(experiment, seed=seed)
        test = run.dataset.examples("test")
        accuracy = evaluate(run.network, run.experiment.objective, run.variables, test).metrics["accuracy"]
        rows.append({"seed": seed, "accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high})
        print(f"| {seed} | {accuracy.value:.4f} | {accuracy.low:.4f} to {accuracy.high:.4f} |", flush=True)
    values = [row["accuracy"] for row in rows]
    mean, deviation = statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    bound = mean - 2 * deviation
    met = bound >= AT_LEAST
    verdict = "met" if met else "MISSED"
    print(f"\nmean {mean:.4f}, sd {deviation:.4f}, mean - 2 sd {bound:.4f}: {verdict} (at least {AT_LEAST})")
    if options.json:
        summary = {"mean": mean, "deviation": deviation, "bound": bound, "at_least": AT_LEAST, "met": met}
        Path(options.json).write_text(json.dumps({"rows": rows, "summary": summary}, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
