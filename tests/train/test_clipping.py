"""Clipping that counts clips as Optax does, and counts right."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import experiment
from verax.findings import InputError
from verax.train import clip_by_global_norm, read_clipping


def gradients():
    random = np.random.default_rng(0)
    return [{"a": jnp.asarray(random.normal(size=3), jnp.float32) * scale} for scale in (0.1, 5.0, 1.0, 20.0)]


def test_updates_are_those_of_optax_bit_for_bit():
    mine, theirs = clip_by_global_norm(2.0), optax.clip_by_global_norm(2.0)
    state = mine.init(gradients()[0])
    for each in gradients():
        updates, state = mine.update(each, state)
        np.testing.assert_array_equal(updates["a"], theirs.update(each, optax.EmptyState())[0]["a"])


def test_it_counts_how_often_and_how_hard():
    clip = clip_by_global_norm(2.0)
    state = clip.init(gradients()[0])
    norms = [float(jnp.linalg.norm(each["a"])) for each in gradients()]
    over = [norm / 2.0 for norm in norms if norm >= 2.0]
    assert 0 < len(over) < len(norms)
    for each in gradients():
        _, state = clip.update(each, state)
    measured = read_clipping(state)
    assert measured["limit"] == 2.0 and measured["steps"] == 4
    assert measured["share"] == len(over) / 4
    assert measured["factor"] == pytest.approx(math.exp(np.mean(np.log(over))), rel=1e-5)
    assert measured["largest"] == pytest.approx(max(norms))


def test_it_never_clips_where_the_limit_is_far():
    clip = clip_by_global_norm(1e6)
    _, state = clip.update(gradients()[0], clip.init(gradients()[0]))
    assert (read_clipping(state)["share"], read_clipping(state)["factor"]) == (0.0, 1.0)


def test_a_bad_gradient_does_not_spoil_the_counts():
    clip = clip_by_global_norm(1.0)
    state = clip.init({"a": jnp.zeros(1)})
    for value in (jnp.nan, jnp.inf, 4.0):
        _, state = clip.update({"a": jnp.array([value])}, state)
    assert read_clipping(state)["factor"] == pytest.approx(2.0) and math.isfinite(read_clipping(state)["factor"])


def test_lanes_count_apart():
    def clipped(scale):
        clip = clip_by_global_norm(1.0)
        return clip.update({"a": scale[None]}, clip.init({"a": scale[None]}))[1].clipped

    assert jax.vmap(clipped)(jnp.array([0.5, 3.0])).tolist() == [0, 1]


def test_a_run_reports_it():
    run = vx.train(experiment(optimizer=optax.chain(clip_by_global_norm(1e-3), optax.sgd(0.1))))
    assert run.facts["clipping"]["share"] == 1.0 and run.facts["clipping"]["factor"] > 10
    assert "clipping" not in vx.train(experiment()).facts
    assert read_clipping(optax.adam(1e-3).init({"a": jnp.zeros(1)})) is None


@pytest.mark.parametrize("limit", [0, -1.0, float("inf"), float("nan")])
def test_an_impossible_limit_is_refused(limit):
    with pytest.raises(InputError, match="above 0"):
        clip_by_global_norm(limit)
