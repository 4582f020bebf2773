"""A bias that the mean of a normalisation takes out again is a remark, in every library; others are none."""

import jax.numpy as jnp
import pytest
from flax import linen as nn

from tests.doctor.probes.by_hand import by_hand, drawn, seen
from tests.doctor.probes.normalised import LIBRARIES, Linen, normalised, regression
from verax.doctor.probes import _parameters
from verax.doctor.probes._cancelled_bias import PROBES

(PROBE,) = PROBES
(WAYS,) = _parameters.PROBES


def remarks(program):
    found = seen(PROBE, program).findings
    assert all(finding.severity == "info" for finding in found)
    return [finding.id for finding in found]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_bias_before_batch_normalisation_is_found(library):
    assert remarks(normalised(library, "dense", "batch norm", "relu")) == ["redundant-bias-before-norm"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "layers",
    [
        ("dense without bias", "batch norm", "relu"),
        ("dense", "relu", "batch norm"),
        ("dense", "layer norm", "relu"),
        ("dense", "relu", "dense without bias", "batch norm"),
    ],
    ids=["no bias", "rectified first", "mean over features", "the next layer"],
)
def test_a_bias_that_is_of_use_is_not(library, layers):
    assert remarks(normalised(library, *layers)) == []


def test_the_leaf_its_gradient_and_the_place_are_named():
    (finding,) = seen(PROBE, normalised("linen", "dense", "batch norm", "relu")).findings
    assert str(finding.where) == "params/Dense_0/bias"
    assert "largest gradient of Dense_0/bias" in finding.evidence[0] and "BatchNorm_0" in finding.evidence[1]


def test_a_variance_by_the_mean_of_squares_and_one_by_deviations_cancel_alike():
    for fast in (True, False):
        assert remarks(regression(Linen(("dense", "batch norm"), fast))) == ["redundant-bias-before-norm"]


class Convolution(nn.Module):
    groups: int

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, (2,))(x[..., None])
        return nn.Dense(1)(nn.relu(nn.GroupNorm(self.groups)(x)).mean(1))


def test_instances_take_a_bias_out_and_groups_of_channels_do_not():
    assert remarks(regression(Convolution(8))) == ["redundant-bias-before-norm"]
    assert remarks(regression(Convolution(2))) == []


SHAPES = {"hidden": (6, 8), "bias": (8,), "head": (8, 1)}


def by_another_way(params, x, training=False, **_):
    hidden = x @ params["hidden"] + params["bias"]
    centred = hidden - hidden.mean(0) if training else hidden
    return jnp.tanh(centred) @ params["head"] + jnp.sum(params["bias"])


def half_the_mean(params, x, **_):
    hidden = x @ params["hidden"] + params["bias"]
    return jnp.tanh(hidden - 0.5 * hidden.mean(0)) @ params["head"]


def another_mean(params, x, **_):
    hidden = x @ params["hidden"]
    return jnp.tanh(hidden + params["bias"] - hidden.mean(0)) @ params["head"]


def bias_of_keys(params, x, **_):
    keys = x[:, None] * params["hidden"].T[None] + params["bias"][None, :, None]
    weights = jnp.exp(keys) / jnp.exp(keys).sum(1, keepdims=True)  # a constant along axis 1 would cancel, by no mean
    return (weights * keys).sum(2) @ params["head"]


@pytest.mark.parametrize("forward", [by_another_way, half_the_mean, another_mean, bias_of_keys])
def test_a_bias_that_reaches_the_outputs_by_another_way_is_no_remark(forward):
    assert remarks(by_hand(forward, shapes=SHAPES)) == []


def test_it_is_no_parameter_without_gradient():
    for library in LIBRARIES:
        assert seen(WAYS, normalised(library, "dense", "batch norm", "relu")).findings == ()


def test_a_parameter_that_nothing_uses_is_still_one():
    def unused(params, x, **_):
        return x @ params["hidden"] @ params["head"]

    shapes = {**SHAPES, "bias": (800,)}
    found = seen(WAYS, by_hand(unused, shapes=shapes, init=drawn(shapes))).findings
    assert [finding.id for finding in found] == ["parameter-without-gradient"] and found[0].severity == "warning"
