"""Whether a model can hold its task: what cannot learn a few rows by heart, and what only looks too small."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from tests.doctor.programs import HEALTHY, MLP, binary, classifier, ids, regressor, subject, suspected
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._capacity import look


@pytest.fixture(autouse=True)
def standard():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("program", HEALTHY)
def test_healthy_programs_learn_rows_by_heart(program):
    result = look(subject(program()))
    assert not ids(result) and not result.suspicions
    assert "16 rows by heart" in result.compared


@pytest.mark.parametrize(("program", "widths"), [(classifier, (32, 2)), (classifier, (1,)), (binary, (16, 1))])
def test_a_passage_that_is_too_narrow_is_suspected(program, widths):
    network = MLP(widths, 10 if program is classifier else 1, nn.tanh)
    result = look(subject(program(network=network)))
    assert suspected(result) == ["insufficient-capacity"]
    assert f"passes on {widths[-1]} numbers" in result.suspicions[0].finding.message
    assert "kernel" in str(result.suspicions[0].finding.where)


def test_a_model_that_cannot_bend_enough_is_suspected():
    class Clipped(nn.Module):  # of all its inputs it sees the sum alone
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1)(nn.tanh(nn.Dense(8)(jnp.sum(jnp.square(x), axis=1, keepdims=True) * jnp.ones((1, 4)))))

    result = look(subject(regressor(network=Clipped())))
    assert suspected(result) == ["insufficient-capacity"] and "by heart" in result.suspicions[0].finding.message


def test_the_repair_is_a_perceptron_of_the_same_outputs():
    program = subject(classifier(network=MLP((32, 2), 10, nn.tanh, nn.softmax)))
    changed = look(program).suspicions[0].repairs[0].change(program)
    outputs = changed.evaluated(changed.variables, changed.batch.inputs, changed.noise(0))
    assert outputs.shape == (64, 10)
    assert jnp.allclose(outputs.sum(axis=1), 1, atol=1e-5)  # with the model's own output activation


def test_half_as_many_units_as_classes_are_a_choice():
    assert not look(subject(classifier(network=MLP((32, 8))))).suspicions


def test_a_linear_model_is_chosen():
    with pytest.raises(NotApplicable, match="linear model is chosen"):
        look(subject(classifier(network=MLP(()))))


def test_what_the_signal_explains_is_not_blamed_on_the_model():
    dead = MLP((32,), activation=lambda x: nn.relu(x - 100.0))
    with pytest.raises(NotApplicable, match="signal by layer explains"):
        look(subject(classifier(network=dead)))


def test_units_of_the_target_and_of_the_inputs_do_not_matter():
    x, y = regressor().train
    program = regressor(train=(1e3 * x + 5e3, 1e5 * y + 1e6), test=None)
    assert not look(subject(program)).suspicions


def test_layers_of_sigmoids_are_not_too_small_for_being_hard_to_train():
    assert not look(subject(classifier(network=MLP((32,) * 4, activation=nn.sigmoid)))).suspicions


def test_a_custom_task_is_not_judged():
    with pytest.raises(NotApplicable, match="custom task"):
        look(subject(classifier(task="custom")))
