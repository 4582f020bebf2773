"""Multilabel scores: agreement with scikit-learn, a table by label, and predictors without inputs."""

import json

import numpy as np
import pytest
import sklearn.metrics

from verax.evaluate import baseline, score
from verax.findings import InputError


def random_labels(seed, examples=80, labels=4):
    random = np.random.default_rng(seed)
    truth = (random.random((examples, labels)) < random.uniform(0.1, 0.6, labels)).astype(int)
    logits = random.normal(size=(examples, labels)) + 1.5 * truth - 1
    return 1 / (1 + np.exp(-logits)), truth


def values(evaluation):
    return {name: estimate.value for name, estimate in evaluation.metrics.items()}


@pytest.mark.parametrize("threshold", [None, 0.3, (0.2, 0.4, 0.6, 0.8)])
def test_scores_agree_with_scikit_learn(threshold):
    for seed in range(30):
        probabilities, truth = random_labels(seed)
        decided = (probabilities >= np.array(0.5 if threshold is None else threshold)).astype(int)
        weight = None if seed % 2 else np.random.default_rng(seed).uniform(0.5, 2, 80)
        found = values(score("multilabel", probabilities, truth, threshold=threshold, weight=weight))
        own = {"sample_weight": weight}
        expected = {
            "loss": np.mean(
                [
                    sklearn.metrics.log_loss(truth[:, label], probabilities[:, label], labels=[0, 1], **own)
                    for label in range(4)
                ]
            ),
            "micro_f1": sklearn.metrics.f1_score(truth, decided, average="micro", zero_division=0, **own),
            "macro_f1": sklearn.metrics.f1_score(truth, decided, average="macro", zero_division=0, **own),
            "subset_accuracy": sklearn.metrics.accuracy_score(truth, decided, **own),
            "hamming_loss": sklearn.metrics.hamming_loss(truth, decided, **own),
            "roc_auc": sklearn.metrics.roc_auc_score(truth, probabilities, average="macro", **own),
            "average_precision": sklearn.metrics.average_precision_score(truth, probabilities, average="macro", **own),
        }
        assert found == pytest.approx(expected, abs=1e-9), seed


def test_the_table_has_a_row_for_each_label():
    probabilities, truth = random_labels(seed=0)
    truth[:, 3] = 0  # a label that is never true has no area
    found = score("multilabel", probabilities, truth, classes=["a", "b", "c", "d"])
    assert found.per_class is not None and [row["class"] for row in found.per_class] == ["a", "b", "c", "d"]
    for label, row in enumerate(found.per_class[:3]):
        alone = score("multilabel", probabilities[:, label], truth[:, label])
        assert row["f1"] == alone.metrics["micro_f1"].value
        assert (row["roc_auc"], row["roc_auc_low"], row["roc_auc_high"]) == alone.metrics["roc_auc"]
        assert row["base_rate"] == truth[:, label].mean() and row["support"] == truth[:, label].sum()
    assert found.per_class[3]["roc_auc"] is None and found.per_class[3]["support"] == 0
    assert found.headline == "average_precision"
    json.dumps(found.to_json(), allow_nan=False)


def test_weight_zero_leaves_an_example_out():
    probabilities, truth = random_labels(seed=1)
    kept = np.arange(80) < 60
    weighted = score("multilabel", probabilities, truth, weight=kept.astype(float))
    assert weighted == score("multilabel", probabilities[:60], truth[:60])


def test_labels_that_depend_on_each_other_make_wide_intervals():
    probabilities, truth = random_labels(seed=2, examples=400, labels=1)

    def width(probabilities, truth):
        found = score("multilabel", probabilities, truth).metrics["micro_f1"]
        return found.high - found.low

    one = width(probabilities, truth)
    copies = width(probabilities.repeat(8, axis=1), truth.repeat(8, axis=1))
    apart = width(probabilities.reshape(50, 8), truth.reshape(50, 8))  # as many decisions as in `one`, all independent
    assert copies == pytest.approx(one, rel=0.2)  # eight copies of a label tell no more than it does
    assert apart == pytest.approx(one, rel=0.2)


def test_perfect_and_empty_predictions_can_be_scored():
    _, truth = random_labels(seed=3)
    right = score("multilabel", truth.astype(float), truth).metrics
    assert right["micro_f1"].value == right["roc_auc"].value == 1 and right["micro_f1"].low < 1
    none = score("multilabel", np.full((5, 2), 0.1), np.zeros((5, 2), int)).metrics
    assert none["micro_f1"] == (0.0, 0.0, 1.0) and "roc_auc" not in none and none["subset_accuracy"].value == 1


def test_the_baseline_is_the_rate_of_each_label_and_the_best_fixed_set():
    truth = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]])
    found = baseline("multilabel", truth, truth)
    rates = (truth.sum(axis=0) + 0.5) / 5
    assert found["loss"].value == pytest.approx(-np.log(np.where(truth, rates, 1 - rates)).mean())
    assert found["average_precision"].value == pytest.approx(truth.mean())
    assert found["roc_auc"].value == 0.5
    sets = [np.array([int(digit) for digit in f"{number:03b}"]) for number in range(1, 8)]
    best = max(sklearn.metrics.f1_score(truth, np.tile(one, (4, 1)), average="micro", zero_division=0) for one in sets)
    assert found["micro_f1"].value == pytest.approx(best)
    macro = sklearn.metrics.f1_score(truth, np.ones_like(truth), average="macro")
    assert found["macro_f1"].value == pytest.approx(macro)
    unseen = baseline("multilabel", np.zeros((5, 2), int), np.ones((5, 2), int))
    assert np.isfinite(unseen["loss"].value)


def test_noise_is_no_better_than_the_baseline_and_knowledge_is():
    probabilities, truth = random_labels(seed=4, examples=300)
    chance = baseline("multilabel", truth, truth)["average_precision"].value
    noise = np.random.default_rng(0).random(truth.shape)
    assert score("multilabel", noise, truth).metrics["average_precision"].low < chance
    assert score("multilabel", probabilities, truth).metrics["average_precision"].low > chance


WRONG = {
    "logits": ((np.array([[3.0]]), np.array([[1]])), r"predictions must lie in \[0, 1\], got 3 at index 0"),
    "labels": ((np.array([[0.5]]), np.array([[2]])), "targets must be 0 or 1, got 2 at index 0"),
    "shapes": ((np.ones((3, 2)), np.ones((3, 1), int)), r"the same shape, got \(3, 2\) and \(3, 1\)"),
    "rank": ((np.ones((3, 2, 2)), np.ones((3, 2), int)), r"numbers of shape \(examples, labels\), got float64"),
    "none": ((np.ones((0, 2)), np.ones((0, 2), int)), "predictions must have at least one example"),
    "nan": ((np.array([[np.nan]]), np.array([[1]])), "got nan at index 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused(name):
    arguments, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        score("multilabel", *arguments)


def test_a_wrong_number_of_thresholds_is_refused():
    with pytest.raises(
        InputError, match=r"threshold must be one number, or one for each of 4 labels, got \[0.1, 0.2\]"
    ):
        score("multilabel", *random_labels(0), threshold=(0.1, 0.2))
