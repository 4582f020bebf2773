import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.doctor.programs import MLP, classifier, regressor, subject, waves
from verax.doctor._answers import answers_of, constant_error, stated_probabilities
from verax.doctor._probe import NotApplicable
from verax.doctor._trajectory import is_recut, require_whole, train


def test_a_run_is_watched_from_before_the_first_step_to_after_the_last():
    made = subject(regressor(epochs=2))
    run = train(made, seconds=60)
    assert run.steps == run.planned == made.steps and run.complete and run.broken is None
    assert [run.looks[0].step, run.last.step] == [0, made.steps]
    assert run.gradients.shape == run.updates.shape == run.weights.shape == (made.steps, len(made.paths))
    assert run.last.train.loss < run.looks[0].train.loss and run.curve[-1] == run.last.train.loss
    np.testing.assert_allclose(run.last.train.errors.mean(), run.last.train.loss, rtol=0.05)  # of unit variance


def test_the_first_step_whose_numbers_are_not_finite_is_found_exactly():
    def batches(inputs, targets, epoch):
        for start in range(0, 128, 32):
            bad = np.where(start == 64, np.float32(np.inf), np.float32(1))
            yield inputs[start : start + 32] * bad, targets[start : start + 32]

    run = train(subject(regressor(batches=batches, epochs=1)), seconds=60, looks=1)
    assert run.broken is not None and (run.broken.step, run.broken.what) == (3, "loss")
    assert run.steps == 3 and not np.isfinite(run.losses[2]) and np.isfinite(run.losses[:2]).all()
    with pytest.raises(NotApplicable, match="broke off"):
        require_whole(run)


def test_a_run_that_was_cut_short_says_so():
    run = train(subject(classifier(epochs=50)), seconds=1e-6)
    assert not run.complete and run.steps < run.planned
    with pytest.raises(NotApplicable, match="left after"):
        require_whole(run)


def test_batches_of_many_shapes_are_cut_anew_and_no_row_is_lost_but_the_remainder():
    def ragged(inputs, targets, epoch):
        start = 0
        for size in (20, 31, 45, 28, 37, 39):
            yield inputs[start : start + size], targets[start : start + size]
            start += size

    made = subject(regressor(batches=ragged, epochs=1))
    assert is_recut(made) and not is_recut(subject(regressor()))
    run = train(made, seconds=60)
    assert run.recut and run.steps == 200 // 34 == 5


def test_errors_are_zero_for_right_answers_and_those_of_the_constant_are_one():
    made = subject(regressor())
    right = made.changed(evaluate=lambda variables, inputs, key: jnp.asarray(waves()[1][1][: len(inputs)]))
    assert answers_of(right, made.variables, made.held).error == 0
    np.testing.assert_allclose(constant_error(made, made.train), 1, rtol=1e-6)
    classes = subject(classifier())
    np.testing.assert_allclose(constant_error(classes, classes.train), 0.9, rtol=1e-6)


def test_probabilities_are_the_softmax_unless_the_program_has_its_own():
    outputs = np.array([[0.0, np.log(3)]])
    np.testing.assert_allclose(stated_probabilities(subject(classifier()), outputs), [[0.25, 0.75]])
    own = subject(classifier(probabilities=lambda outputs: outputs))
    np.testing.assert_allclose(stated_probabilities(own, np.array([[0.5, 0.5]])), [[0.5, 0.5]])
    assert stated_probabilities(subject(classifier(predict=lambda outputs: outputs.argmax(-1))), outputs) is None
    assert stated_probabilities(subject(regressor()), outputs) is None


def test_the_same_program_gives_the_same_run():
    first, second = (train(subject(regressor(epochs=1, network=MLP(outputs=1))), seconds=60) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    assert optax.tree.norm(first.final.params) == optax.tree.norm(second.final.params)
