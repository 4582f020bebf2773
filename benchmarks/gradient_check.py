"""The gradient check: its speed beside its peers', how small an error it sees, and how often it cries wolf.

    python benchmarks/gradient_check.py [--rounds 7] [--networks 200] [--json OUT] [--peers-python PATH] [--check]

Speed: an MLP 64-32-10 in float64, all 2,410 parameters. Every contender is a process of its own; `first` is its first
check with all compilation (imports are not counted), `again` the median of later ones, contenders taking turns. Then a
million parameters by directions. Power: networks of many kinds, healthy and with an error planted in one leaf.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import FOLDER, Absent, Contender, Worker

sys.path.insert(0, str(FOLDER))

VERAX, JAX, TORCH = CONTENDERS = (
    Contender("verax", "Verax, every coordinate", "gradients_verax.py"),
    Contender("check_grads", "jax.test_util.check_grads, one random direction", "gradients_jax.py"),
    Contender("gradcheck", "torch.autograd.gradcheck, every coordinate", "gradients_torch.py", foreign=True),
)
STARTS = 3
AGAIN_AT_LEAST = 4.0  # times as fast as gradcheck once compiled
FIRST_AT_LEAST = 1.0  # times as fast as check_grads with compilation
LARGE_SECONDS = 10.0  # for a million parameters
PLANTED = (1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 1e-6)
CAUGHT_AT, CAUGHT = 1e-4, 0.99


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="checks of each contender once compiled (default: 7)")
    parser.add_argument("--networks", type=int, default=200, help="random networks (default: 200)")
    parser.add_argument("--peers-python", default=os.environ.get("VERAX_PEERS_PYTHON"), help="Python of the peers")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a promise is not met")
    options = parser.parse_args(arguments)

    speeds = speed(options.rounds, options.peers_python)
    print(speed_table(speeds), flush=True)
    large = million()
    print("\n| a million parameters | leaves | coordinates | seconds, first | promised |\n|---|---:|---:|---:|---|")
    print("| MLP 784-1024-200-10 | {leaves} | {coordinates} | {seconds:.1f} | < 10 {verdict} |".format(**large))
    powers = power(options.networks)
    print("\n" + power_table(powers), flush=True)
    rows = [*speeds, large, *powers]
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if options.check and not all(row.get("met", True) for row in rows) else 0


def speed(rounds: int, peers_python: str | None) -> list[dict[str, Any]]:
    """Returns a row for each contender: seconds of a first check and of later ones, and Verax's gain."""
    first: dict[str, list[float]] = {each.name: [] for each in CONTENDERS}
    again: dict[str, list[float]] = {each.name: [] for each in CONTENDERS}
    absent: dict[str, str] = {}
    for start in range(STARTS):
        workers = {}
        try:
            for contender in CONTENDERS:
                try:
                    workers[contender.name] = Worker(contender, peers_python)
                    first[contender.name].append(workers[contender.name].ask("check")["seconds"])
                except Absent as reason:
                    absent[contender.name] = str(reason)
            for _ in range(rounds if start == STARTS - 1 else 0):
                for name in [name for name in workers if name not in absent]:
                    again[name].append(workers[name].ask("check")["seconds"])
        finally:
            for worker in workers.values():
                worker.close()
    return [_speed_row(each, first, again, absent) for each in CONTENDERS]


def _speed_row(
    contender: Contender, first: dict[str, list[float]], again: dict[str, list[float]], absent: dict[str, str]
) -> dict[str, Any]:
    name = contender.name
    row: dict[str, Any] = {"contender": name, "title": contender.title}
    if name in absent:
        return row | {"absent": absent[name], "met": False}
    row |= {"first_seconds": statistics.median(first[name]), "again_seconds": statistics.median(again[name])}
    if contender is VERAX or VERAX.name in absent:
        return row
    ratios = {
        "first_ratio": statistics.median(b / a for a, b in zip(first[VERAX.name], first[name], strict=True)),
        "again_ratio": statistics.median(b / a for a, b in zip(again[VERAX.name], again[name], strict=True)),
    }
    met = ratios["again_ratio"] >= AGAIN_AT_LEAST if contender is TORCH else ratios["first_ratio"] > FIRST_AT_LEAST
    return row | ratios | {"met": met, "promised": "again ≥ ×4" if contender is TORCH else "first > ×1"}


def speed_table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the speeds as a Markdown table."""
    lines = [
        "| 2,410 parameters | first (ms) | again (ms) | Verax is faster by, first | again | promised |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        if "absent" in row:
            lines.append(f"| {row['title']} | absent: {row['absent']} | | | | |")
            continue
        ratios = [f"×{row[key]:.2f}" if key in row else "" for key in ("first_ratio", "again_ratio")]
        verdict = f"{row['promised']} {'met' if row['met'] else 'MISSED'}" if "promised" in row else ""
        milliseconds = [f"{1e3 * row[key]:,.0f}" for key in ("first_seconds", "again_seconds")]
        lines.append(f"| {' | '.join([row['title'], *milliseconds, *ratios, verdict])} |")
    return "\n".join(lines)


def million() -> dict[str, Any]:
    """Returns how long the first check of a network with a million parameters takes."""
    import jax.numpy as jnp
    import numpy as np
    from _networks import cross_entropy, dense, initial

    from verax.debug import check_gradients

    sizes = (784, 1024, 200, 10)
    random = np.random.default_rng(0)
    inputs, labels = jnp.asarray(random.normal(size=(16, 784)), jnp.float32), jnp.asarray(random.integers(0, 10, 16))
    params = initial(sizes, random)

    def loss(params, inputs, labels):
        return cross_entropy(dense(params, inputs, "relu"), labels)

    started = time.perf_counter()
    report = check_gradients(loss, params, inputs, labels)
    seconds = time.perf_counter() - started
    met = report.passed and seconds <= LARGE_SECONDS
    return {
        "network": "MLP 784-1024-200-10",
        "seconds": seconds,
        "leaves": len(report.leaves),
        "coordinates": report.checked,
        "would_detect": report.detects,
        "met": met,
        "verdict": "met" if met else "MISSED",
    }


def power(networks: int) -> list[dict[str, Any]]:
    """Returns how often an error in one leaf is caught, by its size, and how many healthy networks raise an alarm."""
    import numpy as np
    from _networks import FAMILIES, make

    from verax.debug import make_gradient_check

    caught: dict[float, list[bool]] = {error: [] for error in PLANTED}
    alarms, checked, flat = [], 0, 0
    for number, family in enumerate(FAMILIES):
        count = networks // len(FAMILIES) + (number < networks % len(FAMILIES))
        check = None
        for seed in range(count):
            random = np.random.default_rng([number, seed])
            network = make(family, random)
            check = check or make_gradient_check(network.loss)
            leaves = len(network.right)
            report = check(network.params, network.right, *network.args)
            checked += 1
            if not report.passed or any(finding.severity == "error" for finding in report.findings):
                alarms.append(f"{family} {seed}: {report.findings[0]}")
            sizes = [max(abs(leaf.worst.automatic), abs(leaf.worst.numerical)) for leaf in report.leaves]
            live = [leaf for leaf in range(leaves) if report.leaves[leaf].status != "undecided" and sizes[leaf] > 0]
            flat += leaves - len(live)
            for error in PLANTED:
                if error != CAUGHT_AT and seed % 4:
                    continue  # the other sizes draw the curve: a quarter of the networks is enough
                factors = network.right.copy()
                factors[random.choice(live)] += error * random.choice([-1, 1])
                report = check(network.params, factors, *network.args)
                caught[error].append(not report.passed)
        print(f"{family}: {count} networks", file=sys.stderr, flush=True)
    for alarm in alarms:
        print(f"false alarm: {alarm}", file=sys.stderr)
    rows = [
        {"planted": error, "networks": len(hits), "caught": sum(hits), "rate": sum(hits) / len(hits)}
        for error, hits in caught.items()
        if hits
    ]
    for row in rows:
        if row["planted"] == CAUGHT_AT:
            row["met"] = row["rate"] >= CAUGHT
    return [{"planted": 0.0, "networks": checked, "caught": len(alarms), "rate": len(alarms) / checked,
             "undecided_leaves": flat, "alarms": alarms, "met": not alarms}, *rows]  # fmt: skip


def power_table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the power curve as a Markdown table."""
    lines = ["| relative error planted in one leaf | networks | alarms | rate | promised |", "|---|---:|---:|---:|---|"]
    for row in rows:
        promise = {0.0: "no alarm", CAUGHT_AT: f"≥ {CAUGHT}"}.get(row["planted"], "")
        verdict = f"{promise} {'met' if row['met'] else 'MISSED'}" if promise else ""
        planted = f"{row['planted']:.0e}" if row["planted"] else "none"
        lines.append(f"| {planted} | {row['networks']} | {row['caught']} | {row['rate']:.3f} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
