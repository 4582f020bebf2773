"""The doctor on a folder of training programs with known faults, beside the published rules of other monitors.

    python benchmarks/faultbench.py PATH [--only p01,p05] [--report OUT.json] [--json ROWS.json] [--peers none]

PATH is a folder in the faultbench format. Each case runs in a process of its own that is given the text above the
marked line and nothing else: not the case's name, not what its author knows. A case that crashes or outlasts its time
is a row that says so, and counts as one without findings. The report maps case ids to findings as the format's own
scoring reads them; `--check` exits with 1 if a promise is missed or a case failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _faultbench_score import Judged, Known, Share, figures, judged, known

MARK = "# ---- what the benchmark knows about this program"
WORKER = Path(__file__).resolve().parent / "_faultbench_worker.py"
PEERS = {
    "sagemaker": "SageMaker Debugger",
    "umlaut": "UMLAUT",
    "autotrainer": "AutoTrainer",
    "deepdiagnosis": "DeepDiagnosis",
}
# Of the public half: at least, or at most where a figure is better when it is small.
PROMISED = {"detected": 0.95, "first": 0.85, "placed": 0.85, "wrong diagnosis": 0.05, "right or fair": 0.9}
PROMISED |= {"false alarm": 0.0}
SMALL_IS_GOOD = ("wrong diagnosis", "false alarm")
START_SECONDS = 120.0  # for imports, data and what runs past the time it was given, before a process is stopped


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    rows = []
    for path in options.cases:
        row = case_row(path, options.seconds, options.fix_seconds, options.peers, options.seed_shift)
        rows.append(row)
        print(line(row), flush=True)
    columns = by_tool(rows, options.peers)
    print("\n" + table(columns) + "\n\n" + (said := verdict(rows, columns["Verax"])))
    if options.report:
        report = {row["case"]: [_scored(finding) for finding in row["findings"]] for row in rows}
        Path(options.report).write_text(json.dumps(report, indent=1) + "\n")
    if options.json:
        summary = {tool: {name: _share(share) for name, share in column.items()} for tool, column in columns.items()}
        written = {"rows": [_plain(row) for row in rows], "summary": {"verdict": said, "figures": summary}}
        Path(options.json).write_text(json.dumps(written, indent=1) + "\n")
    return 1 if options.check and said != MET else 0


def case_row(
    path: Path, seconds: float, fix_seconds: float, peers: Sequence[str], seed_shift: int = 0
) -> dict[str, Any]:
    """Returns what the doctor and the peers say of a case, judged."""
    case, source = known(path), path.read_text().split(MARK)[0]
    limit = 2 * seconds + fix_seconds + START_SECONDS
    budgets = [f"--seconds={seconds}", f"--fix-seconds={fix_seconds}"]
    answer = run(source, ["--tool=doctor", *budgets, f"--seed-shift={seed_shift}"], limit)
    findings = answer.get("findings", [])
    row = {"case": path.stem, **answer, "findings": findings, "judged": judged(case, findings)}
    if peers:
        row["peers"] = peers_of(case, run(source, ["--tool=rules"], limit), peers)
    return row


def peers_of(case: Known, answer: Mapping[str, Any], peers: Sequence[str]) -> dict[str, Any]:
    """Returns the findings of each set of rules and of all together, judged, or why there are none."""
    if "failed" in answer:
        return {"failed": answer["failed"]}
    findings = {PEERS[peer]: answer["rules"][peer] for peer in peers}
    if len(peers) > 1:
        ids = dict.fromkeys(finding["id"] for peer in peers for finding in answer["rules"][peer])
        findings["all of them together"] = [{"id": each} for each in ids]
    return {name: {"findings": each, "judged": judged(case, each)} for name, each in findings.items()}


def run(source: str, arguments: Sequence[str], limit: float) -> dict[str, Any]:
    """Returns what a worker says of a program's text, or `{"failed": reason}`."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, str(WORKER), str(answer), *arguments]
        try:
            done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=limit, cwd=folder)
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {limit:.0f} s"}
        if done.returncode != 0 or not answer.exists():
            said = [text for text in done.stderr.splitlines() if text.strip()]
            return {"failed": said[-1].strip() if said else f"ended with {done.returncode} and without a word"}
        return json.loads(answer.read_text())


def line(row: Mapping[str, Any]) -> str:
    """Returns a case's line: the verdict, the alarms in order, the seconds."""
    if "failed" in row:
        return f"{'FAILED':7s}{row['case']:32s}{row['failed']}"
    case: Judged = row["judged"]
    alarms = [f"{each['id']} ({each['where']})" for each in row["findings"] if each["severity"] != "info"]
    notes = f"  [wrong: {', '.join(case.wrong)}]" if case.wrong else ""
    notes += f"  [other: {', '.join(case.other)}]" if case.other else ""
    notes += "  [not first]" if case.detected and not case.first else ""
    notes += "  [not placed]" if case.detected and not case.placed else ""
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in row["seconds"].items())
    return f"{case.verdict:7s}{row['case']:32s}{seconds} s  {', '.join(alarms) or '-'}{notes}"


def by_tool(rows: Sequence[Mapping[str, Any]], peers: Sequence[str]) -> dict[str, dict[str, Share]]:
    """Returns the figures of each tool over the cases that it could look at; a failure counts as no finding."""
    columns = {"Verax": figures([row["judged"] for row in rows])}
    names = [PEERS[peer] for peer in peers] + (["all of them together"] if len(peers) > 1 else [])
    for name in names:
        silent = [Judged(row["judged"].faulty, 0) for row in rows]
        judgements = [row["peers"].get(name, {}).get("judged", none) for row, none in zip(rows, silent, strict=True)]
        columns[name] = figures(judgements)
        del columns[name]["placed"]  # rules name no part
    return columns


def table(columns: Mapping[str, Mapping[str, Share]]) -> str:
    """Returns the figures as a Markdown table, a row for each tool."""
    names = list(next(iter(columns.values())))
    lines = [f"| | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    lines += [
        f"| {tool} | {' | '.join(_cell(column.get(name)) for name in names)} |" for tool, column in columns.items()
    ]
    bars = [
        f"{'≤' if name in SMALL_IS_GOOD else '≥'} {PROMISED[name]:.0%}" if name in PROMISED else "" for name in names
    ]
    return "\n".join([*lines, f"| promised of Verax | {' | '.join(bars)} |"])


def _cell(share: Share | None) -> str:
    if share is None:
        return ""
    low, high = share.interval
    return f"{share.hits} of {share.total} ({low:.0%} to {high:.0%})"


MET = "Promises: all met."


def verdict(rows: Sequence[Mapping[str, Any]], column: Mapping[str, Share]) -> str:
    """Returns one line on the promises; a figure over no case is not measured, a case that failed is named."""
    missed = [f"{name} {share.value:.1%}" for name, share in column.items() if share.total and not _met(name, share)]
    slow = [
        f"{row['case']} ({name} {seconds:.0f} s)"
        for row in rows
        for name, seconds in row.get("seconds", {}).items()
        if seconds > SECONDS.get(name, float("inf"))
    ]
    kinds = {
        "missed": missed,
        "not measured": [name for name in PROMISED if column[name].total == 0],
        "too slow": slow,
        "failed": [row["case"] for row in rows if "failed" in row],
    }
    parts = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    return f"Promises: {'; '.join(parts)}." if parts else MET


SECONDS = {"check": 20.0, "run": 20.0, "fixes": 60.0}


def _met(name: str, share: Share) -> bool:
    if name not in PROMISED:
        return True
    return share.value <= PROMISED[name] if name in SMALL_IS_GOOD else share.value >= PROMISED[name]


def _scored(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {name: finding[name] for name in ("id", "severity", "where") if finding[name] is not None}


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {"hits": share.hits, "total": share.total, "low": low, "high": high}


def _plain(value: Any) -> Any:
    """Returns a row for JSON."""
    if isinstance(value, Judged):
        return value._asdict() | {"verdict": value.verdict}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a folder in the faultbench format")
    parser.add_argument("--only", help="cases whose names start so: p01,p05 (default: all)")
    parser.add_argument(
        "--report", metavar="OUT", help="write the findings by case, as the format's scoring reads them"
    )
    parser.add_argument("--json", metavar="OUT", help="write the rows and the figures to a file")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="for the probes, and for the training (default: 20)"
    )
    parser.add_argument("--fix-seconds", type=float, default=60.0, help="for repairs that are tried (default: 60)")
    parser.add_argument("--seed-shift", type=int, default=0, help="added to each program's seed (default: 0)")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {','.join(PEERS)}, or none (default: all)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a promise is missed or a case failed")
    options = parser.parse_args(arguments)
    options.peers = [] if options.peers == "none" else options.peers.split(",")
    if not {*options.peers} <= {*PEERS}:
        parser.error(f"--peers must be of {', '.join(PEERS)}, or none, got {', '.join(options.peers)}.")
    cases = sorted(options.path.glob("[a-z][0-9][0-9]_*.py"))
    wanted = options.only.split(",") if options.only else [""]
    options.cases = [path for path in cases if path.stem.startswith(tuple(wanted))]
    if not options.cases:
        parser.error(f"no case in {options.path}" + (f" starts with {options.only}." if options.only else "."))
    return options


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main())
