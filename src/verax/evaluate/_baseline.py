"""What a predictor without inputs would get: the bar that a network has to clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from verax.evaluate._estimate import Estimate, proportion_estimate
from verax.evaluate._inputs import Values, label_table, labels_alone, predictions_and_targets
from verax.evaluate._score import score_without_calibration
from verax.evaluate._tokens import TokenScores, checked_tokens, token_metrics, token_weight
from verax.findings import Finding, InputError


def baseline(
    task: str, train_targets: Values, test_targets: Values, *, padding: int | None = None
) -> dict[str, Estimate]:
    """Returns the score on the test targets of the best predictor that sees no inputs.

    - `classification` and `binary`: the most frequent class of the training targets, of equally frequent ones the
      lowest (`accuracy`).
    - `multilabel`: how often each label is true in training (`loss`, `hamming_loss`, `subset_accuracy`, `roc_auc`,
      `average_precision`), and the fixed set of labels whose F1 is best in training (`micro_f1`, `macro_f1`).
    - `regression`: the mean (`rmse`, `r2`).
    - `language_model`: how often each token comes in training, each counted once more than it did so that none is
      impossible (`loss`, `perplexity`, `bits_per_token`, `accuracy`).
    - `autoencoder`: the mean input (`loss`, `rmse`, `mae`, `r2`); its targets are the inputs.

    Args:
      task: one of those above.
      train_targets: what is known.
      test_targets: what is judged.
      padding: the token of a language model that counts for nothing.

    Raises:
      InputError: if the targets are not labels, or not finite numbers of the same width.
      ValueError: if the task is unknown.

    Example:
      >>> print(baseline("classification", np.array([0, 1, 1, 2]), np.array([1, 1, 0, 2]))["accuracy"])
      0.5000 [0.1500, 0.8500]
    """
    if task not in BASELINES:
        raise ValueError(f"task must be one of {', '.join(map(repr, BASELINES))}, got {task!r}.")
    if padding is not None and task != "language_model":
        raise ValueError(f"padding belongs to language_model, got it for {task}.")
    return BASELINES[task](train_targets, test_targets, **({"padding": padding} if padding is not None else {}))


def majority_class(train_targets: Values, test_targets: Values) -> dict[str, Estimate]:
    """Returns the accuracy of the most frequent class."""
    known, wanted = labels_alone(train_targets), labels_alone(test_targets)
    majority = int(np.bincount(known).argmax())
    return {"accuracy": proportion_estimate(float((wanted == majority).sum()), float(len(wanted)))}


def label_rates(train_targets: Values, test_targets: Values) -> dict[str, Estimate]:
    """Returns the metrics of labels that are the same for all examples."""
    known = label_table("train_targets", train_targets, truth=True)
    wanted = label_table("test_targets", test_targets, truth=True)
    _require_width(known, wanted)
    rates = (known.sum(axis=0) + 0.5) / (len(known) + 1)  # never 0 or 1: a first occurrence is no infinite loss
    constant = score_without_calibration("multilabel", np.broadcast_to(rates, wanted.shape), wanted).metrics
    always = {
        "micro_f1": _best_set(known.mean(axis=0)),
        "macro_f1": np.ones(known.shape[1]),  # a label that is left out has an F1 of 0
    }
    sets = {
        name: score_without_calibration("multilabel", np.broadcast_to(chosen, wanted.shape), wanted).metrics[name]
        for name, chosen in always.items()
    }
    return {**constant, **sets}


def _best_set(rates: np.ndarray) -> np.ndarray:
    """Returns 1 for each of the most frequent labels that together have the best micro F1 when always given."""
    order = np.argsort(-rates, kind="stable")
    counts = np.arange(1, len(rates) + 1)
    f1 = 2 * rates[order].cumsum() / (counts + rates.sum())
    chosen = np.zeros(len(rates))
    chosen[order[: int(f1.argmax()) + 1]] = 1.0
    return chosen


def mean_value(train_targets: Values, test_targets: Values) -> dict[str, Estimate]:
    """Returns RMSE and R2 of the mean of the training targets."""
    metrics = _of_mean("regression", train_targets, test_targets)
    return {name: metrics[name] for name in ("rmse", "r2")}


def mean_input(train_targets: Values, test_targets: Values) -> dict[str, Estimate]:
    """Returns the metrics of an autoencoder that always answers with the mean input."""
    return _of_mean("autoencoder", train_targets, test_targets)


def _of_mean(task: str, train_targets: Values, test_targets: Values) -> dict[str, Estimate]:
    known, _ = predictions_and_targets(train_targets, train_targets)
    wanted, _ = predictions_and_targets(test_targets, test_targets)
    _require_width(known, wanted)
    return score_without_calibration(task, np.broadcast_to(known.mean(axis=0), wanted.shape), wanted).metrics


def unigram(train_targets: Values, test_targets: Values, *, padding: int | None = None) -> dict[str, Estimate]:
    """Returns the metrics of a language model that knows how often each token comes, whatever came before it."""
    known, wanted = (_tokens(targets, padding) for targets in (train_targets, test_targets))
    counts = np.bincount(known[0], minlength=int(wanted[0].max()) + 1) + 1.0
    places = np.where(wanted[1] > 0, np.asarray(test_targets), 0)
    said = TokenScores(-np.log(counts / counts.sum())[places], (places == counts.argmax()).astype(np.float64))
    return token_metrics(*checked_tokens(said, test_targets, None, padding))


def _tokens(targets: Values, padding: int | None) -> tuple[Int[np.ndarray, " counted"], Float[np.ndarray, "..."]]:
    """Returns the tokens that count, one after another, and which they are among all."""
    share = token_weight(targets, None, padding)
    tokens = np.asarray(targets)[share > 0]
    if tokens.min() < 0:
        problem = f"tokens must not be negative, got {tokens.min()}."
        raise InputError([Finding("label-out-of-range", "error", problem, "Name what fills up sequences: padding=.")])
    return tokens.astype(np.int64), share


def _require_width(known: np.ndarray, wanted: np.ndarray) -> None:
    if known.shape[1] != wanted.shape[1]:
        problem = f"targets must be as wide in training as in testing, got {known.shape[1]} and {wanted.shape[1]}."
        raise InputError([Finding("length-mismatch", "error", problem, "Are both of the same data set?")])


BASELINES: dict[str, Callable[..., dict[str, Any]]] = {
    "classification": majority_class,
    "binary": majority_class,
    "multilabel": label_rates,
    "regression": mean_value,
    "language_model": unigram,
    "autoencoder": mean_input,
}
