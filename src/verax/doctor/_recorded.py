"""A run that was made elsewhere, as the doctor reads it: what a `vx.Run` recorded, what `vx.monitor` saw."""

from __future__ import annotations

import numpy as np

from verax.doctor._subject import Subject
from verax.doctor._trajectory import Look, Trajectory, look_at
from verax.findings import Finding, Leaf
from verax.network import Variables
from verax.train import History, Monitored, Run, health

STARTS_OVER = 10.0  # largest gradient over its mean: a jump
MOVES = 0.1  # update over weight: a step of a tenth of the weights (DeepDiagnosis, TheDeepChecker)
RESTS = 1e-6  # update over weight: nothing moves in a run of thousands of steps (SageMaker has 1e-8)


def recorded(subject: Subject, run: Run) -> Trajectory:
    """Returns what a finished run did, without training again."""
    history = run.history
    _, losses = history.series("train/loss", "chunk")
    epochs = _epochs(history)
    seen = health(history)
    leaves = len(subject.paths)
    fits = seen.paths == subject.paths and len(seen)
    ratios = seen.values["update_ratio"] if fits else np.empty((0, leaves))
    looks: list[Look] = [look_at(subject, subject.variables, 0)]
    if run.best is not None and int(run.best.step) < int(run.state.step):
        looks.append(look_at(subject, run.best.variables, int(run.best.step)))
    looks.append(look_at(subject, run.variables, int(run.state.step)))
    return Trajectory(
        planned=len(losses),
        losses=np.array(losses, float),
        epochs=np.array(epochs[: len(losses)], int),
        gradients=seen.values["norm"] if fits else np.empty((0, leaves)),
        updates=np.nan_to_num(ratios),
        weights=np.ones_like(ratios),
        looks=tuple(looks),
        curve=np.array(history.series("train/loss")[1] or losses, float),
        start=subject.variables,
        final=Variables(*run.variables),
        broken=None,
        recut=False,
        seconds=0.0,
    )


def _epochs(history: History) -> list[int]:
    """Returns the epoch of each step."""
    epochs: list[int] = []
    for record in history:
        if record.kind == "chunk" and "train/loss" in record.values:
            epochs += [record.epoch - 1] * len(record.values["train/loss"])
    return epochs


def monitored_findings(monitored: Monitored) -> tuple[Finding, ...]:
    """Returns what the statistics of a monitor say by themselves: symptoms, since it has seen neither data nor loss."""
    if not monitored.taken:
        return ()
    findings = [_not_finite(path, step) for path, step in monitored.first_nonfinite.items()]
    norms, ratios, zeros = (monitored.mean[name] for name in ("norm", "update_ratio", "zeros"))
    for place, path in enumerate(monitored.paths):
        if zeros[place] == 1.0:
            findings.append(_no_gradient(path, monitored.taken))
        elif ratios[place] > MOVES:
            findings.append(_large(path, float(ratios[place])))
        elif monitored.largest["norm"][place] > STARTS_OVER * norms[place] and norms[place] > 0:
            findings.append(_jumps(path, float(monitored.largest["norm"][place]), float(norms[place])))
    moving = ratios[np.isfinite(ratios) & (norms > 0)]  # a step that float32 rounds away is a ratio of 0
    if len(moving) and moving.max() < RESTS and monitored.taken > 1:
        findings.append(_rests(float(moving.max())))
    return tuple(findings)


def _not_finite(path: str, step: int) -> Finding:
    said = f"the gradient has NaN or infinite values, first seen at step {step}."
    advice = "Replay that step with vx.find_nonfinite, which names the operation."
    return Finding("non-finite-gradient", "error", said, advice, Leaf(path), None, (), 1.0, step=step)


def _no_gradient(path: str, taken: int) -> Finding:
    said = f"the gradient was exactly 0 in all of {taken} looks."
    advice = "vx.check tells whether the loss depends on it at all; a frozen or unused parameter is meant so."
    return Finding("parameter-without-gradient", "warning", said, advice, Leaf(path), "model", (), 0.8)


def _large(path: str, ratio: float) -> Finding:
    said = f"a step changes it by {ratio:.0%} of its size on average."
    advice = "Lower the learning rate, or warm it up; vx.find_learning_rate gives an interval."
    return Finding("learning-rate-too-high", "info", said, advice, Leaf(path), "optimizer", (), 0.4)


def _jumps(path: str, largest: float, mean: float) -> Finding:
    said = f"its gradient rose to {largest:.2g}, {largest / mean:.0f} times its mean."
    advice = "Clip with optax.clip_by_global_norm."
    return Finding("exploding-gradient", "info", said, advice, Leaf(path), None, (), 0.4)


def _rests(ratio: float) -> Finding:
    said = f"no leaf changes by more than {ratio:.1g} of its size in a step."
    advice = "Raise the learning rate; vx.find_learning_rate gives an interval."
    return Finding("learning-rate-too-low", "warning", said, advice, None, "optimizer", (), 0.6)
