"""What counts as using a random key twice, and the look-alikes that are right; with keys of both styles."""

import jax
import jax.numpy as jnp
import pytest
from jax import random

from verax.jaxpr import key_reuses

MAKERS = {"typed": random.key, "legacy": random.PRNGKey}


def normals(keys):
    return [random.normal(key) for key in keys]


def split_in_scan(key, _):
    key, use = random.split(key)
    return key, random.normal(use)


def add_noise(total, key):
    return total + random.normal(key), None


def noisy(p, key):
    return jnp.sum(p * random.normal(key, (3,)))


def fold_twice(key, i):
    return normals([random.fold_in(key, i * 2), random.fold_in(key, i * 2)])


def scan_then_first(key):
    keys = random.split(key, 5)
    return jax.lax.scan(add_noise, 0.0, keys), random.normal(keys[0])


def noise_in_rows(key):
    keys = random.split(key, 4)
    return jax.vmap(lambda key, row: jax.vmap(lambda x: x + random.normal(key))(row))(keys, jnp.ones((4, 3)))


def overlapping(key):
    keys = random.split(key, 5)
    return jax.vmap(random.normal)(keys[:3]), jax.vmap(random.normal)(keys[2:])


def gathered(key):
    keys = random.split(key, 5)
    return jax.vmap(random.normal)(keys[jnp.array([0, 1])]), random.normal(keys[1])


def remat(p, key):
    return jax.checkpoint(lambda p: jnp.sum(jnp.sin(p * random.normal(key, (3,)) * random.uniform(key, (3,)))))(p)


@jax.custom_jvp
def scaled(x, key):
    return x * random.normal(key) * random.uniform(key)


scaled.defjvps(lambda tangent, out, x, key: tangent, None)

FAULTS = {
    "two draws": (lambda key: (random.normal(key), random.uniform(key)), "twice"),
    "the same sampler twice": (lambda key: normals([key, key]), "twice"),
    "a draw, then a split": (lambda key: (random.normal(key), normals(random.split(key))), "twice"),
    "two splits": (lambda key: (normals(random.split(key)), normals(random.split(key))), "twice"),
    "a child twice": (lambda key: normals([random.split(key)[0]] * 2), "twice"),
    "the same data folded in": (lambda key: normals([random.fold_in(key, 1), random.fold_in(key, 1)]), "twice"),
    "the same traced data": (lambda key: fold_twice(key, jnp.sin(1.0).astype(int)), "twice"),
    "split and folded into": (lambda key: (random.normal(random.fold_in(key, 0)), normals(random.split(key))), "twice"),
    "overlapping slices": (overlapping, "twice"),
    "gathered and indexed": (gathered, "twice"),
    "in two jits": (lambda key: (jax.jit(random.normal)(key), jax.jit(random.normal)(key)), "twice"),
    "a sampler with a primitive of its own": (lambda key: (random.gamma(key, 2.0), random.gamma(key, 2.0)), "twice"),
    "cond, then a draw": (
        lambda key: (jax.lax.cond(True, random.normal, lambda _: 0.0, key), random.normal(key)), "twice",
    ),
    "in and after a scan": (scan_then_first, "twice"),
    "under remat and grad": (lambda key: jax.grad(remat)(jnp.ones(3), key), "twice"),
    "in a custom_jvp": (lambda key: scaled(1.0, key), "twice"),
    "closed over in a scan": (lambda key: jax.lax.scan(lambda c, _: add_noise(c, key), 0.0, None, length=3), "loop"),
    "a carry that stays": (lambda key: jax.lax.scan(lambda k, _: (k, random.normal(k)), key, None, length=3), "loop"),
    "a constant folded in, in a scan": (
        lambda key: jax.lax.scan(lambda c, i: add_noise(c, random.fold_in(key, 3)), 0.0, jnp.arange(3)), "loop",
    ),
    "closed over in a while": (
        lambda key: jax.lax.while_loop(lambda c: c < 3, lambda c: c + random.normal(key), 0.0), "loop",
    ),
    "closed over in a vmap": (lambda key: jax.vmap(lambda x: x + random.normal(key, (3,)))(jnp.ones((4, 3))), "rows"),
    "samples of a vmap": (lambda key: jax.vmap(lambda i: random.normal(key))(jnp.arange(3)), "rows"),
    "closed over in the inner vmap": (noise_in_rows, "rows"),
    "made from a literal": (lambda key: random.normal(random.key(3)), "fixed"),
    "made from a literal, old style": (lambda key: random.normal(random.PRNGKey(3)), "fixed"),
    "a constant child": (lambda key: random.normal(random.fold_in(random.key(3), 1)), "fixed"),
}  # fmt: skip


@pytest.mark.parametrize("style", MAKERS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_reuse_is_found_once(name, style):
    fn, kind = FAULTS[name]
    assert [reuse.kind for reuse in key_reuses(jax.make_jaxpr(fn)(MAKERS[style](0)))] == [kind]


def unlike_samplers(key):
    a, b, c, d, e, f, g, h = random.split(key, 8)
    draws = (random.poisson(a, 3.0, (4,)), random.binomial(b, 5.0, 0.3), random.choice(c, 5, (3,), replace=False))
    draws += (random.multinomial(d, 5.0, jnp.ones(3) / 3), random.dirichlet(e, jnp.ones(3)), random.permutation(f, 5))
    return (*draws, random.ball(g, 3), random.multivariate_normal(h, jnp.zeros(2), jnp.eye(2)))


def indexed_by_a_counter(key, steps):
    keys = random.split(key, 4)
    return jax.lax.fori_loop(0, steps, lambda i, total: total + random.normal(keys[i]), 0.0)


def slices_apart(key):
    keys = random.split(key, 5)
    return jax.vmap(random.normal)(keys[:3]), jax.vmap(random.normal)(keys[3:])


HEALTHY = {
    "each of a split": lambda key: normals(random.split(key, 3)),
    "other data folded in": lambda key: normals([random.fold_in(key, i) for i in range(3)]),
    "slices apart": slices_apart,
    "stacked again": lambda key: jax.vmap(random.normal)(jnp.stack(list(random.split(key)))),
    "a scan over keys": lambda key: jax.lax.scan(add_noise, 0.0, random.split(key, 5)),
    "a counter folded in, in a scan": lambda key: jax.lax.scan(
        lambda c, i: add_noise(c, random.fold_in(key, i)), 0.0, jnp.arange(3)
    ),
    "split on the way": lambda key: random.normal(jax.lax.scan(split_in_scan, key, None, length=5)[0]),
    "a counter of fori_loop": lambda key: jax.lax.fori_loop(
        0, 5, lambda i, c: c + random.normal(random.fold_in(key, i)), 0.0
    ),
    "keys by a counter, unknown length": lambda key: indexed_by_a_counter(key, jnp.sin(3.0).astype(int)),
    "a loop of one step": lambda key: jax.lax.fori_loop(0, 1, lambda i, c: c + random.normal(key), 0.0),
    "branches": lambda key: jax.lax.cond(jnp.sin(1.0) > 0, random.normal, random.uniform, key),
    "vmap over keys": lambda key: jax.vmap(random.normal)(random.split(key, 4)),
    "vmap over data that are folded in": lambda key: jax.vmap(lambda i: random.normal(random.fold_in(key, i)))(
        jnp.arange(4)
    ),
    "two vmaps over keys": lambda key: jax.vmap(jax.vmap(random.normal))(random.split(key, (4, 3))),
    "remat and grad": lambda key: jax.value_and_grad(jax.checkpoint(noisy))(jnp.ones(3), key),
    "remat, grad and scan": lambda key: jax.grad(
        lambda p: jax.lax.scan(lambda c, k: (c + jax.checkpoint(noisy)(p * c, k), None), 1.0, random.split(key, 3))[0]
    )(jnp.ones(3)),
    "samplers that draw in two ways": unlike_samplers,
    "a clone": lambda key: normals([key, random.clone(key)]),
    "a constant with the step folded in": lambda key: random.normal(
        random.fold_in(random.key(0), random.randint(key, (), 0, 9))
    ),
    "one of two, chosen by the data": lambda key: random.normal(jnp.where(jnp.sin(1.0) > 0, *random.split(key))),
    "no use at all": lambda key: key,
}


@pytest.mark.parametrize("style", MAKERS)
@pytest.mark.parametrize("name", HEALTHY)
def test_what_is_right_is_left_alone(name, style):
    assert key_reuses(jax.make_jaxpr(HEALTHY[name])(MAKERS[style](0))) == []


@pytest.mark.parametrize("style", MAKERS)
def test_a_key_that_is_closed_over_is_fixed(style):
    key = MAKERS[style](0)
    (reuse,) = key_reuses(jax.make_jaxpr(jax.jit(lambda x: x + random.normal(key)))(1.0))
    assert reuse.kind == "fixed"


def test_more_keys_than_are_followed_one_by_one_are_known_as_a_whole():
    def twice(key):
        keys = random.split(key, 20_000)
        return jax.vmap(random.normal)(keys), jax.vmap(random.uniform)(keys)

    assert [reuse.kind for reuse in key_reuses(jax.make_jaxpr(twice)(random.key(0)))] == ["twice"]


def test_splitting_is_folding_in_as_the_walk_takes_it_to_be():
    """A change of JAX's default generator would show here."""
    key = random.key(0)
    children = random.key_data(random.split(key, 3))
    assert (children == random.key_data(jnp.stack([random.fold_in(key, i) for i in range(3)]))).all()
