import jax
import numpy as np
import pytest

from verax.train import base_key, noise_key, purpose_key

WORDS = jax.random.key_data


def test_every_purpose_and_step_has_a_key_of_its_own():
    keys = [base_key(seed) for seed in (0, 1)]
    words = {
        tuple(WORDS(purpose_key(key, name, step)).tolist())
        for key in keys
        for name in ("init", "noise")
        for step in range(5)
    }
    assert len(words) == 2 * 2 * 5


def test_keys_are_folded_from_seed_purpose_and_step():
    """The rule of the design, and the frozen numbers: a change here breaks the replay of every old run."""
    for purpose, number in {"init": 0, "noise": 1}.items():
        expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(7, impl="threefry2x32"), number), 12)
        np.testing.assert_array_equal(WORDS(purpose_key(base_key(7), purpose, 12)), WORDS(expected))


def test_the_noise_key_draws_what_the_purpose_key_draws():
    step = np.int32(3)
    drawn = [
        jax.random.normal(key, (4,)) for key in (noise_key(base_key(0), step), purpose_key(base_key(0), "noise", step))
    ]
    np.testing.assert_array_equal(*drawn)


def test_a_seed_means_the_same_whatever_generator_is_the_default():
    before = WORDS(base_key(5))
    with jax.default_prng_impl("rbg"):
        np.testing.assert_array_equal(WORDS(base_key(5)), before)
        assert np.isfinite(jax.random.normal(noise_key(base_key(5), 0), (3,))).all()


def test_an_unknown_purpose_is_refused():
    with pytest.raises(ValueError, match="purpose must be one of init, noise, augment, got 'shuffle'"):
        purpose_key(base_key(0), "shuffle")
