"""What experiment trackers are told of a run: read from its records in one place, the same live and replayed."""

from __future__ import annotations

import hashlib
import importlib
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from verax.findings import InputError
from verax.train import Experiment, History, Record, Run, read_experiment, read_history

Write = Callable[[Record], None]


class Scalar(NamedTuple):
    """One number of a run.

    Attributes:
      name: `train/loss` of a step, `train/epoch_loss` its mean over an epoch, `validation/accuracy`, ...
      step: steps taken when it was measured.
      value: may be NaN or infinite.
      seconds: since the first step; those of the record that it came with.
    """

    name: str
    step: int
    value: float
    seconds: float


class Tracked(NamedTuple):
    """A run as trackers see it.

    Attributes:
      id: the same whenever the same run is written again.
      name: of the run's folder, or of its network.
      hyperparameters: what made the experiment.
      history: what was measured; empty while the run has not begun.
      started: seconds since 1970 at its first step, about.
      folder: where the run lies; None for one in memory.
    """

    id: str
    name: str
    hyperparameters: dict[str, Any]
    history: History
    started: float
    folder: Path | None


def tracked(run: Run | str | Path) -> Tracked:
    """Returns a run, or one in a folder, as trackers see it. Runs nothing of the user's.

    Raises:
      InputError: if the folder is not that of a run.
    """
    if isinstance(run, Run):
        end = run.history.records[-1].seconds if len(run.history) else 0.0
        chosen = _hyperparameters(run.experiment)
        identity = f"{run.network.name}{chosen}{run.history.to_jsonl()}"
        return Tracked(_digest(identity), run.network.name, chosen, run.history, time.time() - end, None)
    folder = Path(run)
    content, file = read_experiment(folder), folder / "experiment.json"
    name = folder.resolve().name
    chosen = {**content["hyperparameters"], "seed": content["seed"]}
    return Tracked(
        _digest(f"{name}{file.read_text()}"), name, chosen, read_history(folder), file.stat().st_mtime, folder
    )


def _hyperparameters(experiment: Experiment) -> dict[str, Any]:
    return {**experiment.hyperparameters, "seed": experiment.seed}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def scalars(record: Record) -> list[Scalar]:
    """Returns the numbers of a record, each at its own step; a chunk has the loss of every step in it."""
    found: list[Scalar] = []
    for name, value in record.values.items():
        if "/" not in name:  # a remark, such as the steps whose gradients were not finite
            continue
        each = list(value) if isinstance(value, tuple | list) else [value]
        shown = name.replace("train/", "train/epoch_", 1) if record.kind == "epoch" else name
        first = record.step - len(each) + 1
        found += [Scalar(shown, first + index, float(one), record.seconds) for index, one in enumerate(each)]
    return found


def outcome(record: Record) -> dict[str, Any] | None:
    """Returns what a run came to, if this is its last record: `stopped` with the reason, steps, seconds, ..."""
    if record.kind != "event" or "stopped" not in record.values:
        return None
    facts = record.values.get("facts", {})
    plain = {name: value for name, value in facts.items() if isinstance(value, int | float | str)}
    return {"stopped": record.values["stopped"], "failed": record.values["stopped"].startswith("not finite"), **plain}


def require(library: str) -> Any:
    """Returns a tracker's library.

    Raises:
      ImportError: naming the extra that installs it.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        extra = {"tensorboardX": "tensorboard"}.get(library, library)
        raise ImportError(f"this needs {library}, which is not installed. Run: pip install 'verax[{extra}]'") from error


def replay(run: Tracked, open_writer: Callable[[Tracked], AbstractContextManager[Write]]) -> None:
    """Writes the whole history of a run.

    Raises:
      InputError: if it has none.
    """
    if not len(run.history):
        raise InputError(f"{run.folder or run.name} holds no history.jsonl, or an empty one. Did the run begin?")
    with open_writer(run) as write:
        for record in run.history:
            write(record)


def follow(
    records: Generator[Record, None, Any], open_writers: Sequence[Callable[[], AbstractContextManager[Write]]]
) -> Generator[Record, None, Any]:
    """Yields the records of a run and returns what they return, each written as it comes.

    Writers are opened at the first record. One that fails is left out from then on, with a warning: training is worth
    more than its picture, which can be drawn again from `history.jsonl`.

    Args:
      records: what `train.records` yields.
      open_writers: each opens a writer.
    """
    with ExitStack() as stack:
        writes: list[Write] | None = None
        while True:
            try:
                record = next(records)
            except StopIteration as end:
                return end.value
            if writes is None:
                writes = [stack.enter_context(opened()) for opened in open_writers]
            writes = [write for write in writes if _written(write, record)]
            yield record


def _written(write: Write, record: Record) -> bool:
    try:
        write(record)
    except Exception as error:  # of a service, a network or a disk
        said = f"a tracker failed at step {record.step} and is left out from here: {type(error).__name__}: {error}"
        warnings.warn(f"{said} Write the run again when it has ended, from its history.jsonl.", stacklevel=2)
        return False
    return True
