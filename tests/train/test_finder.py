"""The learning-rate finder: known stability limits, networks that cannot learn, nothing given is touched."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import LINEAR, experiment, same_bits
from verax.findings import InputError
from verax.train._finder import find_learning_rate
from verax.train._finder_judge import judged

CURVATURES = jnp.array([8.0, 2.0, 0.5])
LIMIT = 2 / 8  # plain gradient descent on a quadratic diverges above 2 / its largest curvature


def quadratic(params, batch):
    return 0.5 * jnp.sum(batch * CURVATURES * params["w"] ** 2)


PARAMS = {"w": jnp.array([1.0, -1.0, 2.0])}
BATCHES = [np.float32(1.0)]


@pytest.fixture(scope="module")
def on_quadratic():
    return find_learning_rate(quadratic, PARAMS, BATCHES, optimizer=optax.sgd)


def test_the_interval_ends_below_the_stability_limit_and_near_it(on_quadratic):
    spacing = 10 ** (7 / 23)  # of the rates that are tried
    assert LIMIT / spacing**2 < on_quadratic.high < LIMIT
    assert on_quadratic.low < on_quadratic.suggestion <= on_quadratic.high / 2
    losses = np.array(on_quadratic.losses)[np.array(on_quadratic.rates) > LIMIT]
    assert not (losses <= on_quadratic.untrained).any()  # above it, or not finite


def test_losses_are_those_of_gradient_descent_by_hand(on_quadratic):
    """w is multiplied by (1 - rate * curvature) at every step."""
    curvature, start = np.array(CURVATURES, np.float64), np.array(PARAMS["w"], np.float64)
    for rate, loss in zip(on_quadratic.rates[:18], on_quadratic.losses[:18], strict=True):
        w = start * (1 - rate * curvature) ** np.arange(75, 100)[:, None]
        np.testing.assert_allclose(loss, (0.5 * curvature * w**2).sum(axis=1).mean(), rtol=1e-3)


def test_the_same_call_gives_the_same_and_nothing_given_is_changed(on_quadratic):
    before = jax.tree.map(np.array, PARAMS)
    again = find_learning_rate(quadratic, PARAMS, iter(BATCHES), optimizer=optax.sgd)
    assert again.to_json() == on_quadratic.to_json()
    assert same_bits(before, PARAMS)


def test_a_loss_without_gradient_has_no_rate():
    found = find_learning_rate(lambda params, batch: 1.0 + 0.0 * jnp.sum(params["w"]), PARAMS, BATCHES, rates=16)
    assert (found.low, found.high, found.suggestion) == (None, None, None)
    assert "none of 16 rates from 1e-06 to 10 lowers the loss by more than its noise" in found.reason
    assert str(found).startswith("no learning rate: none of 16")


# An experiment.


def linear(learning_rate: float = 0.1, scale: float = 1.0):
    return experiment(optimizer=optax.sgd(scale * learning_rate, momentum=0.9))


def branching(learning_rate: float = 0.1):
    """Refuses a traced rate, as a schedule that looks at its number does."""
    if learning_rate <= 0:
        raise ValueError("negative")
    return linear(learning_rate)


def deaf(learning_rate: float = 0.1):
    del learning_rate
    return experiment()


def dead(learning_rate: float = 0.1):
    """Every unit of the hidden layer is off: no gradient reaches a weight before the last, whose input is zero."""
    network = (LINEAR[0], lambda params, x: 0.0 * (x @ params["kernel"] + params["bias"][None]))
    return experiment(network=network, optimizer=optax.adam(learning_rate))


@pytest.fixture(scope="module")
def on_experiment():
    return find_learning_rate(linear, rates=16, trial_steps=40)


def test_an_experiment_has_an_interval(on_experiment):
    assert 1e-3 < on_experiment.low < on_experiment.suggestion < on_experiment.high < 10


@pytest.mark.slow
def test_training_confirms_the_suggestion(on_experiment):
    found = on_experiment
    (_, suggested), (_, tiny) = (
        vx.train(linear, learning_rate=rate).history.series("train/loss") for rate in (found.suggestion, found.low / 10)
    )
    assert suggested[-1] < 0.8 * tiny[-1]


def test_a_rate_that_cannot_be_traced_scales_the_updates(on_experiment):
    found = find_learning_rate(branching, rates=16, trial_steps=40)
    assert "does not take a traced rate, so its updates at 0.1 were scaled" in found.reason
    assert "scaled" not in on_experiment.reason
    np.testing.assert_allclose(found.losses[:12], on_experiment.losses[:12], rtol=1e-4)


def test_a_network_that_cannot_learn_has_no_rate():
    found = find_learning_rate(dead, rates=16, trial_steps=40)
    assert found.low is None and "the network does not learn" in found.reason


def test_it_starts_from_the_weights_that_are_given_and_leaves_them():
    params = {"kernel": jnp.ones((4, 3)), "bias": jnp.array([5.0, 0.0, 0.0])}
    before = jax.tree.map(np.array, params)
    found = find_learning_rate(linear, rates=[1e-6, 1e-5], trial_steps=8, initial=params)
    assert abs(found.untrained - np.log(3)) > 1  # not that of small random weights
    assert same_bits(before, params)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_learning_rate(deaf), "does not use learning_rate: every rate would train the same"),
        (lambda: find_learning_rate(linear()), "needs the function that makes the experiment"),
        (lambda: find_learning_rate(lambda rate: linear(rate)), "must take learning_rate, it takes: rate"),
        (lambda: find_learning_rate(linear, scal=2.0), "unknown hyperparameter 'scal'"),
        (lambda: find_learning_rate(linear, optimizer=optax.sgd), "an experiment has its own"),
        (lambda: find_learning_rate(linear, rates=1), "rates must be between 2 and 256"),
        (lambda: find_learning_rate(linear, rates=[0.1, 0.01]), "at least two rising rates above 0"),
        (lambda: find_learning_rate(linear, between=(1.0, 0.1)), "between must be two rates above 0"),
        (lambda: find_learning_rate(linear, trial_steps=7), "trial_steps must be a whole number of at least 8"),
        (lambda: find_learning_rate(quadratic, PARAMS), "a loss needs params and batches, got no batches"),
        (lambda: find_learning_rate(quadratic, PARAMS, []), "batches must hold at least one batch"),
        (lambda: find_learning_rate(quadratic, PARAMS, [np.ones(2), np.ones(1)]), "trees of one structure and shape"),
        (lambda: find_learning_rate(quadratic, PARAMS, BATCHES, scale=1.0), "are for an experiment, not a loss"),
        (lambda: find_learning_rate(lambda p, b: p["w"], PARAMS, BATCHES), "the loss must return one number"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


# The judgement, on planted curves.

RATES = np.geomspace(1e-4, 1e-1, 4)
NOISE = np.random.default_rng(0).normal(size=40) * 0.01
FLAT = np.ones(40)


def falling(by):
    return FLAT - by * np.linspace(0, 1, 40) + NOISE


def judge(*curves):
    return judged(RATES, np.stack(curves), FLAT)


def test_a_gap_ends_the_interval():
    found = judge(falling(0.9), FLAT + NOISE, falling(0.8), falling(0.7))
    assert (found.low, found.high) == (RATES[0], RATES[0])
    assert "The smallest rate tried is still in the interval" in found.reason


def test_a_rate_that_first_explodes_or_rises_again_is_outside():
    exploding, rising = falling(0.9), falling(0.9)
    exploding[5:10], rising[30:] = 50.0, 0.6
    found = judge(falling(0.6), falling(0.8), exploding, rising)
    assert (found.low, found.high) == (RATES[0], RATES[1])
    found = judge(exploding, exploding, rising, rising)
    assert found.low is None and "4 lower the loss, but none steadily" in found.reason


def test_a_fall_within_the_noise_is_none():
    wide = 30 * NOISE
    assert judge(*[FLAT - 0.01 + wide] * 4).low is None
    assert judge(*[FLAT - 0.01 + NOISE / 100] * 4).low is not None


def test_all_rates_that_diverge_are_said_to():
    found = judge(FLAT + 1, FLAT + 2, np.where(np.arange(40) > 20, np.nan, 1.0), np.full(40, np.inf))
    assert found.low is None and found.reason.startswith("all of 4 rates from 0.0001 to 0.1 diverge")
    assert found.to_json()["losses"][2:] == [None, None]


def test_a_loss_that_is_not_finite_before_training_is_said_to_be():
    assert "the loss is nan before any training" in judged(RATES, np.full((4, 40), np.nan), np.full(40, np.nan)).reason
