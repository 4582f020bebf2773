"""A network and its export in a fresh process give the same bits; anything else is found."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from tests.export.cases import image_case
from verax import export
from verax.export._reload import _gap

pytestmark = pytest.mark.compiler


@pytest.fixture(scope="module")
def compared(saved, mlp):
    return mlp.compare(saved)


def test_an_mlp_is_equal_bit_for_bit(compared, mlp):
    assert (compared.equal, compared.max_difference, compared.rows) == (True, 0.0, len(mlp.raw))
    assert compared.differences == {"outputs": 0.0, "probabilities": 0.0}
    assert compared.fresh.latencies == ()


def test_a_convolution_with_batch_norm_is_equal_bit_for_bit(tmp_path):
    case = image_case(rows=33)
    case.save(tmp_path / "model.vx")
    assert case.compare(tmp_path / "model.vx").equal


@pytest.mark.parametrize("fault", ["weights", "temperature", "preprocessing", "one bit"])
def test_another_network_is_not_equal(compared, saved, mlp, fault):
    kernel = np.array(mlp.variables.params["output"]["kernel"])
    moved = kernel + 0.1
    if fault == "one bit":
        moved = kernel.copy()
        moved[0, 0] = np.nextafter(kernel[0, 0], np.float32(np.inf))
    params = {**mlp.variables.params, "output": {**mlp.variables.params["output"], "kernel": moved}}
    shifted = jax.tree.map(lambda leaf: leaf + 1, mlp.preprocessing.arrays)
    other = {
        "weights": {"variables": mlp.variables._replace(params=params)},
        "one bit": {"variables": mlp.variables._replace(params=params)},
        "temperature": {"temperature": 1.8},
        "preprocessing": {"preprocessing": replace(mlp.preprocessing, arrays=shifted)},
    }[fault]  # fmt: skip
    comparison = mlp.compare(saved, fresh=compared.fresh, **other)
    assert not comparison.equal
    assert 0 < comparison.max_difference < np.inf
    assert (comparison.differences["outputs"] == 0) == (fault == "temperature")


@pytest.mark.parametrize(
    ("expected", "found", "gap"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0),
        ([np.nan], [1.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([1.0], [1.0, 2.0], np.inf),
        ([1.0], None, np.inf),
        ([], [], 0.0),
    ],
)
def test_gaps_by_hand(expected, found, gap):
    assert _gap(np.array(expected), None if found is None else np.array(found)) == gap


def test_the_sign_of_zero_is_a_bit(compared, saved, mlp, monkeypatch):
    outputs = {
        **compared.fresh.outputs,
        "outputs": np.where(compared.expected["outputs"] == 0, 0, -0.0).astype(np.float32),
    }
    zeros = {name: np.zeros_like(leaf) for name, leaf in outputs.items()}
    monkeypatch.setattr("verax.export._reload.reload_outputs_in_process", lambda *args: zeros)
    fresh = type(compared.fresh)(**{**vars(compared.fresh), "outputs": {name: -leaf for name, leaf in zeros.items()}})
    comparison = mlp.compare(saved, fresh=fresh)
    assert (comparison.equal, comparison.max_difference) == (False, 0.0)


def test_outputs_in_this_process_are_the_networks_own(saved, mlp):
    arguments = mlp._asdict()
    arguments.pop("schema")
    raw = arguments.pop("raw")
    found = export.reload_outputs_in_process(saved, raw_inputs=raw, **arguments)
    inputs = mlp.preprocessing.apply(mlp.preprocessing.arrays, raw)
    np.testing.assert_allclose(found["outputs"], mlp.network.apply(mlp.variables, inputs)[0], rtol=1e-5, atol=1e-5)
