"""Early stopping as a value and a pure function of what the loop carries."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from verax.findings import InputError
from verax.train._state import LoopState

HIGHER_IS_BETTER = ("accuracy", "subset_accuracy")


@dataclass(frozen=True)
class EarlyStopping:
    """Stops when a metric has not improved for a while, and goes back to the best weights.

    Attributes:
      patience: epochs to wait for an improvement before stopping.
      min_delta: the least change that counts as one, in the metric's units.
      metric: what is watched, from the validation split: `validation/loss`, `validation/accuracy`, `validation/rmse`.

    Raises:
      InputError: if patience is below 1 or min_delta negative.

    Example:
      >>> EarlyStopping(patience=3).update(LoopState(), 0.5, step=10).best_value
      0.5
    """

    patience: int = 5
    min_delta: float = 0.0
    metric: str = "validation/loss"

    def __post_init__(self) -> None:
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 1:
            raise InputError(f"patience must be a whole number of epochs, at least 1, got {self.patience!r}.")
        if not isinstance(self.min_delta, int | float) or not self.min_delta >= 0:
            raise InputError(f"min_delta must be a number of at least 0, got {self.min_delta!r}.")

    def check_metric(self, known: Iterable[str]) -> None:
        """Raises an InputError if the metric is not among those the run will have."""
        known = list(known)
        if self.metric in known:
            return
        longer = [name for name in known if name.endswith(f"/{self.metric}")]
        close = longer or difflib.get_close_matches(self.metric, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        if not known:
            raise InputError(
                f"{self.metric!r} cannot be watched: the data has no validation split. Add one with .split()."
            )
        raise InputError(f"the metric must be one of {', '.join(known)}, got {self.metric!r}.{hint}")

    def update(self, loop: LoopState, value: float, step: int) -> LoopState:
        """Returns the loop state after an epoch that ended with this value; NaN is never an improvement."""
        gain = math.inf if loop.best_value is None else loop.best_value - value
        if self.metric.rsplit("/", 1)[-1] in HIGHER_IS_BETTER and loop.best_value is not None:
            gain = -gain
        if not math.isnan(value) and gain > self.min_delta:
            return LoopState(best_value=value, best_step=step, waited=0)
        return replace(loop, waited=loop.waited + 1)

    def reason(self, loop: LoopState) -> str | None:
        """Returns why the run stops now, or None if it goes on."""
        if loop.waited < self.patience:
            return None
        best = "never finite" if loop.best_value is None else f"best {loop.best_value:.6g} at step {loop.best_step}"
        return f"{self.metric} did not improve by more than {self.min_delta:g} for {self.patience} epochs ({best})"

    def value(self, values: Mapping[str, float]) -> float:
        """Returns the watched value of an epoch record."""
        return float(values[self.metric])
