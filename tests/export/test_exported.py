"""Predictions on raw arrays and raw rows, and what is refused before anything is computed."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.cases import image_case, mlp_case, table_case
from verax import export
from verax.export._blocks import blocks_of
from verax.findings import InputError

ROWS = [
    {"age": "39", "work": "State", "hours": "40"},
    {"age": "50", "work": "Private", "hours": "?"},
    {"age": "28", "work": "Private", "hours": "60"},
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return table_case().save(tmp_path_factory.mktemp("table") / "model.vx")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return image_case().save(tmp_path_factory.mktemp("images") / "model.vx")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return mlp_case().save(tmp_path_factory.mktemp("numbers") / "model.vx")


def test_rows_of_texts_give_what_the_raw_array_gives(tables, table):
    expected = tables.predict(table.raw)["probabilities"]
    found = tables.predict_rows(ROWS)
    np.testing.assert_array_equal([list(each.probabilities.values()) for each in found], expected.astype(float))
    assert [each.value for each in found] == [tables.classes[label] for label in expected.argmax(axis=1)]
    assert list(found[0].probabilities) == ["<=50K", ">50K"]


def test_the_answer_among_the_columns_is_ignored(tables):
    assert tables.predict_rows([{**ROWS[0], "income": ">50K"}]) == tables.predict_rows(ROWS[:1])


def test_a_missing_value_is_imputed(tables):
    filled = {**ROWS[1], "hours": "50"}
    assert tables.predict_rows([ROWS[1]]) == tables.predict_rows([filled])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_the_batch_size_does_not_change_predictions(numbers, mlp, batch_size):
    expected = numbers.predict(mlp.raw)["probabilities"]
    found = numbers.predict(mlp.raw, batch_size=batch_size)["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # other sizes may add in another order


def test_no_rows_give_no_predictions(numbers):
    found = numbers.predict(np.zeros((0, 4), np.float32))
    assert found["probabilities"].shape == (0, 3)
    assert numbers.predict_rows(np.zeros((0, 4), np.float32)) == []


@given(rows=st.integers(1, 300), batch_size=st.integers(1, 64))
def test_blocks_cover_every_row_once(numbers, rows, batch_size):
    blocks = blocks_of(numbers.signature, rows, batch_size)
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(rows))
    assert all(block.stop - block.start <= block.size <= max(batch_size, 1) for block in blocks)
    assert len({block.size for block in blocks}) == 1  # one compiled program


WRONG_TABLES = {
    "a hole": ([np.nan, 1, 40], "input row 0 column 'age': missing-value: a value is expected"),
    "infinity": ([np.inf, 1, 40], "input row 0 column 'age': infinite-value: a finite number within float32"),
    "too large for float32": ([1e300, 1, 40], "column 'age': infinite-value"),
    "an unknown code": ([39, 2, 40], r"column 'work': unknown-category: a code in \[0, 2\) is expected, found 2.0"),
    "half a code": ([39, 0.5, 40], r"column 'work': unknown-category: .*found 0.5"),
    "a hole among codes": ([39, np.nan, 40], "column 'work': missing-value"),
    "too few columns": ([39, 1], r"numbers of shape \(examples, 3\).*got shape \(1, 2\)"),
    "texts": (["39", "1", "40"], "got <U2. Rows with texts go through predict_rows"),
}


@pytest.mark.parametrize("fault", WRONG_TABLES)
def test_a_wrong_table_is_refused(tables, fault):
    row, message = WRONG_TABLES[fault]
    with pytest.raises(InputError, match=message):
        tables.predict(np.array([row]))


def test_every_wrong_column_is_named_with_its_first_row(tables):
    with pytest.raises(InputError) as error:
        tables.predict(np.array([[39, 1, 40], [np.nan, 7, np.inf], [np.nan, 1, 40]]))
    assert [str(finding.where) for finding in error.value.findings] == [
        "input row 1 column 'age'", "input row 1 column 'work'", "input row 1 column 'hours'"
    ]  # fmt: skip
    assert "(rows like this: 2)" in str(error.value)


def test_an_unknown_category_is_refused_by_name(tables):
    with pytest.raises(
        InputError, match=r"input row 0 column 'work': unknown-category: .*'Privat'. Did you mean 'Private'"
    ):
        tables.predict_rows([{**ROWS[0], "work": "Privat"}])


WRONG_IMAGES = {
    "another size": (np.zeros((2, 9, 8, 1), np.uint8), r"\(examples, 8, 8, 1\), got shape \(2, 9, 8, 1\)"),
    "one image alone": (np.zeros((8, 8, 1), np.uint8), r"got one example of shape \(8, 8, 1\). Add the axis"),
    "scaled already": (np.zeros((2, 8, 8, 1), np.float32), "got float32. Were the images scaled already"),
    "out of range": (np.full((2, 8, 8, 1), 300), r"got 300 at index \[0, 0, 0, 0\], outside \[0, 255\]"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG_IMAGES)
def test_wrong_images_are_refused(images, fault):
    raw, message = WRONG_IMAGES[fault]
    with pytest.raises(InputError, match=message):
        images.predict(raw)


def test_pixels_brighter_than_white_in_training_are_refused(tmp_path):
    case = image_case()
    (step,) = case.preprocessing.steps
    dark = type(case.preprocessing)(({**step, "maximum": 16},), case.preprocessing.arrays)
    exported = case.save(tmp_path / "model.vx", preprocessing=dark)
    assert exported.predict(np.full((1, 8, 8, 1), 16, np.uint8))["outputs"].shape == (1, 3)
    with pytest.raises(InputError, match=r"pixels must lie in \[0, 16\], as in training, got 255"):
        exported.predict(np.full((1, 8, 8, 1), 255, np.uint8))


def test_numbers_that_are_not_finite_are_refused(numbers):
    with pytest.raises(InputError, match=r"finite values, got nan at index \[1, 2\]"):
        numbers.predict(np.array([[1, 2, 3, 4], [1, 2, np.nan, 4]], np.float32))
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        numbers.predict(np.ones((2, 4), np.float32), batch_size=0)


def test_a_model_that_gives_nan_names_no_class(tmp_path, mlp):
    params = {
        **mlp.variables.params,
        "output": {**mlp.variables.params["output"], "bias": jnp.full(3, jnp.nan)},
    }
    exported = mlp.save(tmp_path / "model.vx", variables=mlp.variables._replace(params=params))
    with pytest.raises(InputError, match=r"predictions must be finite, got \[nan nan nan\] in row 0"):
        exported.predict_rows(mlp.raw)


def test_calling_a_fixed_size_with_another_is_refused(tmp_path):
    from tests.export.cases import FixedSize

    exported = image_case(FixedSize()).save(tmp_path / "model.vx", batch_sizes=(4,))
    with pytest.raises(InputError, match=r"one of \[4\] rows, got 3. Use predict, which adds rows"):
        exported.call(exported.weights, np.zeros((3, 8, 8, 1), np.uint8))


def test_what_was_saved_and_what_is_loaded_are_the_same(saved, mlp, numbers):
    loaded = export.load(saved)
    np.testing.assert_array_equal(loaded.predict(mlp.raw)["outputs"], numbers.predict(mlp.raw)["outputs"])
    assert loaded.schema == mlp.schema
