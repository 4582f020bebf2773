"""The data of lanes: what all share, what each has of its own, and the rows that each takes at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch, Dataset, Examples
from verax.train._batches import EpochPlan, evaluation_batches, even_batch_size, full_batches
from verax.train._experiment import Experiment
from verax.train._program import ChunkData


def lane_data(
    experiments: Sequence[Experiment],
    datasets: Sequence[Dataset],
    plans: Sequence[EpochPlan],
    span: int,
    separate: bool,
) -> tuple[ChunkData, ChunkData, Any]:
    """Returns the data that all lanes share, those that each has of its own, and the rows of a rest or None."""
    rows, rest = lane_rows(plans, [each.seed for each in experiments], 0, span)
    weights = [plan.rows(0, 0)[1] for plan in plans]
    own_weight = shared_weight = None
    if any(each is not None for each in weights):
        full = [np.ones(rows.shape[1:], np.float32) if each is None else np.tile(each, (span, 1)) for each in weights]
        alike = all((each == full[0]).all() for each in full)
        own_weight, shared_weight = (None, jnp.asarray(full[0])) if alike else (jnp.asarray(np.stack(full)), None)
    start = np.int32(0)
    if not separate:
        inputs, targets = jax.tree.map(jnp.asarray, datasets[0].examples("train"))
        return (
            ChunkData(inputs, targets, None, shared_weight, start),
            ChunkData(None, None, rows, own_weight, None),
            rest,
        )
    inputs, targets = stacked_examples([each.examples("train") for each in datasets])
    return ChunkData(None, None, None, shared_weight, start), ChunkData(inputs, targets, rows, own_weight, None), rest


def lane_rows(plans: Sequence[EpochPlan], seeds: Sequence[int], epoch: int, span: int) -> tuple[Any, Any]:
    """Returns the rows of `span` epochs (lanes, steps, batch), and of a last batch (lanes, 1, rest) or None."""
    known: dict[tuple[EpochPlan, int], tuple[np.ndarray, np.ndarray]] = {}
    for each in zip(plans, seeds, strict=True):
        if each not in known:
            plan, seed = each
            drawn = [plan.rows(seed, number) for number in range(epoch, epoch + span)]
            known[each] = np.concatenate([rows for rows, _, _ in drawn]), drawn[-1][2][None]
    lanes = [known[each] for each in zip(plans, seeds, strict=True)]
    return np.stack([rows for rows, _ in lanes]), np.stack([rest for _, rest in lanes]) if plans[0].rest else None


def stacked_examples(splits: Sequence[Examples]) -> Examples:
    """Returns splits of several data sets on the device with a leading axis of lanes; shorter ones are filled up with
    their first row, which no step takes."""
    longest = max(split.size for split in splits)

    def whole(*leaves: np.ndarray) -> Any:
        rows = [np.concatenate([leaf, np.repeat(leaf[:1], longest - len(leaf), axis=0)]) for leaf in leaves]
        return jnp.asarray(np.stack(rows))

    return Examples(*jax.tree.map(whole, *(tuple(split) for split in splits)))


def lane_validation(experiment: Experiment, datasets: Sequence[Dataset]) -> list[Batch]:
    """Returns the validation split as batches on the host, with an axis of lanes if there are several data sets."""
    if "validation" not in datasets[0].splits:
        return []
    splits = [each.examples("validation") for each in datasets]
    size = even_batch_size(max(split.size for split in splits))
    if experiment.objective.per_example:
        cut = [list(evaluation_batches(split, size)) for split in splits]
    else:
        cut = [list(full_batches(split, experiment.batch_size)) for split in splits]
    longest = max(len(batches) for batches in cut)
    for batches in cut:  # a lane with fewer rows has batches of weight 0 at the end
        batches += [batches[0]._replace(weight=np.zeros_like(batches[0].weight))] * (longest - len(batches))
    if len(datasets) == 1:
        return cut[0]
    return [jax.tree.map(lambda *leaves: np.stack(leaves), *batch) for batch in zip(*cut, strict=True)]
