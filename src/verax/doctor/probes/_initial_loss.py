"""The loss at the start beside that of an uninformed constant answer: evidence, and an alarm of no kind by itself."""

from __future__ import annotations

import numpy as np

from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.findings import Finding

FAR = 3.0  # times the loss of the uninformed answer; fresh networks stay below 2 with He or Glorot weights
HALF = 0.5


def look(subject: Subject) -> Seen:
    """Compares the first loss with that of the best constant answer, and of an undecided one.

    What is far off is said as `info`: whether it does harm depends on the optimizer and the length of the run.
    """
    view = loss_view(subject)
    first = float(view.together(view.outputs).loss)
    best, undecided = _constants(view)
    compared = f"first loss {first:.4g}, of the best constant answer {best:.4g}, of an undecided one {undecided:.4g}"
    if not np.all(np.isfinite([first, best, undecided])) or best <= 0:
        return Seen(compared)
    evidence, findings = (compared,), []
    if first > FAR * undecided:
        said = f"the first loss, {first:.4g}, is {first / undecided:.3g} times that of an undecided answer."
        advice = "Scale the last layer down, or standardise inputs and targets."
        findings.append(Finding("bad-initial-loss", "info", said, advice, None, "model", evidence, 1.0))
    if best < HALF * min(first, undecided):
        said = f"a constant answer has a loss of {best:.4g}, the first outputs one of {first:.4g}."
        advice = "Start the output bias at the mean of the targets (the log odds of the classes)."
        findings.append(Finding("output-bias-mismatch", "info", said, advice, None, "model", evidence, 1.0))
    return Seen(compared, tuple(findings))


def _constants(view: LossView) -> tuple[float, float]:
    """Returns the loss of the best constant answer (base rates, mean) and of an undecided one (equal scores, zero)."""
    if view.layout == "numbers":
        targets = view.targets.reshape(view.outputs.shape).astype(np.float64)
        constants = (np.full(targets.shape, targets.mean()), np.zeros(targets.shape))
    elif view.layout == "logits":
        rate = np.clip(view.yes.mean(), 0.01, 0.99)
        constants = (
            (np.full(view.outputs.shape, rate), np.full(view.outputs.shape, 0.5))
            if view.are_probabilities
            else (np.full(view.outputs.shape, np.log(rate / (1 - rate))), np.zeros(view.outputs.shape))
        )
    elif view.layout == "classes":
        classes = view.outputs.shape[-1]
        counts = np.bincount(view.labels[view.labelled].reshape(-1), minlength=classes) + 0.5
        rates = np.broadcast_to(counts / counts.sum(), view.outputs.shape)
        even = np.full(view.outputs.shape, 1 / classes)
        constants = (rates, even) if view.are_probabilities else (np.log(rates), np.log(even))
    else:
        raise NotApplicable("outputs and targets are not compared one by one.")
    best, undecided = (float(view.together(each).loss) for each in constants)
    return best, undecided


PROBES = (Probe("loss at the start", ("bad-initial-loss", "output-bias-mismatch"), look),)
