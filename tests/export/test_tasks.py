"""What an exported model gives for each task, in the targets' own units, and what it says about each row."""

import csv
import io
import json

import jax.numpy as jnp
import numpy as np
import pytest

from verax import export
from verax.cli._predict import _as_csv
from verax.data import Batch, Examples, Preprocessing, Schema
from verax.evaluate import choose_threshold
from verax.findings import InputError
from verax.network import Variables, from_functions
from verax.train import (
    autoencoder,
    binary,
    classification,
    language_model,
    multilabel,
    objective_from_loss,
    regression,
)

RANDOM = np.random.default_rng(0)
RAW = RANDOM.normal(size=(7, 4)).astype(np.float32)
TOKENS = RANDOM.integers(0, 5, (7, 6)).astype(np.int32)
NAMES = ("red", "green", "blue")


def matrix(columns):
    return RANDOM.normal(size=(4, columns)).astype(np.float32)


def written(path, objective, columns=3, classes=NAMES, **options):
    """Exports a linear network; of tokens a table of logits."""
    of_tokens = objective.task == "language_model"
    weights = {"w": RANDOM.normal(size=(5, 5)).astype(np.float32) if of_tokens else matrix(columns)}
    network = from_functions(
        lambda key, x: weights, (lambda p, x: p["w"][x]) if of_tokens else (lambda p, x: x @ p["w"])
    )
    schema = Schema("array", (6,) if of_tokens else (4,), "int32" if of_tokens else "float32", classes=classes)
    parts = {"preprocessing": Preprocessing(), "schema": schema, "variables": Variables(weights, {})}
    saved = export.save(path / "model.vx", network=network, objective=objective, **parts, **options)
    return export.load(saved.path), weights["w"]


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def test_multilabel_gives_probabilities_and_the_names_of_labels(tmp_path):
    model, kernel = written(tmp_path, multilabel(), temperature=2.0)
    found = model.predict(RAW)
    np.testing.assert_allclose(found["probabilities"], sigmoid(RAW @ kernel / 2), atol=1e-6)
    assert set(found) == {"outputs", "probabilities"} and model.classes == NAMES
    for row, said in zip(found["probabilities"], model.predict_rows(RAW), strict=True):
        assert said.value == tuple(name for name, share in zip(NAMES, row, strict=True) if share > 0.5)
        assert said.probabilities == pytest.approx(dict(zip(NAMES, row, strict=True)))


def test_labels_are_those_at_the_threshold_that_was_chosen(tmp_path):
    shares, truth = RANDOM.uniform(size=(60, 3)), RANDOM.integers(0, 2, (60, 3))
    chosen = choose_threshold(shares, truth, "f1", classes=NAMES)
    model, _ = written(tmp_path, multilabel(), threshold=chosen)
    found = model.predict(RAW)
    np.testing.assert_array_equal(found["labels"], found["probabilities"] >= np.float32(chosen.values))
    assert model.signature.threshold == pytest.approx(chosen.values, rel=1e-6)
    assert "threshold" in model.weights


def test_a_binary_threshold_decides_the_class(tmp_path):
    model, kernel = written(tmp_path, binary(), 1, ("no", "yes"), threshold=0.2)
    positive = sigmoid((RAW @ kernel)[:, 0])
    assert [each.value for each in model.predict_rows(RAW)] == [("no", "yes")[int(share >= 0.2)] for share in positive]


def test_standardised_targets_are_undone(tmp_path):
    targets = (500 + 100 * RANDOM.normal(size=(40, 2))).astype(np.float32)
    objective = regression(standardise=True).fitted(Examples(targets, targets))
    model, kernel = written(tmp_path, objective, 2, None)
    found = model.predict(RAW)
    np.testing.assert_allclose(found["outputs"], RAW @ kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        found["predictions"], targets.mean(axis=0) + targets.std(axis=0) * (RAW @ kernel), rtol=1e-5
    )


def test_a_gaussian_gives_means_and_standard_deviations(tmp_path):
    targets = (500 + 100 * RANDOM.normal(size=40)).astype(np.float32)
    objective = regression(likelihood="gaussian", standardise=True).fitted(Examples(targets, targets))
    model, kernel = written(tmp_path, objective, 2, None)
    found, outputs = model.predict(RAW), RAW @ kernel
    np.testing.assert_allclose(found["std"][:, 0], targets.std() * np.exp(outputs[:, 1] / 2), rtol=1e-4)
    said = model.predict_rows(RAW)
    assert said[0].std == pytest.approx(float(found["std"][0, 0])) and said[0].probabilities is None
    table = list(csv.reader(io.StringIO(_as_csv(said))))
    assert table[0] == ["row", "prediction", "std"] and float(table[1][2]) == pytest.approx(said[0].std)


def test_a_language_model_gives_the_next_token(tmp_path):
    model, logits = written(tmp_path, language_model(padding=0), classes=None)
    found = model.predict(TOKENS)["probabilities"]
    np.testing.assert_allclose(found.sum(axis=-1), np.ones((7, 6)), rtol=1e-5)
    assert (model.signature.padding, model.classes) == (0, None)
    said = model.predict_rows(TOKENS)
    assert [each.value for each in said] == [str(logits[row[-1]].argmax()) for row in TOKENS]
    assert sum(said[0].probabilities.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("likelihood", ["squared", "bernoulli"])
def test_an_autoencoder_gives_the_reconstruction(tmp_path, likelihood):
    model, kernel = written(tmp_path, autoencoder(likelihood=likelihood), 4, None)
    expected = RAW @ kernel if likelihood == "squared" else sigmoid(RAW @ kernel)
    np.testing.assert_allclose(model.predict(RAW)["reconstruction"], expected, rtol=1e-4, atol=1e-6)
    said = model.predict_rows(RAW)
    assert np.shape(said[0].value) == (4,)
    assert len(next(csv.reader(io.StringIO(_as_csv(said))))) == 5
    json.dumps(said[0].value)


def test_smoothing_and_weights_do_not_change_what_is_predicted(tmp_path):
    plain = classification()
    other = classification(label_smoothing=0.2, class_weights=[1, 2, 3])
    outputs = jnp.asarray(RAW[:, :3])
    np.testing.assert_array_equal(plain.heads(outputs)["probabilities"], other.heads(outputs)["probabilities"])
    batch = Batch(outputs, jnp.zeros(7, jnp.int32), jnp.ones(7))
    assert not np.allclose(plain.losses(outputs, batch), other.losses(outputs, batch))


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (regression(), {"threshold": 0.5}, "threshold is for binary and multilabel, got one for task 'regression'"),
        (multilabel(), {"threshold": 1.5}, r"a number in \[0, 1\], or one for each label, got 1.5"),
        (binary(), {"threshold": [0.1, 0.2]}, r"threshold must be a number in \[0, 1\], got \[0.1"),
        (autoencoder(), {"temperature": 2.0}, "temperature is for tasks with logits, got one for task 'autoencoder'"),
        (objective_from_loss(lambda o, b: o[:, 0]), {"temperature": 2.0}, "got one for task 'custom'"),
    ],
    ids=["regression", "above 1", "two for binary", "no logits", "custom"],
)
def test_what_does_not_fit_the_task_is_refused(tmp_path, objective, options, message):
    with pytest.raises(InputError, match=message):
        written(tmp_path, objective, **options)
