"""The schedule probe: faults of schedules are found, and nothing else is taken for one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

import verax as vx
from verax.findings import InputError
from verax.train import check_schedule, probe_schedule, schedule_curve

STEPS = 300
PARAMS = {"Dense_0": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}, "Dense_1": {"kernel": jnp.ones((3, 2))}}


def accumulated(optimizer, every):
    return optax.MultiSteps(optimizer, every).gradient_transformation()


def noam(warmup):
    return lambda step: jnp.minimum((step + 1.0) / warmup, jnp.sqrt(warmup / jnp.maximum(step + 1.0, warmup)))


def sound(steps):
    """Schedules that fit a run of this many steps."""
    tenth = steps // 10
    cycle = {"init_value": 0.0, "peak_value": 1.0, "decay_steps": steps // 4, "warmup_steps": steps // 40}
    return {
        "constant": optax.constant_schedule(1.0),
        "cosine": optax.cosine_decay_schedule(1.0, steps),
        "cosine to a tenth": optax.cosine_decay_schedule(1.0, steps, alpha=0.1),
        "cosine, a little too long": optax.cosine_decay_schedule(1.0, steps * 4 // 3),
        "cosine, a little too short": optax.cosine_decay_schedule(1.0, steps * 2 // 3),
        "warm-up and cosine": optax.warmup_cosine_decay_schedule(0.0, 1.0, tenth, steps),
        "warm-up and constant": optax.linear_schedule(0.0, 1.0, tenth),
        "one cycle": optax.cosine_onecycle_schedule(steps, 1.0),
        "one linear cycle": optax.linear_onecycle_schedule(steps, 1.0),
        "linear": optax.linear_schedule(1.0, 0.0, steps),
        "square": optax.polynomial_schedule(1.0, 0.0, 2, steps),
        "slow exponential": optax.exponential_decay(1.0, tenth * 2, 0.96),
        "exponential": optax.exponential_decay(1.0, tenth, 0.9),
        "exponential in stairs": optax.exponential_decay(1.0, tenth, 0.9, staircase=True),
        "fast exponential": optax.exponential_decay(1.0, steps, 0.001),
        "stairs": optax.piecewise_constant_schedule(1.0, {steps // 2: 0.1, steps * 3 // 4: 0.1}),
        "warm restarts": optax.sgdr_schedule([cycle] * 8),
        "inverse square root": noam(tenth),
        "inverse time": lambda step: 1 / (1 + 10 * step / steps),
        "frozen for the first half": lambda step: jnp.where(step < steps // 2, 0.0, 1.0),
    }


WARMING, UNFINISHED, EARLY = "warmup-too-long", "schedule-unfinished", "lr-decayed-early"


def faulty(steps):
    """Schedules that do not, each with its fault."""
    tenth = steps // 10
    return {
        "warm-up of three runs": (WARMING, optax.linear_schedule(0.0, 1.0, 3 * steps)),
        "warm-up of 80 runs": (WARMING, optax.warmup_cosine_decay_schedule(0.0, 1.0, 80 * steps, 800 * steps)),
        "one cycle of 20 runs": (WARMING, optax.cosine_onecycle_schedule(20 * steps, 1.0)),
        "warm-up a third longer": (WARMING, optax.linear_schedule(0.0, 1.0, steps * 4 // 3)),
        "cosine of three runs": (UNFINISHED, optax.cosine_decay_schedule(1.0, 3 * steps)),
        "cosine of ten runs": (UNFINISHED, optax.cosine_decay_schedule(1.0, 10 * steps)),
        "cosine of a hundred runs": (UNFINISHED, optax.cosine_decay_schedule(1.0, 100 * steps)),
        "linear of five runs": (UNFINISHED, optax.linear_schedule(1.0, 0.0, 5 * steps)),
        "square of eight runs": (UNFINISHED, optax.polynomial_schedule(1.0, 0.0, 2, 8 * steps)),
        "stairs after the run": (UNFINISHED, optax.piecewise_constant_schedule(1.0, {5 * steps: 0.1, 8 * steps: 0.1})),
        "decay of epochs": (EARLY, optax.cosine_decay_schedule(1.0, steps // 30)),
        "linear of a quarter": (EARLY, optax.linear_schedule(1.0, 0.0, steps // 4)),
        "warm-up and cosine of a tenth": (EARLY, optax.warmup_cosine_decay_schedule(0.0, 1.0, tenth // 5, tenth)),
        "exponential far too fast": (EARLY, optax.exponential_decay(1.0, steps // 100, 0.8)),
    }


def momentum(rate):
    return optax.sgd(rate, 0.9)


def at_once(optimizer, schedules):
    """One optimizer with a parameter for each schedule, named after it: one program instead of many."""
    params = {name: jnp.ones(2) for name in schedules}
    groups = {name: optimizer(schedule) for name, schedule in schedules.items()}
    return optax.partition(groups, {name: name for name in schedules}), params


@pytest.mark.parametrize("steps", [STEPS, pytest.param(7000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", [momentum, pytest.param(optax.adam, marks=pytest.mark.slow)])
def test_sound_schedules_give_no_alarm(optimizer, steps):
    assert check_schedule(*at_once(optimizer, sound(steps)), steps) == ()


@pytest.mark.parametrize("steps", [STEPS, pytest.param(7000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", [momentum, pytest.param(optax.adam, marks=pytest.mark.slow)])
def test_faults_of_schedules_are_found_each_in_its_parameter(optimizer, steps):
    cases = faulty(steps) | {"sound": (None, optax.constant_schedule(1.0))}
    found = vx.train.probe_schedule(
        *at_once(optimizer, {name: schedule for name, (_, schedule) in cases.items()}), steps
    )
    expected = {}
    for name, (fault, _) in sorted(cases.items()):
        if fault:
            expected.setdefault(fault, []).append(name)
    assert {each.id: list(each.paths) for each in found.faults} == expected


def test_optimizers_without_a_schedule_give_no_alarm():
    """Moments that fill up, rates that adapt, sums that grow: none of it is a schedule."""
    optimizers = {
        "momentum": optax.sgd(0.1, 0.99),
        "decay": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.3)),
        "adam": optax.adam(1e-3, b1=0.0, b2=0.99999),
        "rmsprop": optax.rmsprop(1e-3, decay=0.9999),
        "adafactor": optax.adafactor(1e-3),
        "adagrad": optax.adagrad(0.1, initial_accumulator_value=0.0),
        "lion": optax.lion(1e-4),
        "radam": optax.radam(1e-3),
        "adabelief": optax.adabelief(1e-3),
        "rprop": optax.rprop(1e-3),
        "nothing": optax.set_to_zero(),
        "cosine": optax.adam(optax.cosine_decay_schedule(1e-3, STEPS)),
    }
    groups = optax.partition(optimizers, {name: name for name in optimizers})
    assert check_schedule(groups, {name: jnp.ones(2) for name in optimizers}, STEPS) == ()


SOUND = {
    "plateau": optax.chain(optax.adam(1e-3), contrib.reduce_on_plateau(factor=0.01, patience=2)),
    "schedule-free": contrib.schedule_free_adamw(1e-3, warmup_steps=30),
    "accumulated": accumulated(optax.adamw(optax.cosine_decay_schedule(1e-3, STEPS // 4)), 4),
}
SOUND_TOO = {
    "accumulated for long": accumulated(optax.sgd(0.1, 0.9), 32),
    "applied now and then": optax.chain(optax.apply_every(4), optax.sgd(0.1)),
    "injected": optax.inject_hyperparams(optax.adam)(learning_rate=optax.cosine_decay_schedule(1e-3, STEPS)),
    "lamb": optax.lamb(1e-2, weight_decay=0.1),
    "lars": optax.lars(0.1, momentum=0.9),
    "schedule-free SGD": contrib.schedule_free_sgd(0.1),
    "prodigy": contrib.prodigy(),
    "d-adaptation": contrib.dadapt_adamw(),
    "mechanic": contrib.mechanize(optax.adam(1e-3)),
    "momo": contrib.momo_adam(),
    "dog": contrib.dog(),
    "cocob": contrib.cocob(),
    "muon": contrib.muon(1e-3),
    "polyak": optax.polyak_sgd(1.0),
    "novograd": optax.novograd(1e-3),
    "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3)),
    "adaptively clipped": optax.chain(optax.adaptive_grad_clip(0.01), optax.sgd(0.1)),
    "unless not finite": optax.apply_if_finite(optax.adam(1e-3), 5),
    "never negative": optax.chain(optax.sgd(0.1), optax.keep_params_nonnegative()),
    "with a line search": optax.lbfgs(),
}


@pytest.mark.parametrize(
    "name", [*SOUND, *(pytest.param(name, marks=pytest.mark.slow) for name in SOUND_TOO)]
)  # fmt: skip
def test_an_optimizer_that_fits_its_run_gives_no_alarm(name):
    assert check_schedule((SOUND | SOUND_TOO)[name], PARAMS, STEPS) == ()


FAULTY = {
    "schedule-free": (WARMING, contrib.schedule_free_adamw(1e-3, warmup_steps=3 * STEPS)),
    "accumulated": (UNFINISHED, accumulated(optax.adam(optax.cosine_decay_schedule(1e-3, STEPS)), 4)),
}
FAULTY_TOO = {
    "accumulated warm-up": (WARMING, accumulated(optax.adam(optax.linear_schedule(0.0, 1e-3, STEPS)), 4)),
    "accumulated, early": (EARLY, accumulated(optax.adam(optax.cosine_decay_schedule(1e-3, STEPS // 40)), 4)),
    "lamb": (WARMING, optax.lamb(optax.linear_schedule(0.0, 1e-3, 3 * STEPS), weight_decay=0.1)),
    "decayed": (WARMING, optax.adamw(optax.linear_schedule(0.0, 0.1, 3 * STEPS), weight_decay=0.3)),
    "rmsprop": (UNFINISHED, optax.rmsprop(optax.cosine_decay_schedule(1e-3, 10 * STEPS))),
    "adafactor": (EARLY, optax.adafactor(optax.linear_schedule(1e-3, 0.0, STEPS // 5))),
    "schedule-free, early": (EARLY, contrib.schedule_free_sgd(optax.linear_schedule(0.1, 0.0, STEPS // 10))),
    "injected": (
        UNFINISHED, optax.inject_hyperparams(optax.adam)(learning_rate=optax.linear_schedule(1e-3, 0.0, 6 * STEPS)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FAULTY, *(pytest.param(name, marks=pytest.mark.slow) for name in FAULTY_TOO)])
def test_a_fault_is_found_inside_other_optimizers(name):
    fault, optimizer = (FAULTY | FAULTY_TOO)[name]
    assert [finding.id for finding in check_schedule(optimizer, PARAMS, STEPS)] == [fault]


def test_the_findings_say_how_much_and_what_to_do():
    (warming,) = check_schedule(optax.sgd(optax.linear_schedule(0.0, 0.1, 1000)), PARAMS, 300)
    assert (warming.severity, warming.where) == ("error", None)
    assert "after its 300 steps they have 30% of the size that they would reach by step 9" in warming.message
    assert "Shorten the warm-up" in warming.advice
    groups = {"warm": optax.sgd(optax.linear_schedule(0.0, 0.1, 400)), "rest": optax.sgd(0.1)}
    optimizer = optax.partition(groups, {"Dense_0": "warm", "Dense_1": "rest"})
    (warming,) = check_schedule(optimizer, PARAMS, 300)
    assert (warming.severity, str(warming.where)) == ("warning", "Dense_0/bias")
    assert "(so for 2 of 3 parameters)" in warming.message


@pytest.mark.parametrize("steps", [1, 40, 3000])
def test_the_curve_is_the_schedule(steps):
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.5, 20, 2500)
    curve = schedule_curve(optax.adam(schedule), PARAMS, steps)
    assert curve.steps[0] == 1 and curve.steps[-1] == steps and curve.steps.size == min(steps, 1600)
    with jax.numpy_dtype_promotion("standard"):  # Optax is written for it
        expected = schedule(jnp.asarray(curve.steps - 1))
    np.testing.assert_allclose(curve.sizes, expected, rtol=2e-3, atol=1e-4)
    stored = curve.to_json()
    assert len(stored["steps"]) == len(stored["sizes"]) == min(steps, 400)
    assert max(stored["sizes"]) == float(curve.sizes.max())


def test_counters_of_an_accumulation_move_as_slowly_as_they_do():
    """Beyond the steps that are taken one by one; a schedule inside counts every fourth step."""
    curve = schedule_curve(accumulated(optax.sgd(optax.linear_schedule(1.0, 0.0, 2000)), 4), PARAMS, 8000)
    moved = curve.sizes > 0
    np.testing.assert_allclose(curve.sizes[moved], 1 - (curve.steps[moved] / 4 - 1) / 2000, atol=0.01)


def test_shapes_alone_are_enough_and_a_tree_without_parameters_has_no_curve():
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), PARAMS)
    optimizer = optax.sgd(0.5)
    np.testing.assert_allclose(probe_schedule(optimizer, shapes, 4).curve.sizes, 0.5)
    assert probe_schedule(optimizer, {}, 4).curve.to_json() == {"steps": [], "sizes": []}
    with pytest.raises(InputError, match="steps must be at least 1, got 0"):
        schedule_curve(optimizer, PARAMS, 0)
