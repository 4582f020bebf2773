"""Intervals of proportions and means: known answers, and how often they hold the truth."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from verax.evaluate import Estimate, mean_estimate, proportion_estimate


@pytest.mark.parametrize("successes, trials", [(0, 1), (1, 1), (0, 30), (30, 30), (29, 30), (97, 100), (500, 1000)])
def test_a_proportion_agrees_with_scipys_wilson_interval(successes, trials):
    expected = scipy.stats.binomtest(successes, trials).proportion_ci(method="wilson")
    found = proportion_estimate(successes, trials)
    np.testing.assert_allclose(found, (successes / trials, expected.low, expected.high), atol=1e-12)


@given(trials=st.integers(1, 10**6), share=st.floats(0, 1))
def test_a_proportion_lies_in_its_interval_and_that_in_zero_to_one(trials, share):
    found = proportion_estimate(round(share * trials), trials)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


@pytest.mark.parametrize("successes, trials", [(1, 0), (-1, 5), (6, 5)])
def test_an_impossible_proportion_is_refused(successes, trials):
    with pytest.raises(ValueError, match=rf"successes must lie in \[0, trials\].* got {successes} of {trials}\."):
        proportion_estimate(successes, trials)


@pytest.mark.parametrize(
    "draw, mean", [(lambda r, n: r.exponential(size=n), 1.0), (lambda r, n: r.lognormal(size=n), math.exp(0.5))]
)
def test_the_interval_of_a_skewed_mean_holds_it_in_about_95_percent(draw, mean):
    random = np.random.default_rng(0)
    estimates = [mean_estimate(draw(random, 100)) for _ in range(1000)]
    misses_below = np.mean([e.high < mean for e in estimates])
    misses_above = np.mean([e.low > mean for e in estimates])
    assert misses_below + misses_above < 0.075
    assert misses_below < 0.05  # Student's interval of such means is missed below in 6 to 10 %


def test_the_interval_of_a_normal_mean_is_students():
    values = np.array([-1.0, 1.0] * 10)  # without skewness
    error = values.std(ddof=1) / math.sqrt(20)
    np.testing.assert_allclose(mean_estimate(values), (0, -2.093024 * error, 2.093024 * error), rtol=1e-6)


def test_the_ends_are_where_halls_cubic_meets_students_quantiles():
    values = np.random.default_rng(0).exponential(size=40)
    found = mean_estimate(values)
    skewness = scipy.stats.skew(values) / math.sqrt(40)
    for end, sign in [(found.low, 1), (found.high, -1)]:
        t = (values.mean() - end) / scipy.stats.sem(values)
        cubic = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6  # Hall (1992), eq. 2.3
        np.testing.assert_allclose(cubic, sign * scipy.stats.t.ppf(0.975, 39))


def test_whole_weights_count_like_repeated_examples_and_zero_leaves_one_out():
    values = np.array([1.0, 2.0, 5.0, 100.0])
    weighted = mean_estimate(values, np.array([2.0, 2.0, 2.0, 0.0]))
    np.testing.assert_allclose(weighted, mean_estimate(values[:3]), rtol=1e-12)


def test_one_value_says_nothing_of_its_spread():
    assert mean_estimate(np.array([-3.0])) == Estimate(-3.0, -math.inf, math.inf)
    assert mean_estimate(np.array([3.0])) == Estimate(3.0, 0.0, math.inf)
    assert mean_estimate(np.array([3.0])).to_json() == {"value": 3.0, "low": 0.0, "high": None}


def test_an_estimate_reads_well():
    assert str(Estimate(0.97, 0.9155, 0.9897)) == "0.9700 [0.9155, 0.9897]"
