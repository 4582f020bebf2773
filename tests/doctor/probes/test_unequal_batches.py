"""Means of batches of unequal size are told from the mean over rows; batches of one size are not asked about."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.doctor.probes.small import asked
from tests.doctor.programs import regressor, squared_loss, waves
from verax.doctor._probe import NotApplicable
from verax.doctor._subject import subject_of
from verax.doctor.probes._unequal_batches import look

SIZE = 70


def with_rest(inputs, targets, epoch):
    for start in range(0, len(inputs), SIZE):
        yield inputs[start : start + SIZE], targets[start : start + SIZE]


def large_at_the_end():
    """Rows whose last ones, of the smaller batch, have targets that are far off."""
    (x, y), test = waves()
    return {"train": (x, np.where(np.arange(len(y)) < len(y) // SIZE * SIZE, y, y + 3)), "test": test}


def mean_of_batch(outputs, targets):
    return jnp.mean(squared_loss(outputs, targets))


@pytest.mark.parametrize("loss", [squared_loss, mean_of_batch])
def test_a_mean_of_means_is_told_with_both_numbers(loss):
    program = subject_of(regressor(batches=with_rest, loss=loss, **large_at_the_end()))
    (finding,) = asked(look, program).findings
    assert (finding.id, finding.severity, finding.part) == ("partial-batch-mean", "info", "batches")
    params, state = program.variables
    losses, rows = [], []
    for number, batch in enumerate(program.first_epoch):
        losses.append(float(program.objective(params, state, batch, program.noise(number))[0]))
        rows.append(len(batch.weight))
    assert f"{np.mean(losses):.5g}" in finding.message
    assert f"{np.average(losses, weights=rows):.5g}" in finding.message


def test_a_loss_over_a_fixed_count_is_told():
    fixed = lambda outputs, targets: jnp.sum(squared_loss(outputs, targets)) / SIZE  # noqa: E731
    (finding,) = asked(look, regressor(batches=with_rest, loss=fixed)).findings
    assert finding.severity == "info" and finding.part == "loss"
    assert "one of 40 rows counts 0.57 times as much as one of 70" in finding.message


def test_a_mean_that_hardly_differs_is_not():
    train, test = waves()
    same = {"train": (train[0] * 0 + 1, train[1] * 0 + 1), "test": test}
    assert asked(look, regressor(batches=with_rest, **same)).findings == ()


def test_a_loss_that_is_no_mean_over_rows_is_left_alone():
    spread = lambda outputs, targets: jnp.std(outputs.reshape(-1) - targets)  # noqa: E731
    assert asked(look, regressor(batches=with_rest, loss=spread, **large_at_the_end())).findings == ()


def test_batches_of_one_size_and_of_many_are_not_asked_about():
    def many(inputs, targets, epoch):
        for start, size in enumerate(range(10, 20)):
            yield inputs[start : start + size], targets[start : start + size]

    for program in (regressor(), regressor(batches=many)):
        with pytest.raises(NotApplicable):
            asked(look, program)
