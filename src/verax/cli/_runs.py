"""Folders of runs: their names, writing a run that is already finished, and telling what a path is."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from verax.findings import InputError

STUDY_FILES = ("study.db", "study.json", "study.csv", "study.html")  # and what SQLite keeps beside its file
Kind = Literal["run", "lanes", "study", "model", "certificate", "experiment"]
NAMES = {
    "run": "a run folder",
    "lanes": "a folder of several runs",
    "study": "a study.json",
    "model": "a model.vx",
    "certificate": "a certificate.json",
    "experiment": "an experiment's .py file",
}


def new_folder(out: Path | None, name: str) -> Path:
    """Returns the folder for a new run: the one asked for, or `runs/NAME-DATE-TIME`, which is free.

    Raises:
      InputError: if the folder asked for holds something.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            how = "exists already and is not empty" if out.is_dir() else "is a file"
            raise InputError(f"{out} {how}. Choose another folder with --out.")
        return out
    base = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    tries = (base if number == 1 else base.with_name(f"{base.name}-{number}") for number in range(1, 10_000))
    return next(folder for folder in tries if not folder.exists())


def study_folder(out: Path | None, name: str) -> tuple[Path, bool]:
    """Returns the folder for a study, and whether it holds one that has not come to its end and can go on.

    Raises:
      InputError: if the folder asked for holds something else.
    """
    if out is not None and out.is_dir() and any((out / each).exists() for each in STUDY_FILES):
        held = {each.name for each in out.iterdir()}
        if "experiment.json" not in held and all(each.startswith(STUDY_FILES) for each in held):
            return out, True
    return new_folder(out, name), False


def write_run(folder: Path, experiment: Callable[..., Any], run: Any, study: Any = None) -> Path:
    """Writes a finished run, with the study that chose its setting; what the study kept there before stays."""
    from verax.certify import open_test
    from verax.train import save_run

    if folder.is_dir() and any(folder.iterdir()):
        aside = folder.with_name(f".{folder.name}.run")
        shutil.rmtree(aside, ignore_errors=True)
        save_run(aside, experiment, run)
        for each in sorted(aside.iterdir(), key=lambda each: each.name == "experiment.json"):  # with it, it is a run
            each.rename(folder / each.name)
        aside.rmdir()
    else:
        save_run(folder, experiment, run)
    if study is not None:
        write_study(folder, study)
        if study.winner is not None and study.winner.test:
            open_test(folder, "tune", run.dataset.fingerprint)
    return folder


def write_study(folder: Path, study: Any) -> None:
    """Writes `study.json` and `study.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "study.json", json.dumps(study.to_json(), indent=1, allow_nan=False))
    write_text(folder / "study.csv", study.to_csv())


def kind_of(path: Path) -> Kind:
    """Returns what a path holds.

    Raises:
      InputError: if nothing is there, or nothing that Verax writes.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist. Expected {_any()}.")
    if path.is_dir():
        if (path / "experiment.json").exists():
            return "run"
        if (path / "lanes.json").exists():
            return "lanes"
        if (path / "study.json").exists():
            return "study"
        if (path / "signature.json").exists():
            return "model"
        held = ", ".join(sorted(each.name for each in path.iterdir())[:6]) or "nothing"
        raise InputError(f"{path} is no run folder (experiment.json) and no model (signature.json); it holds {held}.")
    if path.suffix == ".py":
        return "experiment"
    if path.suffix == ".json":
        return "study" if path.name == "study.json" else "certificate"
    raise InputError(f"{path} must be {_any()}.")


def _any() -> str:
    return " or ".join(NAMES.values())


def expect(path: Path, *kinds: Kind) -> Kind:
    """Returns what a path holds, if it is one of some kinds.

    Raises:
      InputError: if it is something else.
    """
    kind = kind_of(path)
    if kind == "lanes" and "run" in kinds:
        runs = sorted(str(each.parent) for each in path.glob("*/experiment.json"))
        raise InputError(f"{path} holds {len(runs)} runs. Name one of them, such as {runs[0] if runs else 'none'}.")
    if kind not in kinds:
        raise InputError(f"expected {' or '.join(NAMES[each] for each in kinds)}, but {path} is {NAMES[kind]}.")
    return kind


def write_text(path: Path, text: str) -> Path:
    """Writes a file that appears whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def on_disk(folder: Path) -> str:
    """Returns a sentence that says what an interrupted command has left."""
    held = ", ".join(sorted(each.name for each in folder.iterdir())) if folder.is_dir() else ""
    return f"{folder} holds {held}." if held else "Nothing was written."


def chosen_variables(run: Any, weights: str | None) -> Any:
    """Returns the weights of a run that were asked for: `raw`, `ema`, or those that the run itself would use."""
    return run.variables if weights is None else run.weights(weights)
