"""A network over a split: one program, no padding in the results, exact averages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st

from verax.data import Batch, Examples
from verax.evaluate import evaluate, predict
from verax.findings import InputError
from verax.network import Network, Variables, from_linen
from verax.train import binary, classification, objective_from_loss, regression

LINEAR = Variables({"kernel": jnp.array([[1.0, -1.0, 0.5]] * 2), "bias": jnp.array([0.0, 0.1, 0.0])}, {})
INPUTS = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)


def linear_network(traces=None):
    def apply(variables, inputs, key, training):
        if traces is not None:
            traces.append(inputs.shape)
        return inputs @ variables.params["kernel"] + variables.params["bias"][None], variables.model_state

    return Network(lambda key, inputs: LINEAR, apply, name="linear")


@pytest.mark.compiler
@given(batch_size=st.integers(1, 70), size=st.integers(1, 50))
def test_outputs_do_not_depend_on_the_batch_size(batch_size, size):
    expected = INPUTS[:size] @ np.asarray(LINEAR.params["kernel"]) + np.asarray(LINEAR.params["bias"])[None]
    found = predict(NETWORK, LINEAR, INPUTS[:size], batch_size=batch_size)
    assert isinstance(found, np.ndarray) and found.shape == (size, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


NETWORK = linear_network()


def test_one_program_serves_all_batches_and_later_calls():
    traces = []
    network = linear_network(traces)
    for _ in range(2):
        predict(network, LINEAR, INPUTS, batch_size=16)
    assert traces == [(16, 2)]


def test_padding_is_the_first_example():
    def spread(variables, inputs, key, training):  # couples the rows of a batch, which shows the padding
        return inputs - inputs.min(axis=0, keepdims=True), {}

    inputs = np.array([[1.0], [5.0], [7.0]], np.float32)
    found = predict(Network(lambda key, inputs: LINEAR, spread), LINEAR, inputs, batch_size=2)
    np.testing.assert_array_equal(found[:, 0], [0, 4, 6])


def test_trees_of_inputs_and_outputs():
    def apply(variables, inputs, key, training):
        return {"sum": inputs["a"] + inputs["b"][:, 0], "pair": (inputs["a"], inputs["b"])}, {}

    inputs = {"a": np.arange(5.0, dtype=np.float32), "b": np.ones((5, 3), np.float32)}
    found = predict(Network(lambda key, inputs: LINEAR, apply), LINEAR, inputs, batch_size=2)
    np.testing.assert_array_equal(found["sum"], np.arange(5) + 1)
    assert found["pair"][1].shape == (5, 3)


def test_the_network_is_evaluated_not_trained():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x, training: bool):
            x = nn.BatchNorm(use_running_average=not training)(x)
            return nn.Dropout(0.5, deterministic=not training)(x)

    network = from_linen(Noisy())
    variables = network.init(jax.random.key(0), INPUTS[:4])
    mean, variance = np.array([1.0, -2.0]), np.array([4.0, 0.25])
    statistics = {"mean": jnp.asarray(mean, jnp.float32), "var": jnp.asarray(variance, jnp.float32)}
    found = predict(network, Variables(variables.params, {"batch_stats": {"BatchNorm_0": statistics}}), INPUTS)
    np.testing.assert_allclose(found, (INPUTS - mean) / np.sqrt(variance), rtol=1e-4)


@pytest.mark.parametrize("batch_size", [7, 50, 512])
def test_classification_is_averaged_over_examples(batch_size):
    labels = np.random.default_rng(1).integers(0, 3, 50)
    found = evaluate(NETWORK, classification(l2=1.0), LINEAR, Examples(INPUTS, labels), batch_size=batch_size)
    logits = predict(NETWORK, LINEAR, INPUTS).astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.metrics["loss"].value, -log_probabilities[np.arange(50), labels].mean(), rtol=1e-5)
    np.testing.assert_allclose(found.metrics["log_loss"].value, found.metrics["loss"].value, rtol=1e-5)
    assert found.metrics["accuracy"].value == np.mean(logits.argmax(axis=1) == labels)
    assert next(iter(found.metrics)) == "loss" and found.examples == 50 and found.calibration is not None


def one_output(variables, inputs, key, training):
    return inputs @ variables.params["kernel"][:, :1], {}


ONE_OUTPUT = Network(lambda key, inputs: LINEAR, one_output)


def test_binary_logits_become_two_columns():
    labels = (INPUTS.sum(axis=1) > 0).astype(np.int32)
    found = evaluate(ONE_OUTPUT, binary(), LINEAR, Examples(INPUTS, labels), classes=("no", "yes"), batch_size=16)
    assert found.metrics["accuracy"].value == 1 and found.metrics["roc_auc"].value == 1
    assert found.classes == ("no", "yes") and found.confusion.shape == (2, 2)


def test_regression_of_one_output_against_flat_targets():
    targets = INPUTS.sum(axis=1) + np.float32(2)
    found = evaluate(ONE_OUTPUT, regression(), LINEAR, Examples(INPUTS, targets), batch_size=16)
    np.testing.assert_allclose(found.metrics["rmse"].value, 2, rtol=1e-5)
    np.testing.assert_allclose(found.metrics["loss"].value, 4, rtol=1e-5)


def absolute(outputs, batch: Batch):
    return jnp.abs(outputs[..., 0] - batch.targets)


def test_the_loss_is_the_objectives_own():
    targets = INPUTS.sum(axis=1) + np.float32(3)
    for task in ("custom", "regression"):
        objective = objective_from_loss(absolute, task=task)
        found = evaluate(ONE_OUTPUT, objective, LINEAR, Examples(INPUTS, targets), batch_size=16)
        np.testing.assert_allclose(found.metrics["loss"].value, 3, rtol=1e-5)
        assert found.task == task and ("rmse" in found.metrics) == (task == "regression")


def test_a_loss_of_a_whole_batch_is_never_of_padded_rows():
    sizes = []

    def whole(outputs, batch: Batch):
        sizes.append(outputs.shape[0])
        return jnp.mean(batch.targets)

    targets = np.arange(50, dtype=np.float32)
    objective = objective_from_loss(whole, per_example=False)
    found = evaluate(ONE_OUTPUT, objective, LINEAR, Examples(INPUTS, targets), batch_size=16)
    assert sizes == [16, 16, 16, 2]
    np.testing.assert_allclose(found.metrics["loss"].value, 24.5)


WRONG = {
    "no example": (lambda: predict(NETWORK, LINEAR, INPUTS[:0]), "inputs must have at least one example, got none"),
    "leaves of other lengths": (
        lambda: predict(NETWORK, LINEAR, {"a": INPUTS, "b": INPUTS[:3]}),
        "inputs must have one number of examples on the leading axis of every leaf, got a: 50, b: 3",
    ),
    "a scalar": (lambda: predict(NETWORK, LINEAR, np.float32(1)), "got array: a scalar"),
    "targets of another length": (
        lambda: evaluate(NETWORK, classification(), LINEAR, Examples(INPUTS, np.zeros(3, int))),
        "inputs and targets must have one number of examples .* got inputs: 50, targets: 3",
    ),
    "labels beyond the outputs": (
        lambda: evaluate(NETWORK, classification(), LINEAR, Examples(INPUTS, np.full(50, 3))),
        r"labels must lie in \[0, 3\), got 3 at index 0",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_told_by_name(name):
    function, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        function()


def test_a_batch_has_an_example():
    with pytest.raises(ValueError, match=r"batch_size must be at least 1, got 0\."):
        predict(NETWORK, LINEAR, INPUTS, batch_size=0)
