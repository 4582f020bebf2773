"""Weight decay, and a penalty within the objective, against what the data ask for."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax

from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import flat, rule_of, with_optimizer
from verax.findings import Finding, Leaf
from verax.train._optimizer import decay_mask
from verax.trees import Tree

FOLDS = 1  # times that a weight falls by e over the run, if nothing pulled it back
AGAINST = 0.1  # of the step by the gradient, at the start, where gradients are largest
STRAIGHT = 0.9  # cosine with the weights themselves: else it is no decay
LATER = 8  # the step that is looked at: averages are filled by then


def look(subject: Subject) -> Seen:
    """Compares the updates for the same gradients with the parameters shown, and with zeros in their place."""
    rule, params = rule_of(subject), jax.tree.leaves(subject.variables.params)
    walk = rule.walk[:LATER]
    if not params or not all(np.isfinite(flat(step.grads)).all() for step in walk):
        raise NotApplicable("gradients are not finite.")
    shown, hidden = (_after(rule, walk, with_params) for with_params in (True, False))
    pulls = [flat(one) - flat(other) for one, other in zip(shown, hidden, strict=True)]
    weights = [flat(leaf) for leaf in params]
    cosines = [_against(pull, weight) for pull, weight in zip(pulls, weights, strict=True)]
    decays = [each > STRAIGHT for each in cosines]
    if not any(decays):
        return (
            _penalty(subject) if subject.penalty else Seen("updates hold no decay: they are the same for weights of 0")
        )
    pull, weight, step = (
        np.linalg.norm(np.concatenate([each for each, decaying in zip(some, decays, strict=True) if decaying]))
        for some in (pulls, weights, [flat(leaf) for leaf in hidden])
    )
    later = float(rule.sizes.mean() / max(rule.sizes[len(walk) - 1], 1e-6))
    folds = pull / weight * subject.steps * later
    compared = f"decay takes {pull / weight:.2e} of the weights a step, {folds:.2g} e-folds in the run"
    info = _on_vectors(subject, decays)
    if not (folds > FOLDS and pull > AGAINST * step):
        return Seen(compared, info)
    said = (
        f"weight decay takes {pull / weight:.2%} of every weight at a step, {pull / step:.2g} times what the gradient "
        f"moves: weights would fall by a factor of e {folds:.2g} times in the run."
    )
    evidence = (
        f"step of the decay: norm {pull:.3g}; step by the gradient: norm {step:.3g}; weights: norm {weight:.3g}",
        f"share of the weights that is left after {subject.steps:,} steps of decay alone: {np.exp(-folds):.1e}",
    )
    advice = "Divide the weight decay by 100. In AdamW a step takes learning rate x weight decay of every weight."
    finding = Finding("excessive-weight-decay", "warning", said, advice, None, "optimizer", evidence, 0.85)
    repair = with_optimizer("no weight decay", _without)
    return Seen(compared, info, (Suspicion(finding, (repair,)),))


def _after(rule: Any, walk: Any, with_params: bool) -> list[Any]:
    """Returns the leaves of the last of some updates to the first gradients."""
    params = rule.params if with_params else optax.tree.zeros_like(rule.params)
    state, updates = rule.subject.optimizer.init(params), None  # some keep the parameters in their state
    for step in walk:
        updates, state = rule.update(step.grads, state, params)
    return jax.tree.leaves(updates)


def _against(pull: np.ndarray, weight: np.ndarray) -> float:
    norms = np.linalg.norm(pull) * np.linalg.norm(weight)
    rounding = 1e-7 * np.linalg.norm(weight)  # what differs by less is the same in float32
    return float(-pull @ weight / norms) if norms > 0 and np.linalg.norm(pull) > 1e-3 * rounding else 0.0


def _without(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Returns the optimizer, shown zeros for parameters: right where these enter its updates by decay alone."""
    inner = optax.with_extra_args_support(optimizer)

    def update(grads: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
        zeros = None if params is None else optax.tree.zeros_like(params)
        return inner.update(grads, state, zeros, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _on_vectors(subject: Subject, decays: list[bool]) -> tuple[Finding, ...]:
    """Returns a remark where biases and scales decay too."""
    masks = jax.tree.leaves(decay_mask(subject.variables.params))
    spared = [
        path for path, decaying, weight in zip(subject.paths, decays, masks, strict=True) if decaying and not weight
    ]
    if not spared:
        return ()
    said = f"{len(spared)} biases and scales decay too: {', '.join(spared[:3])}."
    advice = "Leave them alone with mask=vx.decay_mask; it rarely matters."
    return (Finding("decay-on-norm-and-bias", "info", said, advice, Leaf(spared[0]), "optimizer"),)


def _penalty(subject: Subject) -> Seen:
    """Compares the gradient of the penalty with that of the loss, at the start."""
    assert subject.penalty is not None
    pull = flat(jax.grad(subject.penalty)(subject.variables.params))
    whole = flat(rule_of(subject).walk[0].grads)
    ratio = float(np.linalg.norm(pull) / max(np.linalg.norm(whole - pull), 1e-30))
    compared = f"the penalty's gradient has {ratio:.2g} times the norm of the loss's"
    if ratio <= AGAINST:
        return Seen(compared)
    said = f"the penalty on the weights pulls {ratio:.2g} times as hard as the loss at the start."
    finding = Finding(
        "excessive-weight-decay", "warning", said, "Divide the penalty by 100.", None, "loss", (compared,), 0.8
    )
    repair = Repair("no penalty on the weights", lambda program: program.changed(penalty=None))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


PROBES = (Probe("weight decay", ("excessive-weight-decay", "decay-on-norm-and-bias"), look),)
