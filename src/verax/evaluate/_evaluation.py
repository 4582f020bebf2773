"""What a network achieves on a split: its metrics with their intervals, per class and in total."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from verax.evaluate._calibration import Calibration
from verax.evaluate._estimate import Estimate, plain
from verax.evaluate._regression_calibration import PredictiveCalibration

HEADLINES = {
    "classification": "accuracy",
    "binary": "accuracy",
    "multilabel": "average_precision",
    "regression": "rmse",
    "language_model": "perplexity",
    "autoencoder": "rmse",
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network achieves on a split.

    Attributes:
      task: `classification`, `binary`, `multilabel`, `regression`, `language_model`, `autoencoder` or `custom`.
      examples: how many were scored; those of weight 0 are not counted.
      metrics: numbers by name, `loss` first, each with a 95 % interval.
      confusion: counts with true classes in rows and predicted ones in columns; sums of weights where weights are not
        all 0 or 1. None for tasks without classes.
      per_class: precision, recall and F1 of each class with the ends of their intervals, and its support; of each label
        of a multilabel task its areas too. None for tasks without.
      calibration: of the probabilities; None for tasks without classes and where weights differ.
      classes: names of the classes or labels, in the order of the columns.
      per_output: RMSE, MAE and R2 of each output of a regressor that has several, with the ends of their intervals.
      predictive: of a regressor that gives its own spread, whether those distributions are right.
      threshold: from which probability on something was called positive, where one was given: one, or one a label.
    """

    task: str
    examples: int
    metrics: dict[str, Estimate]
    confusion: Shaped[np.ndarray, "classes classes"] | None = None
    per_class: list[dict[str, Any]] | None = None
    calibration: Calibration | None = None
    classes: tuple[str, ...] | None = None
    per_output: list[dict[str, Any]] | None = None
    predictive: PredictiveCalibration | None = None
    threshold: tuple[float, ...] | None = None

    @property
    def headline(self) -> str:
        """The name of the metric by which the task is usually judged."""
        return HEADLINES.get(self.task, "loss")

    @property
    def report(self) -> str:
        """The classification report of scikit-learn, as text; empty for other tasks."""
        if self.confusion is None:
            return ""
        from sklearn.metrics import classification_report

        rows, columns = np.nonzero(self.confusion)
        cells = self.confusion[rows, columns]
        whole = self.confusion.dtype.kind == "i"
        return str(
            classification_report(
                np.repeat(rows, cells) if whole else rows,
                np.repeat(columns, cells) if whole else columns,
                labels=np.arange(len(self.confusion)),
                target_names=list(self.classes or ()) or None,
                sample_weight=None if whole else cells,
                digits=4,
                zero_division=0.0,  # type: ignore[arg-type]
            )
        )

    def to_json(self) -> dict[str, Any]:
        """Returns everything as lists, dicts, strings and numbers; None stands for what is not finite."""
        return {
            "task": self.task,
            "examples": self.examples,
            "metrics": {name: estimate.to_json() for name, estimate in self.metrics.items()},
            "classes": plain(self.classes),
            "confusion": plain(self.confusion),
            "per_class": plain(self.per_class),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "per_output": plain(self.per_output),
            "predictive": None if self.predictive is None else self.predictive.to_json(),
            "threshold": plain(self.threshold),
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evaluation) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        lines = [f"{self.task}, {self.examples} examples (95 % intervals)"]
        lines += [f"  {name:<17} {estimate}" for name, estimate in self.metrics.items()]
        if self.calibration is not None:
            lines += [f"  {line}" for line in str(self.calibration).splitlines()]
        if self.predictive is not None:
            lines += [f"  {line}" for line in str(self.predictive).splitlines()]
        return "\n".join(lines)
