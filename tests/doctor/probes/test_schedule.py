"""Schedules that do not fit the run are found; cosines, cycles, restarts and decays that do are not."""

import numpy as np
import optax
import pytest

from tests.doctor.probes.small import PARAMS, asked, changed, gradients, ruled, updates_of
from tests.doctor.programs import ids, suspected
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._schedule import look

STEPS = 180  # of the small program


def test_a_run_that_ends_in_the_warm_up_is_found():
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 10_000, 50_000)
    seen = asked(look, ruled(optax.adam(schedule)))
    assert ids(seen) == ["warmup-too-long"]
    assert seen.findings[0].part == "optimizer"


@pytest.mark.parametrize(
    "schedule",
    [optax.cosine_decay_schedule(1e-2, 10), optax.exponential_decay(1e-2, 10, 0.5), optax.piecewise_constant_schedule(
        1e-2, {20: 1e-3, 40: 1e-3})],
    ids=["cosine", "exponential", "steps"],
)  # fmt: skip
def test_a_rate_that_is_gone_before_half_of_the_run_is_found(schedule):
    seen = asked(look, ruled(optax.adam(schedule)))
    assert ids(seen) == ["lr-decayed-early"]


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (optax.linear_schedule(0.0, 1e-2, 300), "warmup-too-long"),
        (optax.linear_schedule(0.0, 1e-2, 150), "warmup-too-long"),
        (optax.cosine_decay_schedule(1e-2, 120), "lr-decayed-early"),
    ],
)
def test_what_is_long_or_short_is_left_to_an_experiment(schedule, name):
    seen = asked(look, ruled(optax.adam(schedule)))
    assert not ids(seen)
    assert suspected(seen) == [name]


@pytest.mark.parametrize(
    "schedule",
    [
        optax.warmup_cosine_decay_schedule(0.0, 1e-2, 18, STEPS),
        optax.cosine_onecycle_schedule(STEPS, 1e-2),
        optax.exponential_decay(1e-2, STEPS, 0.01),
        optax.sgdr_schedule([{"init_value": 1e-3, "peak_value": 1e-2, "warmup_steps": 5, "decay_steps": 45}] * 4),
        optax.polynomial_schedule(1e-2, 0.0, 2.0, STEPS),
    ],
    ids=["warm and cool", "one cycle", "exponential", "restarts", "polynomial"],
)
def test_schedules_made_for_the_run_are_passed(schedule):
    seen = asked(look, ruled(optax.sgd(schedule, momentum=0.9)))
    assert not seen.findings
    assert not seen.suspicions


def test_a_rate_that_never_changes_is_no_schedule():
    with pytest.raises(NotApplicable):
        asked(look, ruled(optax.sgd(0.1, momentum=0.999)))


def test_the_repair_stretches_a_schedule_to_the_run():
    program = ruled(optax.sgd(optax.cosine_decay_schedule(1.0, 120)))
    seen = asked(look, program)
    grads = [{"w": 0 * each["w"] + 1} for each in gradients(STEPS)]
    sizes = [-float(each["w"][0, 0]) for each in updates_of(changed(program, seen).optimizer, PARAMS, grads)]
    ends = int(np.flatnonzero(np.array([optax.cosine_decay_schedule(1.0, 120)(n) for n in range(120)]) >= 0.01)[-1]) + 1
    expected = [float(optax.cosine_decay_schedule(1.0, 120)(round(n * ends / STEPS))) for n in range(STEPS)]
    np.testing.assert_allclose(sizes, expected, atol=0.02)  # a step of rounding
