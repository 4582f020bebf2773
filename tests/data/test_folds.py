"""Folds: every row held out once, classes shared out, indices checked, each fold prepared by its own train rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax.data import Fold, digits, folds, from_arrays, standardise
from verax.data._folds import as_folds, fold_datasets, table
from verax.findings import InputError


def numbered(rows, classes=3):
    """Rows that hold their own number; classes in blocks, as in a sorted file."""
    numbers = np.arange(rows, dtype=np.float32)
    return numbers[:, None], np.sort(np.arange(rows, dtype=np.int32) % classes)


def source(rows=30, *carve):
    return from_arrays(*numbered(rows)).split(*(carve or (0, 0, 0)))


@given(rows=st.integers(4, 120), k=st.integers(2, 4), seed=st.integers(0, 99), stratify=st.booleans())
def test_every_row_is_held_out_once_and_parts_are_of_one_size(rows, k, seed, stratify):
    made = folds(source(rows), k, seed=seed, stratify=stratify)
    held_out = [fold.test for fold in made]
    assert sorted(np.concatenate(held_out).tolist()) == list(range(rows))
    assert max(map(len, held_out)) - min(map(len, held_out)) <= 1
    for fold in made:
        assert sorted([*fold.train, *fold.test]) == list(range(rows))
        assert not len(fold.validation) and not len(fold.calibration)


@given(rows=st.integers(12, 120), k=st.integers(2, 5), seed=st.integers(0, 99))
def test_every_class_has_its_share_in_every_fold(rows, k, seed):
    data = source(rows)
    labels = numbered(rows)[1]
    counts = np.array([np.bincount(labels[fold.test], minlength=3) for fold in folds(data, k, seed=seed)])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()


def test_folds_repeat_and_another_seed_is_another_division():
    first, again, other = (folds(source(), 3, seed=seed) for seed in (0, 0, 1))
    assert all(
        np.array_equal(a, b) for one, two in zip(first, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert not np.array_equal(first[0].test, other[0].test)


def test_validation_and_calibration_are_carved_as_the_source_says():
    for fold in folds(source(100, 0.3, 0.25, 5), 4):
        assert [len(part) for part in fold] == [75 - 19 - 5, 19, 5, 25]
        assert sorted(np.concatenate(fold).tolist()) == list(range(100))


def test_the_table_is_what_the_splits_were_carved_from():
    whole = table(source(30, 0.2, 0.2, 0.1).load())
    np.testing.assert_array_equal(whole.inputs, numbered(30)[0])
    np.testing.assert_array_equal(whole.targets, numbered(30)[1])


def test_a_test_split_of_its_own_is_no_part_of_the_table():
    inputs, targets = numbered(20)
    data = from_arrays(train=(inputs, targets), test=(inputs + 1000, targets)).split(0, 0, 0)
    assert table(data.load()).size == 20
    (first, _) = fold_datasets(data.load(), folds(data, 2))
    assert first.raw("test").inputs.max() < 1000


def test_each_fold_is_standardised_by_its_own_train_rows():
    data = source(30).preprocess(standardise())
    made = folds(data, 3)
    for fold, dataset in zip(made, fold_datasets(data.load(), made), strict=True):
        own = np.arange(30.0)[fold.train]
        expected = (np.arange(30.0)[fold.test] - own.mean()) / own.std()
        np.testing.assert_allclose(dataset.examples("test").inputs[:, 0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(dataset.raw("test").inputs[:, 0], fold.test)
        assert dataset.splits == ("train", "test")


def test_folds_that_miss_values_elsewhere_say_so_in_their_schema():
    inputs, targets = numbered(6)
    inputs = np.where(inputs == 0, np.nan, inputs).astype(np.float32)
    with_nan, without = fold_datasets(
        from_arrays(inputs, targets).split(0, 0, 0).load(), as_folds([([0, 1, 2], [3]), ([3, 4, 5], [1])], 6)
    )
    assert with_nan.schema.missing and not without.schema.missing


def test_digits_fold_by_class():
    labels = table(digits().load()).targets
    for fold in folds(digits(), 5):
        share = np.bincount(labels[fold.test], minlength=10) / np.bincount(labels, minlength=10)
        np.testing.assert_allclose(share, 0.2, atol=0.01)


def test_indices_may_be_pairs_triples_or_folds():
    pair, triple = as_folds([([0, 1], [2]), (np.array([0]), [1], [2])], 3)
    assert [part.tolist() for part in pair] == [[0, 1], [], [], [2]]
    assert [part.tolist() for part in triple] == [[0], [1], [], [2]]
    assert [part.tolist() for part in as_folds([pair], 3)[0]] == [part.tolist() for part in pair]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([([0, 1], [1, 2])], r"folds\[0\] must have each row in one part, but row 1 is in train and test"),
        ([([0], [1]), ([0], [9])], r"folds\[1\] test must be row numbers in \[0, 3\), got 9 at index 0"),
        ([([0], [-1])], r"row numbers in \[0, 3\), got -1"),
        ([([0], [])], r"folds\[0\] test must have at least one row, got none"),
        ([([True, False, False], [1])], r"np\.flatnonzero\(mask\)"),
        ([([0.0], [1])], r"must be row numbers on one axis, got float64 of shape \(1,\)"),
        ([[0, 1, 2, 3, 4]], r"folds\[0\] must be \(train rows, test rows\).*list of length 5"),
        ([7], r"folds\[0\] must be .*got int"),
        ([], r"folds must be a number, or a list of \(train rows, test rows\), got list"),
        (Fold(*[np.array([0])] * 4), r"folds must be a number.*got Fold"),
    ],
)
def test_wrong_indices_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        as_folds(given, 3)


@pytest.mark.parametrize("k", [1, 31, True])
def test_a_wrong_number_of_folds_is_refused(k):
    with pytest.raises(InputError, match="k must be a whole number of folds between 2 and the 30 rows"):
        folds(source(), k)
