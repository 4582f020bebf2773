"""Which lanes are in a call, and that they are the same lanes in any."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.network import Variables
from verax.train._state import TrainState
from verax.tune._lanes import cores
from verax.tune._packing import CACHE, ENOUGH, Lanes, calls
from verax.tune._quick import ONE_CORE, compiled


def state(size):
    """A state of one lane of so many bytes."""
    return TrainState(None, None, Variables(jax.ShapeDtypeStruct((int(size) // 4,), np.float32), {}), ())


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
    found = calls(range(lanes), state(share * CACHE), lanes)
    assert found == [tuple(range(at, at + at_once)) for at in range(0, lanes, at_once)]


def test_lanes_of_one_seed_are_put_together_where_they_are_enough(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    seeds = [5, 7, 5, 7, 5, 7]
    apart, together = [(0, 2, 4), (1, 3, 5)], [(0, 1, 2, 3, 4, 5)]
    assert calls(seeds, state(ENOUGH / 2), 6) == apart
    assert calls(seeds, state(ENOUGH / 4), 6) == together  # a call for three of them is not worth it
    assert calls([5, 7, 5, 7, 5, 9], state(ENOUGH), 6) == together  # calls would not be alike
    assert calls([0, 1, 2], state(ENOUGH), 3) == [(0, 1, 2)]  # nothing to share
    assert calls(seeds, state(ENOUGH / 2), 2) == [(0, 2), (4,), (1, 3), (5,)]  # memory for two
    assert calls([0] * 9, state(8), 4) == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]  # memory for four, of which no nine is made
    assert calls(seeds, state(ENOUGH), 6, in_turn=True) == [(0,), (2,), (4,), (1,), (3,), (5,)]


def test_an_accelerator_takes_all_lanes_at_once(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert calls([0, 1] * 18, state(CACHE), 36) == [tuple(range(36))]
    assert calls([0] * 5, state(CACHE), 2) == [(0, 1), (2, 3), (4,)]


def walk(one, own, common):
    """A step that draws noise, of one lane."""
    noise = jax.random.normal(jax.random.fold_in(one.key, one.step), (3,))
    variables = one.variables._replace(params=one.variables.params + own["rate"] * noise + common)
    return one.replace(step=one.step + 1, variables=variables), {"sum": variables.params.sum()}


def lanes(seeds):
    count = len(seeds)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    states = TrainState(jnp.full(count, 5), keys, Variables(jnp.arange(count * 3.0).reshape(count, 3), {}), ())
    return states, {"rate": jnp.linspace(0.1, 1, count)}


def walked(how):
    """The program of two steps of some lanes."""

    def run(states, own):
        state, own = how.entered(states, own)
        state, _ = how.each(walk)(state, own, 2.0)
        state, result = how.each(walk)(state, own, 2.0)
        return how.left(state, states), result

    return run


def plain(tree):
    """A tree whose keys are words."""
    leaves = jax.tree.leaves(tree)
    return [
        jax.random.key_data(each) if jax.dtypes.issubdtype(each.dtype, jax.dtypes.prng_key) else each for each in leaves
    ]


@pytest.mark.parametrize(
    "seeds, how", [([0, 1, 2, 3, 4, 5], Lanes(6, False)), ([7] * 6, Lanes(6, True)), ([7], Lanes(1, True))], ids=str
)
def test_lanes_of_a_call_are_those_that_run_one_by_one(seeds, how):
    states, own = lanes(seeds)
    found = jax.jit(walked(how))(states, own)
    assert all(leaf.shape[0] == len(seeds) for leaf in jax.tree.leaves(found))
    one_by_one = []
    for lane in range(len(seeds)):
        one, rate = jax.tree.map(lambda leaf, lane=lane: leaf[lane], (states, own))
        one_by_one.append(walk(walk(one, rate, 2.0)[0], rate, 2.0))
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one)
    for one, other in zip(plain(found), plain(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-6)


def drawn(how):
    """How many random numbers a step of six lanes draws."""
    text = str(jax.make_jaxpr(lambda states, own: how.each(walk)(*how.entered(states, own), 2.0))(*lanes([7] * 6)))
    shapes = [line.split("u32[")[1].split("]")[0] for line in text.splitlines() if "random_bits[" in line]
    return sum(int(np.prod([int(size) for size in shape.split(",")])) for shape in shapes)


def test_lanes_with_one_key_draw_once():
    assert drawn(Lanes(6, True)) == 3
    assert drawn(Lanes(6, False)) == 18  # else this test shows nothing


@pytest.mark.skipif(jax.default_backend() != "cpu" or cores() < 2, reason="it is about several CPU cores")
def test_programs_that_share_the_machine_keep_to_one_core_each():
    def text(options):
        lowered = jax.jit(lambda x: jnp.sqrt(x) * x + 1).lower(jnp.ones((64, 64, 256)))
        return compiled(lowered, options).as_text()

    assert "outer_dimension_partitions" in text({})  # else this option is for nothing
    assert "outer_dimension_partitions" not in text(ONE_CORE)


def test_options_that_a_compiler_does_not_know_are_left_out():
    class Lowered:
        def __init__(self):
            self.asked = []

        def compile(self, compiler_options=None):
            self.asked.append(compiler_options)
            if compiler_options and "old" in compiler_options:
                raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: No such compile option: 'old'")
            if compiler_options and "harmful" in compiler_options:
                raise jax.errors.JaxRuntimeError("INTERNAL: something else")
            return "program"

    lowered = Lowered()
    assert compiled(lowered, {"old": 1, "kept": 2}) == "program"
    on_cpu = jax.default_backend() == "cpu"
    assert lowered.asked == ([{"old": 1, "kept": 2}, {"kept": 2}] if on_cpu else [None])
    lowered = Lowered()
    assert compiled(lowered, {"harmful": 1}) == "program" and lowered.asked[-1] is None
    lowered = Lowered()
    assert compiled(lowered) == "program" and lowered.asked == [None]
