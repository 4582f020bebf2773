"""What a trained network answers: all with one class, rare classes never, probabilities that do not hold."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from verax.data import Batch
from verax.doctor._answers import hard_predictions, stated_probabilities
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor._trajectory import Trajectory, require_whole
from verax.doctor._trial import Outcome
from verax.evaluate import calibration
from verax.findings import Finding

MISSED = 0.5  # recall below which a class counts as not learnt (SageMaker's ClassImbalance: 70 % mispredicted)
RARE = 0.25  # of the commonest class: below this, classes are out of balance
SEEN_OFTEN = 5  # rows of a class, to say anything of its recall
CALIBRATED = 0.05  # the certificate's limit of the calibration error
SHARPER = 0.1  # of the log loss that one temperature takes away (DIAGNOSES: miscalibration)
ROWS_TO_JUDGE = 200


def classes_learnt(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns whether classes are never answered, and whether that is for their rarity."""
    if trajectory.broken is None:
        require_whole(trajectory)
    answers = outcome.judged
    if subject.task not in ("classification", "binary", "sequence") or answers.classes is None:
        raise NotApplicable("the task has no classes")
    classes, counts = np.unique(answers.classes, return_counts=True)
    recalls = np.array([1 - answers.errors[answers.classes == each].mean() for each in classes])
    said = f"recall by class {', '.join(f'{each:.2f}' for each in recalls[:10])}"
    enough = counts >= SEEN_OFTEN
    rare = enough & (counts < RARE * counts.max())
    missed = rare & (recalls < MISSED)
    findings, suspicions = [], []
    if missed.any() and recalls[np.argmax(counts)] > MISSED:
        evidence = (
            f"rows by class {', '.join(map(str, counts[:10]))}",
            said,
            f"accuracy {1 - answers.errors.mean():.3f}, of the commonest class alone {counts.max() / counts.sum():.3f}",
        )
        which = ", ".join(str(each) for each in classes[missed][:5])
        finding = Finding(
            "class-imbalance",
            "warning",
            f"class {which} is rare ({counts[missed].sum()} of {counts.sum()} rows) and answered right in "
            f"{recalls[missed].mean():.0%} of its rows only.",
            "Weight losses by the inverse class frequency, or sample classes evenly; judge by balanced accuracy.",
            part="loss",
            evidence=evidence,
            confidence=0.9,
        )
        suspicions.append(Suspicion(finding, (WEIGHTED,)))
    predicted = hard_predictions(subject, answers.outputs)
    if predicted is not None and len(classes) > 1 and len(np.unique(predicted)) == 1:
        findings.append(
            Finding(
                "majority-class-collapse",
                "warning",
                f"the network answers all {predicted.size} rows with class {predicted.reshape(-1)[0]}.",
                "Look for a cause: the labels, the loss, the learning rate, or classes out of balance.",
                evidence=(said,),
                confidence=0.6,
            )
        )
    return Seen(said, tuple(findings), tuple(suspicions))


def _weighted(subject: Subject) -> Subject:
    """Returns the program with each row's loss weighted by the inverse frequency of its class."""
    targets = np.asarray(subject.train.targets).reshape(-1)
    targets = targets[targets >= 0].astype(np.int64)
    counts = np.maximum(np.bincount(targets), 1)
    table = jnp.asarray(len(targets) / (len(np.unique(targets)) * counts), jnp.float32)

    def losses(outputs: Any, batch: Batch) -> Any:
        each = jnp.asarray(subject.losses(outputs, batch))
        wanted = jnp.asarray(batch.targets)
        if each.ndim == 0 or each.size != wanted.size:
            return each
        weights = table[jnp.clip(wanted.astype(jnp.int32), 0, len(counts) - 1)]
        return each * weights.reshape(each.shape)

    return subject.changed(losses=losses)


WEIGHTED = Repair("losses weighted by the inverse class frequency", _weighted)


def probabilities_hold(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns whether stated probabilities are as often right as they say, beyond what chance explains."""
    require_whole(trajectory)
    answers = outcome.held
    if answers is None or answers.classes is None or not answers.finite:
        raise NotApplicable("calibration needs a held-out split with classes")
    stated = stated_probabilities(subject, answers.outputs)
    if stated is None:
        raise NotApplicable("the program does not say which of its outputs are probabilities")
    labels = np.asarray(answers.targets).reshape(-1).astype(np.int64)
    if len(labels) < ROWS_TO_JUDGE or stated.shape[0] != len(labels):
        raise NotApplicable(f"{len(labels)} rows are too few to judge probabilities")
    if labels.min() < 0 or labels.max() >= stated.shape[1]:
        raise NotApplicable("there are labels without an output")
    if not np.allclose(stated.sum(axis=1), 1, atol=1e-3) or stated.min() < -1e-6:
        raise NotApplicable("the stated probabilities do not sum to 1")
    measured = calibration(np.clip(stated, 0, 1) / stated.sum(axis=1, keepdims=True), labels)
    half = len(labels) // 2
    temperature = _best_temperature(stated[:half], labels[:half])
    before, after = _log_loss(stated[half:], labels[half:], 1.0), _log_loss(stated[half:], labels[half:], temperature)
    said = (
        f"calibration error {measured.ece:.3f} (truly at least {measured.low:.3f}); best temperature {temperature:.2f}"
    )
    if (
        measured.low <= CALIBRATED
        or after > (1 - SHARPER) * before
        or _asks_for_training(subject, outcome, temperature)
    ):
        return Seen(said)
    kind = "sure of themselves" if temperature > 1 else "unsure"
    finding = Finding(
        "miscalibration",
        "warning",
        f"the stated probabilities are too {kind}: the calibration error is {measured.ece:.3f}, and one temperature of "
        f"{temperature:.2f} takes {1 - after / before:.0%} off the log loss of other rows.",
        "Divide the logits by a temperature fitted on rows of their own; drop a scale that acts in evaluation.",
        part="model",
        evidence=(said, f"log loss of held-out rows {before:.3f} -> {after:.3f} with that temperature"),
        confidence=0.8,
    )
    return Seen(said, (finding,))


def _asks_for_training(subject: Subject, outcome: Outcome, temperature: float) -> bool:
    """Returns whether a temperature would serve the training rows as well: then the network has more to learn, or is
    told to be unsure (smoothed labels), and what it states is on its way."""
    stated, labels = stated_probabilities(subject, outcome.train.outputs), np.asarray(outcome.train.targets)
    if temperature >= 1 or stated is None:
        return False
    labels = labels.reshape(-1).astype(np.int64)
    return _log_loss(stated, labels, temperature) < (1 - SHARPER) * _log_loss(stated, labels, 1.0)


TEMPERATURES = np.geomspace(0.05, 20, 61)


def _best_temperature(stated: np.ndarray, labels: np.ndarray) -> float:
    return float(min(TEMPERATURES, key=lambda temperature: _log_loss(stated, labels, temperature)))


def _log_loss(stated: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    logits = np.log(np.clip(stated, 1e-12, 1)) / temperature
    logits = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]).mean())


PROBES = (
    Probe("classes that are answered", ("class-imbalance", "majority-class-collapse"), classes_learnt, "run"),
    Probe("probabilities", ("miscalibration",), probabilities_hold, "run"),
)
