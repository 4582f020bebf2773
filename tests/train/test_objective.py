import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.train.cases import LINEAR, MLP, NOISY, WithNorm, split
from verax.data import Batch, Examples
from verax.findings import InputError
from verax.network import as_network
from verax.train import (
    binary,
    classification,
    decay_mask,
    make_eval_step,
    mean_metrics,
    objective_from_loss,
    regression,
)
from verax.train._batches import evaluation_batches

RANDOM = np.random.default_rng(0)
IDENTITY = as_network((lambda key, x: {}, lambda params, x: x))


def batch_of(outputs, targets, weight=None):
    return Batch(jnp.asarray(outputs), jnp.asarray(targets), jnp.ones(len(outputs)) if weight is None else weight)


def logits(rows=12, columns=5):
    return jnp.asarray(RANDOM.normal(size=(rows, columns)), jnp.float32)


def labels(rows=12, classes=5):
    return jnp.asarray(RANDOM.integers(0, classes, rows), jnp.int32)


def value_of(objective, batch, network=IDENTITY, **mode):
    """The loss of a network as it was drawn, compiled: faster here than operation by operation."""

    @jax.jit
    def value(batch, mode):
        return objective.bind(network)(network.init(jax.random.key(0), batch.inputs), batch, **mode)

    return value(batch, mode)


def test_classification_is_optax_cross_entropy():
    outputs, targets = logits(), labels()
    value = value_of(classification(), batch_of(outputs, targets))
    expected = optax.softmax_cross_entropy(outputs, jax.nn.one_hot(targets, 5))  # another formula of Optax
    np.testing.assert_allclose(value.total / value.weight, expected.mean(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(12,), (12, 1)], ids=str)
def test_binary_is_the_log_likelihood_of_a_coin(shape):
    outputs, targets = logits(12, 1).reshape(shape), labels(12, 2)
    value = value_of(binary(), batch_of(outputs, targets))
    chance = np.clip(1 / (1 + np.exp(-np.asarray(outputs, np.float64).reshape(12))), 1e-12, 1 - 1e-12)
    expected = -np.where(np.asarray(targets) == 1, np.log(chance), np.log(1 - chance)).mean()
    np.testing.assert_allclose(value.total / value.weight, expected, rtol=1e-5)


@pytest.mark.parametrize(("outputs", "targets"), [((12,), (12,)), ((12, 1), (12,)), ((12, 3), (12, 3))])
def test_regression_is_the_mean_squared_error(outputs, targets):
    found, wanted = RANDOM.normal(size=outputs).astype(np.float32), RANDOM.normal(size=targets).astype(np.float32)
    value = value_of(regression(), batch_of(found, wanted))
    expected = ((found.reshape(wanted.shape) - wanted) ** 2).mean()
    np.testing.assert_allclose(value.total / value.weight, expected, rtol=1e-5)


@pytest.mark.parametrize("tokens", [12, 7])
def test_a_classifier_of_tokens_weighs_each_token_equally(tokens):
    """As many tokens as examples, too: weights broadcast by name, not by length."""
    outputs = jnp.asarray(RANDOM.normal(size=(12, tokens, 5)), jnp.float32)
    targets = jnp.asarray(RANDOM.integers(0, 5, (12, tokens)), jnp.int32)
    weight = jnp.asarray(RANDOM.integers(0, 2, 12), jnp.float32)
    kept = np.asarray(weight, bool)
    step = jax.jit(make_eval_step(IDENTITY, classification()))
    sums = step(IDENTITY.init(None, outputs), batch_of(outputs, targets, weight))
    expected = jax.jit(optax.softmax_cross_entropy_with_integer_labels)(outputs[kept], targets[kept])
    means = mean_metrics(sums)
    np.testing.assert_allclose(means["loss"], expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(means["accuracy"], (outputs.argmax(-1) == targets)[kept].mean(), rtol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 5, 8])
def test_averages_are_exact_for_every_remainder(batch_size):
    """A split in padded batches gives the average over the whole split, whatever is left for the last batch."""
    network = as_network(LINEAR)
    variables = network.init(jax.random.key(0), split(1, 0)[0])
    step = jax.jit(make_eval_step(network, classification()))
    for size in range(1, 25):
        inputs, targets = split(size, seed=size)
        parts = [step(variables, batch) for batch in evaluation_batches(Examples(inputs, targets), batch_size)]
        sums = {name: sum(float(part[name]) for part in parts) for name in parts[0]}
        outputs = inputs.astype(np.float64) @ np.asarray(variables.params["kernel"], np.float64)
        losses = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(size), targets]
        assert sums["weight"] == size
        np.testing.assert_allclose(mean_metrics(sums)["loss"], losses.mean(), rtol=2e-6)
        np.testing.assert_allclose(mean_metrics(sums)["accuracy"], (outputs.argmax(1) == targets).mean(), rtol=1e-6)


def test_half_precision_outputs_are_averaged_in_single_precision():
    """501 is no bfloat16 number, and a sum of 501 losses even less so."""
    outputs = jnp.asarray(RANDOM.normal(size=(501, 5)), jnp.bfloat16)
    targets = labels(501)
    value = value_of(classification(), batch_of(outputs, targets, jnp.ones(501)))
    expected = optax.softmax_cross_entropy_with_integer_labels(outputs.astype(jnp.float32), targets)
    assert float(value.weight) == 501
    np.testing.assert_allclose(value.total / value.weight, expected.mean(), rtol=1e-6)


def test_the_penalty_is_half_the_sum_of_squared_weights():
    network, inputs = as_network(MLP()), jnp.asarray(split(10, 0)[0])
    variables = network.init(jax.random.key(0), inputs)
    variables = variables._replace(
        params=jax.tree.map(lambda leaf: leaf + 0.5, variables.params)
    )  # biases are not zero
    batch = batch_of(inputs, split(10, 0)[1])
    plain, penalised = (jax.jit(classification(l2=l2).bind(network))(variables, batch) for l2 in (0.0, 0.3))
    kernels = [np.asarray(variables.params[name]["kernel"], np.float64) for name in ("Dense_0", "Dense_1")]
    by_hand = 0.3 / 2 * sum((kernel**2).sum() for kernel in kernels)
    difference = penalised.total / penalised.weight - plain.total / plain.weight
    np.testing.assert_allclose(difference, by_hand, rtol=1e-5)
    without = jax.jit(classification(l2=0.3).bind(network, penalty=False))(variables, batch)
    assert float(without.total) == float(plain.total)


def test_the_penalty_does_not_depend_on_padding():
    network, inputs = as_network(LINEAR), jnp.asarray(split(6, 0)[0])
    variables = network.init(jax.random.key(0), inputs)
    targets, weight = jnp.asarray(split(6, 0)[1]), jnp.array([1.0, 1, 1, 1, 0, 0])
    loss = jax.jit(classification(l2=0.3).bind(network))
    padded = loss(variables, batch_of(inputs, targets, weight))
    alone = loss(variables, batch_of(inputs[:4], targets[:4]))
    np.testing.assert_allclose(padded.total / padded.weight, alone.total / alone.weight, rtol=1e-6)


def test_decay_leaves_biases_and_scales_alone():
    params = as_network(WithNorm()).init(jax.random.key(0), split(4, 0)[0]).params
    assert decay_mask(params) == {
        "BatchNorm_0": {"bias": False, "scale": False},
        "Dense_0": {"bias": False, "kernel": True},
        "Dense_1": {"bias": False, "kernel": True},
    }
    assert decay_mask({"linear": {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}}) == {"linear": {"w": True, "b": False}}
    assert decay_mask({"norm": {"scale": jnp.ones((1, 4))}}) == {"norm": {"scale": False}}  # Haiku keeps its axes


def test_a_key_means_training_in_the_loss_too():
    network, (inputs, targets) = as_network(NOISY), split(10, 0)
    batch, key = batch_of(inputs, targets), jax.random.key(1)
    quiet, noisy = value_of(classification(), batch, network), value_of(classification(), batch, network, key=key)
    variables = network.init(jax.random.key(0), inputs)
    for value, mode in ((quiet, {}), (noisy, {"key": key})):
        outputs, _ = network.apply(variables, jnp.asarray(inputs), **mode)
        np.testing.assert_allclose(value.outputs, outputs, rtol=1e-5, atol=1e-6)
    assert not np.allclose(quiet.outputs, noisy.outputs)


def test_a_loss_carries_the_next_statistics():
    network, (inputs, targets) = as_network(WithNorm()), split(10, 0)
    variables = network.init(jax.random.key(0), jnp.asarray(inputs))
    loss = classification().bind(network)
    moved = loss(variables, batch_of(inputs, targets), key=jax.random.key(1)).model_state
    kept = loss(variables, batch_of(inputs, targets)).model_state
    first = jax.tree.leaves(variables.model_state)[0]
    assert not np.array_equal(jax.tree.leaves(moved)[0], first)
    assert np.array_equal(jax.tree.leaves(kept)[0], first)


def test_a_loss_of_ones_own():
    outputs, targets = logits(12, 1)[:, 0], logits(12, 1)[:, 0]
    objective = objective_from_loss(lambda outputs, batch: jnp.abs(outputs - batch.targets) * batch.inputs)
    batch = Batch(outputs, targets, jnp.array([1.0] * 8 + [0.0] * 4))
    value = objective.bind(IDENTITY)(IDENTITY.init(None, outputs), batch)
    np.testing.assert_allclose(value.total / value.weight, (abs(outputs - targets) * outputs)[:8].mean(), rtol=1e-5)
    assert (objective.task, objective.metrics) == ("custom", ("loss",))


def test_a_loss_of_a_whole_batch_counts_once_for_each_example():
    objective = objective_from_loss(lambda outputs, batch: outputs.var(), per_example=False)
    outputs = logits(12, 1)[:, 0]
    value = objective.bind(IDENTITY)(IDENTITY.init(None, outputs), batch_of(outputs, outputs))
    np.testing.assert_allclose(value.total, 12 * outputs.var(), rtol=1e-6)
    assert float(value.weight) == 12


def test_predictions_of_each_task():
    outputs = logits(4, 3)
    np.testing.assert_allclose(classification().predictions(outputs).sum(axis=1), np.ones(4), rtol=1e-6)
    two = binary().predictions(outputs[:, :1])
    np.testing.assert_allclose(two[:, 1], 1 / (1 + np.exp(-outputs[:, 0])), rtol=1e-5)
    np.testing.assert_allclose(two.sum(axis=1), np.ones(4), rtol=1e-6)
    assert regression().predictions(outputs) is outputs


def test_metrics_are_those_of_the_task():
    outputs, targets = jnp.array([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]]), jnp.array([0, 1, 1])
    weight = jnp.array([1.0, 1.0, 0.0])
    assert classification().metric_sums(outputs, Batch(outputs, targets, weight)) == {"accuracy": 2.0}
    assert binary().metric_sums(outputs[:, :1] - 1, Batch(outputs, targets, jnp.ones(3))) == {"accuracy": 1.0}
    errors = regression().metric_sums(outputs, Batch(outputs, jnp.zeros((3, 2)), weight))
    assert mean_metrics({**errors, "loss": 1.0, "weight": 2.0})["rmse"] == pytest.approx(((4 + 1 + 0 + 1) / 4) ** 0.5)


@pytest.mark.parametrize(
    ("objective", "outputs", "targets", "message"),
    [
        (regression(), (12,), (12, 1), r"a regressor must have the shape of the targets, \(12, 1\), got \(12,\)"),
        (regression(), (12, 2), (12,), r"a regressor must have the shape of the targets, \(12,\), got \(12, 2\)"),
        (classification(), (12,), (12,), r"a classifier must .* \(12,\) and a last axis of classes, got \(12,\)"),
        (binary(), (12, 2), (12,), r"a binary classifier must .* \(12,\), got \(12, 2\)"),
        (objective_from_loss(lambda o, b: o.mean()), (12,), (12,), "one value for each example, got a scalar. Leave"),
        (objective_from_loss(lambda o, b: o[:3]), (12,), (12,), r"each of the 12 examples, got shape \(3,\)"),
        (objective_from_loss(lambda o, b: o, per_example=False), (12,), (12,), r"must be a scalar, got shape \(12,\)"),
    ],
    ids=["(N,) and (N,1)", "two outputs", "no classes", "two logits", "scalar", "too few", "not a scalar"],
)
def test_shapes_that_do_not_fit_are_named(objective, outputs, targets, message):
    targets = np.zeros(targets, np.float32 if objective.task == "regression" else np.int32)
    with pytest.raises(InputError, match=message):
        value_of(objective, batch_of(np.zeros(outputs, np.float32), targets))


@pytest.mark.parametrize("make", [classification, binary, regression])
@pytest.mark.parametrize("l2", [-0.1, float("nan"), float("inf")])
def test_a_penalty_out_of_range_is_refused(make, l2):
    with pytest.raises(InputError, match="l2 must be a number of at least 0, got"):
        make(l2=l2)
