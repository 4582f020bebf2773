"""A run on disk: written while it trains, and read back into the same value."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from verax import __version__
from verax.data import Dataset, load
from verax.findings import Finding, InputError, Leaf, Moment, Span, Split
from verax.network import Network, as_network
from verax.train._experiment import Experiment, resolve
from verax.train._history import History, Record
from verax.train._initial import first_state
from verax.train._keys import base_key
from verax.train._run import Run
from verax.train._saved import load_state, save_state
from verax.train._source import SourceFile, source_of
from verax.train._state import TrainState

FORMAT = 1
PLACES = {"span": Span, "leaf": Leaf, "moment": Moment, "split": Split}


def environment() -> dict[str, str]:
    """Returns what a result depends on besides the program: versions, device, platform."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    device = jax.devices()[0]
    return {
        "verax": __version__,
        **{name: version(name) for name in packages if _is_installed(name)},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device.platform}: {device.device_kind}",
    }


def check_free(folder: str | Path) -> Path:
    """Returns the folder, if a run can be written there.

    Raises:
      InputError: if it exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already and is not empty. Choose another folder for the run.")
    return folder


def begin_folder(folder: str | Path, experiment: Any, made: Experiment, data_fingerprint: str) -> Path:
    """Makes the folder of a run and writes `experiment.json`; the rest follows as it comes.

    Where a hyperparameter cannot be written as JSON, the folder says that the run cannot be made again from it.

    Raises:
      InputError: if the folder exists and is not empty.
    """
    folder = check_free(folder)
    source = source_of(experiment)
    paths = [name for name, value in made.hyperparameters.items() if isinstance(value, Path)]  # JSON has texts only
    try:
        chosen = {name: str(value) if name in paths else value for name, value in made.hyperparameters.items()}
        hyperparameters = json.loads(json.dumps(chosen, allow_nan=False))
        resumable = source is not None
    except (TypeError, ValueError):
        hyperparameters = {name: repr(value) for name, value in made.hyperparameters.items()}
        resumable = False
    content = {
        "format": FORMAT,
        "function": getattr(experiment, "__name__", None),
        "hyperparameters": hyperparameters,
        "paths": paths,
        "seed": made.seed,
        "resumable": resumable,
        "environment": environment(),
        "data_fingerprint": data_fingerprint,
        "source_path": source.path if source else None,
        "source_sha256": source.sha256 if source else None,
        "source": source.text if source else None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(content, indent=1))
    return folder


def append_record(folder: Path, record: Record) -> None:
    """Adds one line to `history.jsonl`."""
    with (folder / "history.jsonl").open("a") as file:
        file.write(record.to_json() + "\n")


def finish_folder(folder: Path, run: Run) -> None:
    """Writes the states and findings of a finished run."""
    save_state(folder / "checkpoints" / "final", run.state)
    if run.best is not None:
        save_state(folder / "checkpoints" / "best", run.best)
    (folder / "findings.json").write_text(json.dumps([finding_to_json(each) for each in run.findings], indent=1))


def save_run(folder: str | Path, experiment: Any, run: Run) -> Path:
    """Writes a run that is finished already, such as a study's best one, and returns its folder.

    The folder appears complete or not at all.

    Args:
      folder: to be made.
      experiment: the function that made the run's experiment, for the snapshot of its source.
      run: what it came to.

    Raises:
      InputError: if the folder exists and is not empty.
    """
    folder = check_free(folder)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        begin_folder(unfinished, experiment, run.experiment, run.dataset.fingerprint)
        (unfinished / "history.jsonl").write_text(run.history.to_jsonl())
        finish_folder(unfinished, run)
        if folder.is_dir():
            folder.rmdir()  # empty, as was checked
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def read_experiment(folder: str | Path) -> dict[str, Any]:
    """Returns the content of a run's `experiment.json`; nothing of the user's is run.

    Raises:
      InputError: if the folder is not that of a run.
    """
    path = Path(folder) / "experiment.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not a run folder: experiment.json is missing. Give a folder that verax train wrote."
        ) from None
    except (ValueError, NotADirectoryError) as error:
        raise InputError(f"{path} cannot be read: {error}. Give a folder that verax train wrote.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise InputError(f"{path} has format {found}, this Verax reads {FORMAT}. Update Verax if it is older.")
    return content


def read_history(folder: str | Path) -> History:
    """Returns the history of a run folder; a last line that was cut off by a crash is left out.

    Raises:
      InputError: if another line is damaged.
    """
    path = Path(folder) / "history.jsonl"
    try:
        lines = path.read_text().splitlines(keepends=True)
        return History.from_jsonl(line for line in lines if line.endswith("\n"))
    except FileNotFoundError:
        return History()
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged: {error}. Restore it, or train again.") from error


def load_run(folder: str | Path) -> Run:
    """Returns a run from its folder. Runs the snapshot of the user's source that the folder holds.

    Raises:
      InputError: if the folder is not that of a finished run that can be made again, or its data have changed.
    """
    folder = Path(folder)
    content = read_experiment(folder)
    if not content["resumable"]:
        raise InputError(
            f"{folder} cannot be made again from disk: its experiment was a bare value, or its hyperparameters are not "
            "JSON. Train a function experiment(...) from a file."
        )
    if not (folder / "checkpoints" / "final").is_dir():
        raise InputError(f"{folder} holds no final state: the run did not finish.")
    function = SourceFile(content["source_path"], content["source"]).function(content["function"])
    paths = content.get("paths", ())
    chosen = {name: Path(value) if name in paths else value for name, value in content["hyperparameters"].items()}
    experiment = resolve(function, chosen)
    dataset = load(experiment.data)
    if dataset.fingerprint != content["data_fingerprint"]:
        raise InputError(f"the data of {folder} have changed since it was trained. Restore them, or train again.")
    experiment = replace(experiment, objective=experiment.objective.fitted(dataset.examples("train")))
    network = as_network(experiment.network)
    like = _empty_state(experiment, network, dataset)
    best = folder / "checkpoints" / "best"
    history = read_history(folder)
    last = history.records[-1].values if len(history) else {}
    return Run(
        experiment,
        network,
        dataset,
        load_state(folder / "checkpoints" / "final", like),
        load_state(best, like) if best.is_dir() else None,
        history,
        _read_findings(folder / "findings.json"),
        last.get("stopped", ""),
        dict(last.get("facts", {})),
        folder,
    )


def _empty_state(experiment: Experiment, network: Network, dataset: Dataset) -> TrainState:
    """Returns a state of the run's structure; compiled, but its values are not those of the run."""
    inputs = jax.tree.map(lambda leaf: leaf[: experiment.batch_size], dataset.examples("train").inputs)
    make = jax.jit(lambda key, inputs: first_state(experiment, network, key, inputs))
    return make(base_key(experiment.seed), inputs)


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """Returns a finding as plain values, its place with its kind."""
    place = None if finding.where is None else {"kind": type(finding.where).__name__.lower(), **asdict(finding.where)}
    return {**asdict(finding), "where": place}


def finding_from_json(content: Mapping[str, Any]) -> Finding:
    """Returns the finding that `finding_to_json` wrote."""
    place = content["where"]
    fields = {} if place is None else {name: value for name, value in place.items() if name != "kind"}
    evidence = tuple(content.get("evidence", ()))
    return Finding(**{**content, "where": place and PLACES[place["kind"]](**fields), "evidence": evidence})


def _read_findings(path: Path) -> tuple[Finding, ...]:
    try:
        return tuple(finding_from_json(each) for each in json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is missing or damaged: {error}. Did the run finish?") from error


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
