"""A finished run: one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from verax.data import Dataset
from verax.findings import Finding, InputError
from verax.network import Network, Variables
from verax.train._average import averaged_variables
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
      folder: that it was written to or read from; None for one that is in memory alone.
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
    folder: Path | None = None

    @property
    def variables(self) -> Variables:
        """The weights to use: the best ones if the experiment stops early, else the last; averaged if it averages."""
        return self.weights("raw" if self.experiment.ema is None else "ema")

    def weights(self, which: Literal["raw", "ema"]) -> Variables:
        """Returns the weights as they were trained (`raw`) or their average along training (`ema`).

        Raises:
          InputError: if the average is asked for and the experiment kept none.
        """
        state = self.best if self.experiment.stopping and self.best else self.state
        if which == "raw":
            return state.variables
        if which != "ema":
            raise InputError(f"weights must be 'raw' or 'ema', got {which!r}.")
        if self.experiment.ema is None:
            raise InputError("the run kept no average of its weights. Train with Experiment(..., ema=0.999).")
        return averaged_variables(state)

    def __str__(self) -> str:
        last = [f"{name} {self.history.last(name):.4g}" for name in _epoch_names(self.history)]
        return f"{self.network.name}: {int(self.state.step)} steps, {self.stop_reason}; " + ", ".join(last)


def _epoch_names(history: History) -> list[str]:
    last = [record for record in history if record.kind == "epoch"][-1:]
    return list(last[0].values) if last else []
