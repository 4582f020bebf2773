"""The look at the data before any compute: each fault is found and named, and healthy data are left in peace."""

import time

import jax
import numpy as np
import pytest

from verax.data import (
    Dataset,
    Examples,
    Schema,
    check_data,
    digits,
    from_arrays,
    from_csv,
    impute,
    one_hot,
    scale_uint8,
    standardise,
)
from verax.findings import InputError, Split

ROWS = 60
INPUTS = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
LABELS = (np.arange(ROWS) % 3).astype(np.int32)
NUMBERS = INPUTS[:, 0] * 2 + 1
CLASSIFIER, BINARY, REGRESSOR = (32, 3), (32, 1), (32,)


def given(inputs=INPUTS, targets=LABELS, **splits):
    """A data set whose train split is just these arrays, so that rows can be followed."""
    return from_arrays(train=(inputs, targets), **splits).split(0, 0, 0).load()


def changed(array, index, value, dtype=None):
    array = array.astype(dtype or array.dtype)
    array[index] = value
    return array


def ids(findings, *severities):
    return [finding.id for finding in findings if finding.severity in (severities or ("error", "warning"))]


@pytest.mark.parametrize(
    "dataset, task, outputs",
    [
        (given(), "classification", CLASSIFIER),
        (given(), "classification", jax.ShapeDtypeStruct(CLASSIFIER, np.float32)),
        (given(targets=np.stack([LABELS, LABELS], axis=1)), "classification", (32, 2, 3)),
        (given(targets=LABELS % 2), "binary", BINARY),
        (given(targets=LABELS % 2), "binary", (32,)),
        (given(targets=LABELS == 1), "binary", None),
        (given(targets=NUMBERS), "regression", REGRESSOR),
        (given(targets=NUMBERS[:, None]), "regression", (32, 1)),
        (given(targets=INPUTS[:, :2]), "regression", (32, 2)),
        (given(targets={"any": LABELS}), "custom", {"any": (32,)}),
        (given({"a": INPUTS, "tokens": LABELS}), "classification", CLASSIFIER),
        (given(INPUTS.astype(np.float64)), "classification", None),
        (given(), None, None),
    ],
)
def test_healthy_data_raise_no_finding(dataset, task, outputs):
    assert check_data(dataset, task=task, outputs_shape=outputs, batch_size=32) == ()


@pytest.mark.parametrize(
    "targets, task, outputs, id, message",
    [
        (
            changed(LABELS, 7, 3),
            "classification",
            CLASSIFIER,
            "label-out-of-range",
            r"train row 7: .* lie in \[0, 3\), found 3 \(1 label outside\). Give the network more outputs",
        ),
        (
            changed(LABELS, 7, -1),
            "classification",
            CLASSIFIER,
            "label-out-of-range",
            r"train row 7: .* found -1 .* A negative label marks no class",
        ),
        (changed(LABELS, 7, -1), "classification", None, "label-out-of-range", "labels must not be negative, found -1"),
        (
            LABELS + 1,
            "classification",
            CLASSIFIER,
            "label-out-of-range",
            r"train row 2: .* found 3 \(20 labels outside\). None is 0: are they counted from 1\? Pass labels - 1",
        ),
        (
            np.eye(3, dtype=np.int32)[LABELS],
            "classification",
            CLASSIFIER,
            "label-encoding-mismatch",
            r"found int32 of shape \(60, 3\): one-hot. Pass targets.argmax\(-1\)",
        ),
        (
            np.eye(3)[LABELS],
            "classification",
            CLASSIFIER,
            "label-encoding-mismatch",
            r"found float32 of shape \(60, 3\): one-hot",
        ),
        (
            LABELS.astype(np.float32),
            "classification",
            CLASSIFIER,
            "label-encoding-mismatch",
            r"found float32 of shape \(60,\). Pass targets.astype\(int\)",
        ),
        (NUMBERS, "classification", CLASSIFIER, "label-encoding-mismatch", r"For numbers use regression\(\)"),
        (
            LABELS[:, None],
            "classification",
            CLASSIFIER,
            "target-shape-mismatch",
            r"labels must have shape \(batch\), .* Take one axis off: targets\[:, 0\]",
        ),
        (
            LABELS,
            "classification",
            (32, 1),
            "output-size-mismatch",
            r"two classes or more, found \(batch, 1\). For a single logit use binary\(\)",
        ),
        (LABELS, "classification", (32,), "output-size-mismatch", r"two classes or more, found \(batch\)"),
        (
            LABELS,
            "binary",
            BINARY,
            "label-out-of-range",
            r"train row 2: .* lie in \[0, 2\), found 2 .* use classification\(\)",
        ),
        (
            LABELS % 2 * 2 - 1,
            "binary",
            BINARY,
            "label-encoding-mismatch",
            r"train row 0: .* found -1 .* \(labels \+ 1\) // 2",
        ),
        (LABELS % 2 + 1, "binary", BINARY, "label-out-of-range", r"Pass labels - 1"),
        ((LABELS % 2).astype(np.float32), "binary", BINARY, "label-encoding-mismatch", r"Pass targets.astype\(int\)"),
        (np.eye(2, dtype=np.int32)[LABELS % 2], "binary", BINARY, "label-encoding-mismatch", "one-hot"),
        (LABELS[:, None] % 2, "binary", BINARY, "target-shape-mismatch", r"targets\[:, 0\]"),
        (LABELS % 2, "binary", (32, 2), "output-size-mismatch", r"binary needs one logit a row, .* found \(batch, 2\)"),
        (NUMBERS[:, None], "regression", (32,), "loss-broadcasting", r"Take one axis off: targets\[:, 0\]"),
        (NUMBERS, "regression", (32, 2), "output-size-mismatch", "Give the network one output per target"),
        (
            changed(NUMBERS, 5, np.nan),
            "regression",
            REGRESSOR,
            "non-finite-input",
            "train row 5: .* targets must be finite, found nan in 1 of 60 rows",
        ),
        (changed(NUMBERS, 5, np.inf), None, None, "non-finite-input", "found inf"),
        (
            changed(NUMBERS, 5, 1e300, float),
            "regression",
            REGRESSOR,
            "value-out-of-range",
            r"train row 5: .* must fit into float32, .* found 1e\+300",
        ),
        (
            changed(LABELS, 5, 2**40, int),
            "classification",
            None,
            "value-out-of-range",
            "must fit into int32, .* found 1099511627776",
        ),
        (
            {"a": LABELS, "b": LABELS},
            "classification",
            None,
            "target-shape-mismatch",
            "one array for classification, found a tree of 2",
        ),
    ],
)
def test_targets_that_do_not_fit_are_named(targets, task, outputs, id, message):
    findings = check_data(given(targets=targets), task=task, outputs_shape=outputs)
    assert id in ids(findings, "error")
    (finding,) = (finding for finding in findings if finding.id == id)
    assert finding.advice
    with pytest.raises(InputError, match=message):
        raise InputError([finding])


@pytest.mark.parametrize(
    "inputs, id, message",
    [
        (
            changed(INPUTS, (9, 2), np.nan),
            "non-finite-input",
            r"train row 9 column '2': .* found nan in 1 of 60 rows. Fill missing values: .preprocess\(impute\(\)",
        ),
        (
            changed(INPUTS, (9, 2), -np.inf),
            "non-finite-input",
            r"train row 9 column '2': .* found -inf .* Remove these rows",
        ),
        (
            changed(INPUTS, (9, 2), 1e200, float),
            "value-out-of-range",
            r"train row 9 column '2': .* must fit into float32, .* found 1e\+200",
        ),
        (
            changed(LABELS[:, None], (9, 0), 2**40, int),
            "value-out-of-range",
            r"train row 9 column '0': .* must fit into int32",
        ),
        (
            {"a": INPUTS, "b": changed(INPUTS, (3, 1), np.nan)},
            "non-finite-input",
            r"train row 3 .* inputs/b must be finite",
        ),
    ],
)
def test_values_that_are_no_numbers_are_named_with_row_and_column(inputs, id, message):
    findings = check_data(given(inputs), task="classification")
    assert ids(findings) == [id]
    with pytest.raises(InputError, match=message):
        raise InputError(findings)


def test_every_split_is_looked_at_and_carved_rows_are_traced_back():
    for row in range(0, ROWS, 7):
        dataset = from_arrays(changed(INPUTS, (row, 1), np.nan), changed(LABELS, row, 9)).load()
        findings = check_data(dataset, task="classification", outputs_shape=CLASSIFIER)
        assert ids(findings, "error") == ["label-out-of-range", "non-finite-input"]
        for finding in findings[:2]:
            assert dataset.rows[finding.where.name][finding.where.index] == row
            assert f"(row {row} of the data before splitting)" in finding.message


def test_all_problems_are_reported_errors_first():
    inputs = changed(changed(INPUTS, (3, 1), np.nan), (slice(None), 0), 5)
    bad = (changed(INPUTS, (8, 0), np.inf), changed(LABELS, 4, -7))
    dataset = given(inputs, changed(LABELS, 2, 33), validation=bad, test=(INPUTS[:5], LABELS[:5]))
    findings = check_data(dataset, task="classification", outputs_shape=CLASSIFIER, batch_size=99)
    assert [(finding.id, finding.where.name) for finding in findings if finding.severity == "error"] == [
        ("batch-larger-than-data", "train"),
        ("label-out-of-range", "train"),
        ("label-out-of-range", "validation"),
        ("non-finite-input", "train"),
        ("non-finite-input", "validation"),
    ]
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)


@pytest.mark.parametrize("batch_size, fits", [(1, True), (60, True), (61, False), (0, False)])
def test_a_batch_cannot_be_larger_than_the_data(batch_size, fits):
    findings = check_data(given(), task="classification", batch_size=batch_size)
    assert ids(findings) == ([] if fits else ["batch-larger-than-data"])
    if not fits:
        assert (
            f"batch_size must lie in [1, 60], the number of rows to train on, found {batch_size}" in findings[0].message
        )


def test_names_of_classes_bound_the_labels_too():
    dataset = from_arrays(INPUTS, LABELS, classes=("a", "b")).split(0, 0, 0).load()
    (finding,) = check_data(dataset, task="classification", outputs_shape=(32, 2))
    assert finding.id == "label-out-of-range" and "[0, 2), found 2" in finding.message


def test_more_outputs_than_named_classes_are_a_mistake():
    dataset = from_arrays(INPUTS, LABELS, classes=("a", "b", "c")).split(0, 0, 0).load()
    (finding,) = check_data(dataset, task="classification", outputs_shape=(32, 10))
    assert finding.id == "output-size-mismatch" and "10 outputs, but the data name 3 classes" in finding.message
    assert check_data(dataset, task="classification", outputs_shape=(32, 3)) == ()
    assert check_data(given(), task="classification", outputs_shape=(32, 10)) == ()  # spare outputs without names


def test_arrays_that_never_went_through_a_source_are_checked_as_well():
    schema = Schema("array", (4,), "float32")
    short = Dataset("own", schema, {"train": Examples(INPUTS, LABELS[:-1]), "test": Examples(INPUTS[:0], LABELS[:0])})
    assert ids(check_data(short)) == ["length-mismatch", "empty-split", "empty-split"]
    assert ids(check_data(Dataset("own", schema, {"test": Examples(INPUTS, LABELS)}), batch_size=8)) == ["empty-split"]


def test_classes_that_train_never_shows_are_a_warning():
    dataset = from_arrays(
        train=(INPUTS[LABELS < 2], LABELS[LABELS < 2]), test=(INPUTS[:9], LABELS[:9]), classes=("ant", "bee", "cat")
    )
    findings = check_data(dataset.split(0, 0, 0).load(), task="classification", outputs_shape=CLASSIFIER)
    assert ids(findings, "warning") == ["class-unseen-in-train"]
    assert findings[0].where == Split("test", 2)
    assert "3 labels are of classes that train has not: 2 (cat)" in findings[0].message


def test_a_train_split_of_one_class_is_a_warning():
    findings = check_data(given(targets=LABELS * 0 + 1), task="classification", outputs_shape=CLASSIFIER)
    assert ids(findings) == ["single-class-labels"] and "all labels are 1" in findings[0].message


@pytest.mark.parametrize(
    "inputs, message",
    [
        (INPUTS * np.float32([1, 1, 5000, 1]), "feature 2 has root mean square"),
        (INPUTS * np.float32([1, 1, 3000, 1]) / 1000, "2 spans .* and [013]"),
        (INPUTS + np.float32([0, 0, 0, 1990]), "feature 3 has root mean square 1.99e\\+03"),
        (
            np.arange(ROWS * 4, dtype=np.uint8).reshape(ROWS, 2, 2),
            "uint8 values up to 239 reach the network as they are",
        ),
    ],
)
def test_unscaled_features_are_a_warning_that_standardising_removes(inputs, message):
    source = from_arrays(train=(inputs, LABELS)).split(0, 0, 0)
    findings = check_data(source.load(), task="classification")
    assert ids(findings) == ["input-not-normalized"]
    with pytest.raises(InputError, match=message):
        raise InputError(findings)
    assert ids(check_data(source.preprocess(standardise()).load(), task="classification")) == []


def test_uint8_images_are_scaled_by_their_step():
    images = np.random.default_rng(0).integers(0, 256, (ROWS, 8, 8), np.uint8)
    source = from_arrays(train=(images, LABELS)).split(0, 0, 0)
    assert ids(check_data(source.preprocess(scale_uint8()).load())) == []
    (finding,) = check_data(source.load())
    assert finding.advice == "Add .preprocess(scale_uint8())."


def test_pixels_that_are_rarely_lit_are_no_matter_of_scale():
    images = np.zeros((ROWS, 2, 2), np.uint8)
    images[:, 0, 0], images[5, 1, 1] = np.arange(ROWS) * 4, 255
    assert ids(check_data(from_arrays(train=(images, LABELS)).split(0, 0, 0).preprocess(scale_uint8()).load())) == []


def test_constant_features_are_told_and_are_harmless():
    findings = check_data(given(changed(INPUTS, (slice(None), 2), 7)), task="classification")
    assert [(finding.id, finding.severity) for finding in findings] == [("constant-feature", "info")]
    assert "1 of 4 features never change: 2." in findings[0].message


def test_whole_numbers_are_told_since_they_may_be_tokens():
    assert ids(check_data(given(LABELS[:, None])), "info") == ["integer-input"]


@pytest.fixture
def people(tmp_path):
    rows = [f"{20 + row},{'abc'[row % 3]},{row % 5}.5,{'yn'[row % 2]}" for row in range(20)]
    (tmp_path / "train.csv").write_text("\n".join(["age,work,pay,label", *rows, "?,?,1,y"]))
    (tmp_path / "test.csv").write_text("age,work,pay,label\n30,d,1,y\n31,a,?,n\n")
    source = from_csv(tmp_path / "train.csv", test=tmp_path / "test.csv", target="label")
    return source.split(validation=0, calibration=0)


def test_missing_values_are_errors_until_a_step_fills_them(people):
    findings = check_data(people.load(), task="binary")
    assert [(finding.id, finding.where) for finding in findings] == [
        ("non-finite-input", Split("train", 20, "age")),
        ("non-finite-input", Split("test", 1, "pay")),
    ]
    assert "found nan in 1 of 21 rows, in columns age, work." in findings[0].message
    assert ids(check_data(people.preprocess(impute(), one_hot()).load(), task="binary"), "error") == []


def test_a_missing_category_is_an_error_until_it_has_a_column(people):
    (train,) = [finding for finding in check_data(people.preprocess(impute()).load()) if finding.severity == "error"]
    assert train.where == Split("train", 20, "work") and "Add one_hot()" in train.advice


def test_categories_as_numbers_are_a_warning(people):
    findings = check_data(people.preprocess(impute(), impute("most_frequent", ["work"])).load(), task="binary")
    assert ids(findings) == ["categorical-as-number"]
    assert "1 categorical columns reach the network as code numbers: work" in findings[0].message


def test_categories_that_train_never_shows_are_told(people):
    findings = check_data(people.preprocess(impute(), one_hot(), standardise()).load(), task="binary")
    assert ids(findings) == []
    (unseen,) = [finding for finding in findings if finding.id == "category-unseen-in-train"]
    assert unseen.where == Split("test", 0, "work") and "first 'd'" in unseen.message


def test_steps_that_cannot_be_fitted_are_findings(people):
    assert ids(check_data(people.preprocess(scale_uint8()).load())) == ["preprocessing-failed"]


def test_an_unknown_task_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match=r"task must be one of .* got 'clasification'. Did you mean 'classification'"):
        check_data(digits().load(), task="clasification")


def test_a_large_data_set_is_checked_in_no_time():
    inputs = np.random.default_rng(0).random((60_000, 784), np.float32)
    dataset = from_arrays(train=(inputs, np.arange(60_000) % 10)).split(0, 0, 0).load()
    start = time.process_time()
    assert check_data(dataset, task="classification", outputs_shape=(32, 10), batch_size=32) == ()
    # Half a second of one core here; three times that is still nothing beside training.
    assert time.process_time() - start < 1.5
