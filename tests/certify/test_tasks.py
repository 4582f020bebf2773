"""The newer tasks certified: a network that knows the truth is better than chance and calibrated; faults are found."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.certify.cases import measure
from verax.certify import certify
from verax.train import autoencoder, language_model, multilabel, regression

FEATURES, LABELS, TOKENS, PLACES = 5, 4, 6, 12
RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.normal(size=(FEATURES, LABELS)).astype(np.float32)
NEXT = RANDOM.dirichlet(np.full(TOKENS, 0.3), TOKENS).astype(np.float32)
DIRECTIONS = np.linalg.qr(RANDOM.normal(size=(8, 8)))[0][:, :3].astype(np.float32)


def linear(columns):
    return lambda key, x: {"kernel": 0.1 * jax.random.normal(key, (x.shape[1], columns))}


def splits(make, train=400, calibration=1000, test=2000, seed=1):
    random = np.random.default_rng(seed)
    return {name: make(random, rows) for name, rows in (("train", train), ("calibration", calibration), ("test", test))}


# Of each task: evidence of a network that states the truth, with a way to spoil its answers.


def several_labels(spoil=lambda logits: logits, **changes):
    def make(random, rows):
        inputs = random.normal(size=(rows, FEATURES)).astype(np.float32)
        chance = 1 / (1 + np.exp(-inputs @ KERNEL))
        return inputs, (random.uniform(size=chance.shape) < chance).astype(np.int32)

    network = (linear(LABELS), lambda params, x: spoil(x @ params["kernel"]))
    return evidence(network, multilabel(), {"kernel": KERNEL}, splits(make), **changes)


def gaussian(spoil=lambda outputs: outputs, **changes):
    """Targets around 500, with noise of 20 to 150 that depends on the input."""

    def make(random, rows):
        inputs = random.normal(size=(rows, FEATURES)).astype(np.float32)
        noise = 50 * np.exp(0.5 * np.tanh(inputs[:, 1]))
        return inputs, (500 + 100 * inputs[:, 0] + noise * random.normal(size=rows)).astype(np.float32)

    def apply(params, x):
        means = 500 + 100 * (x @ params["kernel"])
        return spoil(jnp.concatenate([means, 2 * np.log(50.0) + jnp.tanh(x @ params["width"])], axis=1))

    def init(key, x):
        return {"kernel": jnp.zeros((FEATURES, 1)), "width": jnp.zeros((FEATURES, 1))}

    truth = {"kernel": np.eye(FEATURES, 1, dtype=np.float32), "width": np.eye(FEATURES, 1, -1, dtype=np.float32)}
    return evidence((init, apply), regression(likelihood="gaussian"), truth, splits(make, test=4000, seed=2), **changes)


def texts(spoil=lambda logits: logits, **changes):
    """Markov chains of tokens; a network that knows the probabilities of the next one."""

    def make(random, rows):
        tokens = np.zeros((rows, PLACES + 1), np.int32)
        tokens[:, 0] = random.integers(0, TOKENS, rows)
        for place in range(PLACES):
            after = NEXT[tokens[:, place]].cumsum(axis=1)
            tokens[:, place + 1] = np.minimum((random.uniform(size=(rows, 1)) > after).sum(axis=1), TOKENS - 1)
        ends = random.integers(4, PLACES + 1, rows)
        targets = np.where(np.arange(PLACES) < ends[:, None], tokens[:, 1:], -1)
        return tokens[:, :-1], targets.astype(np.int32)

    network = (lambda key, x: {"logits": jnp.zeros((TOKENS, TOKENS))}, lambda params, x: spoil(params["logits"][x]))
    sizes = {"train": 200, "calibration": 100, "test": 400}
    return evidence(
        network, language_model(padding=-1), {"logits": np.log(NEXT + 1e-6)}, splits(make, **sizes), **changes
    )


def reconstructions(spoil=lambda outputs: outputs, **changes):
    """Points near three directions of eight; a network that projects on these."""

    def make(random, rows):
        inputs = random.normal(size=(rows, 3)) @ DIRECTIONS.T + 0.05 * random.normal(size=(rows, 8))
        return inputs.astype(np.float32), np.zeros(rows, np.int32)

    def apply(params, x):
        return spoil(x @ params["down"] @ params["up"])

    def init(key, x):
        return {"down": jax.random.normal(key, (8, 3)), "up": jax.random.normal(key, (3, 8))}

    truth = {"down": DIRECTIONS, "up": DIRECTIONS.T}
    return evidence((init, apply), autoencoder(), truth, splits(make), **changes)


def evidence(network, objective, variables, data, **changes):
    parts = {"optimizer": optax.adam(1e-2), "losses": np.linspace(1, 0.5, 50), "training_peak_bytes": 10**8}
    return vx.Evidence(network, objective, variables, data, **{**parts, **changes})


TASKS = {
    "multilabel": (several_labels, "average_precision"),
    "gaussian": (gaussian, "rmse"),
    "language_model": (texts, "perplexity"),
    "autoencoder": (reconstructions, "rmse"),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_truth_is_better_than_chance_and_shuffled_answers_are_not(name):
    make, metric = TASKS[name]
    item = measure(make(), "better_than_chance")
    (limit,) = item.limit.values()
    assert item.status == "passed"
    low, high = item.measured[f"{metric}_low"], item.measured[f"{metric}_high"]
    assert low > limit if metric == "average_precision" else high < limit
    shuffled = measure(make(lambda outputs: outputs[::-1]), "better_than_chance")
    assert shuffled.status == "failed"


def test_the_simplest_language_model_knows_how_often_tokens_come():
    item = measure(texts(), "better_than_chance")
    splits = texts().data
    known = splits["train"][1][splits["train"][1] >= 0]
    wanted = splits["test"][1][splits["test"][1] >= 0]
    share = (np.bincount(known, minlength=TOKENS) + 1) / (len(known) + TOKENS)
    assert item.limit["perplexity_of_simplest_predictor"] == pytest.approx(np.exp(-np.log(share[wanted]).mean()))
    assert "how often each token occurs in training" in item.reason


@pytest.mark.parametrize("name", ["multilabel", "language_model"])
def test_true_probabilities_are_calibrated_and_exaggerated_ones_are_mended(name):
    make, _ = TASKS[name]
    item = measure(make(), "calibrated")
    assert item.status == "passed" and item.measured["temperature"] == pytest.approx(1, abs=0.2)
    loud = make(lambda logits: 5 * logits)
    mended = measure(loud, "calibrated")
    assert mended.status == "passed" and mended.measured["temperature"] == pytest.approx(5, rel=0.2)
    assert mended.measured["before"]["ece"] > 0.05 > mended.measured["after"]["high"]
    del loud.data["calibration"]
    assert measure(loud, "calibrated").status == "failed"


def test_a_single_label_that_is_wrong_fails_though_all_together_pass():
    """One of several labels is exaggerated; pooled with the others it hardly shows."""
    spoilt = several_labels(lambda logits: logits * jnp.array([[1.0, 1.0, 1.0, 6.0]]))
    del spoilt.data["calibration"]  # its temperature would spoil the others
    item = measure(spoilt, "calibrated", calibration_error=0.09)
    assert item.status == "failed"
    assert item.measured["before"]["high"] <= 0.09
    assert [each.id for each in item.findings] == ["label-miscalibrated"]
    assert "surely above the limit for 3" in item.reason


def test_the_intervals_of_a_gaussian_are_its_own():
    """What it states is judged as an export gives it; it needs no calibration split."""
    item = measure(gaussian(), "calibrated")
    assert item.status == "passed" and "as the network states it" in item.reason
    before = item.measured["before"]
    assert {level: before[f"coverage_{level}"] for level in (50, 90)} == pytest.approx({50: 0.5, 90: 0.9}, abs=0.03)
    alone = gaussian()
    del alone.data["calibration"]
    assert measure(alone, "calibrated").status == "passed"


def test_a_gaussian_that_is_too_sure_is_not_calibrated():
    item = measure(gaussian(lambda outputs: outputs - jnp.array([[0.0, 2 * np.log(3.0)]], jnp.float32)), "calibrated")
    assert item.status == "failed"  # a third of the true width
    assert item.measured["before"]["coverage_90"] < 0.5


def test_an_autoencoder_states_no_confidence():
    item = measure(reconstructions(), "calibrated")
    assert item.status == "not_run" and "waivers={'calibrated': '...'}" in item.reason


def test_balanced_weights_and_standardised_targets_are_fitted_on_the_way():
    """Evidence of one's own loop holds an objective that has seen no data."""
    known = gaussian()
    network = (linear(1), lambda params, x: x @ params["kernel"])
    objective = regression(standardise=True)
    mean, std = (float(each) for each in (known.data["train"][1].mean(), known.data["train"][1].std()))
    kernel = np.eye(FEATURES, 1, dtype=np.float32) * 100 / std
    item = measure(evidence(network, objective, {"kernel": kernel}, known.data), "better_than_chance")
    assert item.status == "passed"
    wanted = known.data["test"][1] - mean - std * (known.data["test"][0] @ kernel)[:, 0]
    assert item.measured["rmse"] == pytest.approx(np.sqrt((wanted**2).mean()), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_a_whole_certificate(name, tmp_path):
    make, metric = TASKS[name]
    waivers = {"tuned": "one setting", "converges": "linear", "calibrated": "none is stated"}
    certificate = certify(make(), waivers=waivers, out=tmp_path)
    statuses = {item.id: item.status for item in certificate.items if item.status != "passed"}
    assert set(statuses) <= set(waivers) and certificate.verdict == "passed"
    assert metric in certificate.test
    assert certificate.item("reload").measured["largest_difference"] == 0
    assert (tmp_path / "certificate.json").exists()
