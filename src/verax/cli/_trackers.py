"""The experiment trackers that a training is written to while it goes, as options ask for them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple


class Trackers(NamedTuple):
    """What was asked for.

    Attributes:
      tensorboard: whether event files are written into the run folder.
      wandb: a project at Weights & Biases, or None.
      mlflow: a tracking server or store of MLflow, or None.
    """

    tensorboard: bool = False
    wandb: str | None = None
    mlflow: str | None = None

    def check(self) -> None:
        """Raises an ImportError, which names the extra, if a library is missing: before a long training, not after."""
        for library, wanted in zip(("tensorboardX", "wandb", "mlflow"), self, strict=True):
            if wanted:
                from verax.report._writers import require

                require(library)

    def follow(self, records: Generator[Any, None, Any], folder: Path) -> Generator[Any, None, Any]:
        """Returns the records of a run, each also written to the trackers as it comes.

        Args:
          records: what `train.records` yields.
          folder: of the run; it exists once there is a record.
        """
        if not any(self):
            return records
        from verax.report._writers import follow, tracked
        from verax.report._writers_mlflow import mlflow_writer
        from verax.report._writers_tensorboard import tensorboard_writer
        from verax.report._writers_wandb import wandb_writer

        opened: list[Callable[[], AbstractContextManager[Any]]] = []
        if self.tensorboard:
            opened.append(lambda: tensorboard_writer(tracked(folder), folder))
        if project := self.wandb:
            opened.append(lambda: wandb_writer(tracked(folder), project))
        if uri := self.mlflow:
            opened.append(lambda: mlflow_writer(tracked(folder), uri))
        return follow(records, opened)
