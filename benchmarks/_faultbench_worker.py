"""One case of a benchmark in a process of its own: reads a program's text, writes what a tool says of it.

    python benchmarks/_faultbench_worker.py ANSWER.json --tool doctor --seconds 20 --fix-seconds 60 < PROGRAM

The text comes from standard input and ends at the marked line: neither the case's name nor what its author knows is in
this process. What the program prints stays on its own streams; the answer is a file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from _faultbench import names_of, program_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--tool", choices=("doctor", "rules"), default="doctor")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fix-seconds", type=float, default=60.0)
    parser.add_argument("--seed-shift", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    try:
        program = program_of(names_of(sys.stdin.read()))
        program = replace(program, seed=program.seed + options.seed_shift)
        said = doctor(program, options.seconds, options.fix_seconds) if options.tool == "doctor" else rules(program)
    except Exception as error:  # for the table; a process that dies leaves what it wrote last
        reason = str(error).strip().splitlines()
        said = {"failed": ": ".join([type(error).__name__, *reason[:1]]), "traceback": traceback.format_exc()}
    options.answer.write_text(json.dumps(said | {"wall_seconds": time.perf_counter() - start}))
    return 0


def doctor(program: Any, seconds: float, fix_seconds: float) -> dict[str, Any]:
    """Returns the doctor's findings, the most certain first, and what it took."""
    from verax.doctor import diagnose

    diagnosis = diagnose(program, seconds=seconds, fix_seconds=fix_seconds)
    probes = [
        {"name": probe.name, "verdict": probe.verdict, "said": probe.said, "seconds": probe.seconds}
        for probe in diagnosis.probes
    ]
    findings = [as_dict(finding) for finding in diagnosis.findings]
    return {"findings": findings, "seconds": dict(diagnosis.seconds), "probes": probes}


def as_dict(finding: Any) -> dict[str, Any]:
    """Returns a finding for a report; `where` is the part, as the format has it."""
    return {
        "id": finding.id,
        "severity": finding.severity,
        "where": finding.part,
        "place": None if finding.where is None else str(finding.where),
        "message": finding.message,
        "advice": finding.advice,
        "evidence": list(finding.evidence),
        "confidence": finding.confidence,
        "tried": finding.tried,
    }


def rules(program: Any) -> dict[str, Any]:
    """Returns what the published rules of other monitors say of a plain training, by rule set."""
    from _plain_training import trained
    from _published_rules import RULES

    record = trained(program)
    return {"rules": {name: [{"id": each} for each in dict.fromkeys(rule(record))] for name, rule in RULES.items()}}


if __name__ == "__main__":
    sys.exit(main())
