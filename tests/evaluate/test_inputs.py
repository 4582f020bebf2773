"""Wrong predictions and targets: each has its own message."""

import numpy as np
import pytest

from verax.evaluate import (
    apply_temperature,
    baseline,
    calibration,
    coverage,
    fit_temperature,
    regression_calibration,
    score,
)
from verax.findings import InputError

HALF = np.full((4, 2), 0.5)
LABELS = np.array([0, 1, 0, 1])
NAN = np.array([0.0, np.nan, 1.0, np.inf])

WRONG = {
    "a label above": (
        calibration,
        (HALF, np.array([0, 1, 2, 5])),
        r"labels must lie in \[0, 2\), got 2 at index 2 \(and 1 more\)\. Does the network have too few outputs\?",
    ),
    "a label below": (
        calibration,
        (HALF, np.array([0, -1, 0, 0])),
        r"labels must lie in \[0, 2\), got -1 at index 1\.",
    ),
    "one-hot labels": (
        calibration,
        (HALF, np.eye(2)[LABELS]),
        r"labels must be integer classes of shape \(examples,\), got float64\[4,2\]\. If they are "
        r"one-hot, pass labels\.argmax\(-1\)\.",
    ),
    "float labels": (
        calibration,
        (HALF, LABELS * 1.0),
        r"labels must be integer classes .* got float64\[4\]\. Pass whole numbers",
    ),
    "logits": (
        calibration,
        (np.array([[2.0, -1.0]] * 4), LABELS),
        r"probabilities must lie in \[0, 1\] with rows that sum to 1, got \[2, -1\] with sum 1 at index "
        r"0 \(and 3 more\)\. If these are logits, pass jax\.nn\.softmax",
    ),
    "rows that do not sum to one": (
        calibration,
        (HALF * 0.9, LABELS),
        r"rows that sum to 1, got \[0\.45, 0\.45\] with sum 0\.9",
    ),
    "a NaN": (
        calibration,
        (HALF * np.array([[1], [np.nan], [1], [1]]), LABELS),
        r"probabilities must be finite, got nan at index 1\. Did training diverge\?",
    ),
    "flat probabilities": (
        calibration,
        (HALF[:, 0], LABELS),
        r"probabilities must be floating-point of shape \(examples, classes\) with two classes or more, "
        r"got float64\[4\]\. A binary classifier gives two columns",
    ),
    "one column": (calibration, (HALF[:, :1], LABELS), r"two classes or more, got float64\[4,1\]"),
    "classes instead of probabilities": (
        calibration,
        (np.eye(2, dtype=int)[LABELS], LABELS),
        r"probabilities must be floating-point .* got int64\[4,2\]",
    ),
    "other numbers of examples": (
        calibration,
        (HALF, LABELS[:3]),
        r"probabilities and labels must have the same number of examples, got 4 and 3\. Are both of the same split",
    ),
    "no example": (calibration, (HALF[:0], LABELS[:0]), r"probabilities must have at least one example, got none\."),
    "three columns of a binary task": (
        lambda *a: score("binary", *a),
        (np.full((4, 3), 1 / 3), LABELS),
        r"predictions of a binary task must have two columns, got 3\. With more classes the task is 'classification'\.",
    ),
    "too few class names": (
        lambda *a: score("classification", *a, classes=("a",)),
        (HALF, LABELS),
        r"classes must name each of 2 columns, got 1 names\.",
    ),
    "a weight too many": (
        lambda *a: score("classification", *a, weight=np.ones(5)),
        (HALF, LABELS),
        r"weight must have one number for each of 4 examples, got float64\[5\]\.",
    ),
    "a negative weight": (
        lambda *a: score("classification", *a, weight=np.array([1, 1, -2, 1])),
        (HALF, LABELS),
        r"weight must be finite and not negative, got -2\.0 at index 2\.",
    ),
    "no weight at all": (
        lambda *a: score("regression", *a, weight=np.zeros(4)),
        (LABELS, LABELS),
        r"weight must be positive somewhere, got 4 zeros\.",
    ),
    "values of other shapes": (
        lambda *a: score("regression", *a),
        (np.ones((4, 2)), np.ones(4)),
        r"predictions and targets must have the same shape, got \(4, 2\) and \(4, 1\)\.",
    ),
    "values that are not finite": (
        lambda *a: score("regression", *a),
        (NAN, np.ones(4)),
        r"predictions must be finite, got nan at index 1 \(and 1 more\)\.",
    ),
    "targets that are not finite": (
        lambda *a: score("regression", *a),
        (np.ones(4), -NAN),
        r"targets must be finite, got nan at index 1",
    ),
    "no values": (
        lambda *a: score("regression", *a),
        (np.ones(0), np.ones(0)),
        r"predictions must have at least one example, got none\.",
    ),
    "a single value": (
        lambda *a: score("regression", *a),
        (np.array(1.0), np.ones(1)),
        r"predictions must be numbers of shape \(examples,\) or \(examples, outputs\), got float64\[\]\.",
    ),
    "words": (
        lambda *a: score("regression", *a),
        (np.array(["a"]), np.ones(1)),
        r"predictions must be numbers of shape",
    ),
    "a negative class of a baseline": (
        lambda *a: baseline("classification", *a),
        (LABELS, LABELS - 1),
        r"labels must not be negative, got -1 at index 0 \(and 1 more\)\. Classes are numbered from 0\.",
    ),
    "an empty baseline": (
        lambda *a: baseline("classification", *a),
        (LABELS[:0], LABELS),
        r"labels must have at least one example, got none\.",
    ),
    "targets of another width": (
        lambda *a: baseline("regression", *a),
        (np.ones((4, 2)), np.ones(4)),
        r"targets must be as wide in training as in testing, got 2 and 1\.",
    ),
    "logits that are not finite": (fit_temperature, (NAN, LABELS), r"logits must be finite, got nan at index 1"),
    "labels that do not fit logits": (
        fit_temperature,
        (np.ones((4, 3)), LABELS + 2),
        r"labels must lie in \[0, 3\), got 3 at index 1",
    ),
    "logits of three axes": (
        lambda a: apply_temperature(a, 1),
        (np.ones((2, 2, 2)),),
        r"logits must be floating-point of shape \(examples, classes\)",
    ),
    "a negative scale": (
        lambda *a: coverage(*a, -1.0),
        (np.ones(4), np.ones(4)),
        r"scale must be one finite number or 1, not negative, got -1\.0\. residual_scale gives it",
    ),
    "a calibration split of one": (
        regression_calibration,
        (np.ones(1), np.ones(1), np.ones(4), np.ones(4)),
        r"a calibration split must have at least two examples, got 1\.",
    ),
    "splits of other widths": (
        regression_calibration,
        (np.ones((4, 2)), np.ones((4, 2)), np.ones(4), np.ones(4)),
        r"both splits must have the same outputs, got 2 and 1\.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_told_by_name(name):
    function, arguments, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        function(*arguments)


def test_every_problem_is_reported():
    with pytest.raises(InputError) as error:
        calibration(HALF * 0.9, np.array([0, 1, 7]))
    assert [finding.id for finding in error.value.findings] == [
        "length-mismatch",
        "not-probabilities",
        "label-out-of-range",
    ]


@pytest.mark.parametrize("levels", [(), (0.5, 1.0), (0.0,)])
def test_levels_lie_between_zero_and_one(levels):
    with pytest.raises(ValueError, match=r"levels must lie between 0 and 1, got \("):
        coverage(np.ones(4), np.ones(4), 1.0, levels=levels)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be positive and finite, got"):
        apply_temperature(HALF, temperature)
