"""Planted operations that stop being finite, in five kinds of network, against healthy twins that say nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verax as vx
from tests.debug import nonfinite_cases as planted
from verax.debug import find_nonfinite

PLANTED = [case for case in planted.CASES if case.phase != "input"]


@pytest.mark.parametrize("case", PLANTED, ids=str)
def test_the_operation_its_line_and_the_example_are_named(case):
    found = find_nonfinite(*case.call())
    assert found is not None
    line = planted.line_of(case.fault.__name__)
    assert (found.operation, found.place.span.line) == (case.operation, line), str(found)
    assert found.place.span.file == planted.FILE
    assert (found.id, found.phase) == (case.id, case.phase)
    assert 2 in found.rows or case.fault in (planted.running_ratio, planted.growing)
    assert len(str(found).splitlines()) <= 6


@pytest.mark.parametrize("case", PLANTED, ids=str)
def test_nothing_is_said_of_a_healthy_twin(case):
    assert find_nonfinite(*case.call(bad=False)) is None
