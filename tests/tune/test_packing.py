"""Lanes in parts and with one key are the same lanes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.network import Variables
from verax.train._state import TrainState
from verax.tune._lanes import cores
from verax.tune._packing import CACHE, Packing, packed, packing
from verax.tune._quick import ONE_CORE, compiled


def state(share):
    """A state of one lane that takes a share of the cache."""
    return TrainState(None, None, Variables(jax.ShapeDtypeStruct((int(share * CACHE) // 4,), np.float32), {}), ())


@pytest.mark.parametrize(
    "lanes, share, at_once",
    [
        (36, 1 / 40, 36),  # all fit
        (36, 1 / 12, 12),
        (36, 1 / 13, 12),  # the most of which a whole number makes 36
        (37, 1 / 12, 37),  # a prime number is not worth 37 parts
        (22, 1 / 12, 11),
        (10, 2, 10),  # no lane fits
        (4, 1.0, 1),
    ],
)
def test_lanes_side_by_side_fit_the_cache(monkeypatch, lanes, share, at_once):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert packing(range(lanes), state(share)) == Packing(at_once, lanes == 1)


def test_an_accelerator_takes_all_lanes_at_once(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert packing([0] * 36, state(1 / 12)) == Packing(36, True)


def walk(each, common):
    """A step that draws noise, of one lane."""
    one, own = each
    noise = jax.random.normal(jax.random.fold_in(one.key, one.step), (3,))
    variables = one.variables._replace(params=one.variables.params + own["rate"] * noise + common)
    return one.replace(step=one.step + 1, variables=variables), {"sum": variables.params.sum()}


def lanes(seeds):
    count = len(seeds)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    states = TrainState(jnp.full(count, 5), keys, Variables(jnp.arange(count * 3.0).reshape(count, 3), {}), ())
    return states, {"rate": jnp.linspace(0.1, 1, count)}


def plain(tree):
    """A tree whose keys are words."""
    leaves = jax.tree.leaves(tree)
    return [
        jax.random.key_data(each) if jax.dtypes.issubdtype(each.dtype, jax.dtypes.prng_key) else each for each in leaves
    ]


@pytest.mark.parametrize(
    "seeds, how",
    [
        ([0, 1, 2, 3, 4, 5], Packing(2)),
        ([0, 1, 2, 3, 4, 5], Packing(6)),
        ([7] * 6, Packing(6, same_key=True)),
        ([7] * 6, Packing(3, same_key=True)),
        ([7], Packing(1, same_key=True)),
    ],
    ids=str,
)
def test_packed_lanes_are_those_that_run_one_by_one(seeds, how):
    states, own = lanes(seeds)
    found = jax.jit(packed(walk, how))((states, own), 2.0)
    one_by_one = [
        walk(jax.tree.map(lambda leaf, lane=lane: leaf[lane], (states, own)), 2.0) for lane in range(len(seeds))
    ]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one)
    for one, other in zip(plain(found), plain(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-6)


def drawn(how):
    """How many random numbers the program of six lanes draws."""
    states, own = lanes([7] * 6)
    text = str(jax.make_jaxpr(packed(walk, how))((states, own), 2.0))
    shapes = [line.split("u32[")[1].split("]")[0] for line in text.splitlines() if "random_bits[" in line]
    return sum(int(np.prod([int(size) for size in shape.split(",")])) for shape in shapes)


def test_lanes_with_one_key_draw_once():
    assert drawn(Packing(6, same_key=True)) == 3
    assert drawn(Packing(6)) == 18  # else this test shows nothing


@pytest.mark.skipif(jax.default_backend() != "cpu" or cores() < 2, reason="it is about several CPU cores")
def test_programs_that_share_the_machine_keep_to_one_core_each():
    def text(options):
        lowered = jax.jit(lambda x: jnp.sqrt(x) * x + 1).lower(jnp.ones((64, 64, 256)))
        return compiled(lowered, options).as_text()

    assert "outer_dimension_partitions" in text({})  # else this option is for nothing
    assert "outer_dimension_partitions" not in text(ONE_CORE)
