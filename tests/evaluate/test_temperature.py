"""Temperature scaling: the minimum is found, and a split without errors does not make it infinitely sure."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax.evaluate import apply_temperature, calibration, fit_temperature


def draw(seed, temperature, examples=20_000, classes=4):
    """Logits that are right once divided by a temperature, with labels drawn accordingly."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(examples, classes))
    labels = (logits / temperature + random.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_true_temperature_is_found(temperature):
    logits, labels = draw(0, temperature)
    found = fit_temperature(logits, labels)
    np.testing.assert_allclose(found, temperature, rtol=0.06)  # about three standard errors of 20,000 labels
    assert calibration(apply_temperature(logits, found), labels).p_value > 0.01


def test_an_overconfident_network_is_mended():
    logits, labels = draw(1, temperature=3.0)
    before = calibration(apply_temperature(logits, 1.0), labels)
    after = calibration(apply_temperature(logits, fit_temperature(logits, labels)), labels)
    assert before.low > 0.1 and after.high < 0.02 and after.nll < before.nll


@given(seed=st.integers(0, 2**31))
def test_no_temperature_nearby_is_likelier(seed):
    logits, labels = draw(seed, temperature=1.5, examples=60, classes=3)
    best = fit_temperature(logits, labels)
    losses = [calibration(apply_temperature(logits, best * by), labels, resamples=1).nll for by in (1.0, 0.97, 1.03)]
    assert losses[0] <= min(losses[1:]) + 1e-12


@given(seed=st.integers(0, 2**31), scale=st.floats(0.2, 5))
def test_scaled_logits_have_a_scaled_temperature(seed, scale):
    logits, labels = draw(seed, temperature=1.0, examples=300)
    np.testing.assert_allclose(
        fit_temperature(scale * logits, labels), scale * fit_temperature(logits, labels), rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_one_logit_an_example_is_that_of_class_one(shape):
    logits, labels = draw(2, temperature=2.0, examples=2000, classes=2)
    single = (logits[:, 1] - logits[:, 0]).reshape(shape)
    np.testing.assert_allclose(fit_temperature(single, labels), fit_temperature(logits, labels), rtol=1e-6)
    np.testing.assert_allclose(apply_temperature(single, 2.0), apply_temperature(logits, 2.0), atol=1e-12)


def test_all_right_is_as_sure_as_the_rule_of_succession():
    labels = np.arange(98) % 3
    logits = np.eye(3)[labels] * 5 + np.random.default_rng(0).normal(size=(98, 3)) * 0.1
    confidence = apply_temperature(logits, fit_temperature(logits, labels)).max(axis=1)
    np.testing.assert_allclose(confidence.mean(), 99 / 100, atol=1e-6)


@pytest.mark.parametrize(
    "logits, expected", [([[0.0, 0.0]] * 3, None), ([[1e-9, 0.0]] * 3, 0.01), ([[1e6, 0.0]] * 3, 100.0)]
)
def test_hopeless_logits_end_at_a_bound(logits, expected):
    found = fit_temperature(np.array(logits), np.zeros(3, int))
    assert 0.01 <= found <= 100 and (expected is None or found == expected)


def test_the_accuracy_does_not_change():
    logits, _ = draw(3, temperature=1.0, examples=500)
    np.testing.assert_array_equal(apply_temperature(logits, 7.0).argmax(axis=1), logits.argmax(axis=1))


def test_large_logits_of_any_precision_do_not_overflow():
    for dtype in (jnp.float32, jnp.bfloat16):
        probabilities = apply_temperature(jnp.array([[1e4, -1e4], [0.0, 0.0]], dtype), 0.5)
        np.testing.assert_array_equal(probabilities, [[1, 0], [0.5, 0.5]])
