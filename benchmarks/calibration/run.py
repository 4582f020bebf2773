"""The doctor on the healthy programs of the calibration set: every alarm with its evidence. There should be none.

    python benchmarks/calibration/run.py [--only deep_tanh,one_cycle] [--seconds 20] [--fix-seconds 60] [--json OUT]

All run in one process. Ends with 1 if there was an alarm or a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
from _faultbench_score import Share
from _faultbench_worker import as_dict

from calibration import PROGRAMS, Healthy


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="programs whose names start so, with commas between (default: all)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="for the probes, and for the training (default: 20)"
    )
    parser.add_argument("--fix-seconds", type=float, default=60.0, help="for repairs that are tried (default: 60)")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    options = parser.parse_args(arguments)
    chosen = tuple(options.only.split(",")) if options.only else ("",)
    rows = []
    for each in PROGRAMS:
        if each.name.startswith(chosen):
            rows.append(row(each, options.seconds, options.fix_seconds))
            print(text(rows[-1]), flush=True)
            jax.clear_caches()  # programs hardly share any; a hundred of them fill the memory
    alarmed = Share(sum(bool(row["alarms"]) for row in rows), len(rows))
    failed = [row["program"] for row in rows if "failed" in row]
    low, high = alarmed.interval
    print(f"\nfalse alarm: {alarmed.hits} of {alarmed.total} (95 % interval {low:.0%} to {high:.0%})")
    print(f"failed: {', '.join(failed)}" if failed else "failed: none")
    if options.json:
        summary = {"false_alarm": {"hits": alarmed.hits, "total": alarmed.total, "low": low, "high": high}}
        Path(options.json).write_text(json.dumps({"rows": rows, "summary": summary}, indent=1) + "\n")
    return 1 if alarmed.hits or failed else 0


def row(each: Healthy, seconds: float, fix_seconds: float) -> dict[str, Any]:
    """Returns what the doctor says of a healthy program, or how it failed."""
    from verax.doctor import diagnose

    start = time.perf_counter()
    made: dict[str, Any] = {"program": each.name, "tempting": list(each.tempting), "alarms": [], "seconds": {}}
    try:
        diagnosis = diagnose(each.make(), seconds=seconds, fix_seconds=fix_seconds)
    except Exception:  # what fails on one program must not hide the others
        made["failed"] = traceback.format_exc()
    else:
        made["alarms"] = [as_dict(finding) for finding in diagnosis.findings if finding.is_alarm]
        made["unable"] = [f"{p.name}: {p.said}" for p in diagnosis.probes if p.verdict == "could not run"]
        made["seconds"] = dict(diagnosis.seconds)
    return made | {"wall_seconds": time.perf_counter() - start}


def text(row: dict[str, Any]) -> str:
    """Returns a program's lines: whether the doctor was quiet, each alarm with its evidence, what could not run."""
    word = "FAILED" if "failed" in row else "FALSE " if row["alarms"] else "quiet "
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in row["seconds"].items())
    lines = [f"{word} {row['program']:30s} {seconds} s"]
    for alarm in row["alarms"]:
        lines.append(f"    {alarm['severity']} {alarm['id']} ({alarm['where']}): {alarm['message']}")
        lines += [f"        {line}" for line in (*alarm["evidence"], alarm["tried"]) if line]
    lines += [f"    could not run: {said}" for said in row.get("unable", ())]
    lines += [f"    {line}" for line in row.get("failed", "").splitlines()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
