"""Slices: a group's metrics are those of its examples, and the worst group's gap holds although it was picked."""

import json

import numpy as np
import pytest
import scipy.stats

from verax.evaluate import Estimate, TokenScores, difference, proportion_estimate, score, slices
from verax.findings import InputError


def classified(seed, examples=300, rates=(0.8, 0.8, 0.8)):
    random = np.random.default_rng(seed)
    groups = random.integers(0, len(rates), examples)
    labels = random.integers(0, 3, examples)
    right = random.random(examples) < np.array(rates)[groups]
    predicted = np.where(right, labels, (labels + 1) % 3)
    return np.eye(3)[predicted] * 0.7 + 0.1, labels, groups


def test_a_row_is_the_score_of_its_examples():
    probabilities, labels, groups = classified(seed=0)
    weight = np.random.default_rng(0).uniform(0.5, 2, 300)
    found = slices("classification", probabilities, labels, {"site": groups}, weight=weight)
    assert [(row.attribute, row.value) for row in found.rows] == [("site", "0"), ("site", "1"), ("site", "2")]
    for value, row in enumerate(found.rows):
        own = groups == value
        alone = score("classification", probabilities[own], labels[own], weight=weight[own])
        assert row.examples == own.sum() and row.metrics == {name: alone.metrics[name] for name in row.metrics}
    assert list(found.rows[0].metrics) == ["accuracy", "macro_f1", "loss"]


def test_the_gap_is_the_worst_group_against_the_rest():
    probabilities, labels, groups = classified(seed=1, examples=3000, rates=(0.9, 0.6, 0.9))
    found = slices("classification", probabilities, labels, groups, metrics=("accuracy", "loss"))
    gap, loss = found.gaps
    right = probabilities.argmax(axis=1) == labels
    assert (gap.attribute, gap.metric, gap.worst, gap.groups) == ("group", "accuracy", "1", 3)
    assert gap.gap.value == pytest.approx(right[groups != 1].mean() - right[groups == 1].mean())
    assert 0.2 < gap.gap.low < 0.3 < gap.gap.high and gap.smallest == min(np.bincount(groups))
    assert loss.worst == "1" and loss.gap.value > 0  # of a loss more is worse


def test_the_gap_of_the_worst_holds_although_it_was_picked():
    """Groups that are all alike: an interval that ignored the picking would exclude 0 far too often."""
    excluded = naive = 0
    random = np.random.default_rng(0)
    for _ in range(150):
        targets, groups = random.normal(size=400), random.integers(0, 6, 400)
        gap = slices("regression", np.zeros(400), targets, groups, metrics=("mae",)).gaps[0].gap
        excluded += not gap.low <= 0 <= gap.high
        widening = scipy.stats.norm.ppf(1 - 0.025 / 6) / scipy.stats.norm.ppf(0.975)
        naive += gap.value - (gap.value - gap.low) / widening > 0
    assert excluded <= 16  # at most 7.5 expected, standard deviation 2.7
    assert naive > 16


def test_a_difference_has_the_interval_of_newcombe():
    """The example of Newcombe (1998), table II (a): 56/70 and 48/80, Wilson's limits combined: 0.0524 to 0.3339."""
    found = difference(proportion_estimate(56, 70), proportion_estimate(48, 80))
    np.testing.assert_allclose(found, [0.2, 0.0524, 0.3339], atol=5e-5)
    wider = difference(proportion_estimate(56, 70), proportion_estimate(48, 80), 2.0)
    assert wider.high - wider.value == pytest.approx(2 * (found.high - found.value))


TASKS = {
    "binary": (np.stack([np.linspace(1, 0, 80), np.linspace(0, 1, 80)], axis=1), np.arange(80) // 10 % 2),
    "multilabel": (np.tile(np.linspace(0, 1, 80)[:, None], (1, 2)), np.stack([np.arange(80) % 2] * 2, axis=1)),
    "regression": (np.zeros(80), np.arange(80.0)),
    "autoencoder": (np.zeros((80, 3)), np.arange(240.0).reshape(80, 3)),
    "language_model": (TokenScores(np.ones((80, 5)), np.ones((80, 5))), np.ones((80, 5), int)),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_slices(task):
    predictions, targets = TASKS[task]
    found = slices(task, predictions, targets, {"half": ["a", "b"] * 40, "tens": np.arange(80) // 20})
    assert [row.examples for row in found.rows] == [40, 40, 20, 20, 20, 20]
    assert {gap.attribute for gap in found.gaps} == {"half", "tens"}
    assert all(
        isinstance(gap.gap, Estimate) and gap.gap.value >= 0 for gap in found.gaps if gap.metric in ("loss", "mae")
    )
    json.dumps(found.to_json(), allow_nan=False)
    assert "is worst by" in str(found)


def test_a_metric_that_a_group_lacks_is_left_out():
    positive = np.linspace(0.1, 0.9, 40)
    labels = np.where(np.arange(40) < 20, 0, np.arange(40) % 2)  # no positive in the first group
    found = slices("binary", np.stack([1 - positive, positive], axis=1), labels, np.arange(40) // 20)
    assert "roc_auc" not in found.rows[0].metrics and "roc_auc" in found.rows[1].metrics
    assert "accuracy" in found.rows[0].metrics


def test_small_and_many_groups_are_told():
    probabilities, labels, _ = classified(seed=0)
    found = slices("classification", probabilities, labels, {"day": np.arange(300) // 12}, metrics=("accuracy",))
    assert {finding.id for finding in found.findings} == {"small-slice", "many-slices"}
    assert "25 of 25 groups of day have fewer than 30 examples, the smallest (0) 12" in str(found.findings[0])
    few = slices("classification", probabilities, labels, {"half": np.arange(300) // 150}, metrics=("accuracy",))
    assert not few.findings


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(300), r"a string or whole number for each of 300 examples, got float64 .* np\.digitize"),
        (np.zeros(299, int), r"got int64 of shape \(299,\)"),
        (np.zeros(300, int), "at least two values, got 1"),
        (np.arange(300), r"got 300 values for 300 examples\. Is it an identifier"),
    ],
)
def test_wrong_groups_are_refused(groups, message):
    with pytest.raises(InputError, match=message):
        slices("classification", *classified(seed=0)[:2], {"attribute": groups})


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match=r"metrics must be among loss, accuracy, .*, got 'speed'"):
        slices("classification", *classified(seed=0), metrics=("speed",))
