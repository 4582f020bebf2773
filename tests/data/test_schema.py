"""Raw rows as the raw array: the same codes as in training, and an error for everything that training did not know."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax.data import Column, Schema, from_arrays, from_csv, impute
from verax.findings import InputError

COLUMNS = (Column("age"), Column("work", ("Private", "State"), missing=True), Column("pay", missing=True))
TABLE = Schema("table", (3,), "float32", COLUMNS, classes=("no", "yes"), target="label")
IMAGE = Schema("image", (2, 2), "uint8")


def test_rows_of_texts_and_of_numbers_give_codes():
    rows = [{"age": "39", "work": " State", "pay": ""}, {"pay": 1.5, "work": None, "age": 50}]
    expected = np.float32([[39, 1, np.nan], [50, np.nan, 1.5]])
    encoded = TABLE.encode(rows)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, expected)
    np.testing.assert_array_equal(TABLE.encode(rows[0]), expected[:1])
    np.testing.assert_array_equal(TABLE.encode([["39", "State", "?"], [50, None, 1.5]]), expected)


def test_an_array_of_numbers_holds_codes_already():
    codes = np.float32([[39, 1, np.nan], [50, np.nan, 1.5]])
    np.testing.assert_array_equal(TABLE.encode(codes), codes)


def test_the_answers_may_be_among_the_columns():
    row = {"age": "39", "work": "State", "pay": "1", "label": "yes"}
    assert TABLE.encode([row]).tolist() == [[39, 1, 1]]


def test_all_problems_are_named_with_row_column_and_value():
    rows = [
        {"age": "39", "work": "Stat", "pay": "1"},
        {"age": "?", "work": "State", "pay": "1e99"},
        {"age": "forty", "work": "State", "pay": "inf"},
    ]
    with pytest.raises(InputError) as error:
        TABLE.encode(rows)
    assert {(finding.id, finding.where.index, finding.where.column) for finding in error.value.findings} == {
        ("unknown-category", 0, "work"),
        ("missing-value", 1, "age"),
        ("not-a-number", 1, "pay"),
        ("not-a-number", 2, "age"),
        ("not-a-number", 2, "pay"),
    }
    assert "input row 0 column 'work': unknown-category: a category known from training is expected" in str(error.value)
    assert "found 'Stat'. Did you mean 'State'?" in str(error.value)


def test_an_error_stays_on_one_screen():
    with pytest.raises(InputError, match="80 more problems like these") as error:
        TABLE.encode([{"age": "x", "work": "State", "pay": "1"}] * 100)
    assert len(str(error.value).splitlines()) == 21


@pytest.mark.parametrize(
    "rows, message",
    [
        ([{"age": 1, "pay": 2}], "input row 0 column 'work': missing-column: the column is missing"),
        ([{"age": 1, "pay": 2, "Work": "State"}], "Did you mean 'Work'"),
        (
            [{"age": 1, "pay": 2, "work": "State", "zip": 3}],
            "column 'zip': unexpected-column: the column is not expected",
        ),
        ([{"age": 1, "pay": 2, "work": "State", None: ["9"]}], "the row has more values than columns"),
        ([{"age": 1, "pay": 2, "work": "State"}, [1, 2, 3]], "input row 1: wrong-row: a dict by column name"),
        (
            [["39", "State"]],
            r"must be dicts by column name or have 3 values each \(age, work, pay\), got 2 values in row 0",
        ),
        (["39, State"], "got '39, State' in row 0"),
        (np.zeros((2, 4)), r"got an array of shape \(2, 4\)"),
        (np.float32([[1, 2, 3]]), r"a code in \[0, 2\) is expected in an array of numbers, found 2.0"),
    ],
)
def test_rows_of_another_form_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        TABLE.encode(rows)


@pytest.mark.parametrize(
    "schema, rows, message",
    [
        (
            IMAGE,
            np.zeros((2, 2), np.uint8),
            r"rows must be uint8 of shape \(examples, 2, 2\), got one example .* rows\[None\]",
        ),
        (IMAGE, np.zeros((5, 3, 2), np.uint8), r"got shape \(5, 3, 2\)"),
        (IMAGE, np.zeros((5, 2, 2), np.float32), "got float32. Were the images scaled already"),
        (IMAGE, [[[0, 1], [2, 300]]], r"got 300 at index \[0, 1, 1\], outside \[0, 255\]"),
        (IMAGE, [[[0, 1], [2]]], "got rows of different lengths"),
        (IMAGE, [[["a", "b"], ["c", "d"]]], "got <U1"),
        (Schema("array", (2,), "float32"), [[1.0, np.nan]], r"with finite values, got nan at index \[0, 1\]"),
        (Schema("array", (2,), "float32"), [[1.0, 1e300]], r"with finite values, got 1e\+300 at index \[0, 1\]"),
        (Schema("array", (2,), "float32"), np.zeros((3, 2), complex), "got complex128"),
        (Schema("tree", (), ""), np.zeros((3, 2)), "takes a tree of arrays"),
    ],
)
def test_arrays_of_another_form_are_refused(schema, rows, message):
    with pytest.raises(InputError, match=message):
        schema.encode(rows)


def test_arrays_come_back_in_the_raw_type():
    assert IMAGE.encode([[[0, 1], [2, 255]]]).dtype == np.uint8
    array = Schema("array", (2,), "float32").encode(np.ones((3, 2), np.int64))
    assert array.dtype == np.float32 and array.shape == (3, 2)


def test_nan_is_accepted_where_training_had_it_or_a_step_fills_it():
    holes = np.float32([[1, np.nan], [2, 3]] * 5)
    labels = np.arange(10) % 2
    assert from_arrays(holes, labels).split(0, 0, 0).load().schema.missing
    assert from_arrays(np.ones((10, 2)), labels).split(0, 0, 0).preprocess(impute()).load().schema.missing
    strict = from_arrays(np.ones((10, 2)), labels).split(0, 0, 0).load().schema
    with pytest.raises(InputError, match="finite values"):
        strict.encode(holes)


def test_a_column_may_miss_values_where_training_did_or_a_step_fills_it(tmp_path):
    (tmp_path / "data.csv").write_text("a,b,c,y\n1,u,5,x\n?,v,6,z\n")
    source = from_csv(tmp_path / "data.csv", target="y").split(0, 0, 0)
    assert [column.missing for column in source.load().schema.columns] == [True, False, False]
    filled = source.preprocess(impute("most_frequent", ["b"])).load()
    assert [column.missing for column in filled.schema.columns] == [True, True, False]
    with pytest.raises(
        InputError, match="column 'c': missing-value: a value is expected, found '', and training had none"
    ):
        filled.schema.encode([{"a": "1", "b": "?", "c": ""}])


@given(
    kind=st.sampled_from(["array", "image", "table", "tree"]),
    classes=st.none() | st.lists(st.text(), max_size=3).map(tuple),
    categories=st.none() | st.lists(st.text(), max_size=3).map(tuple),
    missing=st.booleans(),
)
def test_a_schema_survives_json(kind, classes, categories, missing):
    schema = Schema(kind, (3, 2), "uint8", (Column("ä,b", categories, missing),), classes, "y", ("?",), missing)
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_a_damaged_schema_is_refused():
    config = TABLE.to_json()
    del config["columns"][0]["name"]
    with pytest.raises(InputError, match=r"schema must have the fields that Schema.to_json writes"):
        Schema.from_json(config)
    with pytest.raises(InputError, match="shapes"):
        Schema.from_json({**TABLE.to_json(), "shapes": ()})


def test_predicting_a_file_gives_what_training_saw(tmp_path):
    import csv

    (tmp_path / "data.csv").write_text("age, work, label\n39, State, no\n?, Private, yes\n 50,?,no\n")
    dataset = from_csv(tmp_path / "data.csv", target="label").split(0, 0, 0).load()
    with open(tmp_path / "data.csv", newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    np.testing.assert_array_equal(dataset.schema.encode(rows), dataset.raw("train").inputs)
