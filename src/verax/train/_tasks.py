"""Every task by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verax.train._task import Task
from verax.train._task_autoencoder import Autoencoder
from verax.train._task_classes import Binary, Classification
from verax.train._task_language_model import LanguageModel
from verax.train._task_multilabel import Multilabel
from verax.train._task_regression import Regression

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (Classification(), Binary(), Multilabel(), Regression(), LanguageModel(), Autoencoder(), Task())
}


def task_of(objective: Any) -> Task:
    """Returns the task of an objective; of one that is not ours, the one it names."""
    return getattr(objective, "meaning", None) or TASKS[getattr(objective, "task", "custom")]
