"""A finished run: one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from verax.data import Dataset
from verax.findings import Finding
from verax.network import Network, Variables
from verax.train._experiment import Experiment
from verax.train._history import History
from verax.train._state import TrainState


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training run: one frozen value.

    Attributes:
      experiment: what was run, with its hyperparameters.
      network: the model as a network.
      dataset: the data that it was trained on.
      state: after the last step.
      best: at the best validation value; None without a validation split.
      history: what was measured.
      findings: what was noticed about data, optimizer and training.
      stop_reason: why it ended.
      facts: programs compiled, seconds, memory.
    """

    experiment: Experiment
    network: Network
    dataset: Dataset
    state: TrainState
    best: TrainState | None
    history: History
    findings: tuple[Finding, ...] = ()
    stop_reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def variables(self) -> Variables:
        """The weights to use: the best ones if the experiment stops early, else the last."""
        return self.best.variables if self.experiment.stopping and self.best else self.state.variables

    def __str__(self) -> str:
        last = [f"{name} {self.history.last(name):.4g}" for name in _epoch_names(self.history)]
        return f"{self.network.name}: {int(self.state.step)} steps, {self.stop_reason}; " + ", ".join(last)


def _epoch_names(history: History) -> list[str]:
    last = [record for record in history if record.kind == "epoch"][-1:]
    return list(last[0].values) if last else []
