"""The rules of four published monitors with the thresholds that they were published with, on a plain training.

Re-implemented from the sources named at each set; these are not the tools. A rule names ids of the catalogue. Rules
that ask for the names of Keras layers or of the loss are left out. "Saved steps" are one an epoch: the programs are
short, and at the tools' defaults (every 500 steps) most of them would save one or two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from _plain_training import Layer, Moment, Record, predictions


def sagemaker(record: Record) -> Iterator[str]:
    """Amazon SageMaker Debugger, built-in rules (`debugger-built-in-rules.md`) at their defaults."""
    program, last = record.program, record.late[-1]
    if any(np.mean(active(layer) < 0.01) > 0.5 for layer in record.last_layers if layer.kind == "relu"):
        yield "dying-relu"
    limits = {"tanh": (-9.4999, 9.4999), "sigmoid": (-23.0, 16.99999)}
    for layer in record.last_layers:
        if layer.kind in limits:
            low, high = limits[layer.kind]
            inside = np.mean((units(layer.before) > low) & (units(layer.before) < high), axis=0)
            if np.mean(inside < 0.01) > 0.5:
                yield "saturated-activation"
    if not all(map(math.isfinite, record.step_losses)):
        yield "non-finite-loss"
    if any(not np.isfinite(leaf).all() for leaf in last.gradients.values()):
        yield "non-finite-gradient"
    if any(not np.isfinite(leaf).all() for leaf in last.weights.values()):
        yield "non-finite-parameter"
    yield from poor_initialization(record)
    if any(np.mean(np.abs(leaf)) < 1e-7 for moment in record.late for leaf in kernels(moment.gradients)):
        yield "vanishing-gradient"
    ratios = [ratio for moment in record.late for ratio in update_ratios(moment)]
    if any(ratio > 10 for ratio in ratios):
        yield "learning-rate-too-high"
    if any(ratio < 1e-8 for ratio in ratios):
        yield "learning-rate-too-low"
    if any(not np.any(leaf) for leaf in kernels(last.gradients)):
        yield "parameter-without-gradient"
    yield from class_imbalance(record)
    if len(record.losses) > 10 and any(b >= a for a, b in zip(record.losses, record.losses[10:], strict=False)):
        yield "loss-not-decreasing"
    if any((held - own) / own > 0.1 for own, held in zip(record.losses, record.test_losses, strict=False) if own > 0):
        yield "overfitting"
    if any(unchanged([moment.weights[path] for moment in record.late], 3) for path in last.weights):
        yield "unintended-freeze"
    image = np.asarray(jax.tree.leaves(program.train[0])[0])
    if image.ndim == 4 and abs(float(image[:500].mean())) > 0.2:
        yield "input-not-normalized"
    if program.task == "sequence":
        tokens, counts = np.unique(program.train[1], return_counts=True)
        if len(tokens) > 1 and counts.max() / counts.sum() > 0.5:
            yield "padding-in-loss"


def poor_initialization(record: Record) -> Iterator[str]:
    """PoorWeightInitialization: variances of layers apart by more than ten, or gradients without spread, at first."""
    first = record.early[0]
    variances = [float(leaf.var()) for leaf in kernels(first.weights)]
    if len(variances) > 1 and max(variances) > 10 * min(variances):
        yield "exploding-initialization"
    spreads = [np.subtract(*np.percentile(leaf, [95, 5])) for leaf in kernels(first.gradients)]
    losses = record.step_losses[:10]
    if all(spread < 1e-3 for spread in spreads) and len(set(losses[:5])) == 1:
        yield "vanishing-initialization"


def class_imbalance(record: Record) -> Iterator[str]:
    """ClassImbalance: counts apart by more than ten, or a class mispredicted in more than 70 % of its examples."""
    program = record.program
    if program.task not in ("classification", "binary"):
        return
    labels = np.asarray(program.train[1]).reshape(-1)
    if len(labels) < 500:
        return
    counts = np.unique(labels, return_counts=True)[1]
    answers = predictions(program, record.train_outputs).reshape(-1)
    missed = [np.mean(answers[labels == label] != label) for label in np.unique(labels)]
    if counts.max() > 10 * counts.min() or max(missed) > 0.7:
        yield "class-imbalance"


def umlaut(record: Record) -> Iterator[str]:
    """UMLAUT (Schoop et al., CHI 2021), `umlaut/heuristics.py`."""
    program = record.program
    image = np.asarray(jax.tree.leaves(program.train[0])[0])
    if image.ndim == 4 and image.shape[1] != image.shape[2]:
        yield "input-wrong-layout"
    if np.nanmin(image) < -1 or np.nanmax(image) > 1:
        yield "input-not-normalized"
    if not np.issubdtype(image.dtype, np.floating):
        yield "integer-input"
    if np.isnan(record.losses).any() and np.isnan(image.astype(np.float64)).any():
        yield "non-finite-input"
    if record.learning_rate > 0.01:
        yield "learning-rate-too-high"
    if record.learning_rate < 1e-7:
        yield "learning-rate-too-low"
    own, held = np.diff(record.losses), np.diff(record.test_losses)
    if len(own) == len(held) and np.any((held > 0) & (own <= 0)):
        yield "overfitting"
    late = zip(record.scores[3:], record.test_scores[3:], strict=False)
    if any(test > 0.95 or test > train + 0.05 for train, test in late):
        yield "train-test-overlap"


def autotrainer(record: Record) -> Iterator[str]:
    """AutoTrainer (Zhang et al., ICSE 2021), `utils/monitor.py`; gradients are looked at where accuracy is bad."""
    last, scores = record.late[-1], record.scores
    bad = not scores or max(scores) < 0.6
    norms = [float(np.linalg.norm(leaf)) for leaf in kernels(last.gradients)]
    ratio = norms[0] / norms[-1] if norms and norms[-1] > 0 else math.inf if norms and norms[0] > 0 else 0.0
    exploded = not all(map(math.isfinite, [*norms, *record.step_losses])) or max(record.step_losses) > 1e3
    if bad and (exploded or ratio > 70):
        yield "exploding-gradient"
    if bad and norms and ratio < 1e-3 and norms[0] < 1e-4:
        yield "vanishing-gradient"
    entries = np.concatenate([leaf.reshape(-1) for leaf in last.gradients.values()])
    if bad and np.mean(entries == 0) >= 0.7:
        yield "dying-relu"
    if scores and np.mean(np.diff(scores, append=scores[-1]) <= -0.03) >= 0.2:
        yield "loss-oscillation"
    if len(scores) > 1 and max(scores) < 0.6 and np.max(np.diff(scores)) < 0.01:
        yield "underfitting"
    if record.program.task in ("classification", "binary") and min(record.step_losses) < 0:
        yield "negative-loss"


def deepdiagnosis(record: Record) -> Iterator[str]:
    """DeepDiagnosis (Wardat et al., ICSE 2022), `callback/callbacks.py`: the first symptom met, then their tree."""
    symptom = next(deepdiagnosis_symptoms(record), None)
    if symptom is None:
        return
    if symptom != "training":
        yield symptom
        return
    first = np.asarray(jax.tree.leaves(record.program.train[0])[0])
    last = record.late[-1]
    ratios = list(update_ratios(last))
    if any(leaf.var() < 1e-5 or leaf.var() > 10 for leaf in kernels(record.early[0].weights)):
        small = any(leaf.var() < 1e-5 for leaf in kernels(record.early[0].weights))
        yield "vanishing-initialization" if small else "exploding-initialization"
    elif np.nanmin(first) < -1 or np.nanmax(first) > 1:
        yield "input-not-normalized"
    elif any(ratio > 0.1 for ratio in ratios):
        yield "learning-rate-too-high"
    elif any(ratio < 1e-5 for ratio in ratios):
        yield "learning-rate-too-low"
    else:
        yield "missing-nonlinearity"  # "change the activation"


def deepdiagnosis_symptoms(record: Record) -> Iterator[str]:
    """Yields its symptoms in their order; `training` stands for those that its tree goes on from."""
    last = record.late[-1]
    if any(np.mean(layer.after <= 0) >= 0.7 for layer in record.last_layers if layer.kind == "relu"):
        yield "dying-relu"
    bounded = [layer for layer in record.last_layers if layer.kind in ("tanh", "sigmoid")]
    if any(np.mean(np.abs(layer.before) > 5) > 0.5 for layer in bounded):
        yield "saturated-activation"
    means = [leaf.mean() for leaf in (*kernels(last.weights), *kernels(last.gradients))]
    if any(not np.isfinite(mean) or mean == 0 for mean in means):
        yield "exploding-gradient" if not np.isfinite(means).all() else "vanishing-gradient"
    if any(np.mean(np.abs(leaf)) < 1e-7 for leaf in kernels(last.gradients)):
        yield "vanishing-gradient"
    scores, losses = record.scores[-20:], record.losses[-5:]
    if (len(scores) == 20 and np.mean(scores) == max(scores)) or (len(losses) == 5 and np.mean(losses) == max(losses)):
        yield "training"
    if any(equal_means([moment.weights[path] for moment in record.late[-5:]]) for path in last.weights):
        yield "training"
    if out_of_range(record):
        yield "wrong-output-activation"


def out_of_range(record: Record) -> bool:
    """Whether the last layer's activation cannot give the targets, or linear outputs span ten times their range."""
    program = record.program
    if program.task != "regression":
        return False
    targets = np.asarray(program.train[1], np.float64).reshape(-1)
    outputs = np.asarray(jax.tree.leaves(record.train_outputs)[0], np.float64).reshape(-1)
    last = record.last_layers[-1] if record.last_layers else None
    if (
        last is not None
        and last.after.size == outputs.size * 1
        and np.allclose(last.after.reshape(-1)[:50], outputs[:50])
    ):
        low, high = {"relu": (0.0, math.inf), "tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}[last.kind]
        return bool(targets.min() < low or targets.max() > high)
    return bool(np.ptp(outputs) > 10 * np.ptp(targets))


RULES: dict[str, Callable[[Record], Iterator[str]]] = {
    "sagemaker": sagemaker,
    "umlaut": umlaut,
    "autotrainer": autotrainer,
    "deepdiagnosis": deepdiagnosis,
}


def kernels(leaves: Any) -> list[np.ndarray]:
    """Returns the leaves that have a fan-in and a fan-out."""
    return [leaf for leaf in leaves.values() if leaf.ndim >= 2]


def units(values: np.ndarray) -> np.ndarray:
    """Returns values by example (and place) and unit."""
    return values.reshape(-1, values.shape[-1])


def active(layer: Layer) -> np.ndarray:
    """Returns how often each unit of a rectifier is above zero."""
    return np.mean(units(layer.after) > 0, axis=0)


def update_ratios(moment: Moment) -> Iterator[float]:
    """Yields the norm of the update over that of the weights, by kernel."""
    for path, weights in moment.weights.items():
        size = float(np.linalg.norm(weights))
        if weights.ndim >= 2 and size > 0:
            yield float(np.linalg.norm(moment.updates[path])) / size


def unchanged(saves: Sequence[np.ndarray], steps: int) -> bool:
    """Whether a tensor stays as it was, by `allclose`, over so many saved steps."""
    runs = [saves[start : start + steps] for start in range(len(saves) - steps + 1)]
    return any(all(np.allclose(run[0], each, rtol=1e-5, atol=1e-8) for each in run[1:]) for run in runs)


def equal_means(saves: Sequence[np.ndarray]) -> bool:
    """Whether five saved means are equal."""
    return len(saves) == 5 and len({float(leaf.mean()) for leaf in saves}) == 1
