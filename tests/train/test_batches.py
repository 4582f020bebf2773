import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax.data import Examples, epoch_order
from verax.train import EpochPlan
from verax.train._batches import evaluation_batches, even_batch_size, full_batches

SIZES = st.integers(1, 60)


def plans(draw):
    size = draw(SIZES)
    batch_size = draw(st.integers(1, size))
    remainder = draw(st.sampled_from(["partial", "wrap", "drop"]))
    return EpochPlan(size, batch_size, remainder, draw(st.booleans()) and remainder == "partial")


@given(st.composite(plans)(), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_takes_every_example_once_but_for_the_remainder(plan, seed, epoch):
    rows, weight, rest = plan.rows(seed, epoch)
    assert rows.shape == (plan.equal_steps, plan.batch_size)
    assert (len(rest) == plan.rest) and plan.steps == plan.equal_steps + (len(rest) > 0)
    counted = rows.reshape(-1) if weight is None else rows[weight > 0]
    seen = np.concatenate([counted, rest])
    if plan.remainder == "partial":
        assert sorted(seen) == list(range(plan.size))
    elif plan.remainder == "drop":
        assert len(set(seen)) == len(seen) == plan.size - plan.size % plan.batch_size
    else:
        assert set(seen) == set(range(plan.size))
        assert len(seen) - plan.size == -plan.size % plan.batch_size


@given(st.composite(plans)(), st.integers(0, 3))
def test_the_order_is_that_of_the_epoch(plan, epoch):
    rows, _, rest = plan.rows(7, epoch)
    order = epoch_order(plan.size, 7, epoch)
    taken = np.concatenate([rows.reshape(-1), rest])[: plan.size]
    np.testing.assert_array_equal(taken, order[: len(taken)])


def test_wrapping_fills_up_with_the_beginning_of_the_epoch():
    rows, weight, rest = EpochPlan(10, 4, "wrap", False).rows(0, 0)
    order = epoch_order(10, 0, 0)
    assert (weight, len(rest)) == (None, 0)
    np.testing.assert_array_equal(rows[2], [order[8], order[9], order[0], order[1]])


def test_padding_has_weight_zero_and_is_as_long_as_it_must_be():
    rows, weight, _ = EpochPlan(10, 4, "partial", True).rows(0, 0)
    np.testing.assert_array_equal(weight, [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]])
    assert rows.shape == (3, 4)


def examples(size):
    return Examples({"x": np.arange(size)[:, None]}, np.arange(size))


@given(SIZES, st.integers(1, 70))
def test_evaluation_sees_every_example_once_in_batches_of_one_shape(size, batch_size):
    batches = list(evaluation_batches(examples(size), batch_size))
    assert {batch.targets.shape for batch in batches} == {(batch_size,)}
    np.testing.assert_array_equal(
        np.concatenate([batch.targets[batch.weight > 0] for batch in batches]), np.arange(size)
    )
    assert all(np.array_equal(batch.inputs["x"][:, 0], batch.targets) for batch in batches)


@given(SIZES, st.integers(1, 70))
def test_full_batches_have_no_padding(size, batch_size):
    batches = list(full_batches(examples(size), batch_size))
    taken = np.concatenate([batch.targets for batch in batches])
    assert all(batch.weight.all() and len(batch.targets) == min(size, batch_size) for batch in batches)
    np.testing.assert_array_equal(taken, np.arange(size - size % batch_size or size))


@pytest.mark.parametrize(("size", "batch"), [(1, 1), (512, 512), (513, 257), (1000, 500), (1001, 501), (1797, 450)])
def test_the_even_batch_size_pads_least(size, batch):
    assert even_batch_size(size) == batch
