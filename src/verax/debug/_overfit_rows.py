"""The rows that an overfit check trains on, for the tasks that ask for more than distinct inputs."""

from __future__ import annotations

import jax
import numpy as np

from verax.data import Batch
from verax.debug._rows import Chosen, distinct_rows
from verax.train import Task


def rows_to_learn(batch: Batch, task: Task, limit: int) -> Chosen:
    """Returns distinct rows of a batch that can be learnt by heart, at most `limit`.

    Of texts these are the first that do not contradict each other: where two begin alike, they go on alike, or no
    model of the next token could know both. Then the loss can fall to 0.

    Raises:
      InputError: if no row of positive weight is there.
    """
    if task.name != "language_model" or not _is_text(batch):
        return distinct_rows(batch, limit)
    known: dict[bytes, int] = {}
    kept, contradictions = [], 0
    inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)
    counts = np.broadcast_to(np.asarray(jax.device_get(task.weights(batch))) > 0, targets.shape)
    for row in range(len(inputs)):
        if len(kept) == limit:
            break
        places = np.flatnonzero(counts[row])
        after = {inputs[row, : place + 1].tobytes(): int(targets[row, place]) for place in places}
        if any(known.get(beginning, token) != token for beginning, token in after.items()):
            contradictions += 1
        elif after:
            known |= after
            kept.append(row)
    rows = np.array(kept, np.int64)
    chosen = distinct_rows(jax.tree.map(lambda leaf: np.asarray(leaf)[rows], batch) if kept else batch, limit)
    return chosen._replace(contradictions=chosen.contradictions + contradictions)


def _is_text(batch: Batch) -> bool:
    """Returns whether inputs and targets are tokens at the same places."""
    inputs, targets = batch.inputs, batch.targets
    return hasattr(inputs, "shape") and np.ndim(inputs) == 2 and np.shape(inputs) == np.shape(targets)
