"""Counts of the classes: a rare one may not be learnt, which only a run can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._tables import classes
from verax.findings import Finding, Split
from verax.trees import Tree

RATIO = 10.0  # of the commonest to the rarest class (SageMaker Debugger's ClassImbalance)


def look(subject: Subject) -> Seen:
    """Returns a suspicion where one class is much rarer than another; weighting the losses decides."""
    labels = classes(subject, "read")
    if labels is None:
        raise NotApplicable("targets are not one class for each example.")
    names, counts = np.unique(labels, return_counts=True)
    compared = "labels: " + ", ".join(
        f"{name} in {count:,} rows" for name, count in zip(names[:10], counts, strict=False)
    )
    if len(names) < 2 or counts.max() < RATIO * counts.min():
        return Seen(compared)
    rare, share = names[counts.argmin()], counts.min() / counts.sum()
    message = (
        f"class {rare} has {counts.min():,} of {counts.sum():,} rows ({share:.1%}), and frequent classes dominate."
    )
    advice = (
        "Weight the losses by the inverse frequency of the class, or draw balanced batches; judge by recall of each."
    )
    evidence = (compared, f"always answering {names[counts.argmax()]} is right in {counts.max() / counts.sum():.1%}")
    finding = Finding("class-imbalance", "warning", message, advice, Split("train"), "loss", evidence, 0.6)
    weights = counts.sum() / (len(names) * counts)
    repair = Repair("losses weighted by the inverse frequency of the class", lambda it: weighted(it, names, weights))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def weighted(subject: Subject, names: np.ndarray, weights: np.ndarray) -> Subject:
    """Returns the program with a weight for each class in its losses; if these are one number, balanced batches."""

    def losses(outputs: Tree, batch: Batch) -> Any:
        value = jnp.asarray(subject.losses(outputs, batch))
        labels = _labels(jnp, jax.tree.leaves(batch.targets)[0])
        weight = jnp.asarray(weights, value.dtype)[jnp.searchsorted(jnp.asarray(names), labels)]
        return value * weight.reshape(weight.shape + (1,) * (value.ndim - 1))

    key = subject.noise(0)
    outputs = jax.eval_shape(subject.evaluate, subject.variables, subject.batch.inputs, key)
    shape = jax.eval_shape(lambda given: jnp.asarray(subject.losses(given, subject.batch)), outputs).shape
    if shape and shape[0] == len(jax.tree.leaves(subject.batch.targets)[0]):
        return subject.changed(losses=losses)

    def batches(epoch: int) -> Iterator[Batch]:
        generator = np.random.default_rng([subject.seed, epoch])
        for batch in subject.batches_of(epoch):
            found = _labels(np, jax.tree.leaves(subject.train.targets)[0])
            chance = weights[np.searchsorted(names, found)]
            rows = generator.choice(len(found), len(jax.tree.leaves(batch.targets)[0]), p=chance / chance.sum())
            inputs, targets = jax.tree.map(lambda leaf: leaf[rows], tuple(subject.train))  # noqa: B023
            yield Batch(inputs, targets, batch.weight)

    return subject.changed(batches_of=batches)


def _labels(numpy: Any, targets: Any) -> Any:
    """Returns the classes of targets that are classes, or one-hot."""
    if targets.ndim == 2 and targets.shape[1] > 1:
        return targets.argmax(axis=1)
    return numpy.asarray(targets).reshape(-1).astype(int)


PROBES = (Probe("counts of the classes", ("class-imbalance",), look),)
