"""How findings are shown: six lines each, nothing that moves a terminal's cursor, and spark lines of any numbers."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax.doctor._show import curve_text, finding_lines, findings_table, findings_text, printable, spark
from verax.findings import Finding, Leaf, Split

FULL = Finding(
    "double-softmax",
    "error",
    "rows of the outputs sum to 1.",
    "Return logits.",
    Leaf("params/head/kernel"),
    "model",
    ("row sums 1.000 to 1.000", "loss of a perfect answer 1.46", "floor log(1 + 9/e)"),
    0.83,
    "without the softmax: loss 1.9 to 0.4 in 60 steps",
)


def test_a_finding_takes_six_lines_at_most():
    assert findings_text([FULL]).splitlines() == [
        "error: double-softmax (model, 83% sure) at params/head/kernel",
        "  rows of the outputs sum to 1.",
        "  row sums 1.000 to 1.000",
        "  loss of a perfect answer 1.46 (and 1 more)",
        "  tried: without the softmax: loss 1.9 to 0.4 in 60 steps",
        "  fix: Return logits. See: verax explain double-softmax",
    ]


def test_what_nobody_said_is_left_out():
    bare = Finding("my-own", "info", "something.")
    assert findings_text([bare]) == "info: my-own\n  something."
    assert findings_text([]) == ""
    proved = Finding("key-reuse", "warning", "twice.", "Split.", Split("train", 3), confidence=1.0)
    assert "(99% sure)" in findings_text([replace(proved, confidence=0.9999)])
    assert findings_text([bare, proved]).splitlines()[2] == "warning: key-reuse (proved) at train row 3"


def test_a_curve_is_the_first_line_of_evidence():
    lines = finding_lines(FULL, [4.0, 3.0, 2.0, 1.0])
    assert [line.text for line in lines if line.role == "evidence"] == [
        "█▆▃▁ from 4 to 1", "row sums 1.000 to 1.000 (and 2 more)"
    ]  # fmt: skip
    assert "█▆▃▁" in findings_text([FULL], {"double-softmax": np.asarray([4.0, 3.0, 2.0, 1.0])})


def test_the_same_lines_are_drawn_by_rich():
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200).print(findings_table([FULL, FULL]))
    assert out.getvalue().rstrip("\n").split("\n") == findings_text([FULL, FULL]).splitlines()


def test_no_text_of_a_user_reaches_the_terminal_as_a_command():
    bad = "\x1b[2J\x1b]0;title\x07\r\nlabel\u202etxt [red]"
    finding = Finding("label-noise", "warning", bad, bad, Leaf(bad), None, (bad,), 0.5, bad)
    for text in (findings_text([finding]), curve_text(bad, [1.0])):
        assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert len(findings_text([finding]).splitlines()) == 5
    assert printable(bad).endswith("label�txt [red]")  # what Rich would read as markup stays text
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=300, force_terminal=False).print(findings_table([finding]))
    assert "\x1b" not in out.getvalue() and "[red]" in out.getvalue()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([3.0], "▄"),
        ([0.0, 0.0, 0.0], "▄▄▄"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([1.0, math.nan, 2.0, math.inf], "▁×█×"),
        ([math.nan, -math.inf], "××"),
        ([1000.0, 100.0, 10.0, 1.0], "█▆▃▁"),  # by a logarithm: one bar for each decade
        ([-1000.0, 0.0, 1000.0], "▁▅█"),  # not by one: values are not positive
        ([1e308, -1e308], "█▁"),
        (np.asarray([2, 1], np.int32), "█▁"),
    ],
)
def test_curves_of_any_kind_become_bars(values, expected):
    assert spark(values) == expected


def test_a_long_curve_is_cut_into_parts_and_keeps_its_shape():
    assert spark(np.linspace(0, 1, 1000), 8) == "▁▂▃▄▅▆▇█"
    with_peak = [1.0] * 50 + [math.nan] + [1.0] * 49
    assert spark(with_peak, 10) == "▄▄▄▄▄×▄▄▄▄"  # what is not finite is never averaged away


@given(st.lists(st.floats(), max_size=60), st.integers(1, 30))
def test_a_spark_line_is_never_longer_than_asked_and_shows_every_gap(values, width):
    line = spark(values, width)
    assert len(line) == min(width, len(values))
    assert ("×" in line) == any(not math.isfinite(value) for value in values)


def test_a_width_must_be_positive():
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        spark([1.0], 0)
