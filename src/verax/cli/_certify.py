"""`verax certify`: the ten items of a run, one after another; the certificate and its report in the run folder."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from verax.cli._runs import expect, on_disk, write_text
from verax.cli._say import console, metrics_table, say, say_json, waiting
from verax.cli._study import pairs, read_study
from verax.findings import InputError

STATUS = {"passed": "passed", "failed": "FAILED", "waived": "waived", "not_run": "NOT RUN"}
COLORS = {"passed": "green", "failed": "bold red", "waived": "yellow", "not_run": "bold red"}


def certify(
    run: Path,
    /,
    *,
    waive: tuple[str, ...] = (),
    limit: tuple[str, ...] = (),
    figures: Path | None = None,
    study: Path | None = None,
    json: bool = False,
) -> int:
    """Measures the ten items of a run and writes certificate.json, report.html and model.vx into its folder.

    Exits with 0 if the certificate is passed, else with 1. Runs the source that the run folder holds.

    Args:
      run: the run folder that train or tune wrote.
      waive: an item that may fail, with the written reason, such as tuned="one setting is prescribed"; once for each.
      limit: another limit, such as latency_p99_seconds=0.02; once for each.
      figures: a folder for the pictures of the report as PNG at 300 dots per inch.
      study: the study.json that chose the setting; the one in the run folder if not given.
      json: prints the certificate as JSON on stdout; progress goes to stderr.
    """
    expect(run, "run")
    waivers = dict(pairs(waive, "waive", 'tuned="one setting is prescribed"'))
    limits = {name: _number(name, value) for name, value in pairs(limit, "limit", "latency_p99_seconds=0.02")}
    from verax.train import load_run

    with waiting("loading the run"):
        loaded = load_run(run)
    known = study or run / "study.json"
    found = read_study(known) if study or known.exists() else None
    try:
        certificate = certify_run(run, loaded, found, study_file=known, waivers=waivers, limits=limits, to_stderr=json)
    except KeyboardInterrupt:
        say(f"Stopped before the end, without a new certificate. {on_disk(run)}", to_stderr=True)
        raise
    if figures is not None:
        from verax.plot import save_figures
        from verax.report import figures as draw

        paths = save_figures(draw(certificate, history=loaded.history, findings=loaded.findings), figures)
        say(f"figures: {len(paths)} in {figures}", to_stderr=json)
    if json:
        say_json(certificate.to_json())
    return int(certificate.verdict != "passed")


def certify_run(
    folder: Path,
    run: Any,
    study: Any,
    *,
    study_file: Path | None = None,
    waivers: Mapping[str, str] | None = None,
    limits: Mapping[str, float] | None = None,
    to_stderr: bool = False,
) -> Any:
    """Returns the certificate of a run, each item printed as it is measured, and writes it all into the folder."""
    from verax.certify import ITEMS, evidence_from_run, outcomes
    from verax.report import augmented_examples, html
    from verax.train import read_experiment

    evidence = replace(evidence_from_run(run, study), code=read_experiment(folder)["source"] or "")
    items = outcomes(evidence, waivers=waivers or {}, limits=limits or {}, out=folder)
    screen, doing = console(to_stderr), iter([*ITEMS, "the certificate"])
    while True:
        try:
            with waiting(next(doing)):
                outcome = next(items)
        except StopIteration as end:
            certificate = end.value
            break
        _say_outcome(screen, outcome)
    facts = {**run.facts, "augmented": augmented_examples(run.experiment, run.dataset)}
    drawn = study_content(study_file or folder / "study.json")
    write_text(
        folder / "report.html",
        html(certificate, study=drawn, history=run.history, run_facts=facts, findings=run.findings),
    )
    screen.print(metrics_table(certificate.test, "on the test split"))
    say(openings_text(certificate.environment.get("test_openings", 1)), to_stderr=to_stderr)
    say(certificate.headline(), to_stderr=to_stderr)
    say(f"report: {folder / 'report.html'}", to_stderr=to_stderr)
    return certificate


def study_content(path: Path) -> Any:
    """Returns what a study.json holds, to be drawn; None without one."""
    return json_format.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def openings_text(openings: int) -> str:
    """Returns how often the test split of a run has been opened, in words."""
    return f"the test split has been opened {'once' if openings == 1 else f'{openings} times'} for this run"


def _say_outcome(screen: Any, outcome: Any) -> None:
    """Prints the line of an item; below it what it was held against and what to do, where it did not pass."""
    from rich.text import Text

    line = Text(f"{STATUS[outcome.status]:<8}", style=COLORS[outcome.status] if screen.is_terminal else "")
    line.append(f"{outcome.id:<18} {outcome.reason}", style="none")
    screen.print(line, soft_wrap=True)
    if outcome.status == "passed":
        return
    if outcome.limit:
        limits = ", ".join(f"{name} {value}" for name, value in outcome.limit.items())
        screen.print(Text(f"{'':<8}limit: {limits}"), soft_wrap=True)
    for finding in outcome.findings:
        screen.print(Text(f"{'':<8}{finding}"), soft_wrap=True)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--limit {name} must be a number, got {text!r}.") from None
