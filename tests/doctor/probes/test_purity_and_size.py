"""Programs that depend on the outside, are too large, or shrink their maps to nothing; and all healthy ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.doctor.probes.by_hand import by_hand, drawn, perceptron, seen
from tests.doctor.programs import HEALTHY, classifier, ids, subject
from verax.doctor._probe import NotApplicable, examine
from verax.doctor.probes import (
    _dropout,
    _inputs,
    _keys,
    _linear,
    _mode,
    _parameters,
    _purity,
    _rows,
    _sharing,
    _size,
    _statistics,
    _symmetry,
)

(PURITY,) = _purity.PROBES
SIZE, MAPS = _size.PROBES
FILES = (_rows, _inputs, _mode, _dropout, _keys, _symmetry, _sharing, _statistics, _parameters, _linear, _purity, _size)
CALLS = []


def counting(params, x, **_):
    CALLS.append(1)
    return perceptron(params, x) + len(CALLS)


def kept(params, x, **_):
    CALLS.append(perceptron(params, x))
    return CALLS[-1]


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda p, x, **_: perceptron(p, x) + np.random.default_rng().normal(), "unseeded-randomness"),
        (counting, "impure-function"),
        pytest.param(kept, "tracer-leak", marks=pytest.mark.slow),  # JAX searches all objects for who holds it
    ],
    ids=["random", "counting", "leaking"],
)
def test_what_is_not_pure_is_found(forward, expected):
    CALLS.clear()
    assert expected in ids(seen(PURITY, by_hand(forward)))
    CALLS.clear()


def test_initial_weights_from_no_seed_are_found():
    def init(key):
        return {
            **drawn({"hidden": (6, 8)})(key),
            "head": jnp.asarray(np.random.default_rng().normal(size=(8, 1)), np.float32),
        }

    assert ids(seen(PURITY, by_hand(perceptron, init=init))) == ["unseeded-randomness"]


def test_initial_weights_from_a_seed_are_healthy():
    def init(key):
        return {
            **drawn({"hidden": (6, 8)})(key),
            "head": jnp.asarray(np.random.default_rng(0).normal(size=(8, 1)), np.float32),
        }

    assert ids(seen(PURITY, by_hand(perceptron, init=init))) == []


def test_a_large_constant_is_found():
    table = jnp.ones((1700, 1700))
    assert ids(seen(SIZE, by_hand(lambda p, x, **_: perceptron(p, x) + table[0, 0] * table[:1, :1]))) == [
        "captured-constant"
    ]


def test_an_unrolled_loop_is_found():
    def forward(params, x, **_):
        for _step in range(2600):
            x = jnp.tanh(x * 0.9)
        return perceptron(params, x)

    assert ids(seen(SIZE, by_hand(forward))) == ["unrolled-loop"]


class Convolutions(nn.Module):
    strides: int
    blocks: int = 3

    @nn.compact
    def __call__(self, x):
        x = x.reshape((-1, 8, 8, 1))
        for _ in range(self.blocks):
            x = nn.relu(nn.Conv(4, (3, 3), strides=self.strides)(x))
        return nn.Dense(10)(x.mean((1, 2)))


def test_maps_that_shrink_to_one_place_are_found():
    assert ids(seen(MAPS, classifier(network=Convolutions(4)))) == ["excessive-downsampling"]


def test_maps_that_reach_one_place_at_the_end_are_healthy():
    assert ids(seen(MAPS, classifier(network=Convolutions(2)))) == []


def test_a_network_without_maps_is_not_asked():
    with pytest.raises(NotApplicable):
        seen(MAPS, classifier())


@pytest.mark.parametrize("healthy", HEALTHY, ids=lambda make: make.__name__)
def test_healthy_programs_raise_no_alarm(healthy):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = subject(healthy())
        examined = [examine(probe, program) for file in FILES for probe in file.PROBES]
    assert [each.name for each in examined if each.verdict == "failed" or each.suspicions] == []
    assert [each.said for each in examined if each.verdict == "could not run"] == []
