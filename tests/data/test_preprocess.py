"""Preprocessing: fitted on train alone, applied as pure JAX, the same after export."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verax.data import Preprocessing, from_arrays, from_csv, impute, one_hot, scale_uint8, standardise
from verax.findings import InputError

TABLE = """age,work,pay,label
20,State,1.5,no
30,Private,?,yes
?,?,2.5,no
50,Private,2.5,yes
60,State,10,no
"""
TEST = """age,work,pay,label
1000,Private,?,yes
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "train.csv").write_text(TABLE)
    (tmp_path / "test.csv").write_text(TEST)
    source = from_csv(tmp_path / "train.csv", test=tmp_path / "test.csv", target="label")
    return source.split(validation=0, calibration=0)


def random_inputs(seed, shape, low=-5.0, high=5.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def test_standardise_agrees_with_the_textbook_formula_on_train_and_uses_train_statistics_elsewhere():
    train, test = random_inputs(0, (50, 3)) * np.float32([1, 100, 0.01]) + 7, random_inputs(1, (9, 3), 50, 60)
    labels = np.arange(59) % 2
    source = from_arrays(train=(train, labels[:50]), test=(test, labels[50:])).split(validation=0, calibration=0)
    dataset = source.preprocess(standardise()).load()
    mean, deviation = train.astype(np.float64).mean(axis=0), train.astype(np.float64).std(axis=0)
    for split, inputs in {"train": train, "test": test}.items():
        found = dataset.examples(split).inputs
        assert found.dtype == np.float32
        # float32 rounding of mean 7 relative to a deviation of 0.03: eps * 7 / 0.03
        np.testing.assert_allclose(found, (inputs - mean) / deviation, rtol=1e-5, atol=5e-5)


def test_statistics_are_summed_in_float64():
    """A million values near 1000: float32 sums would be off in the fourth digit."""
    inputs = (1000 + random_inputs(3, (200_000, 1), -1, 1)).astype(np.float32)
    dataset = from_arrays(inputs, inputs[:, 0]).split(0, 0, 0).preprocess(standardise()).load()
    statistics = dataset.preprocessing.arrays["0"]
    np.testing.assert_allclose(statistics["mean"], inputs.astype(np.float64).mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(1 / statistics["factor"], inputs.astype(np.float64).std(axis=0), rtol=1e-6)


def test_a_constant_feature_has_scale_one():
    inputs = np.stack([np.full(20, 0.1, np.float32), np.arange(20, dtype=np.float32)], axis=1)
    dataset = from_arrays(inputs, np.arange(20) % 2).split(0, 0, 0).preprocess(standardise()).load()
    assert dataset.preprocessing.arrays["0"]["factor"][0] == 1
    np.testing.assert_allclose(dataset.examples("train").inputs[:, 0], 0, atol=1e-8)


@pytest.mark.parametrize("strategy, expected", [("mean", 4.0), ("median", 2.0), ("most_frequent", 1.0)])
def test_impute_fills_with_the_statistic_of_the_train_split(strategy, expected):
    column = np.float32([1, 1, 3, 11, np.nan])[:, None]
    labels = np.arange(5) % 2
    source = from_arrays(train=(column, labels), test=(np.float32([[np.nan], [500]]), labels[:2]))
    dataset = source.split(validation=0, calibration=0).preprocess(impute(strategy)).load()
    assert dataset.examples("train").inputs[4, 0] == expected
    assert dataset.examples("test").inputs.tolist() == [[expected], [500]]


def test_scale_uint8_divides_by_the_largest_value():
    images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    dataset = from_arrays(images, np.arange(4) % 2).split(0, 0, 0).preprocess(scale_uint8()).load()
    found = dataset.examples("train").inputs
    np.testing.assert_allclose(found, images.astype(np.float64) / 255, rtol=2e-7)  # two roundings of float32
    assert found.min() == 0 and found.max() == 1


def test_one_hot_puts_a_group_in_the_place_of_a_column_and_marks_missing_values(table):
    dataset = table.preprocess(one_hot()).load()
    names = dataset.preprocessing.feature_names(dataset.schema)
    assert names == ("age", "work=Private", "work=State", "work missing", "pay")
    groups = dataset.examples("train").inputs[:, 1:4]
    assert groups.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert dataset.examples("test").inputs[0, :4].tolist() == [1000, 1, 0, 0]


def test_a_missing_category_that_training_does_not_know_is_never_a_silent_row_of_zeros(tmp_path):
    (tmp_path / "train.csv").write_text("work,label\na,x\nb,y\na,x\n")
    (tmp_path / "test.csv").write_text("work,label\n?,x\n")
    source = from_csv(tmp_path / "train.csv", test=tmp_path / "test.csv", target="label")
    dataset = source.split(validation=0, calibration=0).preprocess(one_hot()).load()
    assert np.isnan(dataset.examples("test").inputs).all()


def test_numeric_steps_leave_categories_alone_and_one_hot_columns_too(table):
    dataset = table.preprocess(impute(), one_hot(), standardise()).load()
    inputs = dataset.examples("train").inputs
    assert set(np.unique(inputs[:, 1:4])) == {0, 1}
    np.testing.assert_allclose(inputs[:, [0, 4]].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(inputs[:, [0, 4]].std(axis=0), 1, rtol=1e-6)


def test_the_second_step_is_fitted_to_what_the_first_gives(table):
    dataset = table.preprocess(impute("median"), standardise()).load()
    filled = np.float64([20, 30, 40, 50, 60])  # the median of 20, 30, 50, 60 is 40
    statistics = dataset.preprocessing.arrays["1"]
    np.testing.assert_allclose(statistics["mean"][0], filled.mean(), rtol=1e-6)
    np.testing.assert_allclose(1 / statistics["factor"][0], filled.std(), rtol=1e-6)


def test_columns_are_chosen_by_name(table):
    dataset = table.preprocess(impute("most_frequent", ["work", "pay"]), standardise(["age"])).load()
    fill = dataset.preprocessing.arrays["0"]["fill"]
    assert np.isnan(fill[0]) and fill[1:].tolist() == [0, 2.5]  # Private (code 0) and State tie: the smallest
    assert dataset.preprocessing.arrays["1"]["factor"][2] == 1


def test_statistics_do_not_depend_on_the_test_split(table, tmp_path):
    steps = (impute(), standardise(), one_hot())
    before = table.preprocess(*steps).load().preprocessing.arrays
    (tmp_path / "test.csv").write_text(TEST.replace("1000", "-77777"))
    after = table.preprocess(*steps).load()
    assert after.raw("test").inputs[0, 0] == -77777
    jax.tree.map(np.testing.assert_array_equal, before, after.preprocessing.arrays)


def test_the_fitted_steps_survive_json(table):
    dataset = table.preprocess(impute(), standardise(), one_hot()).load()
    fitted = dataset.preprocessing
    read = Preprocessing.from_json(json.loads(json.dumps(fitted.to_json())), fitted.arrays)
    raw = dataset.raw("train").inputs
    np.testing.assert_array_equal(read.apply(read.arrays, jnp.asarray(raw)), dataset.examples("train").inputs)
    assert read.feature_names(dataset.schema) == fitted.feature_names(dataset.schema)


def test_the_fitted_steps_export_with_a_symbolic_number_of_examples(table):
    dataset = table.preprocess(impute(), standardise(), one_hot()).load()
    fitted, raw = dataset.preprocessing, dataset.raw("train").inputs
    batch = jax.export.symbolic_shape("batch")[0]
    arrays = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), fitted.arrays)
    exported = jax.export.export(jax.jit(fitted.apply))(arrays, jax.ShapeDtypeStruct((batch, 3), jnp.float32))
    for rows in (1, 5):
        np.testing.assert_array_equal(exported.call(fitted.arrays, raw[:rows]), dataset.examples("train").inputs[:rows])


def test_images_export_with_a_symbolic_number_of_examples():
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), np.uint8)
    dataset = from_arrays(images, np.arange(20) % 2).split(0, 0, 0).preprocess(scale_uint8(), standardise()).load()
    fitted = dataset.preprocessing
    batch = jax.export.symbolic_shape("batch")[0]
    arrays = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), fitted.arrays)
    exported = jax.export.export(jax.jit(fitted.apply))(arrays, jax.ShapeDtypeStruct((batch, 4, 4), jnp.uint8))
    np.testing.assert_array_equal(exported.call(fitted.arrays, images[:7]), dataset.examples("train").inputs[:7])


@settings(max_examples=12)  # each compiles twice
@given(rows=st.integers(1, 40), block=st.integers(1, 50))
def test_blocks_change_nothing(rows, block):
    inputs = random_inputs(rows, (rows, 2))
    fitted = from_arrays(inputs, inputs).split(0, 0, 0).preprocess(standardise()).load().preprocessing
    found = fitted.transform(inputs, block)
    np.testing.assert_array_equal(found, fitted.transform(inputs, rows))
    np.testing.assert_array_equal(found, fitted.on_host(inputs))


def test_preprocessing_compiles_one_program_for_all_splits():
    inputs = random_inputs(0, (100, 2))
    dataset = from_arrays(inputs, np.arange(100) % 2).preprocess(standardise()).load()
    assert dataset.preprocessing  # fitting is host work
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    for split in dataset.splits:
        dataset.examples(split)
        dataset.examples(split)
    assert len(compiled) == 1


def test_without_steps_any_tree_goes_through_untouched():
    inputs = {"tokens": np.arange(20, dtype=np.int32), "flags": np.ones((20, 2), bool)}
    dataset = from_arrays(inputs, np.arange(20) % 2).split(0, 0, 0).load()
    found = dataset.examples("train").inputs
    assert found["tokens"].dtype == np.int32 and found["flags"].dtype == bool
    fitted = dataset.preprocessing
    assert fitted.apply(fitted.arrays, inputs) is inputs


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: impute("medain"),
            "strategy must be 'mean', 'median' or 'most_frequent', got 'medain'. Did you mean 'median'?",
        ),
        (lambda: standardise("age"), r"columns must be a list of names, got the text 'age'. Pass \('age',\)."),
        (lambda: scale_uint8(0), r"maximum must lie in \[1, 255\], got 0."),
    ],
)
def test_wrong_arguments_of_steps_are_refused_at_once(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "step, message",
    [
        (standardise(["agee"]), "standardise has no column 'agee' to work on. Did you mean 'age'?"),
        (standardise(["work"]), "standardise needs number columns, but 'work' is not one."),
        (impute("mean", ["work"]), r"impute\('mean'\) needs number columns, but 'work' is not one."),
        (one_hot(["pay"]), "one_hot needs categorical columns, but 'pay' is not one."),
        (scale_uint8(), "scale_uint8 needs uint8 images, got float32."),
    ],
)
def test_steps_that_do_not_fit_a_table_say_why(table, step, message):
    with pytest.raises(InputError, match=message):
        _ = table.preprocess(step).load().preprocessing


@pytest.mark.parametrize(
    "inputs, step, message",
    [
        (np.zeros((9, 2)), one_hot(), "one_hot needs a table with categorical columns"),
        (np.zeros((9, 2)), standardise(["a"]), "needs a table with named columns"),
        (np.zeros((9, 2)), impute(columns=["a"]), "needs a table with named columns"),
        (np.full((9, 2), np.nan), impute(), "at least one value in each column, but column '0' of train has none"),
        ({"a": np.zeros((9, 2))}, standardise(), "need inputs that are one array, but these are a tree"),
    ],
)
def test_steps_that_do_not_fit_arrays_say_why(inputs, step, message):
    with pytest.raises(InputError, match=message):
        _ = from_arrays(inputs, np.arange(9) % 2).split(0, 0, 0).preprocess(step).load().preprocessing


def test_a_step_that_was_not_called_is_named():
    with pytest.raises(
        InputError, match=r"preprocess takes steps such as standardise\(\), .* Call it: standardise\(\)."
    ):
        from_arrays(np.zeros((9, 2)), np.zeros(9)).preprocess(standardise)


def test_settings_of_another_version_or_without_their_arrays_are_refused():
    with pytest.raises(InputError, match="must have format 1, got 2"):
        Preprocessing.from_json({"format": 2, "steps": []}, {})
    with pytest.raises(InputError, match=r"step 0 must be one of .*, got 'whiten'"):
        Preprocessing.from_json({"format": 1, "steps": [{"kind": "whiten"}]}, {})
    with pytest.raises(InputError, match=r"step 0 \(standardise\) lacks its arrays \['factor'\]"):
        Preprocessing.from_json({"format": 1, "steps": [{"kind": "standardise"}]}, {"0": {"mean": np.zeros(2)}})
