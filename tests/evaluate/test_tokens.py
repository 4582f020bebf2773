"""Language models: their scores from probabilities and from tokens alone, intervals over sequences, the unigram."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from verax.data import Examples
from verax.evaluate import TokenScores, baseline, evaluate, ratio_estimate, score, token_scores
from verax.findings import InputError
from verax.network import from_linen
from verax.train import language_model


def text(seed, sequences=6, tokens=7, vocabulary=5):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(sequences, tokens, vocabulary)).astype(np.float32)
    return logits, random.integers(0, vocabulary, (sequences, tokens))


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def values(metrics):
    return {name: estimate.value for name, estimate in metrics.items()}


@pytest.mark.parametrize("padding", [None, 0])
def test_scores_agree_with_a_loop_over_tokens(padding):
    logits, targets = text(seed=0)
    losses, hits = [], []
    for sequence, wanted in zip(softmax(logits).astype(np.float64), targets, strict=True):
        for probabilities, token in zip(sequence, wanted, strict=True):
            if token != padding:
                losses.append(-math.log(probabilities[token]))
                hits.append(int(probabilities.argmax()) == token)
    loss = sum(losses) / len(losses)
    expected = {
        "loss": loss,
        "perplexity": math.exp(loss),
        "bits_per_token": loss / math.log(2),
        "accuracy": sum(hits) / len(hits),
    }
    from_probabilities = score("language_model", softmax(logits), targets, padding=padding)
    assert values(from_probabilities.metrics) == pytest.approx(expected, rel=1e-5)
    from_tokens = score("language_model", token_scores(logits, targets), targets, padding=padding)
    assert values(from_tokens.metrics) == pytest.approx(expected, rel=1e-5)
    assert from_tokens.examples == 6 and from_tokens.headline == "perplexity"


def test_perplexity_and_bits_are_the_loss_on_other_scales():
    logits, targets = text(seed=1)
    metrics = score("language_model", softmax(logits), targets).metrics
    np.testing.assert_allclose(metrics["perplexity"], np.exp(metrics["loss"]))
    np.testing.assert_allclose(metrics["bits_per_token"], np.array(metrics["loss"]) / np.log(2))


def test_token_scores_are_pure_and_exact_for_half_precision():
    logits, targets = text(seed=2)
    found = jax.jit(token_scores)(jnp.asarray(logits, jnp.bfloat16), jnp.asarray(targets))
    expected = token_scores(np.asarray(jnp.asarray(logits, jnp.bfloat16).astype(jnp.float32)), targets)
    assert found.nll.dtype == jnp.float32
    np.testing.assert_allclose(found.nll, expected.nll, rtol=1e-6)


def test_without_hits_there_is_no_accuracy():
    _, targets = text(seed=3)
    assert "accuracy" not in score("language_model", TokenScores(np.ones(targets.shape)), targets).metrics


def test_what_does_not_count_may_be_anything():
    nll = np.array([[1.0, np.nan], [3.0, np.inf], [np.nan, np.nan]])
    targets = np.array([[1, 0], [2, 0], [0, 0]])
    found = score("language_model", TokenScores(nll), targets, padding=0)
    assert found.metrics["loss"].value == 2 and found.examples == 2
    weighted = score("language_model", TokenScores(nll), targets, weight=(targets != 0).astype(float))
    assert weighted.metrics == found.metrics
    by_sequence = score(
        "language_model", TokenScores(np.array([[1.0], [5.0]])), targets[:2, :1], weight=np.array([1, 0])
    )
    assert by_sequence.metrics["loss"].value == 1


def test_one_sequence_says_nothing_about_the_scatter_of_sequences():
    metrics = score("language_model", TokenScores(np.ones((1, 9)), np.ones((1, 9))), np.ones((1, 9), int)).metrics
    assert metrics["loss"] == (1.0, 0.0, math.inf) and metrics["perplexity"] == (math.e, 1.0, math.inf)
    assert metrics["accuracy"] == (1.0, 0.0, 1.0)


def test_intervals_over_sequences_hold_the_truth_in_about_95_percent():
    """Tokens of a sequence share its difficulty, and sequences differ in length: an interval over tokens would miss."""
    random = np.random.default_rng(0)

    def draw(sequences):
        hard = random.gamma(2.0, 1.0, (sequences, 1))
        nll = hard * random.gamma(2.0, 0.5, (sequences, 20))
        hits = random.random((sequences, 20)) < np.exp(-hard / 2)
        lengths = 5 + random.integers(0, 16, (sequences, 1)) * (hard > 1.5)  # the hard ones are longer
        targets = np.where(np.arange(20)[None] < lengths, 1, 0)
        return TokenScores(nll, hits), targets

    truth = values(score("language_model", *draw(200_000), padding=0).metrics)
    misses, naive = dict.fromkeys(truth, 0), 0
    for _ in range(400):
        said, targets = draw(60)
        for name, estimate in score("language_model", said, targets, padding=0).metrics.items():
            misses[name] += not estimate.low <= truth[name] <= estimate.high
        each = np.asarray(said.nll)[targets == 1]
        naive += abs(each.mean() - truth["loss"]) > 1.96 * each.std() / math.sqrt(len(each))
    assert max(misses.values()) <= 36, misses  # 20 expected, standard deviation 4.4
    assert naive > 100


def test_a_ratio_of_equal_sizes_is_a_mean():
    totals = np.random.default_rng(0).gamma(2.0, size=30)
    found, half = ratio_estimate(totals, np.full(30, 2.0)), ratio_estimate(totals / 2, np.ones(30))
    np.testing.assert_allclose(found, half)
    assert found.low < found.value < found.high


class Bigram(nn.Module):
    vocabulary: int = 50

    @nn.compact
    def __call__(self, tokens):
        return nn.Embed(self.vocabulary, self.vocabulary)(tokens)


def test_a_network_is_scored_without_its_probabilities_in_memory(monkeypatch):
    random = np.random.default_rng(0)
    inputs, targets = random.integers(1, 50, (2, 33, 8))
    targets[:, 6:] = 0
    network = from_linen(Bigram())
    variables = network.init(jax.random.key(0), jnp.asarray(inputs[:1]))
    largest = []

    def watched(logits, targets):
        largest.append(logits.shape)
        return token_scores(logits, targets)

    monkeypatch.setattr("verax.evaluate._predict.token_scores", watched)
    monkeypatch.setattr("verax.evaluate._predict.NUMBERS_AT_ONCE", 10 * 8 * 50)
    found = evaluate(network, language_model(padding=0), variables, Examples(inputs, targets))
    assert largest == [(10, 8, 50)]  # traced once, for ten sequences at a time, whatever batch_size says
    probabilities = softmax(np.asarray(network.apply(variables, jnp.asarray(inputs))[0]))
    expected = score("language_model", probabilities, targets, padding=0)
    assert values(found.metrics) == pytest.approx(values(expected.metrics), rel=1e-5)
    assert found.examples == 33


@pytest.mark.parametrize("padding", [None, 0])
def test_the_unigram_knows_how_often_each_token_comes(padding):
    train, test = np.array([[1, 1, 2, 0], [1, 3, 0, 0]]), np.array([[1, 4, 0, 0]])
    counts = dict.fromkeys(range(5), 1)
    for token in train.ravel():
        counts[int(token)] += token != padding
    total = sum(counts.values())
    wanted = [int(token) for token in test.ravel() if token != padding]
    loss = -sum(math.log(counts[token] / total) for token in wanted) / len(wanted)
    found = baseline("language_model", train, test, padding=padding)
    assert found["loss"].value == pytest.approx(loss) and found["perplexity"].value == pytest.approx(math.exp(loss))
    most = max(counts, key=lambda token: counts[token])
    assert found["accuracy"].value == wanted.count(most) / len(wanted)


SAID = TokenScores(np.ones((2, 3)))
WRONG = {
    "rank": ((SAID, np.ones(3, int)), {}, r"targets must be whole-numbered tokens of shape \(sequences, tokens\)"),
    "shape": ((SAID, np.ones((2, 4), int)), {}, r"nll must have the shape of the targets, \(2, 4\)"),
    "negative": ((TokenScores(-np.ones((2, 3))), np.ones((2, 3), int)), {}, r"at least 0, got -1 at index \(0, 0\)"),
    "all padding": ((SAID, np.zeros((2, 3), int)), {"padding": 0}, "a token must count, got 6 that are padding"),
    "weights": ((SAID, np.ones((2, 3), int)), {"weight": np.ones(5)}, "one number for each sequence"),
    "vocabulary": (
        (np.ones((2, 3, 4)) / 4, np.full((2, 3), 4)),
        {},
        r"targets must lie in \[0, 4\), got 4 at index \(0, 0\)",
    ),
    "logits": ((np.full((2, 3, 4), 7.0), np.ones((2, 3), int)), {}, r"probabilities must lie in \[0, 1\], got 7"),
    "no probabilities": ((np.ones((2, 3)), np.ones((2, 3), int)), {}, "or vx.evaluate.TokenScores, got float64"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused(name):
    arguments, given, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        score("language_model", *arguments, **given)


def test_token_scores_belong_to_a_language_model():
    with pytest.raises(ValueError, match="they belong to language_model"):
        score("regression", SAID, np.ones((2, 3)))


def test_a_negative_token_is_refused_by_the_baseline():
    with pytest.raises(InputError, match=r"tokens must not be negative, got -1\. Name what fills up"):
        baseline("language_model", np.array([[-1, 1]]), np.array([[1, 1]]))
