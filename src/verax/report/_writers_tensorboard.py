"""A run as TensorBoard event files, written by tensorboardX: neither TensorBoard nor TensorFlow is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from verax.findings import InputError
from verax.report._writers import Scalar, Tracked, Write, outcome, replay, require, scalars, tracked
from verax.train import Record, Run

SUFFIX = ".verax"  # of our event files, which are replaced when a run is written again


def tensorboard(run: Run | str | Path, out: str | Path | None = None) -> Path:
    """Writes a run as TensorBoard event files and returns their folder: `tensorboard --logdir FOLDER` shows them.

    The loss of every step, the metrics of every epoch, hyperparameters and final metrics, each at its own step, all
    read from the run's history. Written again, the files are replaced.

    Args:
      run: a run, or its folder.
      out: where to; the run's own folder, beside `history.jsonl`, if not given.

    Raises:
      ImportError: if tensorboardX is not installed.
      InputError: if there is no history, or no folder for a run in memory.
    """
    require("tensorboardX")
    known = tracked(run)
    folder = known.folder if out is None else Path(out)
    if folder is None:
        raise InputError("out must be a folder: this run is in memory and has none of its own.")
    replay(known, lambda known: tensorboard_writer(known, folder))
    return folder


@contextmanager
def tensorboard_writer(run: Tracked, folder: Path) -> Iterator[Write]:
    """Yields a function that adds a record to the event file of a folder, and has it on disk when it returns.

    Earlier files of ours there are removed.
    """
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.summary import hparams, text

    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
        earlier.unlink()
    file = EventsWriter(str(folder / "events"), SUFFIX)  # it writes at once: SummaryWriter does so from a thread
    last: list[Scalar] = []

    def add(summary: Any, step: int, seconds: float) -> None:
        file.write_event(Event(summary=summary, step=step, wall_time=run.started + seconds))

    def add_scalar(each: Scalar) -> None:
        add(Summary(value=[Summary.Value(tag=each.name, simple_value=each.value)]), each.step, each.seconds)

    def write(record: Record) -> None:
        for each in scalars(record):
            add_scalar(each)
        if record.kind == "epoch":
            last[:] = [each._replace(name=f"final/{each.name}") for each in scalars(record)]
        if (end := outcome(record)) is not None:
            for each in last:
                add_scalar(each)
            add(text("stopped", end["stopped"]), record.step, record.seconds)
            for summary in hparams(_writable(run.hyperparameters), {each.name: each.value for each in last}):
                add(summary, record.step, record.seconds)  # the HParams page finds its metrics in the same file
        file.flush()

    try:
        yield write
    finally:
        file.close()


def _writable(hyperparameters: Mapping[str, Any]) -> dict[str, int | float | str]:
    return {name: value if isinstance(value, int | float) else str(value) for name, value in hyperparameters.items()}
