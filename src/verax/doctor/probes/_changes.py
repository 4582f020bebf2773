"""Changes of a program's data, the same for its splits and for the batches that its reader gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import numpy as np

from verax.data import Batch, Examples
from verax.doctor._subject import Subject
from verax.trees import Tree


def with_inputs(subject: Subject, change: Callable[[Tree], Tree], *, only: str | None = None) -> Subject:
    """Returns the program with changed inputs, in all splits and batches, or in one split other than `train`."""
    splits = {
        name: Examples(change(split.inputs), split.targets) if only in (None, name) else split
        for name, split in subject.splits.items()
    }
    if only not in (None, "train"):
        return subject.changed(splits=splits)

    def batches(epoch: int) -> Iterator[Batch]:
        for batch in subject.batches_of(epoch):
            yield Batch(change(batch.inputs), batch.targets, batch.weight)

    return subject.changed(splits=splits, batches_of=batches)


def with_train_targets(subject: Subject, change: Callable[[Tree], Tree]) -> Subject:
    """Returns the program with changed targets of the training rows; those it is judged by stay as they are."""
    train = Examples(subject.train.inputs, change(subject.train.targets))

    def batches(epoch: int) -> Iterator[Batch]:
        for batch in subject.batches_of(epoch):
            yield Batch(batch.inputs, change(batch.targets), batch.weight)

    return subject.changed(splits={**subject.splits, "train": train}, batches_of=batches)


def with_train_rows(subject: Subject, rows: np.ndarray) -> Subject:
    """Returns the program with some rows of its training split, in a new order each epoch."""
    from functools import partial

    from verax.doctor._subject import shuffled

    chosen = jax.tree.map(lambda leaf: leaf[rows], (subject.train.inputs, subject.train.targets))
    train = Examples(*chosen)
    size = min(subject.batch_size, train.size)
    reader = partial(shuffled, train, size, subject.seed)
    return subject.changed(splits={**subject.splits, "train": train}, batches_of=reader, batch_size=size)


def on_leaf(place: int, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tree], Tree]:
    """Returns a change of one leaf of a tree, by its place among the leaves."""

    def changed(tree: Tree) -> Tree:
        leaves, structure = jax.tree.flatten(tree)
        leaves[place] = change(np.asarray(leaves[place]))
        return jax.tree.unflatten(structure, leaves)

    return changed
