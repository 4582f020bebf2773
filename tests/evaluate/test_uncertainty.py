"""Predictive distributions: from draws, from dropout and from ensembles, in one program and lane by lane."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from flax import linen as nn

from verax.evaluate import (
    ensemble,
    gaussian_log_likelihood,
    mc_dropout,
    predict,
    predictive_from_draws,
    sample_outputs,
)
from verax.findings import InputError
from verax.network import Network, Variables, from_linen
from verax.train import binary, classification, multilabel, regression

INPUTS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
KEY = jax.random.key(0)


class Dropped(nn.Module):
    """A linear layer behind dropout, whose output has a known mean and variance."""

    outputs: int = 1
    rate: float = 0.4
    normed: bool = False

    @nn.compact
    def __call__(self, x, training: bool):
        if self.normed:
            x = nn.BatchNorm(use_running_average=not training)(x)
        return nn.Dense(self.outputs, use_bias=False)(nn.Dropout(self.rate, deterministic=not training)(x))


NETWORK = from_linen(Dropped())
VARIABLES = NETWORK.init(jax.random.key(1), jnp.asarray(INPUTS))
KERNEL = np.asarray(VARIABLES.params["Dense_0"]["kernel"], np.float64)[:, 0]
FOUND = mc_dropout(NETWORK, VARIABLES, INPUTS, key=KEY, samples=3000, batch_size=7)


def test_dropout_has_the_mean_and_the_variance_that_it_should():
    """Each input is kept with probability 0.6 and divided by it: variance `0.4 / 0.6 * sum((x w) ** 2)`."""
    terms = INPUTS.astype(np.float64) * KERNEL
    std = np.sqrt(0.4 / 0.6 * (terms**2).sum(axis=1))
    error = std / math.sqrt(3000)
    assert FOUND.samples == 3000 and FOUND.draws is not None and FOUND.draws.shape == (3000, 20, 1)
    assert (np.abs(FOUND.mean[:, 0] - terms.sum(axis=1)) < 5 * error).all()
    np.testing.assert_allclose(FOUND.std[:, 0], std, rtol=0.08)
    np.testing.assert_allclose(FOUND.std, FOUND.draws.std(axis=0), rtol=1e-5)


def test_rows_and_passes_are_independent():
    correlation = np.corrcoef(FOUND.draws[:, :, 0].T)
    assert np.abs(correlation - np.eye(20)).max() < 5 / math.sqrt(3000)
    assert len(np.unique(FOUND.draws[:, 0, 0].round(5))) == 8  # each of three inputs is there or not
    assert len(np.unique(FOUND.draws[:, :, 0], axis=0)) == 3000  # no pass is like another


def test_the_key_decides():
    again = mc_dropout(NETWORK, VARIABLES, INPUTS, key=KEY, samples=3000, batch_size=7)
    other = mc_dropout(NETWORK, VARIABLES, INPUTS, key=jax.random.key(5), samples=100, batch_size=7)
    np.testing.assert_array_equal(FOUND.draws, again.draws)
    assert (other.draws != FOUND.draws[:100]).any()


def test_lanes_are_sampled_in_one_program():
    stacked = jax.vmap(lambda key: NETWORK.init(key, jnp.asarray(INPUTS)))(jax.random.split(KEY, 2))
    inputs = jnp.stack([jnp.asarray(INPUTS) * scale for scale in (1.0, 2.0)])
    keys = jax.random.split(jax.random.key(9), 2)

    def lane(variables, inputs, key):
        return sample_outputs(NETWORK, variables, inputs, key, samples=150)

    draws = jax.jit(jax.vmap(lane))(stacked, inputs, keys)
    assert draws.shape == (2, 150, 20, 1)
    for index in range(2):
        own = Variables(*jax.tree.map(lambda leaf, index=index: leaf[index], tuple(stacked)))
        alone = mc_dropout(NETWORK, own, inputs[index], key=keys[index], samples=150)
        np.testing.assert_allclose(alone.draws, draws[index], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(predictive_from_draws(draws[index]).mean, alone.mean, rtol=1e-5, atol=1e-6)


def test_one_program_serves_all_passes_and_batches():
    traces = []

    def apply(variables, inputs, key, training):
        traces.append(training)
        return inputs + jax.random.normal(key, inputs.shape), variables.model_state

    network = Network(lambda key, inputs: Variables({}, {}), apply)
    found = mc_dropout(network, Variables({}, {}), np.zeros(50, np.float32), key=KEY, samples=1000, batch_size=16)
    assert len(traces) <= 6 and not any(traces)  # the shapes are looked at for each batch; one program is compiled
    assert abs(found.std.mean() - 1) < 0.02 and found.mean.shape == (50,)


def test_batch_statistics_stay_as_they_are():
    network = from_linen(Dropped(rate=0.5, normed=True))
    variables = network.init(jax.random.key(0), jnp.asarray(INPUTS))
    mean, variance = jnp.array([1.0, -2.0, 0.5]), jnp.array([4.0, 0.25, 1.0])
    statistics = {"batch_stats": {"BatchNorm_0": {"mean": mean, "var": variance}}}
    found = mc_dropout(network, Variables(variables.params, statistics), INPUTS, key=KEY, samples=2000)
    exact = predict(network, Variables(variables.params, statistics), INPUTS)
    assert (np.abs(found.mean - exact) < 5 * found.std / math.sqrt(2000) + 1e-5).all()


def test_probabilities_are_summed_up_and_not_kept():
    network = from_linen(Dropped(outputs=4))
    variables = network.init(jax.random.key(0), jnp.asarray(INPUTS))
    given = {"key": KEY, "samples": 300, "objective": classification()}
    found = mc_dropout(network, variables, INPUTS, **given)
    kept = mc_dropout(network, variables, INPUTS, **given, keep_samples=True)
    assert found.draws is None and kept.draws is not None
    draws = kept.draws.astype(np.float64)
    np.testing.assert_allclose(draws.sum(axis=2), 1, rtol=1e-5)
    np.testing.assert_allclose(found.mean, draws.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.std, draws.std(axis=0), rtol=1e-5)
    entropy = scipy.stats.entropy(draws.mean(axis=0), axis=1)
    np.testing.assert_allclose(found.predictive_entropy, entropy, rtol=1e-5)
    expected = entropy - scipy.stats.entropy(draws, axis=2).mean(axis=0)
    np.testing.assert_allclose(found.mutual_information, expected, atol=1e-6)
    labels = np.arange(20) % 4
    np.testing.assert_allclose(
        found.log_likelihood(labels).value, np.log(draws.mean(axis=0)[np.arange(20), labels]).mean(), rtol=1e-6
    )


def test_agreeing_draws_share_no_information_and_opposed_ones_all_of_it():
    agreed = predictive_from_draws(np.full((5, 3, 2), 0.5), "classification")
    np.testing.assert_allclose(agreed.predictive_entropy, math.log(2))
    np.testing.assert_allclose(agreed.mutual_information, 0, atol=1e-12)
    opposed = predictive_from_draws(np.stack([np.tile([1.0, 0.0], (3, 1)), np.tile([0.0, 1.0], (3, 1))]), "binary")
    np.testing.assert_allclose(opposed.mutual_information, math.log(2))
    labels = predictive_from_draws(np.array([[[1.0, 0.5]], [[0.0, 0.5]]]), "multilabel")
    np.testing.assert_allclose(labels.predictive_entropy, 2 * math.log(2))
    np.testing.assert_allclose(labels.mutual_information, math.log(2))


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_the_log_likelihood_is_that_of_gal_and_ghahramani(outputs):
    """Against their published line, with SciPy's logsumexp; and against the density of the mixture."""
    random = np.random.default_rng(0)
    draws, targets, tau = random.normal(size=(50, 8, *outputs)), random.normal(size=(8, *outputs)), 3.0
    found = predictive_from_draws(draws).log_likelihood(targets, precision=tau)
    mixture = scipy.stats.norm(draws, 1 / math.sqrt(tau)).pdf(targets[None]).reshape(50, 8, -1).prod(axis=2)
    np.testing.assert_allclose(found.value, np.log(mixture.mean(axis=0)).mean())
    if not outputs:
        theirs = (
            scipy.special.logsumexp(-0.5 * tau * (targets[None] - draws) ** 2.0, 0)
            - np.log(50)
            - 0.5 * np.log(2 * np.pi)
            + 0.5 * np.log(tau)
        )
        np.testing.assert_allclose(found.value, np.mean(theirs))
    assert found.low < found.value < found.high


def test_the_log_likelihood_goes_into_vmap_over_precisions():
    random = np.random.default_rng(0)
    draws, targets = random.normal(size=(30, 5)).astype(np.float32), random.normal(size=5).astype(np.float32)
    taus = jnp.array([0.5, 2.0, 8.0])
    found = jax.vmap(lambda tau: gaussian_log_likelihood(jnp.asarray(draws), jnp.asarray(targets), tau).mean())(taus)
    expected = [predictive_from_draws(draws).log_likelihood(targets, precision=float(tau)).value for tau in taus]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_far_targets_have_a_finite_log_likelihood():
    found = predictive_from_draws(np.zeros((10, 2))).log_likelihood(np.full(2, 100.0), precision=4.0)
    np.testing.assert_allclose(found.value, -0.5 * 4 * 100**2 + 0.5 * math.log(4 / (2 * math.pi)))


def test_the_error_and_the_spread_are_those_of_the_mixture():
    draws = np.random.default_rng(0).normal(size=(4000, 6)) * 2 + 1
    found = predictive_from_draws(draws)
    np.testing.assert_allclose(found.rmse(np.zeros(6)).value, np.sqrt((draws.mean(axis=0) ** 2).mean()))
    np.testing.assert_allclose(found.spread(precision=0.25), np.sqrt(draws.var(axis=0) + 4))
    np.testing.assert_allclose(found.spread(), draws.std(axis=0))


def scaled(variables, inputs, key, training):
    return inputs * variables.params["scale"], variables.model_state


SCALED = Network(lambda key, inputs: Variables({"scale": jnp.ones(())}, {}), scaled)


def test_an_ensemble_takes_members_in_a_list_or_stacked():
    scales = [1.0, 2.0, 6.0]
    members = [Variables({"scale": jnp.asarray(scale)}, {}) for scale in scales]
    inputs = np.arange(1.0, 12.0, dtype=np.float32)
    found = ensemble(SCALED, members, inputs, batch_size=4)
    np.testing.assert_allclose(found.mean, 3 * inputs)
    np.testing.assert_allclose(found.std, np.std(scales) * inputs, rtol=1e-6)
    stacked = ensemble(SCALED, Variables({"scale": jnp.asarray(scales)}, {}), inputs)
    np.testing.assert_array_equal(found.draws, stacked.draws)


def test_an_ensemble_of_gaussian_regressors_is_their_mixture():
    """The variance of a mixture is the mean of variances and the variance of means."""
    means, log_variances = np.array([1.0, 3.0]), np.log(np.array([4.0, 0.25]))
    members = Variables({"out": jnp.asarray(np.stack([means, log_variances], axis=1), jnp.float32)}, {})
    network = Network(
        lambda key, inputs: Variables({}, {}),
        lambda variables, inputs, key, training: (jnp.tile(variables.params["out"][None], (inputs.shape[0], 1)), {}),
    )
    found = ensemble(network, members, np.zeros((5, 1)), objective=regression(likelihood="gaussian"))
    np.testing.assert_allclose(found.spread(), np.sqrt(np.var(means) + np.mean([4.0, 0.25])), rtol=1e-6)
    density = scipy.stats.norm(means, [2.0, 0.5]).pdf(2.5).mean()
    np.testing.assert_allclose(found.log_likelihood(np.full(5, 2.5)).value, math.log(density), rtol=1e-6)


@pytest.mark.parametrize("objective", [binary(), multilabel()])
def test_an_ensemble_gives_the_probabilities_of_its_task(objective):
    logits = np.linspace(-2, 2, 12).reshape(12, 1).astype(np.float32)
    found = ensemble(SCALED, Variables({"scale": jnp.array([1.0, 3.0])}, {}), logits, objective=objective)
    positive = (scipy.special.expit(logits) + scipy.special.expit(3 * logits)) / 2
    expected = np.concatenate([1 - positive, positive], axis=1) if objective.task == "binary" else positive
    np.testing.assert_allclose(found.mean, expected, rtol=1e-5)
    assert found.mutual_information.shape == (12,) and (found.mutual_information >= 0).all()


def plain_network():
    return Network(lambda key, inputs: Variables({}, {}), lambda variables, inputs, key, training: (inputs, {}))


NONE = Variables({}, {})
WRONG = {
    "no noise": (
        lambda: mc_dropout(plain_network(), NONE, INPUTS, key=KEY),
        InputError,
        "must have noise, but 100 passes with different keys gave the same outputs",
    ),
    "an old key": (
        lambda: mc_dropout(NETWORK, VARIABLES, INPUTS, key=jax.random.PRNGKey(0)),
        InputError,
        r"key must be a typed random key, got ArrayImpl\. Make one with jax\.random\.key\(0\)",
    ),
    "one pass": (lambda: mc_dropout(NETWORK, VARIABLES, INPUTS, key=KEY, samples=1), ValueError, "at least 2, got 1"),
    "no batch": (lambda: mc_dropout(NETWORK, VARIABLES, INPUTS, key=KEY, batch_size=0), ValueError, "batch_size must"),
    "no example": (lambda: mc_dropout(NETWORK, VARIABLES, INPUTS[:0], key=KEY), InputError, "at least one example"),
    "no member": (lambda: ensemble(SCALED, [], INPUTS), InputError, "at least one network, got none"),
    "members of two kinds": (
        lambda: ensemble(SCALED, [Variables({"scale": jnp.ones(())}, {}), NONE], INPUTS),
        InputError,
        "members must have the same leaves",
    ),
    "no precision": (
        lambda: predictive_from_draws(np.zeros((3, 2))).log_likelihood(np.zeros(2)),
        ValueError,
        "precision must be given",
    ),
    "a wrong precision": (
        lambda: predictive_from_draws(np.zeros((3, 2))).log_likelihood(np.zeros(2), precision=0.0),
        ValueError,
        "precision must be positive and finite",
    ),
    "other targets": (
        lambda: predictive_from_draws(np.zeros((3, 2))).rmse(np.zeros(4)),
        InputError,
        r"targets must have the shape of the predictions, \(2,\), got \(4,\)",
    ),
    "entropy of values": (
        lambda: predictive_from_draws(np.zeros((3, 2))).predictive_entropy,
        ValueError,
        "predictive_entropy is of probabilities, got regression",
    ),
    "no draw": (lambda: predictive_from_draws(np.zeros((0, 2))), InputError, r"draws must be of shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused(name):
    function, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        function()
