import math

import numpy as np
import pytest

from verax.train import History, Record

RECORDS = (
    Record("event", 0, 0, {"total_steps": 4, "compile_seconds": 0.5}, 0.0),
    Record("chunk", 3, 1, {"train/loss": (1.5, math.nan, math.inf)}, 0.1),
    Record("chunk", 4, 1, {"train/loss": (-math.inf,), "nonfinite_step": 2}, 0.2),
    Record("epoch", 4, 1, {"train/loss": math.nan, "validation/loss": 0.25}, 0.3),
    Record(
        "event",
        4,
        1,
        {"stopped": "NaN is a word here too", "facts": {"memory": {"peak_bytes": 3}, "padded": True}},
        0.3,
    ),
)
HISTORY = History(RECORDS)


def test_a_series_of_chunks_has_a_value_for_each_step():
    steps, values = HISTORY.series("train/loss", "chunk")
    assert steps == [1, 2, 3, 4]
    np.testing.assert_array_equal(values, [1.5, math.nan, math.inf, -math.inf])


def test_a_series_of_epochs_has_a_value_for_each_epoch():
    assert HISTORY.series("validation/loss") == ([4], [0.25])
    assert HISTORY.series("validation/accuracy") == ([], [])


def test_last_is_the_latest_epoch():
    assert HISTORY.last("validation/loss") == 0.25
    assert math.isnan(HISTORY.last("train/loss"))
    assert HISTORY.last("validation/accuracy") is None


def test_a_history_survives_its_file():
    """NaN and Inf too, which JSON does not know; a text stays a text."""
    lines = HISTORY.to_jsonl()
    assert "NaN," not in lines and lines.count("\n") == len(HISTORY)
    read = History.from_jsonl(lines.splitlines())
    assert repr(read) == repr(HISTORY)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1, 1e-300, 3, True, None, "text", (1.0, (2.0,))])
def test_every_kind_of_value_survives(value):
    record = Record("event", 1, 1, {"value": value}, 0.0)
    (read,) = History.from_jsonl([record.to_json()])
    assert repr(read) == repr(record)


def test_empty_lines_are_nothing():
    assert len(History.from_jsonl(["", "\n", RECORDS[0].to_json()])) == 1
