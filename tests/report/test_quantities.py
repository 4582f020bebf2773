import math

import numpy as np
import pytest

from verax.evaluate import Estimate
from verax.report._quantities import label, quantity, rows, sentence_case


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency_p99_seconds", 0.1, "100 ms"),
        ("p50_seconds", 8.1e-5, "81 µs"),
        ("p50_seconds", 0.0, "0 ns"),
        ("train_seconds", 3.42, "3.42 s"),
        ("train_seconds", 754.0, "12.6 min"),
        ("peak_bytes", 2147483648, "2.15 GB"),
        ("program_bytes_batch_1", 4_200_000, "4.2 MB"),
        ("peak_bytes", 12, "12 bytes"),
        ("examples_per_second", 304761.4, "304,761 per s"),
        ("accuracy", 0.97777, "97.8 %"),
        ("accuracy_low", np.float32(0.5), "50.0 %"),
        ("coverage_95", 0.953, "95.3 %"),
        ("r2", 0.62, "0.62"),
        ("loss", 3.1e-8, "3.1e−8"),
        ("loss", 123456.0, "123,456"),
        ("steps", 1000, "1,000"),
        ("difference", -1.5, "−1.5"),
        ("error", math.nan, "NaN"),
        ("error", -math.inf, "−∞"),
        ("exact", True, "yes"),
        ("first", None, "unknown"),
        ("leaves", [], "none"),
        ("leaves", ["a", "b"], "a, b"),
        ("sizes", list(range(20)), "0, 1, 2, 3, 4, 5, 6, 7, … (20 in all)"),
        ("sizes", np.arange(2), "0, 1"),
        ("accuracy", Estimate(0.9, 0.8, 1.0), "90.0 % (80.0 % to 100.0 %)"),
        ("rmse", Estimate(2.0, -math.inf, math.inf), "2 (−∞ to ∞)"),
        ("device", "cpu", "cpu"),
    ],
)  # fmt: skip
def test_a_number_is_told_in_the_unit_of_its_name(name, value, text):
    assert quantity(name, value) == text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p99_seconds", "p99"),
        ("load_seconds", "load time"),
        ("training_peak_bytes", "training peak"),
        ("bytes", "bytes"),
        ("examples_per_second", "examples per second"),
        ("macro_f1", "macro F1"),
        ("params/dense_0/kernel", "params/dense_0/kernel"),
    ],
)
def test_a_name_is_told_in_words_without_its_unit(name, words):
    assert label(name) == words


def test_tables_within_tables_are_flattened():
    found = list(rows({"batch_1": {"p50_seconds": 0.001}, "score": {"value": 1.0, "low": 0.5, "high": 2.0}}))
    assert found == [("batch_1.p50_seconds", "batch 1 · p50", "1 ms"), ("score", "score", "1 (0.5 to 2)")]


def test_a_sentence_begins_with_a_capital_unless_it_begins_with_code():
    texts = ["no study", "learning_rate=3 won", "x.y is", "", "32 rows", "fine"]
    assert [sentence_case(text) for text in texts] == [
        "No study",
        "learning_rate=3 won",
        "x.y is",
        "",
        "32 rows",
        "Fine",
    ]
