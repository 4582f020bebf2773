"""The items that look at training: converges, gradients, finite."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from verax.certify._certificate import Outcome
from verax.certify._subject import Subject
from verax.data import Batch, epoch_order
from verax.debug import EXCESS, EXPLAINED, check_gradients, mean_loss, overfit_batch
from verax.findings import Finding, Leaf, Moment
from verax.train import History
from verax.trees import is_floating, leaves_by_path

STEPS = 1000  # in which rows are to be learnt by heart
CHOSEN_FROM = 128  # rows, since some may be equal
GRADIENT_ROWS = 16  # of the batch whose gradient is checked: more would cost time and show nothing new
GRADIENT_ERRORS = {"float64": 1e-5, "float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}  # of check_gradients
LONG_RUN = 10_000  # steps in which a schedule's peak is looked for, where the run's length is not known


def converges(subject: Subject) -> Outcome:
    """The network, with its own loss and optimizer, learns one batch by heart."""
    evidence = subject.evidence
    if evidence.optimizer is None:
        return Outcome("converges", "not_run", reason="no optimizer was given: pass optimizer= in the Evidence")
    result = overfit_batch(
        subject.network,
        subject.objective,
        evidence.optimizer,
        _batch(subject, CHOSEN_FROM),
        max_steps=STEPS,
        total_steps=evidence.total_steps or LONG_RUN,
    )
    score = subject.task.known_by or "score"
    # Any one of three is enough; where none was met, the loss is what all tasks have.
    met = {"accuracy": {"accuracy": 1.0}, "r2": {"r2": EXPLAINED}}.get(result.criterion or "", {"excess_share": EXCESS})
    return Outcome(
        "converges",
        "passed" if result.passed else "failed",
        {
            "criterion": result.criterion,
            "steps": result.steps,
            "rows": result.rows,
            "initial_loss": result.initial_loss,
            "final_loss": result.final_loss,
            "floor": result.floor,
            "excess_share": result.excess,
            score: result.score,
            "cause": result.cause,
            "notes": result.notes,
        },
        {"steps": STEPS, **met},
        result.findings,
        str(result).partition("\n")[0],
    )


def gradients(subject: Subject) -> Outcome:
    """Automatic gradients of the run's own objective agree with numerical ones, leaf by leaf."""
    batch, variables = _batch(subject, GRADIENT_ROWS), subject.variables
    loss, mode = mean_loss(subject.network, subject.objective, variables, batch)
    report = check_gradients(loss, variables.params, variables.model_state, batch)
    worst = max((leaf.relative_error for leaf in report.leaves), default=0.0)
    wrong = [leaf.path for leaf in report.leaves if leaf.status == "failed"]
    undecided = [leaf.path for leaf in report.leaves if leaf.status == "undecided"]
    compared = f"{report.checked} coordinates of {len(report.leaves)} leaves in {report.precision}"
    if report.passed and len(undecided) == len(report.leaves):
        reason = f"{compared} decide nothing: the numbers are too imprecise, or all lie on kinks"
        return Outcome("gradients", "not_run", {"undecided_leaves": undecided}, reason=reason, findings=report.findings)
    noted = "".join(
        f"; {word}: {', '.join(leaves)}" for word, leaves in (("wrong", wrong), ("undecided", undecided)) if leaves
    )
    return Outcome(
        "gradients",
        "passed" if report.passed else "failed",
        {
            "largest_relative_error": worst,
            "coordinates": report.checked,
            "leaves": len(report.leaves),
            "wrong_leaves": wrong,
            "undecided_leaves": undecided,
            "kinks": sum(leaf.kinks for leaf in report.leaves),
            "precision": report.precision,
            "would_detect": report.detects,
            "mode": mode,
            "narrowed_at": [str(cast) for cast in report.casts],
            "wrong_rules": [str(rule) for rule in report.rules if rule.status == "failed"],
        },
        {"relative_error": GRADIENT_ERRORS.get(report.precision, max(GRADIENT_ERRORS.values()))},
        report.findings,
        f"{compared}, largest relative error {worst:.1e}{noted}",
    )


def finite(subject: Subject) -> Outcome:
    """No loss, gradient or parameter was NaN or Inf at any step of the training."""
    if subject.history is None:
        reason = "no history was given: pass history= or losses= (of every step) in the Evidence"
        return Outcome("finite", "not_run", reason=reason)
    steps, losses = subject.history.series("train/loss", "chunk")
    if not steps:
        reason = "the history holds no losses by step: pass losses= (of every step)"
        return Outcome("finite", "not_run", reason=reason)
    bad = [step for step, loss in zip(steps, losses, strict=True) if not np.isfinite(loss)]
    bad = sorted({*bad, *_noted(subject.history, "nonfinite_step")})
    hidden = _noted(subject.history, "nonfinite_gradient_steps")
    leaves = leaves_by_path(subject.variables._asdict()).items()
    broken = [path for path, leaf in leaves if is_floating(leaf) and not np.isfinite(np.asarray(leaf)).all()]
    every = sorted({*bad, *hidden})
    return Outcome(
        "finite",
        "failed" if every or broken else "passed",
        {
            "steps_watched": len(steps),
            "nonfinite_steps": len(every),
            "first_nonfinite_step": every[0] if every else None,
            "nonfinite_leaves": broken,
        },
        {"nonfinite_steps": 0},
        _nonfinite_findings(bad, hidden, broken),
        f"{len(steps)} steps watched, {len(every)} of them not finite"
        + (f"; not finite at the end: {', '.join(broken)}" if broken else ""),
    )


def _noted(history: History, name: str) -> list[int]:
    """Returns the steps that the records of a training note under a name, in order."""
    noted = (record.values[name] for record in history if name in record.values)
    return sorted({int(step) for each in noted for step in (each if isinstance(each, tuple | list) else (each,))})


def _nonfinite_findings(bad: list[int], hidden: list[int], broken: list[str]) -> tuple[Finding, ...]:
    findings = []
    if bad:
        advice = "Lower the learning rate, clip gradients, and look for log or division of 0."
        message = f"the loss or a parameter is NaN or Inf, first at step {bad[0]}."
        findings.append(Finding("non-finite-loss", "error", message, advice, Moment(bad[0])))
    if hidden:
        advice = "Find the operation that makes them; an optimizer that skips them leaves the cause in place."
        message = f"gradients are NaN or Inf at {len(hidden)} steps, first at step {hidden[0]}; the optimizer hides it."
        findings.append(Finding("non-finite-gradient", "error", message, advice, Moment(hidden[0])))
    advice = "Train again from finite weights."
    findings += [
        Finding("non-finite-parameter", "error", "it holds NaN or Inf at the end of training.", advice, Leaf(path))
        for path in broken
    ]
    return tuple(findings)


def _batch(subject: Subject, rows: int) -> Batch:
    """Returns some training examples, drawn with a fixed seed (a file may be sorted by class), as a batch."""
    train = subject.dataset.examples("train")
    chosen = epoch_order(train.size, seed=0, epoch=0)[:rows]
    few = jax.tree.map(lambda leaf: jnp.asarray(leaf[chosen]), train)
    return Batch(few.inputs, few.targets, jnp.ones(len(chosen), jnp.float32))
