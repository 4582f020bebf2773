"""A memory as long as the run is suspected; the repair gives the usual one."""

import jax
import numpy as np
import optax
import pytest

from tests.doctor.probes.small import PARAMS, asked, changed, gradients, ruled, small, updates_of
from tests.doctor.programs import suspected
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._momentum import kept_a_step, look


@pytest.mark.parametrize(
    ("optimizer", "kept"),
    [
        (optax.sgd(0.1, momentum=0.9), 0.9),
        (optax.sgd(0.1, momentum=0.999, nesterov=True), 0.999),
        (optax.adam(1e-3, b1=0.95), 0.95),
        (optax.adam(optax.linear_schedule(0.0, 1e-3, 20), b1=0.999), 0.999),
        (optax.chain(optax.ema(0.99), optax.sgd(0.1)), 0.99),
    ],
    ids=["sgd", "nesterov", "adam", "warm-up", "average"],
)
def test_the_memory_is_measured(optimizer, kept):
    with jax.numpy_dtype_promotion("standard"):
        found = kept_a_step(ruled(optimizer))
    assert found == pytest.approx(kept, abs=2e-4)


@pytest.mark.parametrize(
    "optimizer", [optax.sgd(1e-3, momentum=0.995), optax.adam(1e-3, b1=0.999)], ids=["sgd", "adam"]
)
def test_a_memory_as_long_as_the_run_is_suspected(optimizer):
    assert suspected(asked(look, ruled(optimizer))) == ["momentum-too-high"]


def test_the_usual_memory_is_not():
    assert not asked(look, small(optimizer=optax.adam(1e-3), epochs=1)).suspicions


def test_what_has_no_memory_is_not_asked():
    with pytest.raises(NotApplicable):
        asked(look, ruled(optax.sgd(0.1)))


def test_the_repair_of_a_sum_is_the_same_rule_with_the_usual_momentum():
    program = ruled(optax.sgd(0.1, momentum=0.995))
    seen = asked(look, program)
    grads = gradients(30)
    expected = updates_of(optax.sgd(0.1, momentum=0.9), PARAMS, grads)
    for one, other in zip(updates_of(changed(program, seen).optimizer, PARAMS, grads), expected, strict=True):
        np.testing.assert_allclose(one["w"], other["w"], atol=2e-3)  # kept is known to four digits


def test_the_repair_of_an_average_comes_close_to_the_same_rule_with_the_usual_momentum():
    program = ruled(optax.adam(0.1, b1=0.999))
    seen = asked(look, program)
    rng = np.random.default_rng(0)
    signs = [{"w": np.where(rng.random((3, 2)) < 0.5, -1, 1).astype(np.float32)} for _ in range(80)]
    found = updates_of(changed(program, seen, 1).optimizer, PARAMS, signs)
    expected = updates_of(optax.adam(0.1, b1=0.9), PARAMS, signs)
    for one, other in zip(found[40:], expected[40:], strict=True):  # the repair does not correct for its own bias
        np.testing.assert_allclose(one["w"], other["w"], atol=0.02)
