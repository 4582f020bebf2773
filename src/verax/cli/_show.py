"""`verax show`: what a run, a model, a certificate or an experiment is; nothing of the user's is run."""

from __future__ import annotations

import ast
import json as json_format
import math
from pathlib import Path
from typing import Any

from verax.cli._progress import numbers
from verax.cli._runs import kind_of
from verax.cli._say import console, metrics_table, say, say_json, seconds_text, table
from verax.findings import InputError

MOST_LEAVES = 60
LANE_PARTS = ("value", "low", "high", "sd")  # of a metric over lanes
STUDY = ("objective", "best", "winner")  # of a study, what is told
STATUS = {"passed": "passed", "failed": "FAILED", "waived": "waived", "not_run": "NOT RUN"}


def show(target: Path, /, *, json: bool = False) -> int:
    """Describes a run folder (of one run or of lanes), a study, a model.vx, a certificate.json or an experiment's file.

    None of it is run. The report of a study, study.html, is written beside its study.json.

    Args:
      target: what to describe.
      json: prints it as JSON on stdout.
    """
    describe = {
        "run": _run,
        "lanes": _lanes,
        "study": _study,
        "model": _model,
        "certificate": _certificate,
        "experiment": _experiment,
    }
    content = describe[kind_of(target)](target, not json)
    if json:
        say_json(content)
    return 0


def _run(folder: Path, talk: bool) -> dict[str, Any]:
    from verax.doctor._history import moments_of
    from verax.doctor._show import marked_curve_text
    from verax.plot import find_marks
    from verax.train import finding_from_json, read_experiment, read_history

    experiment, history = read_experiment(folder), read_history(folder)
    leaves = _leaves(folder)
    findings = [finding_from_json(each) for each in _json(folder / "findings.json", [])]
    ledger = (folder / "test_ledger.jsonl").read_text().splitlines() if (folder / "test_ledger.jsonl").exists() else []
    certificate = _json(folder / "certificate.json", None)
    epochs = [record for record in history if record.kind == "epoch"]
    last = epochs[-1].values if epochs else {}
    stopped = next((record.values["stopped"] for record in history if "stopped" in record.values), "it has not ended")
    content = {
        "kind": "run",
        "experiment": {name: value for name, value in experiment.items() if name != "source"},
        "epochs": len(epochs),
        "stop_reason": stopped,
        "metrics": last,
        "parameters": leaves,
        "findings": [str(finding) for finding in findings],
        "test_openings": len(ledger),
        "certificate": certificate and certificate["headline"],
        "dead_units": (certificate or {}).get("units"),
    }
    if (folder / "study.json").exists():
        content["study"] = _study(folder, False)
    if not talk:
        return content
    setting = ", ".join(f"{name}={value}" for name, value in experiment["hyperparameters"].items())
    say(f"run {folder}: {experiment['function']}({setting}) of {experiment['source_path'] or 'a bare value'}")
    versions = experiment["environment"]
    say(f"made with verax {versions.get('verax')}, jax {versions.get('jax')}, on {versions.get('device')}")
    seconds = seconds_text(history.records[-1].seconds if len(history) else 0.0)
    say(f"training: {len(epochs)} epochs in {seconds}; {'; '.join(filter(None, (stopped, numbers(last))))}")
    losses, marks = history.series("train/loss", "chunk")[1], find_marks([*findings, *moments_of(history)])
    if losses:
        say(marked_curve_text("loss by step:", losses, [mark.step for mark in marks]))
    for mark in marks if losses else ():
        say(f"{mark.number}: step {mark.step:,}: {mark.names}")
    if leaves:
        _print_leaves(leaves)
    _print_units(content["dead_units"], f"not measured; run: verax certify {folder}")
    for finding in findings:
        say(f"{finding.severity}: {finding}")
    say(f"openings of the test split: {len(ledger)}")
    say(f"certificate: {certificate['headline'] if certificate else f'none yet; run: verax certify {folder}'}")
    if "study" in content:
        _say_study(content["study"])
    return content


def _study(path: Path, talk: bool) -> dict[str, Any]:
    """Reads a study and writes its report, or says why not."""
    from verax.report import is_study, write_study_report

    folder = path if path.is_dir() else path.parent
    study = _json(folder / "study.json", None)
    if not is_study(study):
        if talk:
            raise InputError(f"{folder / 'study.json'} is no study that this version of Verax wrote.")
        return {"kind": "study", "report": None, "reason": "it was not written by this version of Verax"}
    content = {"kind": "study", "trials": len(study["trials"]), **{name: study[name] for name in STUDY}}
    try:
        content["report"] = str(write_study_report(folder, study))
    except OSError as error:  # a folder that may only be read
        content |= {"report": None, "reason": str(error)}
    if talk:
        _say_study(content)
    return content


def _say_study(content: dict[str, Any]) -> None:
    if "best" in content:
        best, winner = content["best"], content["winner"]
        setting = ", ".join(f"{name}={value}" for name, value in best["hyperparameters"].items())
        say(f"study: {content['trials']} trials; best {setting} ({content['objective']} {_value_text(best['value'])})")
        if winner is not None:
            value = {name: _value_text(winner["value"][name]) for name in ("value", "low", "high")}
            say(f"with {len(winner['seeds'])} fresh seeds: {value['value']} [{value['low']}, {value['high']}]")
    say(f"report of the study: {content['report'] or content['reason']}")


def _value_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _lanes(folder: Path, talk: bool) -> dict[str, Any]:
    content = _json(folder / "lanes.json", None)
    if not (isinstance(content, dict) and {"last", "best", "left_out"} <= content.get("summary", {}).keys()):
        raise InputError(f"{folder / 'lanes.json'} cannot be read. It is damaged, or was not written by Verax.")
    runs = sorted(each.parent.name for each in folder.glob("*/experiment.json"))
    if talk:
        say(f"lanes {folder}: {len(runs)} runs of one program: {', '.join(runs)}")
        for kind in ("last", "best"):
            rows = [
                (name, *("-" if each[part] is None else f"{each[part]:.4f}" for part in LANE_PARTS))
                for name, each in content["summary"][kind].items()
            ]
            if rows:
                console().print(table((kind, "mean", "low", "high", "sd"), rows, numbers=("mean", "low", "high", "sd")))
        for name, reason in content["summary"]["left_out"].items():
            say(f"left out: {name}, {reason}")
        if runs:
            say(f"next: verax show {folder / runs[0]}")
    return {"kind": "lanes", "folders": runs, **content}


def _leaves(folder: Path) -> list[dict[str, Any]]:
    """Returns path, shape, dtype and count of every parameter, from the manifest of the final state."""
    manifest = _json(folder / "checkpoints" / "final" / "manifest.json", {"leaves": []})
    inside = "variables/params/"
    kept = [each for each in manifest["leaves"] if each["path"].startswith(inside)]
    return [
        {
            "path": each["path"].removeprefix(inside),
            "shape": each["shape"],
            "dtype": each["dtype"],
            "count": math.prod(each["shape"]),
        }
        for each in kept
    ]


def _print_leaves(leaves: list[dict[str, Any]]) -> None:
    rows = [(each["path"], "x".join(map(str, each["shape"])), each["dtype"], f"{each['count']:,}") for each in leaves]
    total = sum(each["count"] for each in leaves)
    title = f"{total:,} parameters in {len(leaves)} leaves"
    console().print(table(("path", "shape", "dtype", "count"), rows[:MOST_LEAVES], title=title, numbers=("count",)))
    if len(rows) > MOST_LEAVES:
        say(f"... and {len(rows) - MOST_LEAVES} more; --json gives all.")


def _print_units(units: Any, absent: str) -> None:
    """Prints the dead units that a certificate holds: a table, or why there is none."""
    from verax.debug import DeadUnits
    from verax.doctor._show import printable

    if not isinstance(units, dict):
        say(f"dead units: {f'not measured: {printable(units)}' if units else absent}")
        return
    try:
        found = DeadUnits.from_json(units)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the units of the certificate cannot be read: {error!r}. It is damaged.") from error
    if not len(found):
        say("dead units: there is no hidden layer with an activation.")
        return
    title = f"dead units, whose slope is below 0.001 on each of {found.rows} training rows"
    heads = ("layer", "activation", "units", *found.heads)
    console().print(table(heads, found.table()[:MOST_LEAVES], title=title, numbers=heads[2:]))
    if len(found) > MOST_LEAVES:
        say(f"... and {len(found) - MOST_LEAVES} more; --json gives all.")


def _model(folder: Path, talk: bool) -> dict[str, Any]:
    from verax.export import load

    model = load(folder)
    signature = model.signature
    if talk:
        say(f"model {folder}: {signature.name}, {signature.task}")
        versions = ", ".join(f"{name} {version}" for name, version in signature.versions.items())
        say(f"made {signature.created[:10]} with {versions}")
        say(f"readable until at least {signature.promised_until}; runs on {', '.join(signature.platforms)}")
        schema = model.schema
        one = f"{schema.dtype}[{','.join(map(str, schema.shape))}]" if schema.dtype else "a tree"
        say(f"takes {schema.kind} rows, each {one}; batches of {signature.batch_sizes or 'any size'}")
        if schema.columns:
            rows = [(each.name, _kind(each), "yes" if each.missing else "no") for each in schema.columns]
            console().print(table(("column", "values", "may be missing"), rows))
        if signature.classes is not None:
            say(f"{schema.target}: {', '.join(signature.classes)}")
        say(f"gives: {', '.join(f'{name} {_one_text(each)}' for name, each in signature.outputs.items())}")
        say(f"temperature: {'none' if signature.temperature is None else f'{signature.temperature:.4f}'}")
        if signature.threshold is not None:
            say(f"threshold: {', '.join(f'{each:.4g}' for each in signature.threshold)}")
        console().print(table(("array", "dtype and shape"), list(signature.weights.items())[:MOST_LEAVES]))
    return {"kind": "model", **signature.to_json()}


def _one_text(entry: dict[str, Any]) -> str:
    return f"{entry['dtype']}[{','.join(map(str, entry['shape']))}]"


def _kind(column: Any) -> str:
    if column.categories is None:
        return "number"
    shown = ", ".join(column.categories[:6])
    return shown + (f", ... ({len(column.categories)} in all)" if len(column.categories) > 6 else "")


def _certificate(path: Path, talk: bool) -> dict[str, Any]:
    content = _json(path, None)
    if not (isinstance(content, dict) and {"verdict", "items", "headline", "test"} <= content.keys()):
        raise InputError(f"{path} is no certificate. Give the certificate.json that verax certify wrote.")
    if talk:
        say(f"{content.get('name', path)}: {content['headline']}")
        rows = [(STATUS[each["status"]], each["id"], each["reason"]) for each in content["items"]]
        console().print(table(("status", "item", "reason"), rows))
        tests = {name: tuple(each.values()) for name, each in content["test"].items()}
        finite = {name: values for name, values in tests.items() if None not in values}
        console().print(metrics_table(finite, "on the test split"))
        _print_units(content.get("units"), "not measured")
    return content


def _experiment(path: Path, talk: bool) -> dict[str, Any]:
    """Reads the signature of `experiment` from the source text."""
    from verax.train import read_source

    source = read_source(path)
    try:
        tree = ast.parse(source.text)
    except SyntaxError as error:
        raise InputError(f"{path}:{error.lineno}: not valid Python: {error.msg}.") from error
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    function = functions.get("experiment")
    if function is None:
        raise InputError(f"{path} must define a function experiment(...) that returns a vx.Experiment.")
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    late = [None] * (len(named) - len(arguments.defaults)) + list(arguments.defaults) + list(arguments.kw_defaults)
    rows = [
        {
            "name": each.arg,
            "type": ast.unparse(each.annotation) if each.annotation else "",
            "default": ast.unparse(default) if default else "required",
        }
        for each, default in zip([*named, *arguments.kwonlyargs], late, strict=True)
    ]
    if talk:
        first = (ast.get_docstring(function) or "").partition("\n")[0]
        say(f"experiment {path}: {first}" if first else f"experiment {path}")
        console().print(table(("hyperparameter", "type", "default"), [tuple(row.values()) for row in rows]))
        say(f"next: verax train {path}")
    return {"kind": "experiment", "path": str(path), "hyperparameters": rows}


def _json(path: Path, absent: Any) -> Any:
    try:
        return json_format.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return absent
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}. It is damaged, or was not written by Verax.") from error
