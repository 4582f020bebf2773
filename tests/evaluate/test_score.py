"""Metrics: agreement with scikit-learn and with plain loops, their intervals, and a predictor without inputs."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from verax.evaluate import Evaluation, baseline, proportion_estimate, score
from verax.findings import InputError


def random_predictions(seed, examples=None, classes=None, absent=False, ties=False):
    random = np.random.default_rng(seed)
    examples, classes = examples or int(random.integers(1, 60)), classes or int(random.integers(2, 9))
    logits = random.normal(size=(examples, classes))
    labels = random.integers(0, classes - 1 if absent else classes, examples)
    logits[np.arange(examples), labels] += random.uniform(0, 3)
    if ties:
        logits = logits.round()
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, labels


def values(evaluation):
    return {name: estimate.value for name, estimate in evaluation.metrics.items()}


def test_classification_agrees_with_scikit_learn():
    for seed in range(80):
        probabilities, labels = random_predictions(seed, examples=80)
        classes = np.arange(probabilities.shape[1])
        if len(set(labels)) < len(classes):
            continue
        predicted, found = probabilities.argmax(axis=1), values(score("classification", probabilities, labels))
        precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
            labels, predicted, average="macro", zero_division=0
        )
        area = sklearn.metrics.roc_auc_score(
            labels, probabilities[:, 1] if len(classes) == 2 else probabilities, multi_class="ovr"
        )
        expected = {
            "loss": sklearn.metrics.log_loss(labels, probabilities, labels=classes),
            "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
            "macro_precision": precision,
            "macro_recall": recall,
            "macro_f1": f1,
            "roc_auc": area,
            "average_precision": np.mean(
                [
                    sklearn.metrics.average_precision_score(labels == c, probabilities[:, c])
                    for c in ([1] if len(classes) == 2 else classes)
                ]
            ),
            "log_loss": sklearn.metrics.log_loss(labels, probabilities, labels=classes),
            "brier": sklearn.metrics.brier_score_loss(labels, probabilities[:, 1])
            if len(classes) == 2
            else ((probabilities - np.eye(len(classes))[labels]) ** 2).sum(axis=1).mean(),
        }
        if len(classes) > 5:
            expected["top_5_accuracy"] = sklearn.metrics.top_k_accuracy_score(labels, probabilities, k=5)
        assert found.keys() == expected.keys()
        for name in expected:
            assert abs(found[name] - expected[name]) < 1e-9, (seed, name)


def textbook(probabilities, labels):
    """The same metrics by their definitions, one example at a time."""
    rows, labels, count = probabilities.tolist(), labels.tolist(), probabilities.shape[1]
    predicted = [row.index(max(row)) for row in rows]
    pairs = list(zip(predicted, labels, strict=True))
    precisions, recalls, f1s, areas = [], [], [], []
    for c in range(count):
        hit, called, actual = (
            sum(p == c == y for p, y in pairs),
            sum(p == c for p, _ in pairs),
            sum(y == c for _, y in pairs),
        )
        if called + actual:
            precisions.append(hit / called if called else 0.0)
            recalls.append(hit / actual if actual else 0.0)
            f1s.append(2 * hit / (called + actual))
        own = [row[c] for row, y in zip(rows, labels, strict=True) if y == c]
        others = [row[c] for row, y in zip(rows, labels, strict=True) if y != c]
        if own and others and (count > 2 or c == 1):
            wins = sum((a > b) + 0.5 * (a == b) for a in own for b in others)
            areas.append(wins / len(own) / len(others))
    order = [sorted(range(count), key=lambda c, row=row: (-row[c], c)) for row in rows]
    n = len(rows)
    result = {
        "loss": -sum(math.log(row[y]) for row, y in zip(rows, labels, strict=True)) / n,
        "accuracy": sum(p == y for p, y in pairs) / n,
        "macro_precision": sum(precisions) / len(precisions),
        "macro_recall": sum(recalls) / len(recalls),
        "macro_f1": sum(f1s) / len(f1s),
    }
    if count > 5:
        result["top_5_accuracy"] = sum(y in o[:5] for o, y in zip(order, labels, strict=True)) / n
    if areas:
        result["roc_auc"] = sum(areas) / len(areas)
    return result


def test_classification_agrees_with_its_definitions_on_hundreds_of_cases():
    for seed in range(600):
        probabilities, labels = random_predictions(seed, absent=seed % 2 == 0, ties=seed % 3 == 0)
        found, expected = values(score("classification", probabilities, labels)), textbook(probabilities, labels)
        assert found.keys() - {"average_precision"} == expected.keys() | {"brier", "log_loss"}, seed
        assert ("average_precision" in found) == ("roc_auc" in found), seed
        for name in expected:
            assert abs(found[name] - expected[name]) < 1e-9, (seed, name)


def test_whole_weights_count_like_repeated_examples():
    for seed in range(30):
        probabilities, labels = random_predictions(seed, examples=40, ties=True)
        weight = np.random.default_rng(seed).integers(0, 4, 40)
        weighted = values(score("classification", probabilities, labels, weight=weight))
        repeated = values(score("classification", probabilities.repeat(weight, 0), labels.repeat(weight)))
        assert weighted == pytest.approx(repeated, abs=1e-12)
        predictions, targets = probabilities[:, :2], probabilities[:, 1:] if probabilities.shape[1] == 3 else None
        if targets is not None:
            weighted = values(score("regression", predictions, targets, weight=weight))
            repeated = values(score("regression", predictions.repeat(weight, 0), targets.repeat(weight, 0)))
            assert weighted == pytest.approx(repeated, abs=1e-12)


def test_weight_zero_leaves_an_example_out_of_everything():
    probabilities, labels = random_predictions(seed=0, examples=50, classes=4)
    padded = np.concatenate([probabilities, probabilities[:1]]), np.append(labels, labels[:1])
    assert score("classification", *padded, weight=np.append(np.ones(50), 0)) == score(
        "classification", probabilities, labels
    )


def test_calibration_is_left_out_where_weights_differ():
    probabilities, labels = random_predictions(seed=0, examples=50, classes=4)
    assert score("classification", probabilities, labels, weight=np.full(50, 2.0)).calibration is not None
    assert score("classification", probabilities, labels, weight=np.arange(1.0, 51)).calibration is None


def test_the_confusion_matrix_and_the_classes():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    found = score("classification", probabilities, np.array([0, 1, 0]), classes=("cat", "dog", "owl"))
    np.testing.assert_array_equal(found.confusion, [[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert found.per_class is not None
    columns = ("class", "precision", "recall", "f1", "support")
    assert [tuple(row[name] for name in columns) for row in found.per_class] == [
        ("cat", 1.0, 0.5, pytest.approx(2 / 3), 2),
        ("dog", 0.5, 1.0, pytest.approx(2 / 3), 1),
        ("owl", 0.0, 0.0, 0.0, 0),
    ]


def test_scores_of_a_class_have_the_intervals_of_proportions():
    labels = np.array([1] * 30 + [0] * 70)
    predicted = np.array([1] * 24 + [0] * 6 + [1] * 8 + [0] * 62)
    row = score("classification", np.eye(2)[predicted], labels).per_class[1]
    recall, precision, j = proportion_estimate(24, 30), proportion_estimate(24, 32), proportion_estimate(24, 38)
    assert (row["recall_low"], row["recall_high"]) == pytest.approx(recall[1:])
    assert (row["precision_low"], row["precision_high"]) == pytest.approx(precision[1:])
    assert (row["f1_low"], row["f1_high"]) == pytest.approx((2 * j.low / (1 + j.low), 2 * j.high / (1 + j.high)))
    assert row["f1"] == pytest.approx(2 * j.value / (1 + j.value))
    empty = score("classification", np.eye(3)[predicted], labels).per_class[2]
    assert (empty["recall_low"], empty["recall_high"]) == (0, 1)


def test_a_binary_task_has_the_scores_of_its_positives():
    probabilities, labels = random_predictions(seed=3, examples=70, classes=2)
    found = score("binary", probabilities, labels)
    expected = sklearn.metrics.precision_recall_fscore_support(labels, probabilities.argmax(axis=1), average="binary")
    assert [found.metrics[name].value for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])
    assert found.metrics["f1"].low == found.per_class[1]["f1_low"]
    assert "f1" not in score("classification", probabilities, labels).metrics


def test_the_variance_of_average_precision_is_that_of_the_infinitesimal_jackknife():
    """From how scikit-learn's value changes with the weight of each example; the interval is Wilson's at that.

    Of one label the interval is no narrower than that of a share of the positives; four copies have four times as many
    positives and the same variance, which then decides.
    """
    random = np.random.default_rng(0)
    labels = (random.random(300) < 0.3).astype(int)
    positive = 1 / (1 + np.exp(-(random.normal(size=300) + labels).round(1)))  # rounded: some are tied
    one = score("binary", np.stack([1 - positive, positive], axis=1), labels).metrics["average_precision"]
    copies = np.repeat(positive[:, None], 4, axis=1), np.repeat(labels[:, None], 4, axis=1)
    found = score("multilabel", *copies).metrics["average_precision"]
    weight = np.ones(300) + 1e-5 * np.eye(300)
    heavier = [sklearn.metrics.average_precision_score(labels, positive, sample_weight=row) for row in weight]
    influence = (np.array(heavier) - found.value) / 1e-5
    variance = float((influence**2).sum() * labels.sum() / (labels.sum() - 1))
    trials = found.value * (1 - found.value) / variance
    np.testing.assert_allclose(found, proportion_estimate(found.value * trials, trials), rtol=1e-4)  # of differences
    positives = float(labels.sum())
    assert positives < trials
    np.testing.assert_allclose(one, proportion_estimate(one.value * positives, positives))
    np.testing.assert_allclose(one.value, sklearn.metrics.average_precision_score(labels, positive))


@pytest.mark.parametrize("weight", [None, "random"])
def test_the_report_is_scikit_learns(weight):
    probabilities, labels = random_predictions(seed=5, examples=60, classes=4, absent=True)
    weight = None if weight is None else np.random.default_rng(0).uniform(0.5, 2, 60)
    found = score("classification", probabilities, labels, weight=weight, classes=list("abcd"))
    expected = sklearn.metrics.classification_report(
        labels,
        probabilities.argmax(axis=1),
        labels=range(4),
        target_names=list("abcd"),
        sample_weight=weight,
        digits=4,
        zero_division=0,
    )
    # Weighted supports are printed with all their digits, and the last depends on the order of summation.
    short = [[word[:12] for word in report.split()] for report in (found.report, expected)]
    assert short[0] == short[1]
    assert weight is not None or found.report == expected


def test_regression_agrees_with_scikit_learn():
    for seed in range(300):
        random = np.random.default_rng(seed)
        shape = (int(random.integers(2, 50)),) + ((int(random.integers(1, 4)),) if seed % 2 else ())
        targets = random.normal(size=shape)
        predictions = targets + random.normal(size=shape) * random.uniform(0, 2)
        assert values(score("regression", predictions, targets)) == pytest.approx(
            {
                "loss": sklearn.metrics.mean_squared_error(targets, predictions),
                "rmse": sklearn.metrics.root_mean_squared_error(targets, predictions),
                "mae": sklearn.metrics.mean_absolute_error(targets, predictions),
                "r2": sklearn.metrics.r2_score(targets, predictions),
            },
            abs=1e-9,
        )


def test_a_constant_target_has_no_variance_to_explain():
    assert score("regression", np.ones(4), np.ones(4)).metrics["r2"].value == 1
    assert score("regression", np.arange(4.0), np.ones(4)).metrics["r2"].value == 0
    mixed = np.stack([np.ones(4), np.arange(4.0)], axis=1)
    expected = sklearn.metrics.r2_score(mixed, mixed[:, [1, 1]])
    np.testing.assert_allclose(score("regression", mixed[:, [1, 1]], mixed).metrics["r2"].value, expected)


def test_a_trailing_axis_of_one_does_not_make_a_table():
    predictions, targets = np.arange(5.0), np.arange(5.0) + 1
    assert score("regression", predictions[:, None], targets).metrics["rmse"].value == 1
    assert score("regression", predictions, targets[:, None]).metrics["rmse"].value == 1


def test_jax_arrays_of_any_precision_are_taken():
    probabilities, labels = random_predictions(seed=1, examples=50, classes=3)
    expected = values(score("classification", probabilities, labels))
    for dtype, tolerance in [(jnp.float32, 1e-5), (jnp.bfloat16, 0.05)]:
        found = values(score("classification", jnp.asarray(probabilities, dtype), jnp.asarray(labels)))
        assert found == pytest.approx(expected, abs=tolerance)


@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_examples_does_not_matter(seed):
    probabilities, labels = random_predictions(seed, ties=True)
    a = score("classification", probabilities, labels).metrics
    b = score("classification", probabilities[::-1], labels[::-1]).metrics
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=1e-9)


@given(seed=st.integers(0, 2**31))
def test_every_interval_holds_its_value(seed):
    metrics = score("classification", *random_predictions(seed, absent=seed % 2 == 0)).metrics
    random = np.random.default_rng(seed)
    metrics |= score("regression", random.normal(size=20), random.normal(size=20)).metrics
    assert all(e.low <= e.value <= e.high for e in metrics.values()), metrics


def test_the_best_and_the_worst_score_still_have_a_width():
    right = score("classification", np.eye(4)[np.arange(40) % 4], np.arange(40) % 4).metrics
    for name in ("accuracy", "macro_precision", "macro_recall", "macro_f1", "roc_auc"):
        assert right[name].value == 1 and 0.8 < right[name].low < 0.99 and right[name].high == 1
    wrong = score("binary", np.eye(2)[np.arange(40) % 2], (np.arange(40) + 1) % 2).metrics
    for name in ("accuracy", "macro_precision", "macro_recall", "macro_f1", "roc_auc"):
        assert wrong[name].value == 0 and 0.01 < wrong[name].high < 0.2 and wrong[name].low == 0


def unequal_classes(random, examples):
    labels = random.choice(3, examples, p=[0.6, 0.3, 0.1])
    logits = random.normal(size=(examples, 3))
    logits[np.arange(examples), labels] += 1.5
    return "classification", np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def two_classes(random, examples):
    labels = (random.random(examples) < 0.2).astype(int)
    positive = 1 / (1 + np.exp(-random.normal(size=examples) - 2 * labels + 1))
    return "binary", np.stack([1 - positive, positive], axis=1), labels


def two_outputs(random, examples):
    inputs = random.normal(size=(examples, 1))
    targets = inputs + random.normal(size=(examples, 2)) * np.array([0.5, 2.0])
    return "regression", np.repeat(inputs, 2, axis=1), targets


@pytest.mark.parametrize("draw", [unequal_classes, two_classes, two_outputs])
def test_intervals_hold_the_truth_in_about_95_percent(draw):
    random = np.random.default_rng(0)
    truth = values(
        score(*draw(random, 100_000), weight=np.append(np.full(99_999, 1.0), 1.001))
    )  # no calibration: faster
    misses = dict.fromkeys(truth, 0)
    for _ in range(200):
        weight = np.append(np.ones(249), 1.001)
        for name, estimate in score(*draw(random, 250), weight=weight).metrics.items():
            misses[name] += not estimate.low <= truth[name] <= estimate.high
    assert max(misses.values()) <= 20, misses  # 10 expected, standard deviation 3.1


def test_the_variance_of_the_roc_area_is_delongs():
    """From the paper's structural components, pair by pair; the interval is Wilson's at that variance."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    positive = 1 / (1 + np.exp(-(random.normal(size=300) + labels).round(1)))  # rounded: some are tied
    probabilities = np.stack([1 - positive, positive], axis=1)
    found = score("binary", probabilities, labels).metrics["roc_auc"]
    own, others = probabilities[labels == 1, 1], probabilities[labels == 0, 1]
    wins = (own[:, None] > others[None, :]) + 0.5 * (own[:, None] == others[None, :])
    variance = wins.mean(axis=1).var(ddof=1) / len(own) + wins.mean(axis=0).var(ddof=1) / len(others)
    trials = wins.mean() * (1 - wins.mean()) / variance
    expected = proportion_estimate(wins.mean() * trials, trials)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_more_examples_make_narrower_intervals():
    small, large = (score("classification", *random_predictions(0, n, 5)).metrics for n in (100, 10_000))
    for name in small:
        assert large[name].high - large[name].low < 0.3 * (small[name].high - small[name].low), name


def test_baseline_is_the_majority_of_training_judged_on_test():
    found = baseline("classification", np.array([0, 1, 1, 2]), np.array([1, 1, 0, 2, 2]))
    assert found["accuracy"].value == 0.4
    assert baseline("binary", np.array([0, 0, 1]), np.array([1, 1]))["accuracy"].value == 0


def test_baseline_is_the_mean_of_training_judged_on_test():
    train, test = np.array([0.0, 2.0]), np.array([0.0, 4.0, 5.0])
    found = baseline("regression", train, test)
    np.testing.assert_allclose(found["rmse"].value, np.sqrt((1 + 9 + 16) / 3))
    np.testing.assert_allclose(found["r2"].value, sklearn.metrics.r2_score(test, np.ones(3)))
    assert baseline("regression", np.zeros((3, 2)), np.ones((4, 2)))["rmse"].value == 1


def test_a_network_no_better_than_chance_is_not_above_the_baseline():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 500)
    noise = random.dirichlet(np.ones(4), 500)
    assert (
        score("classification", noise, labels).metrics["accuracy"].low
        < baseline("classification", labels, labels)["accuracy"].value
    )


def test_an_evaluation_reads_well_and_goes_into_json():
    found = score("classification", *random_predictions(seed=0, examples=40, classes=7))
    lines = str(found).splitlines()
    assert lines[0] == "classification, 40 examples (95 % intervals)"
    assert f"  accuracy          {found.metrics['accuracy']}" in lines
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text) == found.to_json()
    assert found.headline == "accuracy" and score("regression", np.ones(2), np.ones(2)).headline == "rmse"
    with pytest.raises(AttributeError):
        found.task = "regression"
    assert Evaluation("custom", 1, {}).report == ""


def test_one_example_can_be_scored():
    found = score("classification", np.array([[0.7, 0.3]]), np.array([0]))
    assert "roc_auc" not in found.metrics and found.metrics["loss"].high == math.inf
    json.dumps(found.to_json(), allow_nan=False)
    json.dumps(score("regression", np.array([1.0]), np.array([2.0])).to_json(), allow_nan=False)


@pytest.mark.parametrize("function", [score, baseline])
def test_an_unknown_task_is_refused(function):
    with pytest.raises(ValueError, match=r"task must be one of 'classification', .*'autoencoder', got 'ranking'\."):
        function("ranking", np.ones((2, 2)) / 2, np.array([0, 1]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"spread": np.ones(2)}, "spread belongs to regression, got it for binary"),
        ({"padding": 0}, "padding belongs to language_model, got it for binary"),
    ],
)
def test_an_argument_of_another_task_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        score("binary", np.eye(2), np.array([0, 1]), **given)


def test_a_regressor_of_several_outputs_has_a_table_of_them():
    random = np.random.default_rng(0)
    targets = random.normal(size=(80, 3))
    predictions = targets + random.normal(size=(80, 3)) * np.array([0.1, 1.0, 2.0])
    found = score("regression", predictions, targets, classes=["a", "b", "c"])
    assert found.per_output is not None and [row["output"] for row in found.per_output] == ["a", "b", "c"]
    for column, row in enumerate(found.per_output):
        alone = score("regression", predictions[:, column], targets[:, column])
        for name in ("rmse", "mae", "r2"):
            assert (row[name], row[f"{name}_low"], row[f"{name}_high"]) == alone.metrics[name]
    assert np.mean([row["r2"] for row in found.per_output]) == pytest.approx(found.metrics["r2"].value)
    assert score("regression", predictions[:, 0], targets[:, 0]).per_output is None


def test_an_autoencoder_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    images = random.normal(size=(60, 4, 3)) * np.array([0.0, 1.0, 5.0])  # a part that never varies
    given = images + 0.3 * random.normal(size=images.shape)
    flat = given.reshape(60, -1), images.reshape(60, -1)
    found = values(score("autoencoder", given, images))
    mean_squared = sklearn.metrics.mean_squared_error(*flat)
    varying = flat[1].std(axis=0) > 0
    shared = ((flat[0] - flat[1]) ** 2).sum() / ((flat[1] - flat[1].mean(axis=0)) ** 2).sum()
    assert found == pytest.approx(
        {
            "loss": mean_squared,
            "rmse": math.sqrt(mean_squared),
            "mae": sklearn.metrics.mean_absolute_error(*flat),
            "r2": 1 - shared,
        }
    )
    part = score("autoencoder", flat[0][:, varying], flat[1][:, varying]).metrics["r2"].value
    assert part == pytest.approx(
        sklearn.metrics.r2_score(flat[1][:, varying], flat[0][:, varying], multioutput="variance_weighted")
    )


def own_spread(random, examples):
    spread = random.uniform(0.5, 2, size=(examples, 2))
    return "regression", np.zeros((examples, 2)), 1.2 * spread * random.normal(size=(examples, 2)), {"spread": spread}


def reconstructed(random, examples):
    images = random.normal(size=(examples, 3)) @ np.array([[1.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    scale = np.exp(0.5 * random.normal(size=(examples, 1)))
    return "autoencoder", images + 0.4 * scale * random.normal(size=images.shape), images, {}


def some_labels(random, examples):
    own = random.normal(size=(examples, 1))  # labels of an example depend on each other
    logits = own + random.normal(size=(examples, 4)) - np.array([0.0, 0.5, 1.0, 1.5])
    truth = random.random((examples, 4)) < 1 / (1 + np.exp(-1.5 * logits))
    return "multilabel", 1 / (1 + np.exp(-logits)), truth.astype(int), {}


@pytest.mark.parametrize("draw", [own_spread, reconstructed, some_labels])
def test_intervals_of_other_tasks_hold_the_truth_in_about_95_percent(draw):
    random = np.random.default_rng(1)

    def scored(examples):
        task, predictions, targets, given = draw(random, examples)
        return score(task, predictions, targets, weight=np.append(np.ones(examples - 1), 1.001), **given)

    truth = values(scored(60_000))
    misses = dict.fromkeys(truth, 0)
    for _ in range(100):
        for name, estimate in scored(250).metrics.items():
            misses[name] += not estimate.low <= truth[name] <= estimate.high
    assert max(misses.values()) <= 12, misses  # 5 expected, standard deviation 2.2


def test_a_spread_is_judged_by_its_likelihood_and_its_coverage():
    random = np.random.default_rng(0)
    spread = random.uniform(0.5, 2, 400)
    targets = 3 * spread * random.normal(size=400)  # three times as wide as stated
    found = score("regression", np.zeros(400), targets, spread=spread)
    expected = -scipy.stats.norm(0, spread).logpdf(targets)
    assert found.metrics["nll"].value == pytest.approx(expected.mean())
    inside = np.abs(targets) <= scipy.stats.norm.ppf(0.95) * spread
    assert found.metrics["coverage_90"].value == inside.mean()
    assert found.predictive is not None and found.predictive.low > 0.2
    right = score("regression", np.zeros(400), targets, spread=3 * spread)
    assert right.predictive is not None and right.predictive.p_value > 0.05 and right.predictive.low == 0
    assert right.predictive.pit.p_value > 0.05 > found.predictive.pit.p_value
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("spread", "message"),
    [
        (np.ones(3), r"spread must have the shape of the predictions, \(4, 1\), got \(3,\)"),
        (np.array([1.0, 0.0, 1.0, 1.0]), "spread must be positive and finite, got 0 at index"),
        (np.array([1.0, 1.0, np.nan, 1.0]), "spread must be positive and finite, got nan at index"),
    ],
)
def test_a_wrong_spread_is_refused(spread, message):
    with pytest.raises(InputError, match=message):
        score("regression", np.zeros(4), np.zeros(4), spread=spread)
