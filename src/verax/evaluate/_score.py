"""Predictions against targets: the metrics of a task, and what a predictor without inputs would get."""

from __future__ import annotations

import numpy as np

from verax.evaluate._calibration import calibration
from verax.evaluate._classification import class_counts, classification_metrics, confusion_matrix, per_class_scores
from verax.evaluate._estimate import Estimate, proportion_estimate
from verax.evaluate._evaluation import Evaluation
from verax.evaluate._inputs import (
    Values,
    class_names,
    example_weight,
    labels_alone,
    predictions_and_targets,
    probabilities_and_labels,
    smallest_positive,
)
from verax.evaluate._regression import regression_metrics
from verax.findings import Finding, InputError


def score(
    task: str,
    predictions: Values,
    targets: Values,
    *,
    classes: tuple[str, ...] | list[str] | None = None,
    weight: Values | None = None,
) -> Evaluation:
    """Returns what predictions achieve, each number with a 95 % interval.

    - `classification` and `binary`: `loss` (cross-entropy, also as `log_loss`), `accuracy`, `top_5_accuracy` with more
      than five classes, `macro_precision`, `macro_recall`, `macro_f1` over the classes that occur, `roc_auc` (one
      against the rest with more than two classes; absent if the targets are all of one class), `brier`; the confusion
      matrix, scores by class and the calibration.
    - `regression`: `loss` (mean squared error), `rmse`, `mae`, `r2`; of several outputs the plain average of each.

    How the intervals are made: Wilson's for accuracies; for other scores in `[0, 1]` that of a proportion of the same
    variance (delta method; DeLong's for the ROC area); for losses Student's, corrected for skewness (Hall). They are
    about the examples: the same network on another sample. Another seed of the training is not in them.

    Args:
      task: `classification`, `binary` or `regression`.
      predictions: class probabilities (examples, classes), two columns for binary; or values (examples,) or
        (examples, outputs).
      targets: integer labels (examples,), or values of the shape of the predictions.
      classes: the names of the classes; their numbers if not given.
      weight: the share of each example in every average; 0 leaves one out. Calibration is not measured where the rest
        are unequal.

    Raises:
      InputError: if shapes differ, labels are out of range, or a number is not finite.
      ValueError: if the task is unknown.

    Example:
      >>> evaluation = score("binary", np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]))
      >>> print(evaluation.metrics["accuracy"])
      0.6667 [0.2077, 0.9385]
    """
    if task == "regression":
        values, wanted = predictions_and_targets(predictions, targets)
        share = example_weight(weight, len(wanted))
        kept = share > 0
        return Evaluation(task, int(kept.sum()), regression_metrics(values[kept], wanted[kept], share[kept]))
    if task not in ("classification", "binary"):
        raise ValueError(f"task must be 'classification', 'binary' or 'regression', got {task!r}.")
    probabilities, labels = probabilities_and_labels(predictions, targets)
    if task == "binary" and probabilities.shape[1] != 2:
        problem = f"predictions of a binary task must have two columns, got {probabilities.shape[1]}."
        raise InputError([Finding("wrong-rank", "error", problem, "With more classes the task is 'classification'.")])
    names = class_names(classes, probabilities.shape[1])
    share = example_weight(weight, len(labels))
    kept = share > 0
    probabilities, labels, share = probabilities[kept], labels[kept], share[kept]
    predicted = probabilities.argmax(axis=1)
    return Evaluation(
        task,
        len(labels),
        classification_metrics(probabilities, labels, share, smallest_positive(predictions)),
        confusion_matrix(predicted, labels, share, len(names)),
        per_class_scores(class_counts(predicted, labels, share, len(names)), names),
        calibration(np.asarray(predictions)[kept], labels) if (share == share[0]).all() else None,
        names,
    )


def baseline(task: str, train_targets: Values, test_targets: Values) -> dict[str, Estimate]:
    """Returns the score on the test targets of the best predictor that sees no inputs.

    For classification and binary that is the most frequent class of the training targets (`accuracy`), of equally
    frequent ones the lowest; for regression their mean (`rmse`, `r2`).

    Raises:
      InputError: if the targets are not labels, or not finite numbers of the same width.
      ValueError: if the task is unknown.

    Example:
      >>> print(baseline("classification", np.array([0, 1, 1, 2]), np.array([1, 1, 0, 2]))["accuracy"])
      0.5000 [0.1500, 0.8500]
    """
    if task == "regression":
        known, _ = predictions_and_targets(train_targets, train_targets)
        wanted, _ = predictions_and_targets(test_targets, test_targets)
        if known.shape[1] != wanted.shape[1]:
            problem = f"targets must be as wide in training as in testing, got {known.shape[1]} and {wanted.shape[1]}."
            raise InputError([Finding("length-mismatch", "error", problem, "Are both of the same data set?")])
        metrics = score("regression", np.broadcast_to(known.mean(axis=0), wanted.shape), wanted).metrics
        return {name: metrics[name] for name in ("rmse", "r2")}
    if task not in ("classification", "binary"):
        raise ValueError(f"task must be 'classification', 'binary' or 'regression', got {task!r}.")
    known, wanted = labels_alone(train_targets), labels_alone(test_targets)
    majority = int(np.bincount(known).argmax())
    return {"accuracy": proportion_estimate(float((wanted == majority).sum()), float(len(wanted)))}
