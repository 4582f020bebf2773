import collections

import flax.core
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.train.cases import (
    CLASSES,
    CNN,
    DATA,
    LINEAR,
    MLP,
    WithNorm,
    compilations,
    data,
    experiment,
    same_bits,
)
from verax.data import load
from verax.findings import InputError
from verax.network import Variables
from verax.train import chunks, prepare, starting_variables


@pytest.mark.parametrize(
    ("changes", "trains"),
    [
        ({}, 1),
        ({"network": WithNorm()}, 2),
        ({"network": WithNorm(), "remainder": "wrap"}, 1),
        ({"network": WithNorm(), "batch_size": 10}, 1),
        ({"network": CNN(), "steps": 20, "stopping": vx.EarlyStopping(patience=50)}, 1),
    ],
    ids=["padded", "own shape", "wrapped", "no remainder", "cnn with stopping"],
)
def test_a_run_of_many_epochs_compiles_two_training_programs_at_most(changes, trains):
    """Counted by JAX itself: nothing at all is compiled between the first step and the last."""
    if "steps" not in changes:
        changes = {**changes, "epochs": 5}
    made = experiment(**changes, chunk_steps=3)
    with compilations() as before:
        run = chunks(made)
        next(run)
    with compilations() as during:
        assert len(list(run)) > 6
    assert during == []
    assert before.count("jit(chunk)") == trains
    assert before.count("jit(step)") == 1
    assert prepare(made).facts["programs"] == {"train": trains, "evaluate": 1}


def test_without_a_validation_split_nothing_is_evaluated():
    made = experiment(data=data(validation=0), epochs=1)
    with compilations() as names:
        seen = [record for _, record in chunks(made) if record.kind == "epoch"]
    assert "jit(step)" not in names
    assert [set(record.values) for record in seen] == [{"train/loss"}]


class Coupled(nn.Module):
    """Rows of a batch see one another, though there is no state."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(CLASSES)(x - x.mean(axis=0, keepdims=True))


def whole_batch(outputs, batch):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets).mean() + outputs.std()


def coupled_losses(outputs, batch):
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
    return losses / losses.sum()


@pytest.mark.parametrize(
    ("changes", "padded"),
    [
        ({}, True),
        ({"network": MLP()}, True),
        ({"network": CNN()}, True),
        ({"network": WithNorm()}, False),
        ({"network": Coupled()}, False),
        ({"objective": vx.objective_from_loss(whole_batch, per_example=False)}, False),
        ({"objective": vx.objective_from_loss(coupled_losses)}, False),
        ({"remainder": "wrap"}, False),
        ({"remainder": "drop"}, False),
    ],
    ids=["linear", "mlp", "cnn", "batch-norm", "coupled-rows", "whole-batch-loss", "coupled-losses", "wrap", "drop"],
)
def test_a_batch_is_padded_only_where_its_rows_do_not_touch(changes, padded):
    session = prepare(experiment(**changes))
    _, weight, rest = session.plan.rows(0, 0)
    assert session.facts["padded"] == padded == (weight is not None)
    assert len(rest) == (2 if not padded and "remainder" not in changes else 0)


def test_a_loss_of_a_whole_batch_is_validated_on_full_batches():
    """20 validation rows make two batches of 8; the last 4 rows would make another loss."""
    made = experiment(objective=vx.objective_from_loss(whole_batch, per_example=False), epochs=1)
    *_, (state, record) = chunks(made)
    inputs, targets = DATA["validation"]
    logits = [
        inputs[rows] @ state.variables.params["kernel"] + state.variables.params["bias"][None]
        for rows in (slice(8), slice(8, 16))
    ]
    batches = [vx.Batch(None, targets[:8], None), vx.Batch(None, targets[8:16], None)]
    expected = np.mean([whole_batch(*each) for each in zip(logits, batches, strict=True)])
    assert record.values["validation/loss"] == pytest.approx(float(expected), rel=1e-5)


def test_the_penalty_is_left_out_of_the_validation_loss():
    made = experiment(objective=vx.classification(l2=5.0), optimizer=optax.sgd(0.0), epochs=1)
    plain = experiment(optimizer=optax.sgd(0.0), epochs=1)
    (*_, (_, ours)), (*_, (_, theirs)) = chunks(made), chunks(plain)
    assert ours.values["validation/loss"] == theirs.values["validation/loss"]
    assert ours.values["train/loss"] > theirs.values["train/loss"]


# Weights to start from.

GIVEN = {"kernel": np.full((4, 3), 0.5, np.float32), "bias": np.zeros(3, np.float32)}


def test_a_run_starts_from_the_weights_that_were_given():
    ((state, _), *_) = chunks(experiment(optimizer=optax.sgd(0.0), steps=1), initial=GIVEN)
    assert same_bits(state.variables.params, GIVEN)


def test_every_holder_of_weights_is_taken():
    """Leaves are matched by path: other containers, and another order in them, fit too."""
    run = vx.train(experiment(epochs=1))
    drawn = prepare(experiment(seed=5)).state.variables
    params = run.state.variables.params
    backwards = collections.OrderedDict(kernel=params["kernel"], bias=params["bias"])
    for initial in (run, run.state, run.state.variables, params, flax.core.freeze(params), backwards):
        found = starting_variables(initial, drawn)
        assert same_bits(found, run.variables)
        assert jax.tree.structure(found) == jax.tree.structure(drawn)


def test_a_given_weight_outlives_the_run():
    given = jax.tree.map(jnp.asarray, GIVEN)
    vx.train(experiment(epochs=1), initial=given)
    assert same_bits(given, GIVEN)


def test_statistics_come_with_variables_and_are_drawn_with_parameters_alone():
    trained = vx.train(experiment(network=WithNorm(), epochs=1)).variables
    drawn = prepare(experiment(network=WithNorm())).state.variables
    assert same_bits(starting_variables(trained, drawn).model_state, trained.model_state)
    assert same_bits(starting_variables(trained.params, drawn).model_state, drawn.model_state)


def test_weights_that_do_not_fit_are_named_leaf_by_leaf():
    wrong = {"kernel": np.zeros((4, 5), np.float32), "scale": np.zeros(3, np.float32)}
    with pytest.raises(InputError) as caught:
        next(chunks(experiment(), initial=wrong))
    assert str(caught.value).splitlines() == [
        "initial weights do not fit the network:",
        "  params/bias: expected float32[3], missing",
        "  params/kernel: expected float32[4,3], found float32[4,5]",
        "  params/scale: not expected, found float32[3]",
    ]


def test_weights_of_another_precision_are_not_cast():
    with pytest.raises(InputError, match=r"params/kernel: expected float32\[4,3\], found float64\[4,3\]"):
        starting_variables({**GIVEN, "kernel": GIVEN["kernel"].astype(np.float64)}, Variables(GIVEN, {}))


# What is wrong is said before any compute.


def test_labels_out_of_range_cannot_be_trained_on():
    inputs, targets = DATA["train"]
    bad = {**DATA, "train": (inputs, np.where(np.arange(50) == 7, CLASSES, targets).astype(np.int32))}
    with pytest.raises(InputError, match=r"train row 7: label-out-of-range"), compilations() as names:
        next(chunks(experiment(data=bad)))
    assert "jit(chunk)" not in names


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            "validation/acuracy",
            r"the metric must be one of validation/loss, validation/accuracy, got .* Did you mean 'vali.*/accuracy'",
        ),
        ("validation/rmse", r"the metric must be one of validation/loss, validation/accuracy, got 'validation/rmse'"),
        ("train/loss", r"the metric must be one of"),
    ],
)
def test_a_metric_that_the_run_will_not_have_cannot_be_watched(metric, message):
    with pytest.raises(InputError, match=message):
        prepare(experiment(stopping=vx.EarlyStopping(metric=metric)))


def test_stopping_needs_a_validation_split():
    with pytest.raises(InputError, match=r"'validation/loss' cannot be watched: the data has no validation split"):
        prepare(experiment(stopping=vx.EarlyStopping(), data=data(validation=0)))


def test_the_test_split_is_never_looked_at(monkeypatch):
    """Its numbers reach neither the network nor a metric."""
    dataset = load(DATA)
    asked = type(dataset).examples

    def examples(self, split):
        assert split != "test", "the trainer opened the test split"
        return asked(self, split)

    monkeypatch.setattr(type(dataset), "examples", examples)
    vx.train(experiment(data=dataset, epochs=1, stopping=vx.EarlyStopping()))


def test_facts_say_what_was_prepared():
    facts = prepare(experiment(network=LINEAR)).facts
    assert (facts["parameters"], facts["steps_per_epoch"], facts["gradients_watched"]) == (15, 7, False)
    assert facts["memory"]["peak_bytes"] > 4 * 15
    assert facts["compile_seconds"] > 0


def test_a_schedule_is_measured_and_one_that_cannot_end_is_refused():
    """42 steps in 6 epochs of 7."""
    decaying = vx.train.prepare(experiment(epochs=6, optimizer=optax.sgd(optax.cosine_decay_schedule(0.1, 42))))
    curve = decaying.facts["schedule"]
    assert curve["steps"] == tuple(range(1, 43)) and curve["sizes"][0] > 10 * curve["sizes"][-1]
    assert "schedule" not in vx.train.prepare(experiment(epochs=6)).facts
    rising = optax.sgd(optax.linear_schedule(0.0, 0.1, 200))
    with pytest.raises(InputError, match="warmup-too-long"):
        vx.train.prepare(experiment(epochs=6, optimizer=rising))
    vx.train.prepare(experiment(epochs=None, seconds=1.0, optimizer=rising))  # nobody knows how long it will be
