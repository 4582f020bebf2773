"""Splits against one another: each fault is planted in a healthy program, and has a look-alike that stays silent."""

import jax
import numpy as np
import pytest

from tests.doctor.probes.test_data_values import linear
from tests.doctor.programs import HEALTHY, binary, classifier, ids, regressor, subject, suspected
from verax.doctor.probes import _copies, _near_copies, _shift

MODULES = (_copies, _near_copies, _shift)


@pytest.fixture(autouse=True)
def _promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def digits(train=lambda x, y: (x, y), test=lambda x, y: (x, y), **parts):
    healthy = classifier()
    return classifier(**{"network": linear(), "train": train(*healthy.train), "test": test(*healthy.test), **parts})


def waves(test=lambda x: x, **parts):
    healthy = regressor()
    held = (test(healthy.test[0]).astype(np.float32), healthy.test[1])
    return regressor(**{"network": linear(1), "test": held, **parts})


def split(x, y, make=binary, outputs=1):
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    half = len(x) * 3 // 4
    return make(train=(x[:half], y[:half]), test=(x[half:], y[half:]), network=linear(outputs))


def alarms(program, look):
    return ids(look(subject(program)))


@pytest.mark.parametrize("program", HEALTHY)
def test_healthy_programs_are_silent(program):
    each = subject(program())
    for look in [probe.look for module in MODULES for probe in module.PROBES]:
        found = look(each)
        assert ids(found) == [] and suspected(found) == []


def with_test_rows(rows):
    x, y = classifier().test
    return lambda a, b: (np.concatenate([a, x[:rows]]), np.concatenate([b, y[:rows]]))


def test_test_rows_in_training_are_found():
    (finding,) = _copies.look_across(subject(digits(with_test_rows(100)))).findings
    assert (finding.id, finding.severity) == ("train-test-overlap", "error")
    assert "100 of 497 rows" in finding.message and str(finding.where) == "test row 0"
    assert alarms(digits(with_test_rows(500)), _copies.look_across) == ["evaluating-on-train"]


def switches(rows=1500, bits=6):
    x = np.random.default_rng(0).integers(0, 2, (rows, bits)) * 2.0 - 1
    return x, (x[:, 0] != x[:, 1]).astype(np.int32)


def test_rows_of_few_kinds_are_equal_by_right():
    generator = np.random.default_rng(0)
    few, label = switches()
    people = np.stack(
        [generator.integers(18, 90, 1200), generator.integers(0, 5, 1200), generator.integers(0, 3, 1200)], 1
    )
    rounded = np.round(generator.uniform(size=(1200, 2)), 2)
    for x, y in ((few, label), (people, people[:, 0] % 2), (rounded, (rounded[:, 0] > 0.5).astype(np.int32))):
        program = split(x, y)
        for look in (_copies.look_across, _copies.look_within):
            seen = look(subject(program))
            assert ids(seen) == [] and suspected(seen) == []


def test_repeated_training_rows_are_suspected_and_the_repair_keeps_one_of_each():
    def repeat(x, y):
        return np.concatenate([x, *[x[:20]] * 20]), np.concatenate([y, *[y[:20]] * 20])

    it = subject(digits(repeat))
    (suspicion,) = _copies.look_within(it).suspicions
    assert suspicion.finding.id == "duplicate-examples" and "400 of 1,700" in suspicion.finding.message
    assert suspicion.repairs[0].change(it).train.size == 1300


def test_copies_with_other_labels_are_found_and_annotators_who_differ_are_not():
    def twice(share):
        def change(x, y):
            generator = np.random.default_rng(0)
            other = np.where(generator.random(len(y)) < share, generator.integers(0, 10, len(y)), y).astype(np.int32)
            return np.concatenate([x, x]), np.concatenate([y, other])

        return change

    (finding,) = _copies.look_within(subject(digits(twice(1.0)))).findings
    assert finding.id == "conflicting-labels" and finding.severity == "error"
    assert alarms(digits(twice(0.1)), _copies.look_within) == []
    x, y = switches()
    noisy = np.where(np.random.default_rng(1).random(len(y)) < 0.05, 1 - y, y)
    assert alarms(split(x, noisy), _copies.look_within) == []


def jittered(x, y, spread=0.02, times=3):
    generator = np.random.default_rng(0)
    return np.concatenate([x + spread * generator.normal(size=x.shape) for _ in range(times)]), np.tile(y, times)


def test_near_copies_across_the_splits_are_found():
    x, y = classifier().train
    (finding,) = _near_copies.look(subject(split(*jittered(x[:500], y[:500]), classifier, 10))).findings
    assert finding.id == "near-duplicate-leak" and finding.part == "data"
    x, y = regressor().train
    assert alarms(split(*jittered(x[:300], y[:300]), regressor), _near_copies.look) == ["near-duplicate-leak"]


def test_smooth_data_of_few_dimensions_and_large_groups_are_near_by_right():
    angle = np.random.default_rng(0).uniform(0, 6.28, 900)
    curve = np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)
    assert alarms(split(curve, np.sin(3 * angle).astype(np.float32), regressor), _near_copies.look) == []
    line = angle[:, None]
    assert alarms(split(line, np.sin(3 * angle).astype(np.float32), regressor), _near_copies.look) == []
    assert alarms(split(*jittered(*switches(100), times=10)), _near_copies.look) == []


@pytest.mark.parametrize(
    ("test", "name"),
    [
        (lambda x, y: (x * 255, y), "a factor of 0.00392"),
        (lambda x, y: (2 * x - 1, y), "0.5 x"),
        (lambda x, y: (1 - x, y), "-1 x"),
    ],
)
def test_pictures_through_another_transform_are_found_and_it_is_named(test, name):
    (finding,) = _shift.look(subject(digits(test=test))).findings
    assert finding.id == "train-test-preprocessing-mismatch" and name in finding.message


@pytest.mark.parametrize(
    ("test", "name"),
    [
        (lambda x: (x - x.min(axis=0)) / np.ptp(x, axis=0), "held-out columns are scaled to [0, 1]"),
        (lambda x: x * np.float32([3, 10, 0.1, 5, 30, 7]) + 40, "held-out ones not"),
    ],
)
def test_columns_through_another_scaler_are_found(test, name):
    x, y = regressor().train
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    (finding,) = _shift.look(subject(waves(test, train=(x, y)))).findings
    assert finding.id == "train-test-preprocessing-mismatch" and name in finding.message


def test_a_network_that_normalises_its_inputs_does_not_mind():
    def before(x):
        return (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)

    assert alarms(digits(test=lambda x, y: (x * 255, y), network=linear(before=before)), _shift.look) == []


def test_a_reader_that_scales_what_the_test_rows_are_not_is_found():
    def batches(x, y, epoch):
        for start in range(0, len(x) - 63, 64):
            yield x[start : start + 64] * 255, y[start : start + 64]

    (finding,) = _shift.look(subject(digits(batches=batches))).findings
    assert (finding.id, finding.part) == ("train-test-preprocessing-mismatch", "batches")


def test_another_law_is_suspected_and_the_repair_draws_the_splits_anew():
    it = subject(waves(lambda x: x + np.float32([1.5, 0, 0, 0, 0, 0])))
    (suspicion,) = _shift.look(it).suspicions
    assert suspicion.finding.id == "distribution-shift" and str(suspicion.finding.where) == "test column '0'"
    repaired = suspicion.repairs[0].change(it)
    assert (repaired.train.size, repaired.held.size) == (it.train.size, it.held.size)
    assert suspected(_shift.look(repaired)) == []
    assert len(next(iter(repaired.batches_of(0))).targets) == it.batch_size
    assert suspected(_shift.look(subject(waves(lambda x: x + np.float32(0.2))))) == []


def test_a_scaler_that_was_fitted_on_all_rows_is_a_remark():
    healthy = regressor()
    both = np.concatenate([healthy.train[0], healthy.test[0]])
    mean, spread = both.mean(axis=0), both.std(axis=0)
    data = {
        name: ((getattr(healthy, name)[0] - mean) / spread, getattr(healthy, name)[1]) for name in ("train", "test")
    }
    (finding,) = _shift.look(subject(regressor(network=linear(1), **data))).findings
    assert (finding.id, finding.severity) == ("preprocessing-fit-on-test", "info")
