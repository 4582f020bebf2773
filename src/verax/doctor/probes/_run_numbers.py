"""A run whose numbers stopped being finite: the operation that did it, found by replaying the step."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from verax.debug import find_nonfinite
from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor._trajectory import Broken, Trajectory
from verax.doctor._trial import Outcome
from verax.findings import Finding, Leaf, Moment, Part
from verax.trees import Tree, all_finite, leaves_by_path

SYMPTOMS = {"loss": "non-finite-loss", "gradient": "non-finite-gradient", "parameter": "non-finite-parameter"}
GROWN = 100.0  # times their first norm: weights that grew so much overflow as a consequence, not as a cause


def look(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns why a run broke off."""
    broken = trajectory.broken
    if broken is None:
        return _recorded(trajectory)
    symptom = _symptom(broken)
    cause = _cause(subject, trajectory, broken)
    said = f"{broken.what} not finite at step {broken.step}"
    return Seen(said, (symptom,) if cause is None else (cause, symptom))


def _recorded(trajectory: Trajectory) -> Seen:
    """Returns whether the losses and last parameters of a run were finite that did not break off: a run that was
    recorded elsewhere may have gone on with NaN."""
    bad = np.flatnonzero(~np.isfinite(trajectory.losses))
    paths = [path for path, leaf in leaves_by_path(trajectory.final.params).items() if not bool(all_finite(leaf))]
    if not bad.size and not paths:
        return Seen(f"losses and parameters were finite in all {trajectory.steps} steps")
    step = int(bad[0]) + 1 if bad.size else trajectory.steps
    what, where = ("loss", Moment(step)) if bad.size else ("parameter", Leaf(paths[0]))
    said = f"the {what} is NaN or infinite from step {step} on." if bad.size else "it is NaN or infinite at the end."
    advice = "Find the operation with vx.find_nonfinite at that step."
    return Seen(f"{what} not finite", (Finding(SYMPTOMS[what], "error", said, advice, where),))


def _symptom(broken: Broken) -> Finding:
    leaf = f" of {broken.leaf}" if broken.leaf else ""
    return Finding(
        SYMPTOMS[broken.what],
        "error",
        f"the {broken.what}{leaf} is NaN or infinite from step {broken.step} on.",
        "Find the operation with vx.find_nonfinite at that step.",
        Leaf(broken.leaf) if broken.leaf else Moment(broken.step),
        step=broken.step,
    )


def _cause(subject: Subject, trajectory: Trajectory, broken: Broken) -> Finding | None:
    """Returns the operation that did it, where it is not the consequence of weights that had grown without bounds."""
    params, model_state = broken.variables

    def loss(params: Tree, batch: Tree) -> jax.Array:
        return subject.objective(params, model_state, batch, broken.key)[0]

    found = find_nonfinite(loss, params, broken.batch)
    if found is None or found.phase == "input":
        return None
    first, last = (np.sqrt(np.square(trajectory.weights[step]).sum()) for step in (0, -1))
    if last > GROWN * max(first, 1e-12):
        return None
    finding = found.finding
    return replace(
        finding,
        severity="error",
        part=part_of(subject, broken),
        evidence=(f"first at step {broken.step}, in the {found.phase} pass", str(found).splitlines()[0]),
        confidence=1.0,
        step=broken.step,
    )


def part_of(subject: Subject, broken: Broken) -> Part:
    """Returns which is not finite: the loss, where the outputs are finite and the gradient by them is not."""
    outputs = subject.forward(broken.variables, broken.batch.inputs, broken.key)[0]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(outputs)]
    if not all(np.isfinite(leaf).all() for leaf in leaves if np.issubdtype(leaf.dtype, np.floating)):
        return "model"
    loss, grads = jax.value_and_grad(lambda outputs: subject.mean_loss(outputs, broken.batch))(outputs)
    finite = np.isfinite(loss) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    return "model" if finite else "loss"


PROBES = (
    Probe(
        "finite numbers along the run",
        ("log-of-zero", "exp-overflow", "division-by-zero", "where-gradient-nan", *SYMPTOMS.values()),
        look,
        "run",
    ),
)
