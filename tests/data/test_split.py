"""Splits: disjoint, exhaustive, stratified, repeatable; what is given is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax.data import from_arrays
from verax.findings import InputError

CARVED = ("test", "validation", "calibration")


def numbered(rows, classes=3):
    """Rows that hold their own number, so that they can be followed; classes in blocks, as in a sorted file."""
    numbers = np.arange(rows, dtype=np.int32)
    return numbers[:, None], np.sort(numbers % classes)


def numbers_of(dataset):
    return {split: dataset.raw(split).inputs[:, 0] for split in dataset.splits}


@given(
    rows=st.integers(8, 400),
    sizes=st.tuples(*[st.one_of(st.floats(0, 0.3), st.integers(0, 2))] * 3),
    stratify=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_splits_are_disjoint_exhaustive_and_repeatable(rows, sizes, stratify, seed):
    inputs, targets = numbered(rows)
    source = from_arrays(inputs, targets).split(*sizes, stratify=stratify, seed=seed)
    dataset = source.load()
    parts = numbers_of(dataset)
    together = np.concatenate(list(parts.values()))
    assert sorted(together.tolist()) == list(range(rows))
    for split in dataset.splits:
        np.testing.assert_array_equal(dataset.raw(split).targets, targets[parts[split]])
    for split, size in zip(CARVED, sizes, strict=True):
        due = max(1, round(size * rows)) if isinstance(size, float) and size > 0 else int(size)
        assert (dataset.raw(split).size if split in parts else 0) == due
    again = from_arrays(inputs, targets).split(*sizes, stratify=stratify, seed=seed).load()
    assert again.fingerprint == dataset.fingerprint


@given(counts=st.lists(st.integers(1, 60), min_size=2, max_size=5), seed=st.integers(0, 100))
def test_a_stratified_split_holds_the_share_of_every_class_up_to_one_row(counts, seed):
    targets = np.repeat(np.arange(len(counts)), counts)
    rows = len(targets)
    if rows < 10:
        return
    dataset = from_arrays(np.zeros((rows, 1)), targets).split(test=0.2, validation=0, calibration=0, seed=seed).load()
    test = dataset.raw("test")
    for label, count in enumerate(counts):
        share = test.size * count / rows
        assert abs((test.targets == label).sum() - share) <= 1


def test_without_stratification_the_shares_vary():
    inputs, targets = numbered(300)
    shares = {
        int((from_arrays(inputs, targets).split(stratify=False, seed=seed).load().raw("test").targets == 0).sum())
        for seed in range(10)
    }
    assert len(shares) > 2


def test_seeds_give_different_splits():
    inputs, targets = numbered(100)
    picked = {tuple(numbers_of(from_arrays(inputs, targets).split(seed=seed).load())["test"]) for seed in range(5)}
    assert len(picked) == 5


def test_by_default_a_fifth_is_for_test_and_a_tenth_each_for_validation_and_calibration():
    sizes = {split: len(rows) for split, rows in numbers_of(from_arrays(*numbered(200)).load()).items()}
    assert sizes == {"train": 120, "validation": 20, "calibration": 20, "test": 40}


def test_splits_that_are_given_are_kept_and_the_others_come_from_train():
    inputs, targets = numbered(100)
    source = from_arrays(train=(inputs[:70], targets[:70]), test=(inputs[70:], targets[70:]))
    parts = numbers_of(source.split(test=0.5, validation=0.1, calibration=7).load())
    assert parts["test"].tolist() == list(range(70, 100))
    assert {split: len(rows) for split, rows in parts.items()} == {
        "train": 56,
        "validation": 7,
        "calibration": 7,
        "test": 30,
    }
    assert sorted(np.concatenate([parts["train"], parts["validation"], parts["calibration"]])) == list(range(70))


def test_zero_means_no_such_split():
    dataset = from_arrays(*numbered(20)).split(0, 0, 0).load()
    assert dataset.splits == ("train",)


def test_trees_are_split_leaf_by_leaf():
    numbers = np.arange(30)
    dataset = from_arrays({"left": numbers, "right": (numbers[:, None], numbers)}, {"label": numbers % 2}).load()
    for split in dataset.splits:
        inputs, targets = dataset.raw(split)
        np.testing.assert_array_equal(inputs["left"], inputs["right"][0][:, 0])
        np.testing.assert_array_equal(inputs["left"] % 2, targets["label"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"test": 1.0}, r"test must be a fraction in \[0, 1\) or a number of rows, got 1.0"),
        ({"validation": -0.1}, "validation must be a fraction"),
        ({"validation": -3}, "validation must be a fraction"),
        ({"calibration": float("nan")}, "calibration must be a fraction"),
        ({"test": True}, "test must be a fraction"),
        ({"test": 0.5, "validation": 0.4}, "must leave rows to train on, but they add up to 1"),
        ({"seed": -1}, "seed must not be negative, got -1"),
    ],
)
def test_impossible_sizes_are_refused_before_anything_is_read(arguments, message):
    source = from_arrays(*numbered(20))
    with pytest.raises(InputError, match=message):
        source.split(**arguments)


def test_more_rows_than_there_are_cannot_be_carved():
    with pytest.raises(InputError, match=r"train has 20 rows, too few .* \(test 15, validation 5, calibration 2\)"):
        from_arrays(*numbered(20)).split(15, 5, 0.1).load()


def test_numbers_cannot_be_stratified():
    source = from_arrays(np.zeros((20, 1)), np.linspace(0, 1, 20)).split(stratify=True)
    with pytest.raises(InputError, match=r"stratify=True needs integer classes, .* float32 of shape \(20,\)"):
        source.load()
