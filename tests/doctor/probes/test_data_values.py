"""Inputs and targets as numbers: each fault is planted in a healthy program, and has a look-alike that stays silent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.doctor.programs import HEALTHY, classifier, ids, regressor, subject, suspected
from verax.doctor.probes import _extreme_values, _finite, _integers, _layout, _scales, _target_scale
from verax.doctor.probes._tables import table

MODULES = (_extreme_values, _finite, _integers, _layout, _scales, _target_scale)


@pytest.fixture(autouse=True)
def _promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def linear(outputs=10, before=lambda x: x):
    """A linear model, which compiles in no time; `before` is what it does to its inputs first."""

    def init(key, x):
        return jax.random.normal(key, (int(np.prod(x.shape[1:])), outputs)) / 8

    def apply(w, x):
        return before(x).reshape((x.shape[0], -1)) @ w

    return init, apply


def digits(change=lambda x: x, **parts):
    healthy = classifier(network=linear())
    (x, y), (x_test, y_test) = healthy.train, healthy.test
    return classifier(**{"network": linear(), "train": (change(x), y), "test": (change(x_test), y_test), **parts})


def waves(inputs=lambda x: x, targets=lambda y: y, test=True, **parts):
    healthy = regressor()
    (x, y), held = healthy.train, healthy.test
    held = (inputs(held[0]), targets(held[1])) if test else held
    return regressor(**{"network": linear(1), "train": (inputs(x), targets(y)), "test": held, **parts})


def alarms(program, look):
    return ids(look(subject(program)))


def suspicions(program, look):
    return suspected(look(subject(program)))


@pytest.mark.parametrize("program", HEALTHY)
def test_healthy_programs_are_silent(program):
    seen = [probe.look for module in MODULES for probe in module.PROBES]
    each = subject(program())
    for look in seen:
        try:
            found = look(each)
        except Exception as reason:
            assert type(reason).__name__ == "NotApplicable", reason
        else:
            assert ids(found) == [] and suspected(found) == []


def with_value(value, column=0, rows=range(0, 600, 10)):
    def change(values):
        values = values.copy()
        chosen = [row for row in rows if row < len(values)]
        values[chosen, column] = value
        return values

    return change


def test_a_nan_that_reaches_the_loss_is_found_and_placed():
    (finding,) = _finite.look(subject(waves(with_value(np.nan, 2), test=False))).findings
    assert (finding.id, finding.severity, finding.part) == ("non-finite-input", "error", "data")
    assert str(finding.where) == "train row 0 column '2'" and "60 of 600 rows" in finding.message


def test_a_nan_that_the_network_handles_is_a_remark():
    program = waves(with_value(np.nan, 2), network=linear(1, before=jnp.nan_to_num))
    assert {finding.severity for finding in _finite.look(subject(program)).findings} == {"info"}


def test_an_infinite_target_is_found():
    assert alarms(waves(targets=lambda y: np.where(y > 1.9, np.inf, y).astype(np.float32)), _finite.look)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_arithmetic_that_wraps_around_is_found(dtype):
    wrapping = linear(before=lambda x: (x - 100 if dtype == np.uint8 else x * 10) / 100)
    program = digits(lambda x: (x * (255 if dtype == np.uint8 else 100)).astype(dtype), network=wrapping)
    (finding,) = _integers.look(subject(program)).findings
    assert finding.id == "integer-input" and "wraps around" in finding.message


def test_integers_that_are_cast_first_are_fine():
    network = linear(before=lambda x: (x.astype(jnp.float32) - 100) / 100)
    assert alarms(digits(lambda x: (x * 255).astype(np.uint8), network=network), _integers.look) == []


def test_a_standardised_table_cut_to_integers_is_found():
    assert alarms(waves(lambda x: x.astype(np.int32)), _integers.look) == ["integer-input"]
    assert alarms(digits(lambda x: (x * 16).astype(np.int32)), _integers.look) == []


def test_tokens_are_no_numbers():
    network = (lambda key, x: jax.random.normal(key, (17, 10)), lambda w, x: w[x].mean(axis=1))
    program = digits(lambda x: (x * 16).astype(np.int32), network=network)
    assert alarms(program, _integers.look) == []
    with pytest.raises(Exception, match="no input is a number"):
        table(subject(program), "train")


class Convolution(nn.Module):
    move: bool = False

    @nn.compact
    def __call__(self, x):
        x = jnp.moveaxis(x, 1, -1) if self.move else x
        return nn.Dense(10)(nn.Conv(4, (3, 3))(x).reshape((x.shape[0], -1)))


@pytest.mark.parametrize(
    ("shape", "move", "found"), [((1, 8, 8), False, True), ((8, 8, 1), False, False), ((1, 8, 8), True, False)]
)
def test_space_taken_for_channels_is_found(shape, move, found):
    program = digits(lambda x: x.reshape((-1, *shape)), network=Convolution(move))
    assert alarms(program, _layout.look) == (["input-wrong-layout"] if found else [])


@pytest.mark.parametrize(
    "change", [lambda x: x + 50, lambda x: x * np.float32([1, 1, 1, 100, 1, 1]), lambda x: x * 255, lambda x: x / 255]
)
def test_inputs_of_odd_scale_are_suspected_and_the_repair_standardises_every_batch(change):
    it = subject(waves(change))
    (suspicion,) = _scales.look(it).suspicions
    assert suspicion.finding.id == "input-not-normalized"
    repaired = suspicion.repairs[0].change(it)
    for inputs in (repaired.train.inputs, np.concatenate([batch.inputs for batch in repaired.batches_of(0)])):
        np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=0.1)
        np.testing.assert_allclose(inputs.std(axis=0), 1, atol=0.1)
    assert inputs.dtype == np.float32


@pytest.mark.parametrize("change", [lambda x: x, lambda x: x * 3, lambda x: (x > 0).astype(np.float32), np.sign])
def test_inputs_of_usual_scale_are_not_suspected(change):
    assert suspicions(waves(change), _scales.look) == []


def test_border_pixels_are_a_remark_and_a_column_that_only_tests_have_an_alarm():
    assert [finding.severity for finding in _scales.look(subject(digits())).findings] == ["info"]
    program = waves(lambda x: x * np.float32([1, 0, 1, 1, 1, 1]), test=False)
    (finding,) = _scales.look(subject(program)).findings
    assert finding.id == "constant-feature" and finding.is_alarm and "100%" in finding.message
    assert alarms(waves(lambda x: x * np.float32(0)), _scales.look) == ["constant-feature"]


def test_targets_of_odd_scale_are_suspected():
    it = subject(waves(targets=lambda y: y * 77 + 152))
    (suspicion,) = _target_scale.look(it).suspicions
    assert suspicion.finding.id == "unscaled-target"
    repaired = suspicion.repairs[0].change(it)
    outputs = jnp.zeros((32, 1))
    assert abs(float(repaired.mean_loss(outputs, repaired.batch)) - 1) < 1
    assert abs(float(repaired.predict(outputs).mean()) - 152) < 20
    assert suspicions(waves(), _target_scale.look) == []


def test_targets_that_the_network_scales_itself_are_fine():
    init, apply = linear(1)
    network = (init, lambda w, x: 250_000 + 80_000 * apply(w, x))
    assert suspicions(waves(targets=lambda y: y * 80_000 + 250_000, network=network), _target_scale.look) == []


def test_a_code_for_missing_values_is_proved_where_the_network_takes_it_for_a_number():
    (finding,) = _extreme_values.look_for_codes(subject(waves(with_value(-999)))).findings
    assert finding.id == "missing-value-sentinel" and finding.severity == "error"
    assert str(finding.where) == "train column '0'" and "-999 in 60 of 600" in finding.message


def test_a_code_that_was_scaled_along_is_suspected_and_the_repair_scales_anew():
    def scaled(x):
        x = with_value(-999)(x)
        return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)

    it = subject(waves(scaled))
    (suspicion,) = _extreme_values.look_for_codes(it).suspicions
    repaired = suspicion.repairs[0].change(it).train.inputs
    assert suspicion.finding.id == "missing-value-sentinel" and len(suspicion.repairs) == 2
    assert 0.9 < repaired[:, 0].std() < 1.1 and repaired[:, 0].min() > -6


def test_a_code_that_the_network_masks_is_no_proof():
    masking = linear(1, before=lambda x: jnp.where(x == -999, 0, x))
    assert alarms(waves(with_value(-999), network=masking), _extreme_values.look_for_codes) == []


@pytest.mark.parametrize(
    "change",
    [lambda x: np.clip(x, -1, 1), lambda x: np.maximum(x, 0), lambda x: np.round(np.exp(x)), lambda x: np.exp(x)],
)
def test_caps_zeros_and_tails_are_no_codes(change):
    seen = _extreme_values.look_for_codes(subject(waves(change)))
    assert ids(seen) == [] and suspected(seen) == []


@pytest.mark.parametrize("which", ["inputs", "targets"])
def test_a_few_values_that_rule_the_gradient_are_suspected(which):
    def far(values):
        values = values.copy()
        values[:5] *= 2000
        return values

    it = subject(waves(**{which: far}, test=False))
    (suspicion,) = _extreme_values.look_for_outliers(it).suspicions
    assert suspicion.finding.id == "extreme-outliers"
    repaired = suspicion.repairs[0].change(it)
    assert np.abs(getattr(repaired.train, which)).max() < 20
    assert all(np.abs(getattr(batch, which)).max() < 20 for batch in repaired.batches_of(0))
    assert repaired.held.targets is it.held.targets


def test_a_tail_and_a_network_that_bounds_it_are_no_fault():
    assert suspicions(waves(np.exp), _extreme_values.look_for_outliers) == []
    far = with_value(500, rows=range(5))
    assert suspicions(waves(far, network=linear(1, before=jnp.tanh)), _extreme_values.look_for_outliers) == []
