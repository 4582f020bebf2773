import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, LINEAR, MLP, experiment, same_bits
from verax.data import Batch
from verax.network import as_network
from verax.train import StepOptions, TrainState, base_key, make_train_step, mean_metrics, purpose_key
from verax.trees import digest

pytestmark = pytest.mark.compiler


def start(network, optimizer, seed=0):
    variables = network.init(purpose_key(base_key(seed), "init"), DATA["train"][0][:8])
    with jax.numpy_dtype_promotion("standard"):
        opt_state = optimizer.init(variables.params)
    return TrainState(jnp.int32(0), base_key(seed), variables, opt_state)


def batch(first=0, size=8):
    inputs, targets = DATA["train"]
    return Batch(jnp.asarray(inputs[first : first + size]), jnp.asarray(targets[first : first + size]), jnp.ones(size))


@pytest.fixture(scope="module")
def mlp():
    """A step with noise and a stateful optimizer, compiled, and its first state."""
    network, optimizer = as_network(MLP()), optax.adam(1e-2)
    return jax.jit(make_train_step(network, vx.classification(), optimizer)), start(network, optimizer)


def test_a_step_is_pure(mlp):
    """The same state and batch give the same bits, and the state that went in is as it was."""
    step, state = mlp
    before = digest(state)
    first, second = step(state, batch()), step(state, batch())
    assert digest(first) == digest(second)
    assert digest(state) == before
    assert (int(state.step), int(first[0].step)) == (0, 1)


def test_the_base_key_never_advances(mlp):
    step, state = mlp
    assert same_bits(step(state, batch())[0].key, state.key)


def test_any_step_can_be_replayed_alone(mlp):
    """Noise depends on the step's number, not on how many keys were drawn before."""
    step, state = mlp
    states = [state]
    for number in range(5):
        states.append(step(states[-1], batch(8 * number))[0])
    alone = step(jax.tree.map(lambda leaf: leaf, states[3]), batch(24))[0]
    assert same_bits(alone, states[4])
    moved = step(states[3].replace(step=jnp.int32(7)), batch(24))[0]
    assert not same_bits(moved.variables, states[4].variables)


def test_the_step_equals_a_step_of_plain_flax_and_optax(mlp):
    step, state = mlp
    optimizer = optax.adam(1e-2)

    @jax.jit
    def plain(params, opt_state, key):
        def mean_loss(params):
            logits = MLP().apply({"params": params}, batch().inputs, training=True, rngs={"dropout": key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch().targets).mean()

        loss, grads = jax.value_and_grad(mean_loss)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(grads, opt_state, params)
        return loss, optax.apply_updates(params, updates)

    loss, params = plain(state.variables.params, state.opt_state, purpose_key(state.key, "noise", 0))
    after, record = step(state, batch())
    np.testing.assert_allclose(record.total / record.weight, loss, rtol=1e-6)
    for ours, theirs in zip(jax.tree.leaves(after.variables.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_padded_rows_do_not_count():
    network, optimizer = as_network(LINEAR), optax.sgd(0.1)
    step, state = jax.jit(make_train_step(network, vx.classification(l2=0.1), optimizer)), start(network, optimizer)
    few, padded = batch(0, 5), batch(0, 8)._replace(weight=jnp.array([1.0] * 5 + [0.0] * 3))
    alone, with_padding = step(state, few), step(state, padded)
    np.testing.assert_allclose(alone[1].total, with_padding[1].total, rtol=1e-6)
    assert float(with_padding[1].weight) == 5
    for ours, theirs in zip(*(jax.tree.leaves(each[0].variables) for each in (alone, with_padding)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_optimizers_that_ask_for_the_loss_get_it():
    """Polyak's step size is made of the loss value; L-BFGS evaluates the loss again along a line."""
    network = as_network(LINEAR)
    for optimizer in (optax.polyak_sgd(), optax.lbfgs(memory_size=2)):
        step, state = jax.jit(make_train_step(network, vx.classification(), optimizer)), start(network, optimizer)
        losses = []
        for _ in range(3):
            state, record = step(state, batch(0, 32))
            losses.append(float(record.total / record.weight))
        assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("watch", [True, False])
def test_gradients_are_watched_where_that_is_asked_for(watch):
    network, optimizer = as_network(LINEAR), optax.chain(optax.zero_nans(), optax.sgd(0.1))
    step = jax.jit(make_train_step(network, vx.classification(), optimizer, watch_gradients=watch))
    state = start(network, optimizer)
    bad = batch()._replace(inputs=batch().inputs.at[3, 1].set(jnp.nan))
    assert bool(step(state, bad)[1].grads_finite) != watch
    assert bool(step(state, batch())[1].grads_finite)


def test_mean_metrics_divides_by_the_weight_and_takes_the_root_of_squares():
    means = mean_metrics({"loss": 6.0, "weight": 4.0, "squared_error": 36.0})
    assert means == {"loss": 1.5, "rmse": 3.0}


def negate(key, batch):
    """An augmentation that draws a sign for each example."""
    sign = jax.random.rademacher(key, batch.weight.shape, batch.inputs.dtype)
    return batch._replace(inputs=batch.inputs * sign[:, None])


def test_augmentation_is_of_training_batches_only_and_depends_on_seed_and_step():
    augmented = vx.train(experiment(augment=negate))
    plain = vx.train(experiment())
    assert not same_bits(augmented.state.variables, plain.state.variables)
    assert same_bits(augmented.state.variables, vx.train(experiment(augment=negate)).state.variables)
    rows = Batch(*jax.tree.map(jnp.asarray, augmented.dataset.examples("validation")), jnp.ones(20))
    value = augmented.experiment.objective.bind(augmented.network)(augmented.variables, rows)
    assert augmented.history.last("validation/loss") == pytest.approx(float(value.total) / 20, rel=1e-5)


def test_augmentation_draws_anew_at_every_step():
    drawn = [
        negate(purpose_key(base_key(0), "augment", step), batch()).inputs[:, 0] / batch().inputs[:, 0]
        for step in (0, 1)
    ]
    assert (drawn[0] != drawn[1]).any()
    step = jax.jit(
        make_train_step(as_network(LINEAR), vx.classification(), optax.sgd(0.1), options=StepOptions(augment=negate))
    )
    state = start(as_network(LINEAR), optax.sgd(0.1))
    by_hand = jax.jit(make_train_step(as_network(LINEAR), vx.classification(), optax.sgd(0.1)))
    expected, _ = by_hand(state, negate(purpose_key(state.key, "augment", 0), batch()))
    np.testing.assert_allclose(step(state, batch())[0].variables.params["kernel"], expected.variables.params["kernel"])
