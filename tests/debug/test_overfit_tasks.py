"""Rows learnt by heart in each task: healthy networks pass, and the fault that was planted is found."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from verax.data import Batch, Examples
from verax.debug import overfit_batch
from verax.debug._overfit_rows import rows_to_learn
from verax.train import TASKS, autoencoder, classification, language_model, multilabel, regression

ROWS, FEATURES = 64, 6
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(ROWS, FEATURES)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, ROWS).astype(np.int32)
BITS = RANDOM.integers(0, 2, (ROWS, 4)).astype(np.int32)
NUMBERS = (500 + 100 * RANDOM.normal(size=ROWS)).astype(np.float32)
TEXTS = RANDOM.integers(0, 5, (ROWS, 9)).astype(np.int32)


def mlp(outputs, last=lambda x: x, width=64, inside=None):
    """A pair of functions with one hidden layer, of its own width where it is narrow."""

    def init(key, x):
        first, second = jax.random.split(key)
        return {
            "hidden": jax.random.normal(first, (x.shape[1], width)) / x.shape[1] ** 0.5,
            "bias": jnp.zeros(width),
            "head": jax.random.normal(second, (width, outputs)) / width**0.5,
        }

    def apply(params, x):
        return last(jnp.tanh(x @ params["hidden"] + params["bias"][None]) @ params["head"])

    return init, apply


def text_model(past=True):
    """Each place sees its own token and, in order, all before it."""

    def init(key, x):
        first, second, third = jax.random.split(key, 3)
        return {
            "embedding": jax.random.normal(first, (5, 16)),
            "places": jax.random.normal(second, (8, 16, 32)) / 4,
            "head": 0.1 * jax.random.normal(third, (48, 5)),
        }

    def apply(params, x):
        tokens = params["embedding"][x]
        before = jnp.tanh(jnp.cumsum(jnp.einsum("btd,tdh->bth", tokens, params["places"]), axis=1))
        return jnp.concatenate([tokens, before if past else 0 * before], axis=-1) @ params["head"]

    return init, apply


def batch(targets, inputs=INPUTS):
    return Batch(inputs, targets, np.ones(ROWS, np.float32))


TEXT = batch(TEXTS[:, 1:], TEXTS[:, :-1])
HEALTHY = {
    "multilabel": (mlp(4), multilabel(), batch(BITS), 32),
    "smoothed labels": (mlp(3), classification(label_smoothing=0.2), batch(LABELS), 32),
    "standardised": (mlp(1), regression(standardise=True), batch(NUMBERS), 32),
    "gaussian": (mlp(2), regression(likelihood="gaussian", standardise=True), batch(NUMBERS), 32),
    "language model": (text_model(), language_model(), TEXT, None),
    "autoencoder": (mlp(FEATURES), autoencoder(), batch(LABELS), 8),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_learns_its_rows(name):
    network, objective, rows, count = HEALTHY[name]
    objective = objective.fitted(Examples(rows.inputs, rows.targets))
    result = overfit_batch(network, objective, optax.adam(1e-2), rows)
    assert result.passed and result.cause is None
    assert result.rows == (count or result.rows)
    assert result.score is not None and result.score > 0.98


FAULTS = {
    "sigmoid twice": (mlp(4, jax.nn.sigmoid), multilabel(), batch(BITS), "double-sigmoid"),
    "bounded means": (
        mlp(2, jnp.tanh), regression(likelihood="gaussian"), batch(NUMBERS), "wrong-output-activation"
    ),
    "bounded standardised": (
        mlp(1, jax.nn.sigmoid), regression(standardise=True), batch(NUMBERS), "wrong-output-activation"
    ),
    "softmax twice": (
        mlp(3, lambda x: jax.nn.softmax(0.01 * x)), classification(label_smoothing=0.1), batch(LABELS), "double-softmax"
    ),
    "blind to the past": (text_model(past=False), language_model(), TEXT, "parameter-without-gradient"),
    "reconstructs nothing": (mlp(FEATURES, lambda x: 0 * x), autoencoder(), batch(LABELS), "non-differentiable-loss"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name):
    network, objective, rows, cause = FAULTS[name]
    result = overfit_batch(
        network, objective.fitted(Examples(rows.inputs, rows.targets)), optax.adam(3e-3), rows, max_steps=200
    )
    assert not result.passed
    assert cause in [finding.id for finding in result.findings]


def test_smoothed_labels_have_the_floor_of_their_entropy():
    network, objective, rows, _ = HEALTHY["smoothed labels"]
    result = overfit_batch(network, objective, optax.adam(1e-2), rows)
    wanted = np.array([0.2 / 3, 0.2 / 3, 0.8 + 0.2 / 3])
    assert result.floor == pytest.approx(float(-(wanted * np.log(wanted)).sum()), rel=1e-5)
    assert result.final_loss > result.floor


def test_the_width_of_a_gaussian_is_held_and_said():
    network, objective, rows, _ = HEALTHY["gaussian"]
    result = overfit_batch(network, objective.fitted(Examples(rows.inputs, rows.targets)), optax.adam(1e-2), rows)
    assert any(note.startswith("the Gaussian's width was held") for note in result.notes)
    assert result.final_loss >= 0


def test_texts_that_contradict_each_other_are_left_out():
    inputs = np.array([[1, 2], [1, 2], [1, 3], [2, 2], [4, 4]], np.int32)
    targets = np.array([[2, 0], [2, 1], [3, 0], [2, 1], [4, 9]], np.int32)
    chosen = rows_to_learn(Batch(inputs, targets, np.array([1, 1, 1, 1, 0], np.float32)), TASKS["language_model"], 32)
    assert chosen.batch.inputs.tolist() == [[1, 2], [2, 2]]
    assert chosen.contradictions == 2


def test_padding_contradicts_nothing():
    inputs = np.array([[1, 2], [1, 2]], np.int32)
    targets = np.array([[2, 7], [7, 0]], np.int32)
    rows = Batch(inputs, targets, np.ones(2, np.float32))
    assert rows_to_learn(rows, language_model(padding=7).meaning, 32).contradictions == 1  # the same inputs
    assert rows_to_learn(rows, language_model().meaning, 32).contradictions == 1
    other = rows._replace(inputs=np.array([[1, 2], [1, 3]], np.int32))
    assert rows_to_learn(other, language_model(padding=7).meaning, 32).contradictions == 0
