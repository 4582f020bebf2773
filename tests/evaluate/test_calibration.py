"""Calibration error: agreement with a textbook sum, chance, and how often the interval holds the truth."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax.evaluate import calibration, expected_calibration_error
from verax.evaluate._calibration_interval import debiased_error


def random_predictions(seed, examples=40, classes=None):
    """Coarse logits, so that there are ties; some rows exactly sure of one class; some classes never true."""
    random = np.random.default_rng(seed)
    classes = classes or int(random.integers(2, 8))
    logits = random.integers(-3, 4, (examples, classes)) * random.choice([0.5, 2.0])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sure = random.random(examples) < 0.2
    probabilities[sure] = np.eye(classes)[random.integers(0, classes, sure.sum())]
    return probabilities, random.integers(0, max(1, classes - 1), examples)


def textbook_calibration_error(probabilities, labels, bins):
    members = [[] for _ in range(bins)]
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        confidence = max(row)
        place = int(confidence * bins)
        members[bins - 1 if place == bins else place].append((confidence, row.index(confidence) == label))
    error = 0.0
    for member in members:
        if member:
            accuracy = sum(right for _, right in member) / len(member)
            confidence = sum(c for c, _ in member) / len(member)
            error += len(member) / len(labels) * abs(accuracy - confidence)
    return error


def binary_probabilities(confidence):
    return np.stack([confidence, 1 - confidence], axis=1)


def test_agrees_with_the_textbook_sum_on_thousands_of_cases():
    for seed in range(2000):
        probabilities, labels = random_predictions(seed, examples=20)
        bins = (1, 2, 10, 15, 100)[seed % 5]
        expected = textbook_calibration_error(probabilities, labels, bins)
        assert abs(calibration(probabilities, labels, bins=bins, resamples=1).ece - expected) < 1e-12
        assert abs(expected_calibration_error(probabilities, labels, bins=bins) - expected) < 1e-12


@pytest.mark.parametrize("jit", [False, True])
def test_works_on_jax_arrays_inside_and_outside_of_jit(jit):
    probabilities, labels = random_predictions(seed=0)
    function = jax.jit(expected_calibration_error) if jit else expected_calibration_error
    found = function(jnp.asarray(probabilities, jnp.float32), jnp.asarray(labels))
    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found, textbook_calibration_error(probabilities, labels, 15), atol=1e-6)


def test_the_debiased_rms_agrees_with_a_plain_loop():
    probabilities, labels = random_predictions(seed=4, examples=500, classes=4)
    total = 0.0
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    for place in range(15):
        member = np.minimum((confidence * 15).astype(int), 14) == place
        if member.sum() > 1:
            share = right[member].mean()
            total += member.mean() * (
                (confidence[member].mean() - share) ** 2 - share * (1 - share) / (member.sum() - 1)
            )
    np.testing.assert_allclose(calibration(probabilities, labels, resamples=1).rms, np.sqrt(max(0, total)))


def test_a_case_worked_by_hand():
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 1.0, 1.0])
    labels = np.array([0, 0, 1, 1, 0, 1])  # at 0.9 half right, at 1.0 half right
    found = calibration(binary_probabilities(confidence), labels)
    np.testing.assert_allclose(found.ece, (4 * 0.4 + 2 * 0.5) / 6)
    np.testing.assert_allclose(found.brier, (2 * 0.01 + 2 * 0.81 + 0 + 1) / 6)
    np.testing.assert_array_equal(found.reliability.count[13:], [4, 2])
    np.testing.assert_allclose(found.reliability.accuracy[13:], [0.5, 0.5])
    np.testing.assert_allclose(found.reliability.confidence[13:], [0.9, 1.0])
    assert np.isnan(found.reliability.accuracy[:13]).all()
    assert found.reliability.low[13] < 0.5 < found.reliability.high[13]


@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_examples_does_not_matter(seed):
    probabilities, labels = random_predictions(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    a = calibration(probabilities, labels, resamples=10)
    b = calibration(probabilities[order], labels[order], resamples=10)
    np.testing.assert_allclose([a.ece, a.rms, a.brier, a.nll], [b.ece, b.rms, b.brier, b.nll], atol=1e-12)


@given(seed=st.integers(0, 2**31))
def test_the_names_of_the_classes_do_not_matter(seed):
    probabilities, labels = random_predictions(seed, classes=5)
    probabilities += np.arange(5) * 1e-9  # no ties, whose winner is the first class
    new = np.random.default_rng(seed).permutation(5)
    renamed = np.empty_like(probabilities)
    renamed[:, new] = probabilities
    np.testing.assert_allclose(
        expected_calibration_error(probabilities, labels),
        expected_calibration_error(renamed, new[labels]),
        atol=1e-12,
    )


@given(seed=st.integers(0, 2**31))
def test_the_interval_holds_the_debiased_error(seed):
    found = calibration(*random_predictions(seed, examples=100), resamples=50)
    assert 0 <= found.low <= found.debiased + 1e-9
    assert found.debiased <= found.high + 1e-9 <= 1 + 1e-9
    assert found.debiased <= found.ece + 1e-9


def test_the_same_seed_gives_the_same_result():
    probabilities, labels = random_predictions(seed=1, examples=300)
    assert calibration(probabilities, labels) == calibration(probabilities, labels)
    assert calibration(probabilities, labels) != calibration(probabilities, labels, seed=1)


def test_consistency_resampling_agrees_with_drawing_labels_from_all_classes():
    probabilities, labels = random_predictions(seed=2, examples=400, classes=5)
    random = np.random.default_rng(0)
    errors = []
    for _ in range(400):
        drawn = (
            random.random((400, 1)) < probabilities.cumsum(axis=1) / probabilities.sum(axis=1, keepdims=True)
        ).argmax(axis=1)
        errors.append(expected_calibration_error(probabilities, drawn))
    found = calibration(probabilities, labels)
    assert abs(found.expected - np.mean(errors)) < 4 * np.std(errors) / np.sqrt(300)


def test_debiasing_takes_what_chance_adds():
    assert debiased_error(0.02, 0.02) == 0
    assert debiased_error(0.01, 0.02) == 0
    assert debiased_error(0.03, 0.0) == 0.03
    np.testing.assert_allclose(debiased_error(0.2, 0.01), 0.2)
    inside = debiased_error(0.025, 0.02)
    assert 0 < inside < 0.025
    scale = 0.02 / np.sqrt(2 / np.pi)
    drawn = np.abs(np.random.default_rng(0).normal(inside / scale, 1, 400_000)).mean() * scale
    np.testing.assert_allclose(drawn, 0.025, rtol=5e-3)  # its sampling error is 0.1 %


SHAPES = {  # the true accuracy, given the confidence
    "perfect": lambda c: c,
    "too_sure_everywhere": lambda c: np.clip(c - 0.05, 0, 1),
    "too_sure_where_surest": lambda c: np.where(c > 14 / 15, c - 0.1, c),
    "not_sure_enough": lambda c: np.clip(c + 0.05, 0, 1),
    "temperature": lambda c: 1 / (1 + (1 / np.clip(c, 1e-9, 1 - 1e-9) - 1) ** 0.6),
}
CONFIDENCES = {
    "spread": lambda random, n: random.uniform(0.5, 1, n),
    "high": lambda random, n: 1 - 0.5 * random.beta(0.3, 8, n),
}


@pytest.mark.parametrize("confidences", CONFIDENCES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_holds_the_true_error(shape, confidences):
    draw, accuracy = CONFIDENCES[confidences], SHAPES[shape]
    random = np.random.default_rng(0)
    many = draw(random, 400_000)
    place = np.minimum((many * 15).astype(int), 14)
    truth = np.abs(np.bincount(place, accuracy(many) - many)).sum() / len(many)
    found = []
    for seed in range(120):
        confidence = draw(random, 800)
        labels = (random.random(800) >= accuracy(confidence)).astype(int)
        found.append(calibration(binary_probabilities(confidence), labels, resamples=150, seed=seed))
    # Of 120 true 95 % intervals 8 may be missed by chance on top of the 6 expected (three standard deviations).
    assert sum(not c.low <= truth + 1e-9 <= c.high + 2e-9 for c in found) <= 13
    if shape == "perfect":
        assert np.mean([c.low == 0 for c in found]) >= 0.93
        assert abs(np.mean([c.p_value <= 0.05 for c in found]) - 0.05) < 0.06
        assert abs(np.mean([c.ece for c in found]) - np.mean([c.expected for c in found])) < 0.002
        assert np.median([c.debiased for c in found]) < 0.6 * np.mean([c.ece for c in found])


def test_a_plain_bootstrap_would_reject_perfect_models():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 800)
    probabilities, labels = binary_probabilities(confidence), (random.random(800) >= confidence).astype(int)
    rows = random.integers(0, 800, (200, 800))
    resampled = [expected_calibration_error(probabilities[r], labels[r]) for r in rows]
    assert np.quantile(resampled, 0.025) > 0.01
    assert calibration(probabilities, labels).low == 0


def test_an_overconfident_model_is_found_out():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.8, 1, 2000)
    found = calibration(binary_probabilities(confidence), (random.random(2000) >= confidence - 0.15).astype(int))
    assert found.p_value < 0.002
    assert 0.05 < found.low < 0.15 < found.high < 0.2


def test_all_right_and_nearly_sure_is_not_taken_for_certain():
    found = calibration(binary_probabilities(np.full(300, 0.999)), np.zeros(300, int))
    assert 3 / 300 * 0.9 < found.high < 0.02  # three errors in 300 would have been seen in 95 %


def test_exactly_sure_and_sometimes_wrong():
    found = calibration(np.tile([1.0, 0.0], (300, 1)), np.repeat([0, 1], [299, 1]))
    np.testing.assert_allclose(found.ece, 1 / 300)
    assert found.expected == 0 and found.p_value < 0.002
    assert found.low <= 0.001  # one error in 300 is no evidence against one in 1000


def test_an_impossible_label_costs_a_finite_loss():
    found = calibration(np.array([[1.0, 0.0]], np.float32), np.array([1]))
    np.testing.assert_allclose(found.nll, -np.log(np.finfo(np.float32).smallest_normal))
    assert "NaN" not in json.dumps(found.to_json(), allow_nan=False)


def test_half_precision_rows_may_miss_one_a_little():
    probabilities, labels = random_predictions(seed=3)
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        assert (
            abs(calibration(jnp.asarray(probabilities, dtype), labels).brier - calibration(probabilities, labels).brier)
            < 0.02
        )


def test_it_reads_well_and_is_frozen():
    found = calibration(*random_predictions(seed=0))
    assert str(found).startswith(f"calibration error {found.ece:.4f}, debiased ")
    with pytest.raises(AttributeError):
        found.ece = 0.0
    with pytest.raises(ValueError, match="read-only"):
        found.reliability.count[0] = 1


@pytest.mark.parametrize("name", ["bins", "resamples"])
def test_a_count_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0\\.$"):
        calibration(*random_predictions(seed=0), **{name: 0})
