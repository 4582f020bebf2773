"""A data set in memory: its splits and its fingerprint."""

import numpy as np
import pytest

from verax.data import from_arrays, standardise
from verax.findings import InputError

INPUTS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
LABELS = np.arange(30) % 3


def test_the_fingerprint_tells_data_apart_and_nothing_else():
    first = from_arrays(INPUTS, LABELS).load()
    changed = INPUTS.copy()
    changed[7, 2] += 1e-6
    same = [from_arrays(INPUTS.copy(), LABELS, name="other"), from_arrays(INPUTS, LABELS).preprocess(standardise())]
    other = [
        from_arrays(changed, LABELS),
        from_arrays(INPUTS, (LABELS + 1) % 3),
        from_arrays(INPUTS, LABELS).split(seed=1),
        from_arrays(INPUTS, LABELS, classes=("a", "b", "c")),
        from_arrays(INPUTS.reshape(30, 2, 2), LABELS),
        from_arrays(INPUTS.view(np.int32), LABELS),
    ]
    assert {source.load().fingerprint for source in same} == {first.fingerprint}
    prints = {source.load().fingerprint for source in other}
    assert len(prints) == len(other) and first.fingerprint not in prints
    assert len(first.fingerprint) == 64


def test_a_transposed_array_has_the_fingerprint_of_its_values():
    transposed = np.asfortranarray(INPUTS)
    assert from_arrays(transposed, LABELS).load().fingerprint == from_arrays(INPUTS, LABELS).load().fingerprint


def test_examples_are_prepared_once_and_read_only():
    dataset = from_arrays(INPUTS, LABELS).preprocess(standardise()).load()
    examples = dataset.examples("train")
    assert dataset.examples("train").inputs is examples.inputs
    assert isinstance(examples.inputs, np.ndarray) and not examples.inputs.flags.writeable
    assert examples.targets is dataset.raw("train").targets


def test_rows_say_where_carved_examples_come_from():
    dataset = from_arrays(INPUTS, LABELS).load()
    for split in dataset.splits:
        np.testing.assert_array_equal(dataset.raw(split).inputs, INPUTS[dataset.rows[split]])


def test_a_split_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"split must be one of .*, got 'valid'. Did you mean 'validation'"):
        from_arrays(INPUTS, LABELS).load().raw("valid")


def test_a_data_set_prints_its_sizes():
    text = repr(from_arrays(INPUTS, LABELS, name="small").load())
    assert text == "Dataset('small', array float32[4], train 18, validation 3, calibration 3, test 6)"
