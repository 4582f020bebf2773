"""Dropout before a batch normalisation is a remark, in every library; the other order is none."""

import pytest

from tests.doctor.probes.by_hand import seen
from tests.doctor.probes.normalised import LIBRARIES, normalised
from verax.doctor.probes._dropout_order import PROBES

(PROBE,) = PROBES


def remarks(program):
    found = seen(PROBE, program).findings
    assert all(finding.severity == "info" for finding in found)
    return found


@pytest.mark.parametrize("library", LIBRARIES)
def test_dropout_before_batch_normalisation_is_found(library):
    (finding,) = remarks(normalised(library, "dense", "relu", "dropout", "batch norm"))
    assert finding.id == "dropout-before-batchnorm"
    assert "rate 0.25 comes directly" in finding.message
    assert "at least 1.33 times" in finding.evidence[1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_layer_may_stand_between(library):
    (finding,) = remarks(normalised(library, "dense", "dropout", "dense", "batch norm"))
    assert "by one layer" in finding.message and "1.33" not in str(finding.evidence)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "layers",
    [
        ("dense", "batch norm", "relu", "dropout"),
        ("dense", "dropout", "layer norm"),
        ("dense", "batch norm"),
        ("dense", "dropout", "dense", "relu", "dense", "batch norm"),
    ],
    ids=["after it", "statistics of a row", "no dropout", "two layers away"],
)
def test_other_orders_are_not(library, layers):
    assert remarks(normalised(library, *layers)) == ()


def test_the_places_of_both_layers_are_named():
    (finding,) = remarks(normalised("linen", "dense", "dropout", "batch norm"))
    assert "Dropout_0" in finding.evidence[0] and "BatchNorm_0" in finding.evidence[0]
