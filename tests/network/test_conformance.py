"""One little network, written in every library, trains as one: a new library is a new line in `five`."""

import dataclasses
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.network.five import KINDS, WITH_NORM, canonical, network, weights
from tests.train.cases import DATA, compilations, experiment, same_bits
from verax.data import Batch
from verax.train import make_train_step, noise_key, prepare
from verax.train._loop import session_chunks
from verax.trees import leaves_by_path

BATCH = Batch(*(jnp.asarray(leaf[:16]) for leaf in DATA["train"]), jnp.ones(16))
EVERY = [(kind, kind in WITH_NORM) for kind in KINDS]
BARE = [(kind, False) for kind in WITH_NORM]
RATE = 0.5
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


@functools.cache
def trained(kind, norm):
    """A run without noise, from the common weights. SGD: Adam would make steps of rounding errors, where BatchNorm
    leaves a bias no gradient."""
    made, variables = started(kind, norm, 0.0)
    return vx.train(
        experiment(network=made, optimizer=optax.sgd(0.1, momentum=0.9), epochs=3, remainder="drop"),
        initial=variables.params,
    )


def curve(run, name):
    return np.concatenate([np.atleast_1d(each.values[name]) for each in run.history.records if name in each.values])


@over([*EVERY, *((kind, norm, pytest.mark.slow) for kind, norm in BARE if kind != "linen")])
def test_the_same_weights_give_the_same_curve(kind, norm):
    """The tolerance is that of float32 sums in another order, carried through 18 steps."""
    expected, found = trained("linen", norm), trained(kind, norm)
    losses = [curve(run, "train/loss") for run in (expected, found)]
    assert losses[0].shape == (18 + 3,)  # of each step, and of each epoch
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses[::-1], rtol=1e-4)
    if not norm or kind in ("linen", "nnx"):  # Haiku and Equinox correct their averages for the first steps
        np.testing.assert_allclose(curve(found, "validation/loss"), curve(expected, "validation/loss"), rtol=1e-4)
    for name, leaf in canonical(found.state.variables.params).items():
        np.testing.assert_allclose(leaf, canonical(expected.state.variables.params)[name], atol=1e-4, err_msg=name)


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


@over(EVERY)
def test_two_hundred_steps_are_one_trace(kind, norm):
    made, _ = started(kind, norm, 0.0)
    traces = []

    def counted(*arguments):
        traces.append(arguments)
        return made.apply_fn(*arguments)

    session = prepare(experiment(network=dataclasses.replace(made, apply_fn=counted), steps=200, remainder="drop"))
    assert len(traces) > 0
    traces.clear()
    with compilations() as compiled:
        losses = [record.values["train/loss"] for _, record in session_chunks(session) if record.kind == "chunk"]
    assert sum(map(len, losses)) == 200
    assert (traces, [name for name in compiled if "chunk" in name]) == ([], [])


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
    assert len(np.unique(first, axis=0)) > 2
    evaluated = applied(kind, norm)(variables, same_rows)[0]
    np.testing.assert_allclose(evaluated, np.tile(evaluated[:1], (16, 1)), rtol=1e-6)
    without = applied(kind, norm, 0.0)(started(kind, norm, 0.0)[1], same_rows)[0]
    np.testing.assert_allclose(evaluated, without, rtol=1e-6)


@over(EVERY)
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


@over(EVERY)
def test_seeds_are_lanes(kind, norm):
    """Initial weights and a few steps of several seeds in one program are those of each seed alone."""
    made, optimizer = network(kind, norm, 0.0), optax.sgd(0.1)
    step = make_train_step(made, OBJECTIVE, optimizer)

    def run(key):
        variables = made.init(key, BATCH.inputs)
        state = vx.TrainState(jnp.int32(0), key, variables, optimizer.init(variables.params))
        return jax.lax.fori_loop(0, 3, lambda _, state: step(state, BATCH)[0], state).variables

    keys = jax.random.split(jax.random.key(0), 2)
    lanes, alone = jax.jit(jax.vmap(run))(keys), jax.jit(run)(keys[1])
    for path, leaf in leaves_by_path(alone).items():
        both = leaves_by_path(lanes)[path]
        np.testing.assert_allclose(both[1], leaf, rtol=1e-4, atol=1e-5, err_msg=path)
    assert not any(np.array_equal(*leaf) for leaf in kernels(lanes.params))


def kernels(params):
    """The kernels of two lanes."""
    return [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 3 and leaf.shape[1] > 1]


@over(EVERY)
def test_decay_spares_biases_and_scales(kind, norm):
    _, variables = started(kind, norm, RATE)
    mask = jax.tree.map(jnp.full_like, variables.params, vx.decay_mask(variables.params))
    decays = {name: bool(leaf.all()) for name, leaf in canonical(mask).items()}
    assert {name for name in decays if decays[name]} == {"hidden/kernel", "out/kernel"}


@over(EVERY)
def test_no_library_warns(kind, norm):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = network.__wrapped__(kind, norm, RATE)
        made.apply(made.init(jax.random.key(0), BATCH.inputs), BATCH.inputs, key=jax.random.key(1))
    assert [str(each.message) for each in caught] == []
