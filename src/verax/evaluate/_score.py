"""Predictions against targets: the metrics of a task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from verax.evaluate._calibration import calibration
from verax.evaluate._classification import (
    class_counts,
    classification_metrics,
    confusion_matrix,
    per_class_scores,
    positive_scores,
)
from verax.evaluate._estimate import effective_size
from verax.evaluate._evaluation import Evaluation
from verax.evaluate._inputs import (
    Values,
    class_names,
    example_weight,
    label_table,
    predictions_and_targets,
    probabilities_and_labels,
    smallest_positive,
)
from verax.evaluate._multilabel import multilabel_metrics, per_label_scores
from verax.evaluate._predictive import spread_metrics, spread_table
from verax.evaluate._regression import per_output_scores, reconstruction_metrics, regression_metrics
from verax.evaluate._regression_calibration import predictive_calibration
from verax.evaluate._threshold import Threshold, thresholds
from verax.evaluate._tokens import TokenScores, checked_tokens, token_metrics
from verax.findings import Finding, InputError

TASKS = ("classification", "binary", "multilabel", "regression", "language_model", "autoencoder")
Names = tuple[str, ...] | list[str]
Thresholds = Threshold | Values | float | int | tuple[float, ...] | list[float]


def score(
    task: str,
    predictions: Values | TokenScores,
    targets: Values,
    *,
    classes: Names | None = None,
    weight: Values | None = None,
    spread: Values | None = None,
    threshold: Thresholds | None = None,
    padding: int | None = None,
) -> Evaluation:
    """Returns what predictions achieve, each number with a 95 % interval.

    - `classification` and `binary`: `loss` (cross-entropy, also as `log_loss`), `accuracy`, `top_5_accuracy` with more
      than five classes, `macro_precision`, `macro_recall`, `macro_f1` over the classes that occur, `roc_auc` and
      `average_precision` (the area under the precision-recall curve; both one against the rest with more than two
      classes, absent if the targets are all of one class), `brier`; of a binary task `precision`, `recall` and `f1` of
      class 1 too; the confusion matrix, scores by class and the calibration.
    - `multilabel`: `loss` (cross-entropy of a label), `micro_f1`, `macro_f1`, `subset_accuracy` (all labels right),
      `hamming_loss` (the share of wrong labels), `roc_auc` and `average_precision` (means over labels);
      scores by label.
    - `regression`: `loss` (mean squared error), `rmse`, `mae`, `r2`; of several outputs the plain average of each, and
      a table by output. With `spread`: `nll`, `coverage_50` to `coverage_95` of its own intervals, and the calibration
      of those distributions.
    - `language_model`: `loss` (nats a token), `perplexity`, `bits_per_token`, `accuracy` (of the next token).
    - `autoencoder`: `loss` (mean squared error), `rmse`, `mae`, `r2` (the share of the whole variance that is kept).

    How the intervals are made: Wilson's for accuracies; for other scores in `[0, 1]` that of a proportion of the same
    variance (delta method; DeLong's for the ROC area); for losses Student's, corrected for skewness (Hall). They are
    about the examples, which are taken as independent: the same network on another sample. Another seed of the training
    is not in them. Tokens of a sequence, labels and outputs of an example may depend on each other.

    Args:
      task: one of those above.
      predictions: class probabilities (examples, classes), two columns for binary; probabilities of labels (examples,
        labels); values (examples,) or (examples, outputs); of a language model `TokenScores`, or probabilities
        (sequences, tokens, vocabulary), which for a whole text are too large to hold; reconstructions.
      targets: integer labels (examples,); 0 or 1 (examples, labels); values of the shape of the predictions; tokens
        (sequences, tokens); inputs.
      classes: the names of the classes, labels or outputs; their numbers if not given.
      weight: the share of each example in every average (of each token, if wished); 0 leaves one out. Calibration is
        not measured where the rest are unequal.
      spread: the standard deviation of each value of a regressor, in the shape of the predictions.
      threshold: for binary and multilabel, from which probability on something is positive: a number, one for each
        label, or what `choose_threshold` returned on another split. If not given, more than a half is.
      padding: the token of a language model that counts for nothing.

    Raises:
      InputError: if shapes differ, labels are out of range, a number is not finite, or a threshold is judged on the
        examples it was chosen on.
      ValueError: if the task is unknown, or an argument belongs to another task.

    Example:
      >>> evaluation = score("binary", np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]))
      >>> print(evaluation.metrics["accuracy"])
      0.6667 [0.2077, 0.9385]
      >>> at = score("binary", np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]), threshold=0.3)
      >>> at.metrics["accuracy"].value
      1.0
    """
    evaluation = score_without_calibration(task, predictions, targets, classes, weight, spread, threshold, padding)
    share = None if weight is None else np.asarray(weight)
    kept = slice(None) if share is None else share > 0
    if share is not None and not (share[kept] == share[kept].flat[0]).all():
        return evaluation
    if task in ("classification", "binary"):
        labels = np.asarray(targets)[kept]
        return replace(evaluation, calibration=calibration(np.asarray(predictions)[kept], labels))
    if spread is not None and not isinstance(predictions, TokenScores):
        values, wanted = predictions_and_targets(predictions, targets)
        judged = predictive_calibration(values[kept], wanted[kept], np.asarray(spread)[kept])
        return replace(evaluation, predictive=judged)
    return evaluation


def score_without_calibration(
    task: str,
    predictions: Any,
    targets: Values,
    classes: Names | None = None,
    weight: Values | None = None,
    spread: Values | None = None,
    threshold: Thresholds | None = None,
    padding: int | None = None,
) -> Evaluation:
    """Returns what `score` does, without the calibration, which is simulated and takes longest."""
    _require_task(task, predictions, spread=spread, threshold=threshold, padding=padding)
    if task == "language_model":
        nll, hits, share = checked_tokens(predictions, targets, weight, padding)
        return Evaluation(task, len(nll), token_metrics(nll, hits, share))
    if isinstance(threshold, Threshold):
        threshold.refuse(predictions, targets)
    if task == "multilabel":
        return _score_labels(predictions, targets, classes, weight, threshold)
    if task in ("regression", "autoencoder"):
        return _score_values(task, predictions, targets, classes, weight, spread)
    return _score_classes(task, predictions, targets, classes, weight, threshold)


def _score_classes(
    task: str,
    predictions: Values,
    targets: Values,
    classes: Names | None,
    weight: Values | None,
    threshold: Thresholds | None,
) -> Evaluation:
    probabilities, labels = probabilities_and_labels(predictions, targets)
    if task == "binary" and probabilities.shape[1] != 2:
        problem = f"predictions of a binary task must have two columns, got {probabilities.shape[1]}."
        raise InputError([Finding("wrong-rank", "error", problem, "With more classes the task is 'classification'.")])
    names = class_names(classes, probabilities.shape[1])
    share = example_weight(weight, len(labels))
    kept = share > 0
    probabilities, labels, share = probabilities[kept], labels[kept], share[kept]
    cut = None if threshold is None else thresholds(threshold, 1)
    predicted = probabilities.argmax(axis=1) if cut is None else (probabilities[:, 1] >= cut[0]).astype(np.int64)
    metrics = classification_metrics(probabilities, predicted, labels, share, smallest_positive(predictions))
    counts = class_counts(predicted, labels, share, len(names))
    per_weight = effective_size(share) / float(share.sum())
    if task == "binary":
        metrics |= positive_scores(counts, per_weight)
    return Evaluation(
        task,
        len(labels),
        metrics,
        confusion_matrix(predicted, labels, share, len(names)),
        per_class_scores(counts, names, per_weight),
        classes=names,
        threshold=None if cut is None else tuple(cut.tolist()),
    )


def _score_labels(
    predictions: Values,
    targets: Values,
    classes: Names | None,
    weight: Values | None,
    threshold: Thresholds | None,
) -> Evaluation:
    probabilities, truth = label_table("predictions", predictions), label_table("targets", targets, truth=True) == 1
    if probabilities.shape != truth.shape:
        problem = f"predictions and targets must have the same shape, got {probabilities.shape} and {truth.shape}."
        raise InputError([Finding("length-mismatch", "error", problem, "Are both of the same split?")])
    names = class_names(classes, truth.shape[1])
    share = example_weight(weight, len(truth))
    kept = share > 0
    probabilities, truth, share = probabilities[kept], truth[kept], share[kept]
    cut = None if threshold is None else thresholds(threshold, truth.shape[1])
    decided = probabilities > 0.5 if cut is None else probabilities >= cut
    return Evaluation(
        "multilabel",
        len(truth),
        multilabel_metrics(probabilities, decided, truth, share, max(smallest_positive(predictions), 1e-38)),
        per_class=per_label_scores(probabilities, decided, truth, share, names),
        classes=names,
        threshold=None if cut is None else tuple(cut.tolist()),
    )


def _score_values(
    task: str,
    predictions: Values,
    targets: Values,
    classes: Names | None,
    weight: Values | None,
    spread: Values | None,
) -> Evaluation:
    values, wanted = predictions_and_targets(predictions, targets)
    share = example_weight(weight, len(wanted))
    kept = share > 0
    wide = None if spread is None else spread_table(spread, values.shape)[kept]
    values, wanted, share = values[kept], wanted[kept], share[kept]
    if task == "autoencoder":
        return Evaluation(task, len(wanted), reconstruction_metrics(values, wanted, share))
    metrics, outputs = regression_metrics(values, wanted, share), wanted.shape[1]
    if wide is not None:
        metrics |= spread_metrics(wanted - values, wide, share)
    names = class_names(classes, outputs) if outputs > 1 else None
    table = per_output_scores(values, wanted, share, names) if names else None
    return Evaluation(task, len(wanted), metrics, classes=names, per_output=table)


def _require_task(task: str, predictions: Any, **given: Any) -> None:
    """Raises ValueError if the task is unknown, or an argument was given that belongs to another."""
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(map(repr, TASKS))}, got {task!r}.")
    owners = {"spread": ("regression",), "threshold": ("binary", "multilabel"), "padding": ("language_model",)}
    for name, value in given.items():
        if value is not None and task not in owners[name]:
            raise ValueError(f"{name} belongs to {' and '.join(owners[name])}, got it for {task}.")
    if isinstance(predictions, TokenScores) and task != "language_model":
        raise ValueError(f"predictions must be an array, got TokenScores for {task}; they belong to language_model.")
