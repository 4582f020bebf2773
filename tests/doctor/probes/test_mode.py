"""Noise in evaluation, none in training, the same at every step, or too much of it: each is found and told apart."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from tests.doctor.probes.by_hand import by_hand, perceptron, seen
from tests.doctor.programs import ids, suspected
from verax.doctor._subject import subject_of
from verax.doctor.probes import _dropout, _mode

EVALUATION, TRAINING = _mode.PROBES
(RATE,) = _dropout.PROBES
CONSTANT = 7


def dropping(*, when, constant=False, rate=0.5):
    """A perceptron with dropout `when(training)`."""

    def forward(params, x, key=None, training=False, **_):
        hidden = jnp.tanh(x @ params["hidden"])
        if when(training) and key is not None:
            keep = jax.random.bernoulli(jax.random.key(CONSTANT) if constant else key, 1 - rate, hidden.shape)
            hidden = jnp.where(keep, hidden / (1 - rate), 0.0)
        return hidden @ params["head"]

    return forward


def sampling(params, x, key=None, training=False, **_):
    outputs = perceptron(params, x)
    return outputs if training else outputs + jax.random.normal(key, outputs.shape)


class Dropping(nn.Module):
    deterministic: bool | None = None
    rate: float = 0.5

    @nn.compact
    def __call__(self, x, train: bool = False):
        deterministic = not train if self.deterministic is None else self.deterministic
        return nn.Dense(1)(nn.Dropout(self.rate, deterministic=deterministic)(nn.relu(nn.Dense(8)(x))))


def in_training(training):
    return training


def always(training):
    return True


HEALTHY = by_hand(dropping(when=in_training), evaluation_key=True)


def test_dropout_in_evaluation_is_found():
    assert ids(seen(EVALUATION, by_hand(dropping(when=always), evaluation_key=True))) == ["train-mode-at-eval"]


def test_a_mode_the_wrong_way_round_is_two_faults():
    program = by_hand(dropping(when=lambda training: not training), evaluation_key=True)
    assert ids(seen(EVALUATION, program)) == ["train-mode-at-eval", "eval-mode-in-training"]


def test_a_sample_in_evaluation_is_not_deterministic():
    assert ids(seen(EVALUATION, by_hand(sampling, evaluation_key=True))) == ["nondeterministic-eval"]


def test_dropout_in_training_alone_is_healthy():
    assert ids(seen(EVALUATION, HEALTHY)) == []
    assert ids(seen(TRAINING, HEALTHY)) == []


def test_a_constant_key_is_found():
    program = by_hand(dropping(when=in_training, constant=True), evaluation_key=True)
    assert ids(seen(TRAINING, program)) == ["fixed-dropout-key"]


def test_random_features_from_a_constant_key_are_a_choice():
    def forward(params, x, **_):
        features = jnp.cos(x @ jax.random.normal(jax.random.key(CONSTANT), (6, 8)))
        return features @ params["head"]

    assert ids(seen(TRAINING, by_hand(forward))) == []


def test_dropout_that_is_off_in_training_is_found():
    program = by_hand(perceptron, network=Dropping(deterministic=True))
    assert ids(seen(TRAINING, program)) == ["eval-mode-in-training"]


@pytest.mark.parametrize("network", [Dropping(), Dropping(deterministic=True, rate=0.0)], ids=["on", "rate 0"])
def test_dropout_that_is_on_or_of_rate_zero_is_healthy(network):
    assert ids(seen(TRAINING, by_hand(perceptron, network=network))) == []


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_rates_are_read_from_the_program(rate):
    for program in (by_hand(dropping(when=in_training, rate=rate)), by_hand(perceptron, network=Dropping(rate=rate))):
        with jax.numpy_dtype_promotion("standard"):
            ((found, _),) = _dropout.dropped(subject_of(program))
        assert found == pytest.approx(rate, abs=1e-6)


def test_a_mask_of_what_is_dropped_is_read_the_right_way_round():
    def forward(params, x, key=None, training=False, **_):
        hidden = jnp.tanh(x @ params["hidden"])
        if training:
            hidden = jnp.where(jax.random.uniform(key, hidden.shape) < 0.9, 0.0, hidden)
        return hidden @ params["head"]

    with jax.numpy_dtype_promotion("standard"):
        ((found, _),) = _dropout.dropped(subject_of(by_hand(forward)))
    assert found == pytest.approx(0.9, abs=1e-6)


def test_too_much_dropout_is_suspected_with_a_repair_that_leaves_it_out():
    program = by_hand(dropping(when=in_training, rate=0.9))
    found = seen(RATE, program)
    assert suspected(found) == ["excessive-dropout"]
    with jax.numpy_dtype_promotion("standard"):
        subject = subject_of(program)
        repaired = found.suspicions[0].repairs[0].change(subject)
        outputs, _ = repaired.forward(subject.variables, subject.batch.inputs, subject.noise(0))
        plain = subject.evaluate(subject.variables, subject.batch.inputs, subject.noise(0))
    assert jnp.array_equal(outputs, plain)


def test_half_is_not_suspected():
    assert suspected(seen(RATE, HEALTHY)) == []
