"""One little network, written in every library, trains as one: a new library is a new line in `five`."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.network.five import KINDS, WITH_NORM, canonical, network, weights
from tests.train.cases import DATA, compilations, experiment, same_bits
from verax.data import Batch
from verax.network import Variables
from verax.train import make_train_step, noise_key
from verax.train._freeze import frozen_optimizer
from verax.train._step import StepOptions
from verax.trees import leaves_by_path

BATCH = Batch(*(jnp.asarray(leaf[:16]) for leaf in DATA["train"]), jnp.ones(16))
EVERY = [(kind, kind in WITH_NORM) for kind in KINDS]
BARE = [(kind, False) for kind in WITH_NORM]
LANES = [(kind, norm, *([pytest.mark.slow] if kind in ("linen", "haiku") else [])) for kind, norm in EVERY]
RATE = 0.5
FROZEN = ("norm", "out")
OBJECTIVE = vx.classification()


@pytest.fixture(autouse=True)
def _as_the_libraries_are_written():
    """BatchNorm of Haiku and Equinox counts in integers, which strict promotion refuses to mix with floats."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def over(cases):
    """Runs a test over pairs of a kind and whether it has BatchNorm; a third member is a mark."""
    return pytest.mark.parametrize(("kind", "norm"), [case(*each) for each in cases])


def case(kind, norm, *marks):
    return pytest.param(kind, norm, id=f"{kind}-norm" if norm else kind, marks=marks)


@functools.cache
def started(kind, norm, rate):
    """The network with the weights that all start from."""
    made = network(kind, norm, rate)
    variables = jax.jit(made.init)(jax.random.key(0), BATCH.inputs)
    return made, variables._replace(params=weights(variables.params))


@functools.cache
def applied(kind, norm, rate=RATE):
    return jax.jit(started(kind, norm, rate)[0].apply, static_argnames="training")


class Trained(NamedTuple):
    """A run of 200 steps, and what was traced and compiled after it had begun."""

    run: Any
    traces: int
    compiled: list


@functools.cache
def trained(kind, norm):
    """A run without noise, from the common weights. SGD: Adam would make steps of rounding errors, where BatchNorm
    leaves a bias no gradient."""
    made, variables = started(kind, norm, 0.0)
    traces = []

    def counted(*arguments):
        traces.append(arguments)
        return made.apply_fn(*arguments)

    chosen = experiment(
        network=dataclasses.replace(made, apply_fn=counted), optimizer=optax.sgd(0.05), steps=200, remainder="drop"
    )
    records = vx.train.records(chosen, initial=variables.params)
    next(records)  # says that the run begins: all is compiled
    assert traces
    traces.clear()
    with compilations() as compiled:
        while True:
            try:
                next(records)
            except StopIteration as end:
                return Trained(end.value, len(traces), compiled)


def curve(run, kind, name):
    return np.concatenate([np.atleast_1d(each.values[name]) for each in run.history.records if each.kind == kind])


@over([*EVERY, *((kind, norm, pytest.mark.slow) for kind, norm in BARE if kind != "linen")])
def test_the_same_weights_give_the_same_curve(kind, norm):
    """The tolerance is that of float32 sums in another order, carried through 200 steps."""
    expected, found = trained("linen", norm).run, trained(kind, norm).run
    losses = [curve(run, "chunk", "train/loss") for run in (expected, found)]
    assert losses[0].shape == (200,)
    assert losses[0][-20:].mean() < losses[0][:20].mean()
    np.testing.assert_allclose(*losses[::-1], rtol=1e-4)
    if not norm or kind in ("linen", "nnx"):  # Haiku and Equinox correct their averages for the first steps
        scored = [curve(run, "epoch", "validation/loss") for run in (found, expected)]
        np.testing.assert_allclose(*scored, rtol=1e-4)
    for name, leaf in canonical(found.state.variables.params).items():
        np.testing.assert_allclose(leaf, canonical(expected.state.variables.params)[name], atol=1e-4, err_msg=name)


@over(EVERY)
def test_two_hundred_steps_are_one_trace(kind, norm):
    assert trained(kind, norm).traces == 0
    assert [name for name in trained(kind, norm).compiled if "chunk" in name or "step" in name] == []


@functools.cache
def gradients(kind, norm):
    made, variables = started(kind, norm, 0.0)

    def loss(params):
        return OBJECTIVE.bind(made)(variables._replace(params=params), BATCH, jax.random.key(0)).total

    return canonical(jax.jit(jax.grad(loss))(variables.params))


@over(EVERY)
def test_gradients_are_equal(kind, norm):
    found, expected = gradients(kind, norm), gradients("linen", norm)
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


@over([(kind, True) for kind in WITH_NORM])
def test_statistics_move_in_training_and_not_in_evaluation(kind, norm):
    _, variables = started(kind, norm, RATE)
    _, after = applied(kind, norm)(variables, BATCH.inputs, key=jax.random.key(1))
    moved = [
        not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (after, variables.model_state)), strict=True)
    ]
    assert any(moved)
    assert jax.tree.structure(after) == jax.tree.structure(variables.model_state)
    _, still = applied(kind, norm)(variables, BATCH.inputs)
    assert same_bits(still, variables.model_state)
    once = applied(kind, norm)(variables._replace(model_state=after), BATCH.inputs)[0]
    assert not np.array_equal(once, applied(kind, norm)(variables, BATCH.inputs)[0])  # evaluation uses what was learned


@over(EVERY)
def test_dropout_follows_the_key_of_the_step(kind, norm):
    """Another mask at every step, the same for the same key, another for each example, and none in evaluation."""
    _, variables = started(kind, norm, RATE)
    same_rows = jnp.tile(BATCH.inputs[:1], (16, 1))
    keys = [noise_key(jax.random.key(0), step) for step in (0, 1)]
    first, again, other = (applied(kind, norm)(variables, same_rows, key=key)[0] for key in (keys[0], *keys))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) > 1
    evaluated = applied(kind, norm)(variables, same_rows)[0]
    np.testing.assert_allclose(evaluated, np.tile(evaluated[:1], (16, 1)), rtol=1e-6)
    without = applied(kind, norm, 0.0)(started(kind, norm, 0.0)[1], same_rows)[0]
    np.testing.assert_allclose(evaluated, without, rtol=1e-6)


@pytest.mark.slow
@over([(kind, True) for kind in WITH_NORM])
def test_monte_carlo_dropout_keeps_the_statistics(kind, norm):
    """A key and training=False: noise, with running statistics, whose mean is the evaluation."""
    made, variables = started(kind, norm, RATE)

    def noisy(seed):
        return made.apply(variables, BATCH.inputs, key=jax.random.key(seed), training=False)

    outputs, states = jax.jit(jax.vmap(noisy))(jnp.arange(1000))
    mean, error = np.mean(outputs, axis=0), np.std(outputs, axis=0) / 1000**0.5
    np.testing.assert_array_less(abs(mean - applied(kind, norm)(variables, BATCH.inputs)[0]), 5 * error + 1e-5)
    for leaf, before in zip(jax.tree.leaves(states), jax.tree.leaves(variables.model_state), strict=True):
        np.testing.assert_array_equal(leaf[0], before)


@over(EVERY)
def test_an_export_gives_the_same_outputs(kind, norm, tmp_path):
    made, variables = started(kind, norm, RATE)
    _, model_state = applied(kind, norm)(variables, BATCH.inputs, key=jax.random.key(1))
    variables = variables._replace(model_state=model_state)
    vx.export.save(
        tmp_path / "model.vx",
        network=made,
        objective=OBJECTIVE,
        variables=variables,
        preprocessing=vx.data.Preprocessing(),
        schema=vx.data.Schema("array", BATCH.inputs.shape[1:], "float32", classes=("a", "b", "c")),
    )
    exported = vx.export.load(tmp_path / "model.vx")
    assert exported.signature.batch_sizes is None  # any number of rows
    expected = jax.nn.softmax(applied(kind, norm)(variables, BATCH.inputs)[0])
    np.testing.assert_allclose(exported.predict(np.asarray(BATCH.inputs))["probabilities"], expected, rtol=1e-5)


class Lanes(NamedTuple):
    """Three steps of two seeds in one program, with `norm` and `out` frozen: variables before and after, and losses."""

    first: Variables
    last: Variables
    totals: Any


@functools.cache
def lanes(kind, norm):
    made, options = network(kind, norm, 0.0), StepOptions(freeze=FROZEN)
    optimizer = frozen_optimizer(optax.adamw(0.01, weight_decay=0.1), FROZEN)
    init = jax.jit(jax.vmap(lambda key: made.init(key, BATCH.inputs)))
    step = jax.jit(jax.vmap(make_train_step(made, OBJECTIVE, optimizer, options=options), in_axes=(0, None)))

    def run(*seeds):
        keys = jnp.stack([jax.random.key(seed) for seed in seeds])
        variables = init(keys)
        state = vx.TrainState(jnp.zeros(2, jnp.int32), keys, variables, jax.vmap(optimizer.init)(variables.params))
        for _ in range(3):
            state, record = step(state, BATCH)
        return Lanes(variables, state.variables, record.total)

    return run(0, 1), run(1, 0)


@over(LANES)
def test_seeds_are_lanes(kind, norm):
    """A lane begins as its seed alone begins, and the other lane does not enter it."""
    both, swapped = lanes(kind, norm)
    alone = jax.jit(network(kind, norm, 0.0).init)(jax.random.key(0), BATCH.inputs)
    for path, leaf in leaves_by_path(alone).items():
        np.testing.assert_allclose(leaves_by_path(both.first)[path][0], leaf, rtol=1e-5, atol=1e-6, err_msg=path)
    for leaf, other in zip(*map(jax.tree.leaves, (both.last, swapped.last)), strict=True):
        np.testing.assert_allclose(leaf, other[::-1], rtol=1e-5, atol=1e-6)
    assert both.totals[0] != both.totals[1]
    assert any(not np.array_equal(*leaf) for leaf in jax.tree.leaves(both.first.params))


def changed(before, after):
    """The paths of leaves that are not the same bit for bit."""
    before, after = leaves_by_path(before), leaves_by_path(after)
    return {path for path in before if not np.array_equal(before[path], after[path])}


@over(LANES)
def test_frozen_parts_stay_bit_for_bit(kind, norm):
    """Weights and running statistics of a frozen part; the rest moves, weight decay or not."""
    both, _ = lanes(kind, norm)
    moved = {path.split("/")[1] for path in changed(both.first, both.last)}
    assert moved == {"hidden"}


@pytest.mark.slow
@over(EVERY)
def test_an_experiment_keeps_frozen_parts(kind, norm):
    run = vx.train(experiment(network=network(kind, norm, RATE), optimizer=optax.adamw(0.01), steps=7, freeze=("out",)))
    before = vx.train.prepare(run.experiment).state.variables
    moved = {path.split("/")[1] for path in changed(before, run.state.variables)}
    assert "hidden" in moved and "out" not in moved


@over(EVERY)
def test_decay_spares_biases_and_scales(kind, norm):
    _, variables = started(kind, norm, RATE)
    mask = jax.tree.map(jnp.full_like, variables.params, vx.decay_mask(variables.params))
    decays = {name: bool(leaf.all()) for name, leaf in canonical(mask).items()}
    assert {name for name in decays if decays[name]} == {"hidden/kernel", "out/kernel"}
