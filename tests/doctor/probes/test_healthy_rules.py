"""No probe of optimizers or of numbers raises an alarm on a healthy program, or fails to run."""

import jax
import pytest

from tests.doctor.probes.small import HEALTHY
from tests.doctor.programs import subject
from verax.doctor._probe import examine
from verax.doctor.probes import (
    _clipping,
    _custom_gradient,
    _decay,
    _epsilon,
    _freeze,
    _momentum,
    _numbers,
    _precision,
    _recompilation,
    _schedule,
    _step_size,
    _update,
)

MODULES = (
    _update, _freeze, _schedule, _step_size, _clipping, _epsilon, _momentum, _decay, _numbers, _custom_gradient,
    _precision, _recompilation,
)  # fmt: skip
PROBES = [probe for module in MODULES for probe in module.PROBES]


@pytest.mark.parametrize("program", HEALTHY)
def test_healthy_programs_are_passed(program):
    whole = subject(program())
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        examined = [examine(probe, whole) for probe in PROBES]
    assert [(each.name, each.said) for each in examined if each.verdict in ("failed", "could not run")] == []
    assert [each.name for each in examined if each.suspicions] == []
