"""The statistics of the leaves in Verax's own loop: right, at the end of each chunk, and at no bit's cost."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import MLP, experiment, same_bits
from verax.train import History, chunks, health, prepare, run_chunk
from verax.train._leaf_statistics import STATISTICS, StepTrees, leaf_statistics


@pytest.mark.compiler
@pytest.mark.parametrize(
    "changes",
    [{}, {"network": MLP(), "optimizer": optax.adamw(0.01)}, {"accumulate": 2, "ema": 0.9}, {"freeze": ("bias",)},
     {"precision": "float16", "network": MLP()}],
    ids=["plain", "dropout", "accumulated", "frozen", "float16"],
)  # fmt: skip
def test_watching_changes_no_bit_of_a_chunk(changes):
    session = prepare(experiment(**changes, steps=6, watch=True))
    data = session.epoch_data(0)[0]

    def compiled(watched):
        program = dataclasses.replace(session.program, leaf_statistics=watched)
        return jax.jit(lambda state, steps: run_chunk(program, {}, state, data, steps))

    watching, bare = compiled(True), compiled(False)
    for steps in map(jnp.int32, (0, 1, 2, 6)):
        (state, record), (expected, plain) = watching(session.state, steps), bare(session.state, steps)
        assert same_bits(state, expected) and same_bits(record[:4], plain[:4])
        assert plain.leaves is None and record.leaves.shape == (len(jax.tree.leaves(state.variables.params)), 8)


def test_the_numbers_are_those_of_the_last_step():
    made = experiment(network=MLP(dropout_rate=0.0), optimizer=optax.adam(0.01), steps=12, chunk_steps=3, watch=True)
    states = [prepare(made).state, *(state for state, _ in chunks(dataclasses.replace(made, chunk_steps=1)))]
    params = {int(state.step): state.variables.params for state in states}
    session = prepare(made)
    found = health(vx.train(made).history)
    assert found.steps.tolist() == [3, 6, 7, 10, 12]  # chunks end with their epoch
    assert found.paths == ("Dense_0/bias", "Dense_0/kernel", "Dense_1/bias", "Dense_1/kernel")
    for row, step in enumerate((3, 6)):
        batch = session.epoch_data(0)[0].batch(step - 1)

        def loss(given, batch=batch):
            value = made.objective.bind(session.network)(session.state.variables._replace(params=given), batch)
            return value.total / value.weight

        updates = jax.tree.map(jnp.subtract, params[step], params[step - 1])
        trees = StepTrees(jax.grad(loss)(params[step - 1]), updates, params[step - 1], params[0])
        expected = np.asarray(leaf_statistics(trees))
        for place, name in enumerate(STATISTICS):  # four digits are kept
            np.testing.assert_allclose(found.values[name][row], expected[:, place], rtol=1e-3, err_msg=name)


def test_the_history_holds_them_through_its_file():
    history = vx.train(experiment(steps=12, chunk_steps=3, watch=True)).history
    found, back = health(history), health(History.from_jsonl(history.to_jsonl().splitlines()))
    assert back.paths == found.paths and back.steps.tolist() == found.steps.tolist() and len(found) == 5
    for name in STATISTICS:
        np.testing.assert_array_equal(back.values[name], found.values[name])
    assert (
        np.isnan(found.values["drift"][:, 0]).all() and (found.values["drift"][:, 1] > 0).all()
    )  # the bias began at 0
    assert found.is_weight == (False, True)


def test_gradients_that_are_not_finite_are_counted():
    exploding = optax.sgd(lambda step: jnp.where(step < 4, 0.1, jnp.inf))
    run = vx.train(experiment(optimizer=exploding, steps=6, chunk_steps=6, watch=True))
    found = health(run.history)
    assert found.values["nan"][-1, 1] == 12 and found.values["norm"][-1, 1] == 0


def test_each_lane_has_its_own():
    made = experiment(network=MLP(), optimizer=optax.adam(0.01), steps=8, chunk_steps=4, remainder="drop", watch=True)
    runs = vx.train(made, seeds=2)
    alone = health(vx.train(dataclasses.replace(made, seed=1)).history)
    found = health(runs[1].history)
    at = [found.steps.tolist().index(step) for step in alone.steps.tolist() if step in found.steps]
    assert at and found.paths == alone.paths
    same = [alone.steps.tolist().index(step) for step in found.steps[at].tolist()]
    for name in STATISTICS:
        np.testing.assert_allclose(found.values[name][at], alone.values[name][same], rtol=2e-3, err_msg=name)
    assert not np.allclose(found.values["norm"], health(runs[0].history).values["norm"])


def test_a_history_without_them_is_empty():
    found = health(History())
    assert len(found) == 0 and found.paths == () and found.values["norm"].shape == (0, 0)
