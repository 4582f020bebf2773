"""Parameters that the optimizer never moves, whatever their gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.doctor._probe import Probe, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import Rule, flat, random_like, rule_of, with_optimizer
from verax.findings import Finding, Leaf
from verax.train._optimizer import PROBED_AFTER, moved_on
from verax.trees import Tree

STEPS = 12  # one after another: accumulation over that many batches passes on one update
MOST = 0.5  # of the parameters: below it a freeze of whole modules changes little of what can be learnt (judgement)
ADVICE = "Print which leaves the mask or label function selects, and compare whole path components, not parts of names."


class Leaves(NamedTuple):
    """The parameters with what becomes of them.

    Attributes:
      paths: of each.
      axes: number of axes of each.
      sizes: numbers in each.
      frozen: whether the optimizer never moves it.
    """

    paths: Sequence[str]
    axes: np.ndarray
    sizes: np.ndarray
    frozen: np.ndarray

    @property
    def modules(self) -> list[str]:
        """The module of each: its path without the last part."""
        return [path.rpartition("/")[0] for path in self.paths]

    def in_part(self) -> list[str]:
        """Returns the modules of which some parameters move and others do not."""
        modules = np.array(self.modules)
        return [str(name) for name in dict.fromkeys(modules) if len({*self.frozen[modules == name]}) == 2]

    def without_weights(self) -> bool:
        """Returns whether nothing with two axes moves: only biases and scales learn."""
        return bool((self.axes >= 2).any() and self.frozen[self.axes >= 2].all())

    def cut_up(self) -> list[str]:
        """Returns the modules whose weights stay and whose biases learn; adapters have weights of their own that do."""
        modules, found = np.array(self.modules), []
        for name in self.in_part():
            here = np.array([module == name or module.startswith(f"{name}/") for module in modules])
            weights = here & (self.axes >= 2)
            if weights.any() and self.frozen[weights].all():
                found.append(name)
        return found


def look(subject: Subject) -> Seen:
    """Asks for updates to random gradients, at many counts, and looks for leaves that get exactly zero."""
    rule, leaves = rule_of(subject), jax.tree.leaves(subject.variables.params)
    moved = _moved(rule)
    seen = Leaves(
        subject.paths,
        np.array([np.ndim(leaf) for leaf in leaves]),
        np.array([np.size(leaf) for leaf in leaves]),
        ~moved,
    )
    compared = f"updates of exactly zero to random gradients: {seen.frozen.sum()} of {len(leaves)} parameters"
    if not seen.frozen.any():
        return Seen(compared)
    share = float(seen.sizes[seen.frozen].sum() / seen.sizes.sum())
    paths = [path for path, still in zip(seen.paths, seen.frozen, strict=True) if still]
    named = ", ".join(paths[:4]) + (", ..." if len(paths) > 4 else "")
    evidence = (
        f"never moved by random gradients, at {STEPS + len(PROBED_AFTER)} counts: {named}",
        f"they hold {share:.1%} of {seen.sizes.sum():,} parameters",
    )

    def finding(severity: Any, said: str, confidence: float) -> Finding:
        return Finding("unintended-freeze", severity, said, ADVICE, Leaf(paths[0]), "optimizer", evidence, confidence)

    if seen.frozen.all():
        return Seen(compared, (finding("error", "the optimizer moves no parameter at all.", 1.0),))
    if seen.without_weights():
        said = f"the optimizer moves biases and scales alone: {share:.0%} of the parameters, every weight, stand still."
        return Seen(compared, (finding("error", said, 0.95),))
    cut = seen.cut_up()
    if cut and share > 0.05:
        said = (
            f"the optimizer never moves the weights of {', '.join(cut[:3])}, whose biases it does: {share:.0%} of all."
        )
        return Seen(compared, (finding("warning", said, 0.8),))
    said = f"the optimizer keeps {len(paths)} of {len(leaves)} parameters as they are ({share:.0%})."
    if share > MOST and _out_of_order(subject, seen):
        doubtful = finding("warning", f"{said} They do not come before all that is trained.", 0.7)
        return Seen(compared, (), (Suspicion(doubtful, (_freed(rule, seen.frozen),)),))
    return Seen(compared, (finding("info", said, 1.0),))


def _moved(rule: Rule) -> np.ndarray:
    """Returns which parameters random gradients move."""
    moved = np.zeros(len(jax.tree.leaves(rule.params)), bool)
    state = rule.subject.opt_state
    grads = random_like(rule.params)
    for _ in range(STEPS):
        updates, state = rule.update(grads, state, rule.params)
        moved |= [bool(flat(leaf).any()) for leaf in jax.tree.leaves(updates)]
    for steps in (*PROBED_AFTER, rule.subject.steps // 2, rule.subject.steps - 1):
        if not moved.all():
            updates, _ = rule.update(grads, moved_on(rule.subject.opt_state, jnp.int32(steps)), rule.params)
            moved |= [bool(flat(leaf).any()) for leaf in jax.tree.leaves(updates)]
    return moved


def _out_of_order(subject: Subject, leaves: Leaves) -> bool:
    """Returns whether something that stays is used after something that is trained: no backbone under a new head."""
    program = subject.evaluation_program.jaxpr
    params = {id(var): bool(still) for var, still in zip(program.invars, leaves.frozen, strict=False)}
    order: list[tuple[int, bool]] = []
    for number, eqn in enumerate(program.eqns):
        order += [(number, params[id(var)]) for var in eqn.invars if id(var) in params]
    trained = [number for number, still in order if not still]
    return bool(trained) and any(still and number > min(trained) for number, still in order)


def _freed(rule: Rule, frozen: np.ndarray) -> Any:
    """Returns the repair that moves what stands still by Adam, in steps as large as those of the others."""
    sizes = [
        np.sqrt(np.mean(flat(leaf) ** 2))
        for step in rule.walk
        for leaf, still in zip(jax.tree.leaves(step.updates), frozen, strict=True)
        if not still
    ]
    rate = float(np.median(sizes)) or 1e-3
    structure = jax.tree.structure(rule.params)
    still = jax.tree.unflatten(structure, [bool(each) for each in frozen])

    def freed(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        inner, adam = optax.with_extra_args_support(optimizer), optax.adam(rate)

        def init(params: Tree) -> Any:
            return inner.init(params), adam.init(params)

        def update(grads: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
            updates, first = inner.update(grads, state[0], params, **extra)
            others, second = adam.update(grads, state[1], params)
            chosen = jax.tree.map(lambda still, other, own: other if still else own, still, others, updates)
            return chosen, (first, second)

        return optax.GradientTransformationExtraArgs(init, update)

    return with_optimizer("all parameters trained", freed)


PROBES = (Probe("parameters that stand still", ("unintended-freeze",), look),)
