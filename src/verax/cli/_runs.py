"""Folders of runs: their names, writing a run that is already finished, and telling what a path is."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from verax.findings import InputError

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


def write_run(folder: Path, experiment: Callable[..., Any], run: Any, study: Any = None) -> Path:
    """Writes a finished run, with the study that chose its setting."""
    from verax.train import save_run

    save_run(folder, experiment, run)
    if study is not None:
        write_text(folder / "study.json", json.dumps(study.to_json(), indent=1, default=str))
    return folder


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
