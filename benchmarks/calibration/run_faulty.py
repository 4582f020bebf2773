"""The doctor on programs with a fault each, which the benchmark's public cases do not have: is it named, and placed?

    python benchmarks/calibration/run_faulty.py [--only minus_999,double] [--seconds 20] [--fix-seconds 60] [--json OUT]

Prints a line a program and the figures of the benchmark (`faultbench.py`). All run in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
from _faultbench_score import Share

from calibration import FAULTY, Faulty


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="programs whose names start so, with commas between (default: all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for the probes, and for the training")
    parser.add_argument("--fix-seconds", type=float, default=60.0, help="for repairs that are tried")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    options = parser.parse_args(arguments)
    chosen = tuple(options.only.split(",")) if options.only else ("",)
    rows = []
    for each in FAULTY:
        if each.name.startswith(chosen):
            rows.append(row(each, options.seconds, options.fix_seconds))
            print(text(rows[-1]), flush=True)
            jax.clear_caches()
    figures = {name: Share(sum(row[name] for row in rows), len(rows)) for name in ("detected", "first", "placed")}
    print()
    for name, share in figures.items():
        print(f"{name:10s} {share.hits} of {share.total}")
    if options.json:
        summary = {name: {"hits": share.hits, "total": share.total} for name, share in figures.items()}
        Path(options.json).write_text(json.dumps({"rows": rows, "summary": summary}, indent=1) + "\n")
    return 0 if rows and figures["detected"].hits == len(rows) else 1


def row(each: Faulty, seconds: float, fix_seconds: float) -> dict[str, Any]:
    """Returns what the doctor says of a faulty program, and whether it is right."""
    from verax.doctor import diagnose

    made: dict[str, Any] = {
        "program": each.name,
        "faults": list(each.faults),
        "alarms": [],
        "remarks": [],
        "seconds": {},
    }
    try:
        diagnosis = diagnose(each.make(), seconds=seconds, fix_seconds=fix_seconds)
    except Exception:  # what fails on one program must not hide the others
        made["failed"] = traceback.format_exc()
    else:
        made["alarms"] = [[finding.id, finding.part, finding.message] for finding in diagnosis.alarms]
        made["remarks"] = [finding.id for finding in diagnosis.findings if not finding.is_alarm]
        made["unable"] = [f"{p.name}: {p.said}" for p in diagnosis.probes if p.verdict == "could not run"]
        made["seconds"] = dict(diagnosis.seconds)
    right = [alarm for alarm in made["alarms"] if alarm[0] in each.faults]
    made["detected"], made["placed"] = bool(right), any(alarm[1] in each.parts for alarm in right)
    made["first"] = bool(right) and made["alarms"][0][0] in each.faults
    return made


def text(row: dict[str, Any]) -> str:
    """Returns a program's lines."""
    word = "FAILED" if "failed" in row else "found " if row["detected"] else "MISSED"
    alarms = ", ".join(f"{name} ({part})" for name, part, _ in row["alarms"]) or "nothing"
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in row["seconds"].items())
    lines = [
        f"{word} {row['program']:32s} {row['faults'][0]}: {alarms}; remarks {', '.join(row['remarks'])}; {seconds} s"
    ]
    lines += [f"    could not run: {said}" for said in row.get("unable", ())]
    lines += [f"    {line}" for line in row.get("failed", "").splitlines()[-3:]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
