import pytest

from tests.doctor.probes.linear import seen
from tests.doctor.programs import HEALTHY
from verax.doctor.probes import (
    _initial_loss,
    _loss_geometry,
    _loss_kind,
    _loss_numbers,
    _loss_shape,
    _loss_terms,
    _output_range,
    _output_softmax,
    _padding,
    _temperature,
)

FILES = (_initial_loss, _loss_geometry, _loss_kind, _loss_numbers, _loss_shape, _loss_terms, _output_range)
FILES += (_output_softmax, _padding, _temperature)


@pytest.mark.parametrize("make", HEALTHY)
def test_every_probe_of_losses_and_outputs_is_quiet(make):
    program = make()
    for file in FILES:
        result = seen(file.PROBES, program)
        assert not result.findings and not result.suspicions, file.__name__
