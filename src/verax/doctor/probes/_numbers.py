"""Numbers that are not finite at the start: in the loss, in the gradient, on the rows that the data really hold."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch
from verax.debug import NonFinite, find_nonfinite
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject, on_device
from verax.doctor.probes._rule import flat
from verax.findings import Finding, Leaf
from verax.network import Variables
from verax.trees import Tree, all_finite, is_floating

SECONDS = 3.0  # of batches of the first epoch that are looked at
IDS = (
    "where-gradient-nan", "division-by-zero", "log-of-zero", "exp-overflow", "low-precision-overflow",
    "non-finite-loss", "non-finite-gradient", "non-finite-parameter", "label-out-of-range",
)  # fmt: skip


def look(subject: Subject) -> Seen:
    """Computes loss and gradient at the initial weights for the batches of the first epoch, and for odd rows."""
    bad = [
        path
        for path, leaf in zip(subject.paths, jax.tree.leaves(subject.variables.params), strict=True)
        if not np.isfinite(np.asarray(leaf, np.float64)).all()
    ]
    if bad:
        said = f"{len(bad)} initial parameters are not finite: {', '.join(bad[:3])}."
        advice = (
            "Look at the initialisation of that layer: a division by a fan-in of 0, or a root of a negative number."
        )
        found = Finding("non-finite-parameter", "error", said, advice, Leaf(bad[0]), "model", (), 1.0)
        return Seen("the initial parameters", (found,))
    start, looked = time.perf_counter(), 0
    batches = [batch for batch in [_odd_rows(subject), *subject.first_epoch] if _is_finite(batch)]
    if not batches:
        raise NotApplicable("inputs or targets are not finite: that comes first.")
    for batch in batches:
        if time.perf_counter() - start > SECONDS:
            break
        looked += 1
        batch, key = on_device(batch), subject.noise(looked - 1)
        (loss, _), grads = subject.gradient(*subject.variables, batch, key)
        if not (np.isfinite(loss) and np.isfinite(flat(grads)).all()):
            return Seen(f"loss and gradient of {looked} batches", (_explained(subject, batch, key, float(loss)),))
    return Seen(f"loss and gradient of {looked} batches at the initial weights: all finite")


def _odd_rows(subject: Subject) -> Batch:
    """Returns a batch of the rows that vary least, and those that are largest: zeros, constants, extremes."""
    first = subject.first_epoch[0]
    size = np.shape(jax.tree.leaves(first.targets)[0])[0]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(subject.train.inputs)]
    fitting = all(
        leaf.shape[1:] == np.shape(other)[1:]
        for leaf, other in zip(leaves, jax.tree.leaves(first.inputs), strict=False)
    )
    if not fitting or subject.own_batches or size > subject.train.size:
        return first  # its reader may prepare rows in a way of its own
    numbers = [leaf.reshape(len(leaf), -1).astype(np.float64) for leaf in leaves if leaf.dtype.kind in "fiub"]
    if not numbers:
        return first
    spread, large = sum(each.std(axis=1) for each in numbers), sum(np.abs(each).max(axis=1) for each in numbers)
    rows = np.concatenate([np.argsort(spread)[: size - size // 2], np.argsort(large)[::-1][: size // 2]])
    inputs, targets = jax.tree.map(lambda leaf: leaf[rows], (subject.train.inputs, subject.train.targets))
    return first._replace(inputs=inputs, targets=targets)


def _is_finite(batch: Batch) -> bool:
    return all(
        np.isfinite(np.asarray(leaf, np.float32)).all()
        for leaf in jax.tree.leaves((batch.inputs, batch.targets))
        if is_floating(leaf)
    )


def _explained(subject: Subject, batch: Batch, key: Any, loss: float) -> Finding:
    """Returns why the loss or the gradient of a batch is not finite."""

    def objective(params: Tree, batch: Batch) -> Any:
        return subject.objective(params, subject.variables.model_state, batch, key)[0]

    found = find_nonfinite(objective, subject.variables.params, batch)
    if found is None:  # finite when it is evaluated operation by operation
        symptom = "non-finite-gradient" if np.isfinite(loss) else "non-finite-loss"
        said = f"the {'gradient' if np.isfinite(loss) else 'loss'} of a step is not finite at the initial weights."
        return Finding(symptom, "error", said, "Look at the range of inputs and weights.", confidence=0.5)
    finding = found.finding
    evidence = tuple(line.strip() for line in str(found).splitlines()[1:4])
    part: Any = "data" if finding.id == "label-out-of-range" else _part(subject, batch, key, found)
    return replace(finding, part=part, evidence=evidence, confidence=1.0)


def _part(subject: Subject, batch: Batch, key: Any, found: NonFinite) -> str:
    """Returns whether the network does it by itself, or the loss."""
    if found.phase == "forward":
        outputs, _ = jax.jit(subject.forward)(subject.variables, batch.inputs, key)
        return "loss" if bool(all_finite(outputs)) else "model"

    def mixed(params: Tree) -> Any:
        """A smooth function of the outputs, whose slopes are all of ordinary size."""
        outputs, _ = subject.forward(Variables(params, subject.variables.model_state), batch.inputs, key)
        return sum(jnp.sum(jnp.sin(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(outputs))

    return "loss" if bool(all_finite(jax.jit(jax.grad(mixed))(subject.variables.params))) else "model"


PROBES = (Probe("finite numbers at the start", IDS, look),)
