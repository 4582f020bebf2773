"""`run_chunk` is a pure function that `vmap` takes: lanes of hyperparameters and of seeds equal runs of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import CNN, DATA, LINEAR, MLP, same_bits
from verax.network import as_network
from verax.train import ChunkData, EpochPlan, Parts, Program, TrainState, base_key, purpose_key, run_chunk
from verax.trees import digest

pytestmark = pytest.mark.compiler

RATES = jnp.array([0.003, 0.01, 0.1])
KINDS = {"linear": (LINEAR, optax.sgd), "mlp with dropout": (MLP(), optax.adam), "cnn": (CNN(), optax.sgd)}


def epoch(padded=True):
    inputs, targets = DATA["train"]
    rows, weight, _ = EpochPlan(len(inputs), 8, "partial", padded).rows(0, 0)
    return ChunkData(jnp.asarray(inputs), jnp.asarray(targets), jnp.asarray(rows), jnp.asarray(weight), jnp.int32(0))


def first_state(network, optimizer, key):
    variables = network.init(purpose_key(key, "init"), jnp.asarray(DATA["train"][0][:8]))
    return TrainState(jnp.int32(0), key, variables, optimizer.init(variables.params))


@pytest.fixture(scope="module", params=KINDS)
def chunk(request):
    """A chunk as a function of learning rate, first state and steps."""
    model, optimizer = KINDS[request.param]
    network = as_network(model)
    program = Program(lambda numbers: Parts(network, vx.classification(), optimizer(numbers["learning_rate"])), 7)

    def run(rate, state, steps):
        return run_chunk(program, {"learning_rate": rate}, state, epoch(), steps)

    start = jax.jit(lambda key: first_state(network, optimizer(0.1), key))
    return jax.jit(run), jax.jit(jax.vmap(run, (0, None, None))), jax.jit(jax.vmap(run, (None, 0, None))), start


def assert_close(lanes, index, solo):
    for lane, alone in zip(jax.tree.leaves(lanes.variables), jax.tree.leaves(solo.variables), strict=True):
        np.testing.assert_allclose(lane[index], alone, rtol=1e-4, atol=1e-5)


def test_learning_rates_as_lanes_equal_runs_of_their_own(chunk):
    run, over_rates, _, start = chunk
    state = start(base_key(0))
    lanes, records = over_rates(RATES, state, 7)
    for index, rate in enumerate(RATES):
        solo, record = run(rate, state, 7)
        assert_close(lanes, index, solo)
        np.testing.assert_allclose(records.total[index], record.total, rtol=1e-4)
    assert not np.allclose(jax.tree.leaves(lanes.variables)[0][0], jax.tree.leaves(lanes.variables)[0][2])


def test_seeds_as_lanes_equal_runs_of_their_own(chunk):
    run, _, over_states, start = chunk
    keys = [base_key(seed) for seed in range(3)]
    states = jax.vmap(start)(jnp.stack(keys))
    lanes, _ = over_states(RATES[1], states, 7)
    for index, key in enumerate(keys):
        assert_close(lanes, index, run(RATES[1], start(key), 7)[0])
    assert not np.allclose(jax.tree.leaves(lanes.variables)[0][0], jax.tree.leaves(lanes.variables)[0][1])


def test_a_chunk_is_pure_and_its_length_is_an_argument(chunk):
    run, _, _, start = chunk
    state = start(base_key(0))
    before = digest(state)
    three, record = run(RATES[1], state, 3)
    assert same_bits(run(RATES[1], state, 3)[0], three)
    assert digest(state) == before
    assert int(three.step) == 3
    np.testing.assert_array_equal(np.asarray(record.weight), [8, 8, 8, 0, 0, 0, 0])
    all_seven, full = run(RATES[1], state, 7)
    np.testing.assert_array_equal(full.total[:3], record.total[:3])
    np.testing.assert_array_equal(np.asarray(full.weight), [8] * 6 + [2])
    assert bool(full.params_finite) and not same_bits(all_seven, three)


def test_the_penalty_can_be_a_lane_too():
    network = as_network(LINEAR)
    program = Program(lambda numbers: Parts(network, vx.classification(l2=numbers["l2"]), optax.sgd(0.1)), 7)
    state = first_state(network, optax.sgd(0.1), base_key(0))
    run = jax.jit(lambda l2: run_chunk(program, {"l2": l2}, state, epoch(), 7)[0])
    lanes = jax.vmap(run)(jnp.array([0.0, 0.5]))
    for index, l2 in enumerate([0.0, 0.5]):
        assert_close(lanes, index, run(l2))
    fixed = Program(lambda _: Parts(network, vx.classification(), optax.sgd(0.1)), 7)
    assert_close(lanes, 0, run_chunk(fixed, {}, state, epoch(), 7)[0])
