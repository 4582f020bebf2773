"""Rows of a batch: what makes an output depend on other examples is found and named; what does not is left alone."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from tests.doctor.probes.by_hand import by_hand, perceptron, seen
from tests.doctor.programs import classifier, ids
from verax.doctor.probes import _rows

ROWS, BATCH_SIZE = _rows.PROBES


def normalised(axis):
    def forward(params, x, **_):
        hidden = x @ params["hidden"]
        mean, var = hidden.mean(axis, keepdims=True), hidden.var(axis, keepdims=True)
        return jnp.tanh((hidden - mean) / jnp.sqrt(var + 1e-5)) @ params["head"]

    return forward


def attended(axis):
    def forward(params, x, **_):
        hidden = x @ params["hidden"]
        return (hidden * jax.nn.softmax(hidden, axis=axis)) @ params["head"]

    return forward


def moved(axes):
    def forward(params, x, **_):
        tokens = jnp.stack([x, 2 * x], axis=1)  # batch time features
        first = tokens.reshape(2, -1, 6) if axes is None else tokens.transpose(axes)
        return perceptron(params, first[0])

    return forward


class Normalised(nn.Module):
    always: bool = True

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.BatchNorm(use_running_average=not (train or self.always))(nn.Dense(8)(x))
        return nn.Dense(1)(nn.relu(x))


FAULTS = {
    "a normalisation over the batch": (by_hand(normalised(0)), "normalization-wrong-axis"),
    "a softmax over the batch": (by_hand(attended(0)), "wrong-softmax-axis"),
    "a reshape for a transpose": (by_hand(moved(None)), "cross-example-leak"),
    "a mean over the batch": (by_hand(lambda p, x, **_: perceptron(p, x - x.mean(0))), "cross-example-leak"),
    "batch statistics in evaluation": (by_hand(perceptron, network=Normalised()), "train-mode-at-eval"),
}
HEALTHY = {
    "a normalisation over the features": by_hand(normalised(1)),
    "a softmax over the features": by_hand(attended(1)),
    "a transpose": by_hand(moved((1, 0, 2))),
    "batch statistics in training": by_hand(perceptron, network=Normalised(always=False)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_makes_rows_meet_is_named(name):
    program, expected = FAULTS[name]
    found = seen(ROWS, program)
    assert ids(found) == [expected]
    assert found.findings[0].part == "model" and found.findings[0].confidence == 1.0


@pytest.mark.parametrize("name", HEALTHY)
def test_rows_that_stay_apart_are_no_fault(name):
    assert ids(seen(ROWS, HEALTHY[name])) == []


def test_the_reshape_is_shown_with_its_shapes():
    (finding,) = seen(ROWS, FAULTS["a reshape for a transpose"][0]).findings
    assert "reshape from (16, 2, 6) to (2, 16, 6)" in finding.message


def test_a_zero_head_hides_nothing():
    def init(key):
        return {"hidden": jax.random.normal(key, (6, 8)), "head": jnp.zeros((8, 1))}

    assert ids(seen(ROWS, by_hand(normalised(0), init=init))) == ["normalization-wrong-axis"]


def test_an_output_that_depends_on_the_number_of_rows_is_found():
    assert ids(seen(BATCH_SIZE, by_hand(lambda p, x, **_: perceptron(p, x) / len(x)))) == [
        "batch-size-dependent-output"
    ]


def test_a_network_that_does_not_count_its_rows_passes():
    assert ids(seen(BATCH_SIZE, classifier())) == []
