"""The scale of a regression's targets against that of the outputs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.data import Batch
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._tables import numbers, without_extremes
from verax.findings import Finding, Split
from verax.trees import Tree

# The outputs of a network that is initialised as usual are about 0 +- 1. What lies further off takes a learning rate
# that is as much larger to reach; a factor of 10 is judgement, and the repair decides.
FACTOR = 10.0
OFFSET = 3.0  # deviations of the targets


def look(subject: Subject) -> Seen:
    """Returns a suspicion where targets, and the way from the first outputs to them, are far from the size of one."""
    targets = numbers(subject, "read")
    if targets is None:
        raise NotApplicable("targets are not one number for each example.")
    usual = without_extremes(targets[:, None])  # a few that are far off are for another probe
    mean, spread = float(usual.mean()), float(usual.std())
    if spread == 0:
        raise NotApplicable("targets are constant.")
    outputs = [np.asarray(leaf) for leaf in jax.tree.leaves(_outputs(subject))]
    rows = len(jax.tree.leaves(subject.probe.inputs)[0])
    if len(outputs) != 1 or outputs[0].size != rows:
        raise NotApplicable("outputs are not one number for each example.")
    first = outputs[0].astype(np.float64)
    compared = f"targets {mean:.3g} ± {spread:.3g}, first outputs {first.mean():.3g} ± {first.std():.3g}"
    off_scale = not 1 / FACTOR <= spread <= FACTOR
    far = abs(first.mean() - mean) > OFFSET * spread and (off_scale or abs(mean) > OFFSET * spread)
    narrow = off_scale and not 1 / FACTOR <= (first.std() + 1e-30) / spread <= FACTOR
    if not np.isfinite(first).all() or not (far or narrow):
        return Seen(compared)
    message = (
        f"targets are {mean:.3g} ± {spread:.3g} while the first outputs are {first.mean():.3g} ± {first.std():.3g}."
    )
    advice = f"Train on (y - {mean:.4g}) / {spread:.4g} and undo it in predictions, or scale within the model."
    evidence = (f"targets from {targets.min():.4g} to {targets.max():.4g}",)
    finding = Finding("unscaled-target", "warning", message, advice, Split("train"), "data", evidence, 0.8)
    repair = Repair("targets standardised", lambda changed: standardised_targets(changed, mean, spread))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _outputs(subject: Subject) -> Tree:
    return subject.evaluated(subject.variables, subject.probe.inputs, subject.noise(0))


def standardised_targets(subject: Subject, mean: float, spread: float) -> Subject:
    """Returns the program with a loss of standardised targets; its predictions are in the targets' own unit again."""

    def losses(outputs: Tree, batch: Batch) -> Any:
        return subject.losses(
            outputs, Batch(jax.tree.map(jnp.asarray, batch.inputs), scaled(batch.targets), batch.weight)
        )

    def scaled(targets: Tree) -> Tree:
        return jax.tree.map(lambda leaf: (jnp.asarray(leaf, jnp.float32) - mean) / spread, targets)

    def predict(outputs: Tree) -> Any:
        unscaled = jax.tree.map(lambda leaf: leaf * spread + mean, outputs)
        return unscaled if subject.predict is None else subject.predict(unscaled)

    return subject.changed(losses=losses, predict=predict)


PROBES = (Probe("scale of targets", ("unscaled-target",), look),)
