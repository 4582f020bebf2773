"""Are random keys used twice, and does that make numbers equal that were meant to be independent?"""

from __future__ import annotations

from collections.abc import Iterable

import jax
import numpy as np

from verax.debug import key_reuse
from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._points import shape_of
from verax.doctor.probes._symmetry import equal_leaves, moving_alike
from verax.findings import Finding, Leaf
from verax.jaxpr import KeyReuse, key_reuses

SPLIT = "Split before each use: key, use_key = jax.random.split(key)."


def look_at_init(subject: Subject) -> Seen:
    """Looks for leaves that start with the same random numbers, and for keys that were used twice to draw them."""
    groups = equal_leaves(subject)
    key, inputs = subject.key, subject.batch.inputs
    remarks = key_reuse(
        lambda key: subject.network.init(key, inputs), jax.random.wrap_key_data(jax.random.key_data(key))
    )
    reused = [remark for remark in remarks if remark.id == "key-reuse"]
    compared = f"initial weights: {sum(map(len, groups))} leaves equal to another; keys used twice: {len(reused)}."
    if not groups:
        return Seen(compared, tuple(_remark(each) for each in reused[:1]))
    together = moving_alike(subject, groups)
    shared = max(together or groups, key=len)
    where = Leaf(f"params/{subject.paths[shared[0]]}")
    evidence = [f"equal at the start: {_named(subject, group)}" for group in groups[:4]]
    evidence += [each.message for each in reused[:2]]
    if not together:
        message = f"{len(shared)} leaves of random numbers start equal, and part in training."
        return Seen(compared, (Finding("key-reuse", "info", message, SPLIT, where, "model", tuple(evidence)),))
    message = f"{len(shared)} leaves start with the same random numbers and get the same gradient, so they stay one."
    evidence.append("their gradients are equal on two batches")
    return Seen(compared, (Finding("key-reuse", "error", message, SPLIT, where, "model", tuple(evidence), 1.0),))


def _named(subject: Subject, group: Iterable[int]) -> str:
    paths = [subject.paths[index] for index in group]
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _remark(finding: Finding) -> Finding:
    message = f"{finding.message} No two leaves are equal by it."
    return Finding("key-reuse", "info", message, finding.advice, finding.where, "model")


def look_at_training(subject: Subject) -> Seen:
    """Follows the keys of the training program: a key that is drawn from twice in one shape gives the same numbers."""
    program = subject.training_program
    reuses = [each for each in key_reuses(program) if each.kind != "fixed"]
    harmful = [each for each in reuses if each.kind == "twice" and _same_draw(each)]
    compared = f"keys of the training program: {len(reuses)} used again, {len(harmful)} of them for the same numbers."
    if not reuses:
        return Seen(compared)
    chosen = (harmful or reuses)[0]
    (_, first), (_, second) = chosen.first, chosen.second
    if harmful:
        shape = shape_of(second.eqn.outvars[0])
        message = f"the same {shape} random numbers are drawn twice in a step, in {first.place} and {second.place}."
        finding = Finding("key-reuse", "warning", message, SPLIT, second.place.span, "model", (), 0.9)
    else:
        message = f"a key is used again in {second.place}, for numbers of another shape or in a loop."
        finding = Finding("key-reuse", "info", message, SPLIT, second.place.span, "model")
    return Seen(compared, (finding,))


def _same_draw(reuse: KeyReuse) -> bool:
    """Returns whether both uses draw, the same number of numbers: those are then the same bits."""
    (first, one), (second, other) = reuse.first, reuse.second
    sizes = [[shape_of(var) for var in each.eqn.outvars] for each in (one, other)]
    return first == second == "draw" and sizes[0] == sizes[1] and any(np.prod(shape) > 1 for shape in sizes[0])


PROBES = (
    Probe("keys of the initial weights", ("key-reuse",), look_at_init),
    Probe("keys of a training step", ("key-reuse",), look_at_training),
)
