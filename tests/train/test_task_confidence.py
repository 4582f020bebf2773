"""Calibration of answers that hang together: the interval covers, where that of single answers is too short."""

import numpy as np
import pytest

from verax.evaluate import calibration
from verax.train._clusters import calibration_by_cluster


def texts_of(random, texts=40, places=25, together=True):
    """Confidences of 0.8 where 0.7 is right: whole texts are easy or hard, or each answer is."""
    chance = 0.7 + (0.25 * random.choice([-1, 1], (texts, 1 if together else places)))
    hits = random.uniform(size=(texts, places)) < chance
    table = np.tile([0.2, 0.8], (texts * places, 1))
    return table, hits.reshape(-1).astype(np.int64), np.repeat(np.arange(texts), places)


def test_the_interval_covers_the_true_error_where_answers_hang_together():
    random, covered, too_short = np.random.default_rng(0), 0, 0
    for _ in range(60):
        table, labels, cluster = texts_of(random)
        one, all_of_text = calibration(table, labels, resamples=50), calibration_by_cluster(table, labels, cluster)
        too_short += not one.low <= 0.1 <= one.high
        covered += all_of_text.low <= 0.1 <= all_of_text.high
    assert covered >= 53  # of 60: below that once in a thousand, if 95 % are covered
    assert too_short >= 15


def test_answers_that_do_not_hang_together_have_nearly_the_interval_of_single_ones():
    table, labels, cluster = texts_of(np.random.default_rng(1), together=False)
    one, grouped = calibration(table, labels), calibration_by_cluster(table, labels, cluster)
    assert grouped.high - grouped.low == pytest.approx(one.high - one.low, rel=0.3)
    assert (grouped.ece, grouped.expected) == (one.ece, one.expected)


def test_a_single_cluster_says_nothing_of_clusters():
    table, labels, cluster = texts_of(np.random.default_rng(2), texts=1)
    assert calibration_by_cluster(table, labels, cluster) == calibration(table, labels)
