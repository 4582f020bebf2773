"""Tables from CSV files: numbers, categories, missing values, class names, and what is wrong with a file."""

import numpy as np
import pytest

from verax.data import check_data, from_csv, impute, one_hot, standardise
from verax.findings import InputError

PEOPLE = """# made by hand
age, work, pay, label

39, State, 1.5, no
?, Private, 2, yes
50, NA, 3, no
28, Private, , yes
"""
ADULT = ("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship")
ADULT += ("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income")


def write(folder, text, name="data.csv"):
    (folder / name).write_text(text)
    return folder / name


def whole(source):
    return source.split(0, 0, 0).load()


def test_a_table_becomes_codes_with_nan_for_missing_values(tmp_path):
    dataset = whole(from_csv(write(tmp_path, PEOPLE), target="label", comment="#"))
    expected = np.float32([[39, 1, 1.5], [np.nan, 0, 2], [50, np.nan, 3], [28, 0, np.nan]])
    np.testing.assert_array_equal(dataset.raw("train").inputs, expected)
    assert dataset.raw("train").targets.tolist() == [0, 1, 0, 1]
    schema = dataset.schema
    assert (schema.kind, schema.shape, schema.dtype, schema.target) == ("table", (3,), "float32", "label")
    assert schema.classes == ("no", "yes")
    assert [(column.name, column.categories) for column in schema.columns] == [
        ("age", None),
        ("work", ("Private", "State")),
        ("pay", None),
    ]


def test_the_target_may_stand_in_any_column_and_be_a_number(tmp_path):
    dataset = whole(from_csv(write(tmp_path, "y,a\n1.5,2\n-3,4\n"), target="y"))
    assert dataset.raw("train").targets.dtype == np.float32
    assert dataset.raw("train").targets.tolist() == [1.5, -3]
    assert dataset.schema.classes is None


def test_classes_written_as_numbers_are_ordered_as_numbers(tmp_path):
    dataset = whole(from_csv(write(tmp_path, "a,y\n0,10\n1,2\n2,1\n"), target="y", task="classification"))
    assert dataset.schema.classes == ("1", "2", "10")
    assert dataset.raw("train").targets.tolist() == [2, 1, 0]


def test_files_without_header_with_other_delimiters_or_quotes(tmp_path):
    for text, options in {
        "1;2;0.5\n3;4;1\n": {"delimiter": ";"},
        "  1   2 0.5\n3\t4  1\n": {"delimiter": None},
        "junk\nmore junk\n1,2,0.5\n3,4,1": {"skip_rows": 2},
        '"1","2","0.5"\r\n"3","4","1"\r\n': {},
    }.items():
        source = from_csv(write(tmp_path, text), target="c", columns=["a", "b", "c"], **options)
        inputs, targets = whole(source).raw("train")
        assert inputs.tolist() == [[1, 2], [3, 4]] and targets.tolist() == [0.5, 1]


def test_quoted_values_may_hold_the_delimiter(tmp_path):
    dataset = whole(from_csv(write(tmp_path, 'a,y\n"x,1",p\nz,q\n'), target="y"))
    assert dataset.schema.columns[0].categories == ("x,1", "z")


def test_numbers_may_be_categories(tmp_path):
    dataset = whole(from_csv(write(tmp_path, "zip,y\n10,1\n9,2\n10,3\n"), target="y", categorical=["zip"]))
    assert dataset.schema.columns[0].categories == ("9", "10")
    assert dataset.schema.encode([{"zip": 10}, {"zip": "9"}, {"zip": 9.0}]).tolist() == [[1], [0], [0]]


def test_a_second_file_is_the_test_split_whatever_the_order_of_its_columns(tmp_path):
    train = write(tmp_path, "a,b,y\n1,u,p\n2,v,q\n")
    test = write(tmp_path, "y,b,a\nq.,w,9\n", "test.csv")
    dataset = from_csv(train, test=test, target="y", label_suffix=".").split(validation=0, calibration=0).load()
    assert dataset.schema.columns[1].categories == ("u", "v", "w")
    assert dataset.raw("test").inputs.tolist() == [[9, 2]] and dataset.raw("test").targets.tolist() == [1]
    assert dataset.schema.classes == ("p", "q")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "must have rows, found none"),
        ("a,y\n", "must have rows, found none"),
        ("a,y\n1,2\n3\n", r"line 3 must have 2 values \(a, y\), found 1. Was the file cut short"),
        ("a,y\n1,2,9\n3,4\n", "line 2 must have 2 values .* found 3. Is the delimiter ',' right"),
        ("a;y\n1;2\n", "must have a column 'y'. Known: 'a;y'"),
        ("a,Y\n1,2\n", "must have a column 'y'. Did you mean 'Y'"),
        ("a,a,y\n1,2,3\n", "line 1 must have distinct column names, found 'a' twice"),
        ("1,2\n3,4\n", "line 1 must name the columns, found numbers only: 1, 2. If there is no header, pass columns="),
        ("y\n1\n", "must have input columns besides the target 'y'"),
        ("a,y\n1,2\n2,\n3,NA\n", "line 3: the target 'y' is missing, in 2 rows in all"),
        ("a,y\n1,2\n\n2,2\n3,3\n4x,4\n", "line 6: column 'a' holds numbers nearly everywhere, found '4x'"),
        ('a,y\n"1,2\n3,4\n', "reading it failed: unexpected end of data"),
        ("a,y\n1,2\n1e99,3\n2,3\n", "line 3: column 'a' holds numbers nearly everywhere, found '1e99'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        from_csv(write(tmp_path, text), target="y").load()


def test_values_that_are_no_numbers_are_all_listed_where_the_columns_are_named(tmp_path):
    text = "a,b,y\n1,u,2\nx,v,3\n3,w,4\nz,u,5\n"
    with pytest.raises(InputError) as error:
        from_csv(write(tmp_path, text), target="y", categorical=["b"]).load()
    assert "line 3: a finite number within float32 is expected, found 'x'" in str(error.value)
    assert "line 5: a finite number within float32 is expected, found 'z'" in str(error.value)
    assert [finding.where.column for finding in error.value.findings] == ["a", "a"]


def test_a_target_that_is_no_number_is_an_error_in_a_regression(tmp_path):
    with pytest.raises(
        InputError, match=r"line 3: the target 'y' must be a number, found 'high'. For classes pass task="
    ):
        from_csv(write(tmp_path, "a,y\n1,2\n2,high\n"), target="y", task="regression").load()


def test_files_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "data.csv").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    with pytest.raises(InputError, match=r"must be text in UTF-8, but byte 1 is none. Is it compressed"):
        from_csv(tmp_path / "data.csv", target="y").load()
    with pytest.raises(InputError, match=r"must be a CSV file, but there is no such file. Did you mean 'data.csv'"):
        from_csv(tmp_path / "dat.csv", target="y").load()


def test_the_columns_of_the_test_file_must_be_those_of_train(tmp_path):
    train = write(tmp_path, "a,y\n1,2\n3,4\n")
    for text, message in {
        "a,b,y\n1,2,3\n": "found 'b' besides",
        "b,y\n1,2\n": "test.csv must have a column 'a'",
    }.items():
        with pytest.raises(InputError, match=message):
            from_csv(train, test=write(tmp_path, text, "test.csv"), target="y").load()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"columns": ["a", "a"]}, "columns must be distinct"),
        ({"columns": ["a", "yy"]}, "columns must include 'y'. Did you mean 'yy'"),
        ({"columns": ["age", "y"], "categorical": ["aeg"]}, "columns must include 'aeg'. Did you mean 'age'"),
        ({"categorical": "work"}, r"categorical must be 'auto' or a list .* Pass \('work',\)"),
        ({"task": "clasification"}, "got 'clasification'. Did you mean 'classification'"),
        ({"delimiter": ", "}, "delimiter must be one character or None"),
        ({"skip_rows": -1}, "skip_rows must not be negative"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_read(options, message):
    with pytest.raises(InputError, match=message):
        from_csv("nowhere.csv", target="y", **options)


def test_adult_loads_in_one_call(data_folder):
    folder = data_folder / "tabular"
    source = from_csv(
        folder / "adult.data",
        test=folder / "adult.test",
        target="income",
        columns=ADULT,
        comment="|",
        label_suffix=".",
    ).preprocess(standardise(), one_hot())
    dataset = source.load()
    train, test = (dataset.raw(split) for split in ("train", "test"))
    assert sum(dataset.raw(split).size for split in dataset.splits) == 32_561 + 16_281
    assert test.size == 16_281 and dataset.schema.classes == ("<=50K", ">50K")
    assert int(np.isnan(test.inputs).any(axis=1).sum()) == 1_221
    assert abs(test.targets.mean() - 0.2362) < 5e-5 and abs(train.targets.mean() - 0.2408) < 1e-4
    assert dataset.examples("train").inputs.shape[1] == len(dataset.preprocessing.feature_names(dataset.schema)) == 108
    assert not [finding for finding in check_data(dataset, task="binary") if finding.severity != "info"]


def test_california_housing_loads_in_one_call(data_folder):
    source = from_csv(data_folder / "tabular" / "california_housing.csv", target="target")
    dataset = source.preprocess(impute(), standardise()).load()
    assert sum(dataset.raw(split).size for split in dataset.splits) == 20_640
    targets = np.concatenate([dataset.raw(split).targets for split in dataset.splits])
    assert abs(targets.std() - 1.1539) < 1e-3 and targets.max() == np.float32(5.00001)
    assert check_data(dataset, task="regression", outputs_shape=(32,), batch_size=32) == ()
