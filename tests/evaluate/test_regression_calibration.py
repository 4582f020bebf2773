"""A regressor's uncertainty: coverage, ranks, and how often the interval of their error holds the truth."""

import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from verax.evaluate import coverage, pit, regression_calibration, residual_scale

LEVELS = (0.5, 0.8, 0.9, 0.95)


def split(errors):
    """Predictions of anything, and targets with these errors."""
    predictions = np.random.default_rng(9).normal(size=errors.shape)
    return predictions, predictions + errors


def test_coverage_agrees_with_scipys_normal_law():
    predictions, targets = split(np.random.default_rng(0).normal(size=500))
    for level, estimate in coverage(predictions, targets, 0.7).items():
        low, high = scipy.stats.norm(predictions, 0.7).interval(level)
        assert estimate.value == np.mean((low <= targets) & (targets <= high))


def test_pit_agrees_with_scipys_test():
    predictions, targets = split(np.random.default_rng(0).normal(size=300))
    found = pit(predictions, targets, 1.2)
    expected = scipy.stats.kstest(scipy.stats.norm(predictions, 1.2).cdf(targets), "uniform")
    np.testing.assert_allclose(found.ks, expected.statistic)
    np.testing.assert_allclose(found.p_value, expected.pvalue, atol=0.01)  # asymptotic against exact
    assert found.count.sum() == 300


def test_the_scale_is_the_root_mean_square_error():
    predictions, targets = split(np.array([[3.0, 0.0], [4.0, 0.0]]))
    np.testing.assert_allclose(residual_scale(predictions, targets), [np.sqrt(12.5), 0])


def test_without_any_error_everything_is_covered():
    targets = np.arange(5.0)
    assert all(estimate.value == 1 for estimate in coverage(targets, targets, 0.0).values())
    assert all(estimate.value == 0 for estimate in coverage(targets + 1, targets, 0.0).values())


def test_gaussian_errors_are_calibrated_before():
    random = np.random.default_rng(0)
    found = regression_calibration(*split(random.normal(size=2000)), *split(random.normal(size=4000)))
    assert found.before.low == 0 and found.before.high < 0.05 and found.before.p_value > 0.05
    np.testing.assert_allclose(found.scale, 1, atol=0.05)


@pytest.mark.parametrize("law", ["heavy tails", "skewed", "not centred"])
def test_other_errors_are_found_out_before_and_mended_after(law):
    random = np.random.default_rng(0)
    draw = {
        "heavy tails": lambda n: random.standard_t(2.2, n),
        "skewed": lambda n: random.exponential(size=n) ** 2,
        "not centred": lambda n: random.normal(size=n) + 2,
    }[law]
    found = regression_calibration(*split(draw(4000)), *split(draw(4000)))
    assert found.before.low > 0.05 and found.before.p_value < 0.01 and found.before.pit.p_value < 0.01
    assert found.after.high < 0.05


def test_a_shifted_test_split_fails_after_too():
    random = np.random.default_rng(0)
    found = regression_calibration(*split(random.normal(size=2000)), *split(2 * random.normal(size=2000)))
    assert found.after.low > 0.05


@given(known=st.integers(2, 200), seed=st.integers(0, 2**31))
def test_conformal_intervals_hold_at_least_their_level_on_average(known, seed):
    """Exactly: of one more error among the known ones, each rank is equally likely."""
    errors = np.sort(np.random.default_rng(seed).normal(size=known))
    found = regression_calibration(*split(errors), *split(np.zeros(3)), resamples=1).after
    for level, (low, high) in zip(LEVELS, found.offsets[:, :, 0], strict=True):
        gaps = np.sum((low - 1e-9 <= errors[:-1]) & (errors[1:] <= high + 1e-9))  # between neighbours, inside
        gaps += int(low == -np.inf) + int(high == np.inf)
        assert gaps / (known + 1) >= level - 1e-9
        assert gaps / (known + 1) <= level + 2 / (known + 1) + 1e-9


def test_too_few_calibration_examples_leave_an_interval_open():
    found = regression_calibration(*split(np.arange(10.0)), *split(np.arange(5.0))).after
    assert np.isinf(found.offsets[3]).all() and np.isfinite(found.offsets[0]).all()
    assert found.to_json()["offsets"][3] == [[None], [None]]


@pytest.mark.parametrize("true_scale", [1.0, 1.3])
def test_the_interval_holds_the_true_error(true_scale):
    truth = max(abs(2 * scipy.stats.norm.cdf(scipy.stats.norm.ppf(0.5 + q / 2) / true_scale) - 1 - q) for q in LEVELS)
    known = scipy.stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
    known_split = split(known / np.sqrt(np.mean(known**2)))
    random = np.random.default_rng(1)
    found = []
    for seed in range(150):
        errors = true_scale * random.normal(size=400)
        found.append(regression_calibration(*known_split, *split(errors), resamples=300, seed=seed).before)
    assert sum(not c.low <= truth + 1e-9 <= c.high + 2e-9 for c in found) <= 16  # 7.5 expected, standard deviation 2.7
    if true_scale == 1.0:
        assert np.mean([c.low == 0 for c in found]) >= 0.93
        assert abs(np.mean([c.p_value <= 0.05 for c in found]) - 0.05) < 0.05
        np.testing.assert_allclose(np.mean([c.error for c in found]), np.mean([c.expected for c in found]), rtol=0.1)


def test_outputs_that_move_together_count_once():
    errors = np.random.default_rng(0).normal(size=400)
    single = coverage(*split(errors), 1.0)[0.8]
    repeated = coverage(*split(np.stack([errors] * 5, axis=1)), 1.0)[0.8]
    independent = coverage(*split(np.random.default_rng(0).normal(size=(400, 5))), 1.0)[0.8]
    np.testing.assert_allclose(repeated, single)
    assert independent.high - independent.low < 0.5 * (single.high - single.low)


def test_it_reads_well_and_goes_into_json():
    random = np.random.default_rng(0)
    arguments = (*split(random.normal(size=(50, 2))), *split(random.normal(size=(60, 2))))
    found = regression_calibration(*arguments)
    assert str(found).startswith(f"before: gaussian intervals off by {found.before.error:.4f} [")
    assert "coverage 50 %: " in str(found)
    json.dumps(found.to_json(), allow_nan=False)
    assert found == regression_calibration(*arguments)
