"""Thresholds: the best of all, judged by scikit-learn, and never on the data that they were chosen on."""

import json

import numpy as np
import pytest
import sklearn.metrics

from verax.evaluate import choose_threshold, score
from verax.findings import InputError


def data(seed, examples=60, ties=False):
    random = np.random.default_rng(seed)
    labels = (random.random(examples) < 0.3).astype(int)
    probabilities = 1 / (1 + np.exp(-random.normal(size=examples) - 1.5 * labels + 1))
    return (probabilities.round(1) if ties else probabilities), labels


def at(metric, labels, called):
    """The metric of decisions, by scikit-learn."""
    found, false = called[labels == 1].mean(), called[labels == 0].mean()
    functions = {
        "f1": lambda: sklearn.metrics.f1_score(labels, called, zero_division=0),
        "accuracy": lambda: sklearn.metrics.accuracy_score(labels, called),
        "balanced_accuracy": lambda: sklearn.metrics.balanced_accuracy_score(labels, called),
        "youden": lambda: found - false,
        "cost": lambda: (1 * (called & (labels == 0)).sum() + 5 * (~called & (labels == 1)).sum()) / len(labels),
        "precision": lambda: sklearn.metrics.precision_score(labels, called, zero_division=0),
        "recall": lambda: sklearn.metrics.recall_score(labels, called),
    }
    return functions[metric]()


def candidates(probabilities):
    """Thresholds that lead to every possible decision: each probability itself, and one above all."""
    return [*np.unique(probabilities), 1.1]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("metric", ["f1", "accuracy", "balanced_accuracy", "youden", "cost"])
def test_no_other_threshold_is_better(metric, ties):
    costs = (1, 5) if metric == "cost" else None
    probabilities, labels = data(seed=len(metric), ties=ties)
    chosen = choose_threshold(probabilities, labels, metric, costs=costs)
    assert chosen.worth[0] == pytest.approx(at(metric, labels, probabilities >= chosen.value))
    assert chosen.at_half[0] == pytest.approx(at(metric, labels, probabilities >= 0.5))
    others = [at(metric, labels, probabilities >= candidate) for candidate in candidates(probabilities)]
    best = min(others) if metric == "cost" else max(others)
    assert chosen.worth[0] == pytest.approx(best)


@pytest.mark.parametrize(("asked", "given"), [("precision", "recall"), ("recall", "precision")])
def test_a_share_is_met_and_the_other_is_as_large_as_can_be(asked, given):
    probabilities, labels = data(seed=4)
    chosen = choose_threshold(probabilities, labels, f"{asked}>=0.8")
    called = probabilities >= chosen.value
    assert at(asked, labels, called) >= 0.8 and chosen.worth[0] == pytest.approx(at(given, labels, called))
    allowed = [
        at(given, labels, probabilities >= candidate)
        for candidate in candidates(probabilities)
        if at(asked, labels, probabilities >= candidate) >= 0.8
    ]
    assert chosen.worth[0] == pytest.approx(max(allowed))


def test_where_a_half_is_as_good_as_any_it_is_kept():
    chosen = choose_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    assert chosen.value == 0.5 and chosen.worth == chosen.at_half == (1.0,)


def test_two_neighbouring_probabilities_are_told_apart():
    low, high = 0.3, np.nextafter(0.3, 1)
    chosen = choose_threshold(np.array([low, low, high, high]), np.array([0, 0, 1, 1]))
    assert low < chosen.value <= high and chosen.worth == (1.0,)


def test_weights_count_like_repeated_examples():
    probabilities, labels = data(seed=7)
    weight = np.random.default_rng(0).integers(0, 4, 60)
    weighted = choose_threshold(probabilities, labels, weight=weight)
    repeated = choose_threshold(probabilities.repeat(weight), labels.repeat(weight))
    assert (weighted.values, weighted.worth) == (repeated.values, pytest.approx(repeated.worth))


def test_a_threshold_is_applied_to_other_data_and_refused_on_its_own():
    probabilities, labels = data(seed=1, examples=200)
    both = np.stack([1 - probabilities, probabilities], axis=1)
    chosen = choose_threshold(probabilities, labels, "recall>=0.9")
    with pytest.raises(InputError, match=r"judged on other examples than the 200 it was chosen on\. Choose on validat"):
        score("binary", both, labels, threshold=chosen)
    fresh, truth = data(seed=2, examples=300)
    fresh_both = np.stack([1 - fresh, fresh], axis=1)
    found = score("binary", fresh_both, truth, threshold=chosen)
    called = fresh >= chosen.value
    assert found.threshold == (chosen.value,)
    assert found.metrics["recall"].value == pytest.approx(at("recall", truth, called))
    assert found.metrics["accuracy"].value == pytest.approx(at("accuracy", truth, called))
    np.testing.assert_array_equal(found.confusion, sklearn.metrics.confusion_matrix(truth, called))
    np.testing.assert_array_equal(chosen.decide(fresh), called)
    np.testing.assert_array_equal(chosen.decide(fresh_both), called)
    half = score("binary", fresh_both, truth)
    assert found.metrics["loss"] == half.metrics["loss"] and found.metrics["roc_auc"] == half.metrics["roc_auc"]
    assert score("binary", fresh_both, truth, threshold=chosen.value) == found


def test_what_it_was_worth_where_it_was_chosen_is_too_good():
    """Over many splits of noise; that is why the test split is needed."""
    random = np.random.default_rng(0)
    worth, judged = [], []
    for _ in range(40):
        probabilities, labels = random.random(40), (random.random(40) < 0.5).astype(int)
        chosen = choose_threshold(probabilities, labels, "accuracy")
        fresh, truth = random.random(1000), (random.random(1000) < 0.5).astype(int)
        worth.append(chosen.worth[0])
        judged.append(((fresh >= chosen.value) == truth).mean())
    assert np.mean(worth) > 0.55 and abs(np.mean(judged) - 0.5) < 0.02


def test_each_label_has_its_own():
    columns = [data(seed) for seed in (1, 2, 3)]
    probabilities, truth = (np.stack(each, axis=1) for each in zip(*columns, strict=True))
    truth[:, 2] = 0
    chosen = choose_threshold(probabilities, truth, classes=["a", "b", "never"])
    alone = [choose_threshold(probabilities[:, label], truth[:, label]) for label in (0, 1)]
    assert chosen.values == (alone[0].value, alone[1].value, 0.5) and chosen.kept == ("never",)
    assert chosen.worth[:2] == (alone[0].worth[0], alone[1].worth[0])
    fresh = np.random.default_rng(0).random((10, 3))
    np.testing.assert_array_equal(chosen.decide(fresh), fresh >= np.array(chosen.values))
    with pytest.raises(InputError, match="judged on other examples"):
        score("multilabel", probabilities, truth, threshold=chosen)
    assert (
        score("multilabel", fresh, np.eye(3, dtype=int)[np.arange(10) % 3], threshold=chosen).threshold == chosen.values
    )
    with pytest.raises(ValueError, match="a threshold for each of 3 labels"):
        _ = chosen.value
    with pytest.raises(InputError, match="one for each of 2 labels, got"):
        chosen.decide(fresh[:, :2])
    assert "never" in str(chosen) and "(kept)" in str(chosen)
    json.dumps(chosen.to_json(), allow_nan=False)


def test_a_cost_is_read_in_its_own_words():
    chosen = choose_threshold(*data(seed=0), "cost", costs=(1, 5))
    assert chosen.metric == "cost 1:5" and chosen.worth[0] < chosen.at_half[0]


GOOD = data(seed=0)


@pytest.mark.parametrize(
    ("arguments", "given", "error", "message"),
    [
        ((*GOOD, "auc"), {}, ValueError, r"metric must be one of f1, .*recall>=SHARE .*got 'auc'"),
        ((*GOOD, "precision>=1.5"), {}, ValueError, "a share in"),
        ((*GOOD, "cost"), {}, ValueError, "must be given with metric='cost'"),
        ((*GOOD, "f1"), {"costs": (1, 2)}, ValueError, "must be given with metric='cost'"),
        ((*GOOD, "cost"), {"costs": (0, 2)}, ValueError, "costs must be positive"),
        (
            (GOOD[0], np.zeros(60, int)),
            {},
            InputError,
            "labels must be of both classes to choose a threshold, got only 0",
        ),
        ((GOOD[0][:50], GOOD[1]), {}, InputError, r"of the same examples, got \(50, 1\) and \(60, 1\)"),
        ((GOOD[0] + 1, GOOD[1]), {}, InputError, r"probabilities must lie in \[0, 1\]"),
        ((1 - GOOD[1] * 0.9, GOOD[1], "precision>=0.99"), {}, InputError, r"the largest precision is 0\.28"),
    ],
)
def test_wrong_input_is_refused(arguments, given, error, message):
    with pytest.raises(error, match=message):
        choose_threshold(*arguments, **given)
