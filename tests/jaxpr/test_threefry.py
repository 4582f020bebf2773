"""`straight_threefry` draws the bits of JAX's default generator: every claim compares the two."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.jaxpr import straight_threefry

SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (0,), (4, 0, 2), (300, 257)]


def both(seed, once=False):
    key = jax.random.key(seed, impl="threefry2x32")
    return key, jax.random.wrap_key_data(jax.random.key_data(key), impl=straight_threefry(once))


def assert_same(first, second):
    if jnp.issubdtype(first.dtype, jax.dtypes.prng_key):
        first, second = jax.random.key_data(first), jax.random.key_data(second)
    assert first.dtype == second.dtype
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_bits_of_every_width_and_shape(dtype, once):
    with jax.enable_x64(dtype == "uint64"):
        draw = jax.jit(lambda key: [jax.random.bits(key, shape, dtype) for shape in SHAPES])
        for plain, straight in zip(*map(draw, both(3, once)), strict=True):
            assert_same(plain, straight)


def test_a_million_bits():
    plain, straight = both(4)
    assert_same(jax.random.bits(plain, (1000, 1000)), jax.random.bits(straight, (1000, 1000)))


def test_split():
    split = jax.jit(lambda key: [jax.random.split(key, shape) for shape in (2, 5, (2, 3))])
    for plain, straight in zip(*map(split, both(5)), strict=True):
        assert_same(plain, straight)


def test_fold_in_of_thousands_of_keys_and_numbers():
    words = np.random.default_rng(0).integers(0, 2**32, (3, 5000), np.uint32)
    fold = jax.jit(jax.vmap(lambda key, number: jax.random.fold_in(key, number)))
    plain, straight = (
        jax.random.wrap_key_data(np.stack(words[:2], axis=1), impl=impl)
        for impl in ("threefry2x32", straight_threefry())
    )
    assert_same(fold(plain, words[2]), fold(straight, words[2]))


@pytest.mark.parametrize("seed", [0, 1, -1, 2**31 - 1, -(2**31), 12345])
def test_seed(seed):
    assert_same(jax.random.key(seed), jax.random.key(seed, impl=straight_threefry()))


def test_seed_of_64_bits():
    with jax.enable_x64(True):
        seed = np.int64(0x123456789ABCDEF)
        assert_same(jax.random.key(seed), jax.random.key(seed, impl=straight_threefry()))


@pytest.mark.parametrize(
    "draw",
    [
        lambda key: jax.random.normal(key, (3, 4)),
        lambda key: jax.random.uniform(key, (9,), minval=-1.0, maxval=2.0),
        lambda key: jax.random.bernoulli(key, 0.3, (128, 5)),
        lambda key: jax.random.permutation(key, 50),
        lambda key: jax.random.normal(key, (5,), jnp.bfloat16),
        lambda key: jax.random.uniform(jax.random.fold_in(jax.random.split(key)[1], 3), ()),
        lambda key: jax.vmap(lambda key: jax.random.normal(key, (2,)))(jax.random.split(key, 3)),
    ],
    ids=["normal", "uniform", "bernoulli", "permutation", "half precision", "nested", "vmap"],
)
def test_whatever_is_drawn_from_them(draw):
    plain, straight = both(11)
    assert_same(draw(plain), jax.jit(draw)(straight))


def test_a_draw_beyond_the_counter_is_refused():
    _, straight = both(0)
    with pytest.raises(ValueError, match=r"must have fewer than 2\*\*32 numbers, got shape \(65536, 65536\)"):
        jax.jit(lambda key: jax.random.bits(key, (2**16, 2**16))).lower(straight)


CHAIN = """
import jax
from verax.jaxpr import straight_threefry

def draws(key):
    drawn = []
    for _ in range(6):
        key, own = jax.random.split(jax.random.fold_in(key, 1))
        drawn.append(jax.random.truncated_normal(own, -2.0, 2.0, (5, 8)))
    return drawn

jax.jit(draws).lower(jax.random.key(0, impl=straight_threefry())).compile()
"""


def test_a_long_chain_of_keys_compiles():
    """Haiku derives each layer's key from the one before. Fused into the draws, three splits never finish compiling."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", CHAIN], env=environment, timeout=90, check=True)


@pytest.mark.compiler
def test_a_mask_is_drawn_once_on_request_and_else_again_in_the_backward_pass():
    """Each of the 20 rounds is one left shift in the compiled program."""
    if jax.default_backend() != "cpu":
        pytest.skip("elsewhere XLA may draw again what it fuses")

    def loss(weights, rows, key):
        hidden = jax.nn.relu(rows @ weights)
        kept = jax.random.bernoulli(key, 0.7, hidden.shape)
        return jnp.sum(jnp.where(kept, hidden, 0) @ weights.T)

    def shifts(once):
        given = jnp.ones((64, 64)), jnp.ones((32, 64)), both(0, once)[1]
        return jax.jit(jax.grad(loss)).lower(*given).compile().as_text().count("shift-left(")

    assert (shifts(True), shifts(False)) == (20, 40)
