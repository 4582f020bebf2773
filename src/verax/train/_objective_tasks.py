"""The objective of each task, with its options."""

from __future__ import annotations

from typing import Any

import numpy as np

from verax.findings import InputError
from verax.train._objective import Coefficient, Objective, checked_penalty
from verax.train._task import Rate, checked_smoothing
from verax.train._task_autoencoder import Autoencoder
from verax.train._task_classes import Binary, Classification
from verax.train._task_language_model import LanguageModel
from verax.train._task_multilabel import Multilabel
from verax.train._task_regression import Regression

Balance = Any  # numbers, "balanced" or None: a wrong one is answered with an InputError


def classification(*, l2: Coefficient = 0.0, label_smoothing: Rate = 0.0, class_weights: Balance = None) -> Objective:
    """Returns the objective of a classifier: the cross-entropy of logits and labels.

    Logits are (examples, classes), labels (examples,); further axes between them, such as tokens, are averaged over.
    Labels are integers, or floating-point distributions (examples, classes) as `mixup` makes them.

    Args:
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.
      label_smoothing: share of each label that is spread evenly over all classes, in [0, 1).
      class_weights: a positive number for each class, or `balanced`: each class counts alike, by its frequency in the
        training split. The mean loss divides by the sum of the examples' weights, so its size does not depend on
        theirs, as in PyTorch and scikit-learn. Metrics count each example once.

    Raises:
      InputError: if a number is out of its range.

    Example:
      >>> import optax
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([0, 1]), jnp.ones(2))
      >>> classification().losses(jnp.zeros((2, 4)), batch).tolist() == [np.log(np.float32(4))] * 2
      True
      >>> classification(class_weights=[1, 3, 1, 1]).weights(batch).tolist()
      [1.0, 3.0]

    References:
      Szegedy et al. (2016), "Rethinking the Inception Architecture for Computer Vision", section 7, for smoothing.
    """
    weights = _checked_balance("class_weights", class_weights, scalar=False)
    return Objective(Classification(checked_smoothing(label_smoothing), weights), l2=checked_penalty(l2))


def binary(*, l2: Coefficient = 0.0, label_smoothing: Rate = 0.0, positive_weight: Balance = None) -> Objective:
    """Returns the objective of a binary classifier: the cross-entropy of one logit an example and targets 0 or 1.

    Logits are (examples,) or (examples, 1); a positive one means class 1.

    Args:
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.
      label_smoothing: how far targets are drawn towards a half: 0.1 makes them 0.05 and 0.95.
      positive_weight: what an example of class 1 counts, where one of class 0 counts 1; `balanced` takes the ratio of
        the two in the training split. The mean divides by the sum of the weights.

    Raises:
      InputError: if a number is out of its range.

    Example:
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([0, 1]), jnp.ones(2))
      >>> binary().losses(jnp.zeros((2, 1)), batch).tolist() == [np.log(np.float32(2))] * 2
      True
    """
    weight = _checked_balance("positive_weight", positive_weight, scalar=True)
    return Objective(Binary(checked_smoothing(label_smoothing), weight), l2=checked_penalty(l2))


def multilabel(*, l2: Coefficient = 0.0, label_smoothing: Rate = 0.0, positive_weight: Balance = None) -> Objective:
    """Returns the objective of a multilabel classifier: the cross-entropy of a logit for each label.

    Logits and targets are (examples, labels), targets 0 or 1: any number of them may be 1. Each decision counts alike.

    Args:
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.
      label_smoothing: how far targets are drawn towards a half: 0.1 makes them 0.05 and 0.95.
      positive_weight: what a label that is there counts, where one that is not counts 1: a number, one for each label,
        or `balanced`, the ratio of the two in the training split. The mean divides by the sum of the weights.

    Raises:
      InputError: if a number is out of its range.

    Example:
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((1, 3)), jnp.array([[0, 1]]), jnp.ones(1))
      >>> losses = multilabel().losses(jnp.array([[-1e3, 0.0]]), batch)
      >>> losses.round(4).tolist() == [[0.0, np.float32(0.6931)]]
      True
    """
    weight = _checked_balance("positive_weight", positive_weight, scalar=True)
    return Objective(Multilabel(checked_smoothing(label_smoothing), weight), l2=checked_penalty(l2))


def regression(*, l2: Coefficient = 0.0, likelihood: str = "squared", standardise: bool = False) -> Objective:
    """Returns the objective of a regressor.

    `squared` is the squared error, averaged over the outputs of an example. Outputs and targets are both (examples,) or
    both (examples, outputs); a single trailing output fits flat targets.

    `gaussian` is minus the log-likelihood of a Gaussian whose width the network states for each example, averaged
    likewise. The network gives (examples, 2 * outputs): the means, then the logarithms of the variances.

    Args:
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.
      likelihood: `squared` or `gaussian`.
      standardise: whether the loss is of targets in standard deviations from their mean, both of the training split.
        A network then starts near the answers whatever their unit. Predictions, metrics and exports are in the targets'
        own unit; the loss alone is not.

    Raises:
      InputError: if `l2` is negative or the likelihood unknown.

    Example:
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([0.0, 1.0]), jnp.ones(2))
      >>> regression().losses(jnp.array([[2.0], [1.0]]), batch).tolist()
      [4.0, 0.0]
      >>> regression(likelihood="gaussian").spread(jnp.array([[2.0, np.log(9.0)]])).round(4).tolist()
      [[3.0]]

    References:
      Nix and Weigend (1994), "Estimating the mean and variance of the target probability distribution".
    """
    _require_choice("likelihood", likelihood, ("squared", "gaussian"))
    return Objective(Regression(likelihood, bool(standardise)), l2=checked_penalty(l2))


def language_model(*, padding: int | float | None = None, l2: Coefficient = 0.0) -> Objective:
    """Returns the objective of a language model: the cross-entropy of the next token at each place of a text.

    Logits are (examples, tokens, vocabulary), targets (examples, tokens): the inputs, one place further on. The mean is
    over tokens, whatever text they are of. Metrics are the perplexity, `exp(loss)`, and the share of tokens that were
    the most probable ones.

    Args:
      padding: the target that marks a place without a token. Such places count for nothing, anywhere.
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.

    Raises:
      InputError: if `padding` is no whole number, or `l2` negative.

    Example:
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.zeros((2, 3)), jnp.array([[5, 2, 0], [1, 0, 0]]), jnp.ones(2))
      >>> float(language_model(padding=0).weights(batch).sum())
      3.0
    """
    if padding is not None and (isinstance(padding, bool) or not isinstance(padding, int | np.integer)):
        raise InputError(f"padding must be a token, a whole number, or None, got {padding!r}.")
    return Objective(LanguageModel(None if padding is None else int(padding)), l2=checked_penalty(l2))


def autoencoder(*, likelihood: str = "squared", l2: Coefficient = 0.0) -> Objective:
    """Returns the objective of an autoencoder: outputs are compared with the inputs; the targets are not used.

    Args:
      likelihood: `squared` for the squared error; `bernoulli` for the cross-entropy of logits and inputs in [0, 1].
        Both are averaged over the features of an example.
      l2: coefficient of the penalty `l2 / 2 * sum(w ** 2)` on weights.

    Raises:
      InputError: if `l2` is negative or the likelihood unknown.

    Example:
      >>> from verax.data import Batch
      >>> batch = Batch(jnp.array([[1.0, 0.0]]), jnp.array([7]), jnp.ones(1))
      >>> autoencoder().losses(jnp.array([[1.0, 2.0]]), batch).tolist()
      [2.0]
    """
    _require_choice("likelihood", likelihood, ("squared", "bernoulli"))
    return Objective(Autoencoder(likelihood), l2=checked_penalty(l2))


def _checked_balance(name: str, value: Any, *, scalar: bool) -> Any:
    """Returns weights as an array, `balanced`, or None."""
    if value is None or (isinstance(value, str) and value == "balanced"):
        return value
    expected = f"{name} must be {'a positive number or ' if scalar else ''}positive numbers, 'balanced' or None"
    try:
        weights = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{expected}, got {value!r}.") from None
    if weights.ndim > 1 or (weights.ndim == 0 and not scalar) or weights.size == 0:
        raise InputError(f"{expected}, got {value!r}.")
    if not (np.isfinite(weights) & (weights > 0)).all():
        bad = int(np.argmin(np.isfinite(weights) & (weights > 0)))
        advice = "To leave a class out, leave out its rows."
        raise InputError(f"{expected}, got {weights.reshape(-1)[bad]:g} at index {bad}. {advice}")
    return weights


def _require_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
