"""VX103 key-used-after-split: further forms, and look-alikes."""
import jax
import jax.numpy as jnp
from jax import random
from jax.random import split


def array_of_keys(key, n):
    keys = split(key, n)
    x = random.normal(key, (3,))  # expect: VX103
    return x, jax.vmap(random.normal)(keys)


def handed_to_helper(key, x):
    def noise(k):
        return x + random.normal(k, x.shape)

    a, b = split(key)
    return noise(key) + noise(a) + noise(b)  # expect: VX103


def field(state, x):
    use, _ = split(state.key)
    return x + random.normal(use) + random.uniform(state.key)  # expect: VX103


def in_branch(key, flag):
    a, b = split(key)
    if flag:
        return random.normal(key), a  # expect: VX103
    return random.normal(a), b


def keyword_rng(model, params, rng, x):
    drop, noise = random.split(rng)
    y = model.apply(params, x, rng=rng)  # expect: VX103
    return y, drop, noise


# What must stay silent.


def rebound_with_star(key, n):
    key, *subs = split(key, n)
    return random.normal(key), subs


def folded_after(key):
    a, b = split(key)
    return random.normal(a), random.normal(b), random.fold_in(key, 7)


def halves(key):
    return random.normal(split(key)[0]), random.normal(split(key)[1])


def returned_before(key, n):
    if n == 0:
        return split(key)
    return random.normal(key)


def test_split_is_pure(key):
    a, b = split(key)
    c, d = split(key)
    assert jnp.all(a == c) and jnp.all(b == d)


def string(text):
    parts = text.split(",")
    return text, parts


def seen(key):
    a, b = split(key)
    print(key, key.shape)
    return random.normal(a), random.normal(b)
