import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.train.cases import CNN, DATA, LINEAR, MLP, NOISY, WithNorm, apply, experiment, regression_data, same_bits
from verax.data import epoch_order
from verax.findings import InputError
from verax.network import as_network
from verax.train import chunks, epochs, load_state, prepare, save_state
from verax.trees import digest

pytestmark = pytest.mark.compiler


def plain_loop(module, optimizer, *, epochs, batch_size=8, remainder="partial", seed=0):
    """The textbook loop: Flax, Optax, batches in their own shapes; from Verax only order, keys and first weights.

    `module` is a Linen module, or a function `(params, x)`.
    """
    is_module = isinstance(module, nn.Module)
    inputs, targets = DATA["train"]
    network = as_network(module if is_module else LINEAR)
    first = prepare(experiment(network=network, optimizer=optimizer, batch_size=batch_size, seed=seed))
    params, state = first.state.variables
    with jax.numpy_dtype_promotion("standard"):
        opt_state = optimizer.init(params)

    def outputs(params, state, x, key):
        if not is_module:
            return module(params, x), state
        mode = {MLP: {"training": True}, WithNorm: {"train": True}, CNN: {}}[type(module)]
        return module.apply({"params": params, **state}, x, **mode, rngs={"dropout": key}, mutable=["batch_stats"])

    @jax.jit
    def step(params, state, opt_state, x, y, key):
        def mean_loss(params):
            logits, changed = outputs(params, state, x, key)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), changed

        (loss, changed), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), changed, opt_state, loss

    number, losses = 0, []
    for epoch in range(epochs):
        order = epoch_order(len(inputs), seed, epoch)
        if remainder == "drop":
            order = order[: len(order) // batch_size * batch_size]
        if remainder == "wrap":
            order = np.concatenate([order, order[: -len(order) % batch_size]])
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), number)
            params, state, opt_state, loss = step(params, state, opt_state, inputs[rows], targets[rows], key)
            number += 1
            losses.append(float(loss))
    return params, state, losses


@pytest.mark.parametrize(
    ("module", "optimizer", "remainder", "seed"),
    [
        (apply, optax.sgd(0.1), "partial", 0),
        (apply, optax.sgd(0.1), "wrap", 1),
        (apply, optax.sgd(0.1), "drop", 0),
        (MLP(), optax.adam(0.01), "partial", 3),
        (WithNorm(), optax.sgd(0.1), "partial", 0),
        (CNN(), optax.sgd(0.1, momentum=0.9), "partial", 0),
    ],
    ids=["linear, partial", "linear, wrap", "linear, drop", "mlp with dropout", "batch norm", "cnn"],
)
def test_a_run_equals_the_textbook_loop(module, optimizer, remainder, seed):
    """Step for step, whether the last batch is padded, of its own shape, wrapped or dropped."""
    network = LINEAR if module is apply else module
    run = vx.train(experiment(network=network, optimizer=optimizer, remainder=remainder, seed=seed, chunk_steps=4))
    params, model_state, losses = plain_loop(module, optimizer, epochs=2, remainder=remainder, seed=seed)
    assert run.facts["padded"] == (remainder == "partial" and not isinstance(module, WithNorm))
    np.testing.assert_allclose(run.history.series("train/loss", "chunk")[1], losses, rtol=1e-5)
    for ours, theirs in zip(
        jax.tree.leaves(run.state.variables), jax.tree.leaves((params, dict(model_state))), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def unbroken():
    """Two and a half epochs of a network with noise, in chunks of 3 steps; 7 steps an epoch."""
    made = experiment(network=NOISY, optimizer=optax.adam(0.01), steps=18, chunk_steps=3)
    seen, digests = [], []
    for state, record in chunks(made):
        seen.append((state, record))
        digests.append(digest(state))
    return made, seen, digests


def test_every_state_that_was_yielded_stays_valid(unbroken):
    _, seen, digests = unbroken
    assert [digest(state) for state, _ in seen] == digests
    assert len(set(digests)) == len([1 for _, record in seen if record.kind == "chunk"])


def test_chunks_end_at_epochs_and_say_every_loss(unbroken):
    _, seen, _ = unbroken
    steps = [record.step for _, record in seen if record.kind == "chunk"]
    assert steps == [3, 6, 7, 10, 13, 14, 17, 18]
    assert [record.epoch for _, record in seen if record.kind == "chunk"] == [1, 1, 1, 2, 2, 2, 3, 3]
    assert sum(len(record.values["train/loss"]) for _, record in seen if record.kind == "chunk") == 18
    assert all(int(state.step) == record.step for state, record in seen)
    seconds = [record.seconds for _, record in seen]
    assert seconds == sorted(seconds)


def test_the_last_epoch_has_its_averages_even_where_the_steps_end_within_it(unbroken):
    _, seen, _ = unbroken
    assert [record.step for _, record in seen if record.kind == "epoch"] == [7, 14, 18]


def test_an_epochs_loss_weighs_every_example_equally(unbroken):
    """The last batch has 2 rows of 50, so it counts for 2 of them."""
    _, seen, _ = unbroken
    losses = [loss for _, record in seen if record.kind == "chunk" for loss in record.values["train/loss"]]
    first = next(record for _, record in seen if record.kind == "epoch").values["train/loss"]
    assert first == pytest.approx(np.average(losses[:7], weights=[8] * 6 + [2]), rel=1e-6)


def test_validation_metrics_are_exact(unbroken):
    _, seen, _ = unbroken
    state, record = next((state, record) for state, record in seen if record.kind == "epoch")
    inputs, targets = DATA["validation"]
    logits = apply(state.variables.params, jnp.asarray(inputs))
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()
    assert record.values["validation/loss"] == pytest.approx(float(expected), rel=1e-6)
    assert record.values["validation/accuracy"] == pytest.approx(float((logits.argmax(1) == targets).mean()), rel=1e-6)
    assert set(record.values) == {"train/loss", "validation/loss", "validation/accuracy"}


def test_a_regressor_reports_its_root_mean_square():
    data = regression_data()
    network = (lambda key, x: jnp.zeros((x.shape[1], 1)), lambda params, x: x @ params)
    made = experiment(network=network, objective=vx.regression(), data=data, epochs=1, optimizer=optax.sgd(0.01))
    ((state, record),) = epochs(made)
    inputs, targets = data["validation"]
    errors = (inputs @ np.asarray(state.variables.params))[:, 0] - targets
    assert record.values["validation/rmse"] == pytest.approx(float(np.sqrt((errors**2).mean())), rel=1e-5)


@pytest.mark.parametrize("chunk_steps", [1, 5, 100])
def test_the_size_of_the_chunks_does_not_change_a_bit(unbroken, chunk_steps):
    made, _, digests = unbroken
    other = vx.Experiment(**{**vars(made), "chunk_steps": chunk_steps})
    *_, (state, _) = chunks(other)
    assert digest(state) == digests[-1]


@pytest.mark.parametrize(
    "index", [1, 3, 7], ids=["in the first epoch", "at the end of an epoch", "in the second epoch"]
)
def test_a_resumed_run_equals_the_unbroken_one_bit_for_bit(unbroken, index, tmp_path):
    """From a state that went to disk and came back."""
    made, seen, digests = unbroken
    start = load_state(save_state(tmp_path / "state", seen[index][0]), like=seen[0][0])
    resumed = list(chunks(made, start=start))
    assert [digest(state) for state, _ in resumed] == digests[-len(resumed) :]
    theirs = [record.values for _, record in resumed if record.kind == "chunk"]
    ours = [record.values for _, record in seen if record.kind == "chunk"][-len(theirs) :]
    assert theirs == ours


def test_a_finished_run_has_nothing_to_resume(unbroken):
    made, seen, _ = unbroken
    assert list(chunks(made, start=seen[-1][0])) == []


def test_a_state_of_another_run_is_refused_with_the_leaves_that_differ(unbroken):
    made, _, _ = unbroken
    ((other, _),) = epochs(experiment(steps=1))
    with pytest.raises(
        InputError, match=r"the state to start from does not fit:\n  opt_state/.*: expected .*, missing"
    ):
        next(chunks(made, start=other))


def test_epochs_are_the_chunks_that_end_one(unbroken):
    made, seen, digests = unbroken
    ended = [digests[index] for index, (_, record) in enumerate(seen) if record.kind == "epoch"]
    assert [digest(state) for state, _ in epochs(made)] == ended


def test_the_same_experiment_gives_the_same_bits_and_another_seed_others(unbroken):
    made, _, digests = unbroken
    *_, (again, _) = chunks(made)
    *_, (other, _) = chunks(made, seed=1)
    assert digest(again) == digests[-1]
    assert not same_bits(other.variables, again.variables)
