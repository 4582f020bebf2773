"""The items that look at training: converges, gradients, finite."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.certify._certificate import Outcome
from verax.certify._subject import Subject
from verax.data import Batch, epoch_order
from verax.debug import check_gradients, overfit_batch
from verax.findings import Finding
from verax.network import Variables
from verax.trees import is_floating, leaves_by_path

ROWS = 32  # of the batch that is overfitted
GRADIENT_ROWS = 16  # of the batch whose gradient is checked: more would cost time and show nothing new


def converges(subject: Subject) -> Outcome:
    """The network, with its own loss and optimizer, learns one batch by heart."""
    evidence = subject.evidence
    if evidence.optimizer is None:
        return Outcome("converges", "not_run", reason="no optimizer was given: pass optimizer= in the Evidence")
    result = overfit_batch(
        subject.network, evidence.objective, evidence.optimizer, _batch(subject, ROWS), total_steps=evidence.total_steps
    )
    return Outcome(
        "converges",
        "passed" if result.passed else "failed",
        result.to_json(),
        {"steps": result.max_steps, "excess_share": result.excess_limit},
        result.findings,
        result.summary,
    )


def gradients(subject: Subject) -> Outcome:
    """Automatic gradients of the run's own objective agree with numerical ones, leaf by leaf."""
    loss = subject.evidence.objective.bind(subject.network)
    batch, variables = _batch(subject, GRADIENT_ROWS), subject.variables

    def mean_loss(params: Any, model_state: Any, batch: Batch) -> Any:
        value = loss(Variables(params, model_state), batch, None, statistics)
        return value.total / value.weight

    statistics = True  # as in training, but without noise
    try:
        jax.eval_shape(mean_loss, variables.params, variables.model_state, batch)
    except ValueError:
        statistics = False  # the network cannot do without its noise in training: then as in evaluation
    report = check_gradients(mean_loss, variables.params, variables.model_state, batch)
    worst = max((leaf.relative_error for leaf in report.leaves), default=0.0)
    return Outcome(
        "gradients",
        "passed" if report.passed else "failed",
        {
            "largest_relative_error": worst,
            "coordinates": report.checked,
            "leaves": len(report.leaves),
            "kinks": sum(leaf.kinks for leaf in report.leaves),
            "precision": report.precision,
            "would_detect": report.detects,
            "mode": "training statistics, no noise" if statistics else "evaluation",
            "narrowed_at": [str(cast) for cast in report.casts],
        },
        {"relative_error": 1e-5 if report.precision == "float64" else 1e-3},
        report.findings,
        f"{report.checked} coordinates of {len(report.leaves)} leaves in {report.precision}, largest relative error {worst:.1e}",
    )


def finite(subject: Subject) -> Outcome:
    """No loss, gradient or parameter was NaN or Inf at any step of the training."""
    if subject.history is None:
        return Outcome("finite", "not_run", reason="no history was given: pass history= or losses= (of every step) in the Evidence")
    steps, losses = subject.history.series("train/loss", "chunk")
    if not steps:
        return Outcome("finite", "not_run", reason="the history holds no losses by step: pass losses= (of every step)")
    bad = [step for step, loss in zip(steps, losses, strict=True) if not np.isfinite(loss)]
    for record in subject.history:
        bad += [record.values["nonfinite_step"]] if "nonfinite_step" in record.values else []
        bad += list(record.values.get("nonfinite_gradient_steps", ()))
    leaves = leaves_by_path(subject.variables.params).items()
    broken = [path for path, leaf in leaves if is_floating(leaf) and not np.isfinite(np.asarray(leaf, np.float32)).all()]
    findings = ()
    if bad or broken:
        first = int(min(bad)) if bad else None
        where = f"first at step {first}" if first is not None else f"in {', '.join(broken)}"
        findings = (
            Finding(
                "non-finite-loss" if bad else "non-finite-parameter", "error", f"NaN or Inf {where}.",
                "Lower the learning rate, clip gradients, and look for log or division of 0.",
            ),
        )  # fmt: skip
    return Outcome(
        "finite",
        "failed" if findings else "passed",
        {"steps_watched": len(steps), "nonfinite_steps": len(set(bad)), "first_nonfinite_step": min(bad) if bad else None, "nonfinite_leaves": broken},
        {"nonfinite_steps": 0},
        findings,
        f"{len(steps)} steps watched, {len(set(bad))} of them not finite",
    )


def _batch(subject: Subject, rows: int) -> Batch:
    """Returns some training examples, drawn with a fixed seed (a file may be sorted by class), as a batch."""
    train = subject.dataset.examples("train")
    chosen = epoch_order(train.size, seed=0, epoch=0)[:rows]
    few = jax.tree.map(lambda leaf: jnp.asarray(leaf[chosen]), train)
    return Batch(few.inputs, few.targets, jnp.ones(len(chosen), jnp.float32))
