"""Every task's loss, metrics and predictions against definitions written anew; what is fitted; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from verax.data import Batch, Examples
from verax.findings import InputError
from verax.network import as_network
from verax.train import (
    TASKS,
    autoencoder,
    binary,
    classification,
    language_model,
    make_eval_step,
    mean_metrics,
    multilabel,
    objective_from_loss,
    regression,
)

RANDOM = np.random.default_rng(0)
IDENTITY = as_network((lambda key, x: {}, lambda params, x: x))
ROWS, CLASSES = 12, 5
LOGITS = RANDOM.normal(size=(ROWS, CLASSES)).astype(np.float32)
LABELS = RANDOM.integers(0, CLASSES, ROWS).astype(np.int32)
BITS = RANDOM.integers(0, 2, (ROWS, CLASSES)).astype(np.int32)
WEIGHT = np.array([1.0] * 9 + [0.0] * 3, np.float32)
CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0, 3.0, 0.25])


def log_softmax(logits):
    wide = np.asarray(logits, np.float64)
    return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))


def means_of(objective, outputs, targets, weight=WEIGHT, inputs=None):
    """The metrics of a split in two batches; the second holds less weight."""
    step = jax.jit(make_eval_step(IDENTITY, objective))
    parts = []
    for rows in (slice(0, 6), slice(6, None)):
        batch = Batch(*(jnp.asarray(each[rows]) for each in (outputs, targets, weight)))
        parts.append(step(IDENTITY.init(None, batch.inputs), batch))
    return mean_metrics({name: sum(float(part[name]) for part in parts) for name in parts[0]})


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, CLASS_WEIGHTS], ids=["", "class weights"])
def test_smoothed_and_weighted_cross_entropy_is_that_of_pytorch(smoothing, weights):
    """Its documented formula: each class's part by its weight, over the sum of the weights of the true classes."""
    objective = classification(label_smoothing=smoothing, class_weights=weights)
    by_class, total, share = np.ones(CLASSES) if weights is None else weights, 0.0, 0.0
    for logits, label, weight in zip(log_softmax(LOGITS), LABELS, WEIGHT, strict=True):
        wanted = np.full(CLASSES, smoothing / CLASSES)
        wanted[label] += 1 - smoothing
        total -= weight * (by_class * wanted * logits).sum()
        share += weight * by_class[label]
    found = means_of(objective, LOGITS, LABELS)
    np.testing.assert_allclose(found["loss"], total / share, rtol=1e-5)
    kept = WEIGHT > 0
    np.testing.assert_allclose(found["accuracy"], (LOGITS.argmax(1) == LABELS)[kept].mean(), rtol=1e-6)


def test_distributions_are_mixtures_of_labels():
    other, share = np.roll(LABELS, 1), 0.3
    mixed = (1 - share) * np.eye(CLASSES)[LABELS] + share * np.eye(CLASSES)[other]
    found = means_of(classification(), LOGITS, mixed.astype(np.float32))
    rows, logits = np.arange(ROWS), log_softmax(LOGITS)
    losses = -((1 - share) * logits[rows, LABELS] + share * logits[rows, other])
    np.testing.assert_allclose(found["loss"], losses[WEIGHT > 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], (LOGITS.argmax(1) == LABELS)[WEIGHT > 0].mean(), rtol=1e-6)


def test_labels_and_their_one_hot_distributions_are_the_same():
    one_hot = np.eye(CLASSES, dtype=np.float32)[LABELS]
    for options in ({}, {"label_smoothing": 0.2}, {"class_weights": CLASS_WEIGHTS}):
        hard, soft = (means_of(classification(**options), LOGITS, each) for each in (LABELS, one_hot))
        assert hard == pytest.approx(soft, rel=1e-6)


def test_balanced_classes_count_alike():
    labels = np.array([0] * 90 + [2] * 10, np.int32)  # class 1 never occurs
    objective = classification(class_weights="balanced").fitted(Examples(np.zeros((100, 1)), labels))
    batch = Batch(jnp.zeros((100, 4)), jnp.asarray(labels), jnp.ones(100))
    weights = np.asarray(objective.weights(batch))
    np.testing.assert_allclose(weights[labels == 0].sum(), weights[labels == 2].sum(), rtol=1e-6)
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-6)
    unseen = batch._replace(targets=jnp.full(100, 3))
    assert np.asarray(objective.weights(unseen)).tolist() == [1.0] * 100
    assert np.isfinite(objective.losses(jnp.zeros((100, 4)), unseen)).all()
    assert objective.fitted(Examples(np.zeros((1, 1)), np.array([0]))) is objective


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = RANDOM.integers(0, 3, 50)
    objective = classification(class_weights="balanced").fitted(Examples(np.zeros((50, 1)), labels))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(objective.meaning.balance, expected, rtol=1e-6)


@pytest.mark.parametrize("positive", [None, 4.0, "balanced"], ids=str)
def test_binary_weighs_the_positives(positive):
    targets, logits = BITS[:, 0], LOGITS[:, 0]
    objective = binary(positive_weight=positive).fitted(Examples(logits, targets))
    ratio = {None: 1.0, "balanced": (targets == 0).sum() / targets.sum()}.get(positive, positive)
    chance = 1 / (1 + np.exp(-logits.astype(np.float64)))
    weight = WEIGHT * np.where(targets == 1, ratio, 1)
    losses = -np.where(targets == 1, np.log(chance), np.log(1 - chance))
    found = means_of(objective, logits, targets)
    np.testing.assert_allclose(found["loss"], (losses * weight).sum() / weight.sum(), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], ((logits > 0) == targets)[WEIGHT > 0].mean(), rtol=1e-6)


@pytest.mark.parametrize("positive", [None, 2.0, [1, 2, 3, 4, 5], "balanced"], ids=str)
def test_multilabel_is_a_binary_task_for_each_label(positive):
    objective = multilabel(positive_weight=positive, label_smoothing=0.1).fitted(Examples(LOGITS, BITS))
    ratio = {"None": np.ones(CLASSES), "balanced": (BITS == 0).sum(0) / BITS.sum(0)}.get(str(positive), positive)
    chance, total, share = 1 / (1 + np.exp(-LOGITS.astype(np.float64))), 0.0, 0.0
    ratio = np.broadcast_to(ratio, CLASSES)
    for row in range(ROWS):
        for label in range(CLASSES):
            wanted = 0.95 if BITS[row, label] else 0.05
            loss = -wanted * np.log(chance[row, label]) - (1 - wanted) * np.log(1 - chance[row, label])
            weight = WEIGHT[row] * (ratio[label] if BITS[row, label] else 1)
            total, share = total + weight * loss, share + weight
    found = means_of(objective, LOGITS, BITS)
    kept, hits = WEIGHT > 0, (LOGITS > 0) == BITS
    np.testing.assert_allclose(found["loss"], total / share, rtol=1e-5)
    np.testing.assert_allclose(found["hamming_loss"], 1 - hits[kept].mean(), rtol=1e-5)
    np.testing.assert_allclose(found["subset_accuracy"], hits.all(axis=1)[kept].mean(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("padding", [None, 0, -1])
def test_a_language_model_counts_tokens_not_texts(padding):
    outputs = RANDOM.normal(size=(ROWS, 6, CLASSES)).astype(np.float32)
    targets = RANDOM.integers(0, CLASSES, (ROWS, 6)).astype(np.int32)
    if padding is not None:
        lengths = RANDOM.integers(1, 7, ROWS)
        targets = np.where(np.arange(6) < lengths[:, None], targets, padding).astype(np.int32)
    found = means_of(language_model(padding=padding), outputs, targets)
    losses, hits = [], []
    for row, place in zip(*np.nonzero((targets != padding) & (WEIGHT[:, None] > 0)), strict=True):
        losses.append(-log_softmax(outputs[row, place])[targets[row, place]])
        hits.append(outputs[row, place].argmax() == targets[row, place])
    np.testing.assert_allclose(found["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(found["perplexity"], np.exp(np.mean(losses)), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], np.mean(hits), rtol=1e-6)


def test_the_gradient_of_padding_is_zero():
    objective = language_model(padding=0)
    targets = jnp.array([[1, 2, 0, 0]])
    network = as_network((lambda key, x: x, lambda params, x: params))
    loss = objective.bind(network)
    outputs = jnp.asarray(RANDOM.normal(size=(1, 4, 3)), jnp.float32)
    variables = network.init(None, outputs)
    batch = Batch(outputs, targets, jnp.ones(1))
    grads = jax.grad(lambda v: loss(v, batch).total)(variables).params
    assert np.any(grads[:, :2]) and not np.any(grads[:, 2:])


@pytest.mark.parametrize("shape", [(), (2,)], ids=["one", "two"])
@pytest.mark.parametrize("standardise", [False, True])
def test_a_gaussian_is_the_normal_density(shape, standardise):
    """Loss, NLL, RMSE and spread, the last three in the targets' own units."""
    targets = (1000 + 50 * RANDOM.normal(size=(ROWS, *shape))).astype(np.float32)
    scale = (targets.mean(axis=0), targets.std(axis=0)) if standardise else (0.0, 1.0)
    outputs = RANDOM.normal(size=(ROWS, 2 * max(1, *shape, 1))).astype(np.float32)
    if not standardise:
        outputs[:, : outputs.shape[1] // 2] += 1000
    objective = regression(likelihood="gaussian", standardise=standardise).fitted(Examples(targets, targets))
    means, logs = np.split(outputs.astype(np.float64), 2, axis=1)
    means, std = (each.reshape(targets.shape) for each in (means, np.exp(logs / 2)))
    means, std = scale[0] + scale[1] * means, scale[1] * std
    nll = -norm.logpdf(targets, means, std).reshape(ROWS, -1).mean(axis=1)
    found = means_of(objective, outputs, targets)
    kept = WEIGHT > 0
    np.testing.assert_allclose(found["nll"], nll[kept].mean(), rtol=1e-4)
    np.testing.assert_allclose(found["rmse"], np.sqrt(((means - targets)[kept] ** 2).mean()), rtol=1e-4)
    shift = np.log(scale[1]).mean() if standardise else 0.0
    np.testing.assert_allclose(found["loss"], nll[kept].mean() - shift, rtol=1e-4)
    np.testing.assert_allclose(objective.spread(outputs).reshape(std.shape), std, rtol=1e-5)
    np.testing.assert_allclose(objective.predictions(outputs).reshape(means.shape), means, rtol=1e-5)


@pytest.mark.parametrize("log_variance", [-1e6, -40.0, 0.0, 40.0, 1e6, 3e38])
def test_a_gaussian_is_finite_whatever_its_width(log_variance):
    objective = regression(likelihood="gaussian")
    batch = Batch(jnp.zeros((1, 1)), jnp.array([1e3]), jnp.ones(1))
    value, grads = jax.value_and_grad(lambda outputs: objective.losses(outputs, batch).sum())(
        jnp.array([[-1e3, log_variance]])
    )
    assert np.isfinite(value) and np.isfinite(grads).all()
    assert 0 < objective.spread(jnp.array([[0.0, log_variance]]))[0, 0] < np.inf


@pytest.mark.parametrize("shape", [(), (1,), (3,)], ids=str)
def test_standardised_targets_are_undone_everywhere_but_in_the_loss(shape):
    targets = (1e4 + 300 * RANDOM.normal(size=(ROWS, *shape))).astype(np.float32)
    outputs = RANDOM.normal(size=(ROWS, *shape)).astype(np.float32)
    objective = regression(standardise=True).fitted(Examples(outputs, targets))
    mean, std = targets.mean(axis=0, dtype=np.float64), targets.std(axis=0, dtype=np.float64)
    answers = mean + std * outputs
    np.testing.assert_allclose(objective.predictions(outputs), answers, rtol=1e-5)
    found = means_of(objective, outputs, targets)
    kept = WEIGHT > 0
    np.testing.assert_allclose(found["rmse"], np.sqrt(((answers - targets)[kept] ** 2).mean()), rtol=1e-4)
    np.testing.assert_allclose(found["loss"], (((targets - mean) / std - outputs)[kept] ** 2).mean(), rtol=1e-3)


def test_a_target_scale_may_be_traced():
    """Folds are lanes of one program, each with the mean and deviation of its own training rows."""
    targets = jnp.asarray(1e3 + RANDOM.normal(size=(4, ROWS)), jnp.float32)
    outputs, objective = jnp.zeros((ROWS, 1)), regression(standardise=True)

    def loss(scale, targets):
        fitted = objective.with_target_scale(scale)
        return fitted.losses(outputs, Batch(outputs, targets, jnp.ones(ROWS))).mean(), fitted.predictions(outputs)

    found, answers = jax.jit(jax.vmap(loss))((targets.mean(axis=1), targets.std(axis=1)), targets)
    np.testing.assert_allclose(found, np.ones(4), rtol=1e-3)  # of the mean, in standard deviations
    np.testing.assert_allclose(answers[:, 0, 0], targets.mean(axis=1), rtol=1e-6)


def test_constant_targets_have_a_scale():
    mean, std = regression(standardise=True).fitted(Examples(np.zeros(5), np.full(5, 3.0))).target_scale
    assert (float(mean), float(std)) == (3.0, 1.0)


def test_an_autoencoder_is_held_against_its_inputs():
    inputs = RANDOM.uniform(size=(ROWS, 2, 3)).astype(np.float32)
    outputs = RANDOM.normal(size=(ROWS, 2, 3)).astype(np.float32)
    batch = Batch(jnp.asarray(inputs), jnp.full(ROWS, 7), jnp.asarray(WEIGHT))  # targets are not used
    squared, bits = autoencoder(), autoencoder(likelihood="bernoulli")
    np.testing.assert_allclose(
        squared.losses(outputs, batch), ((outputs - inputs) ** 2).reshape(ROWS, -1).mean(1), rtol=1e-5
    )
    chance = 1 / (1 + np.exp(-outputs.astype(np.float64)))
    expected = -(inputs * np.log(chance) + (1 - inputs) * np.log(1 - chance)).reshape(ROWS, -1).mean(axis=1)
    np.testing.assert_allclose(bits.losses(outputs, batch), expected, rtol=1e-5)
    sums = bits.metric_sums(outputs, batch)
    found = mean_metrics({**sums, "loss": 0.0, "weight": WEIGHT.sum()})["rmse"]
    np.testing.assert_allclose(found, np.sqrt(((chance - inputs)[WEIGHT > 0] ** 2).mean()), rtol=1e-5)
    assert squared.wanted(batch) is batch.inputs


MIXED = np.full((ROWS, CLASSES), 1 / CLASSES, np.float32)


@pytest.mark.parametrize(
    ("objective", "targets", "best"),
    [
        (classification(label_smoothing=0.1), LABELS, 0.9 * np.eye(CLASSES)[LABELS] + 0.02),
        (classification(), MIXED, MIXED),
        (
            classification(label_smoothing=0.1, class_weights=CLASS_WEIGHTS),
            LABELS,
            (0.9 * np.eye(CLASSES)[LABELS] + 0.02) * CLASS_WEIGHTS,
        ),
        (classification(), LABELS, np.eye(CLASSES)[LABELS] + 1e-12),
    ],
    ids=["smoothed", "mixed", "smoothed and weighted", "plain"],
)
def test_the_floor_is_the_loss_of_the_best_answer(objective, targets, best):
    batch = Batch(jnp.asarray(LOGITS), jnp.asarray(targets), jnp.asarray(WEIGHT))
    answers = jnp.log(jnp.asarray(best / best.sum(axis=1, keepdims=True), jnp.float32))
    value = objective.bind(IDENTITY)(IDENTITY.init(None, answers), batch._replace(inputs=answers))
    floor = float(objective.floor_on(answers, batch))
    np.testing.assert_allclose(value.total / value.weight, floor, rtol=1e-5, atol=1e-6)
    other = objective.bind(IDENTITY)(IDENTITY.init(None, answers), batch)
    assert float(other.total / other.weight) > floor


@pytest.mark.parametrize("objective", [binary(label_smoothing=0.2), multilabel(label_smoothing=0.2)], ids=str)
def test_the_floor_of_smoothed_bits_is_their_entropy(objective):
    batch = Batch(None, jnp.asarray(BITS[:, 0] if objective.task == "binary" else BITS), jnp.asarray(WEIGHT))
    expected = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(objective.floor_on(LOGITS, batch), expected, rtol=1e-5)


def test_the_floor_of_grey_inputs_is_their_entropy():
    batch = Batch(jnp.full((2, 3), 0.5), None, jnp.ones(2))
    np.testing.assert_allclose(autoencoder(likelihood="bernoulli").floor_on(None, batch), np.log(2), rtol=1e-6)


def test_a_loss_of_ones_own_has_its_own_floor_and_no_weights_of_classes():
    objective = objective_from_loss(classification().losses, task="classification", floor=0.25)
    batch = Batch(jnp.asarray(LOGITS), jnp.asarray(LABELS), jnp.asarray(WEIGHT))
    assert objective.floor_on(batch.inputs, batch) == 0.25
    assert objective.weights(batch) is batch.weight
    assert objective.metrics == ("loss", "accuracy")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_whole(name):
    task = TASKS[name]
    assert task.name == name
    if name != "custom":
        assert task.headline != "loss" and task.simplest and task.metrics and task.known_by


FIT = "Take objective.fitted\\(train\\)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: classification(label_smoothing=1.0), r"label_smoothing must be a number in \[0, 1\), got 1.0"),
        (lambda: classification(class_weights=[1, -2]), "class_weights must be positive numbers.* got -2 at index 1"),
        (lambda: classification(class_weights="balance"), "'balanced' or None, got 'balance'"),
        (lambda: classification(class_weights=2.0), "class_weights must be positive numbers, .* got 2.0"),
        (lambda: binary(positive_weight=0.0), "positive_weight must be .* got 0 at index 0"),
        (lambda: regression(likelihood="normal"), "likelihood must be one of squared, gaussian, got 'normal'"),
        (lambda: autoencoder(likelihood="x"), "likelihood must be one of squared, bernoulli, got 'x'"),
        (lambda: language_model(padding=0.5), "padding must be a token, a whole number, or None, got 0.5"),
        (lambda: classification().with_target_scale((0.0, 1.0)), "only regression\\(standardise=True\\)"),
        (lambda: means_of(regression(standardise=True), LOGITS[:, 0], LOGITS[:, 1]), FIT),
        (lambda: means_of(classification(class_weights="balanced"), LOGITS, LABELS), FIT),
        (lambda: means_of(classification(class_weights=[1, 2]), LOGITS, LABELS), "each of the 5 classes, got 2"),
        (lambda: means_of(multilabel(positive_weight="balanced"), LOGITS, BITS), FIT),
        (lambda: means_of(multilabel(positive_weight=[1, 2]), LOGITS, BITS), "one for each of 5 labels, got 2"),
        (lambda: means_of(regression(likelihood="gaussian"), LOGITS, LABELS), "means and then log-variances, got"),
        (lambda: means_of(classification(), LOGITS, MIXED[:, :3]), "a column for each of 5 classes, got shape"),
        (lambda: means_of(multilabel(), LOGITS[:, :3], BITS), "a multilabel classifier must have the shape"),
        (lambda: means_of(language_model(), LOGITS, LABELS[:, None]), "a language model must have the shape"),
    ],
)
def test_wrong_options_and_shapes_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
