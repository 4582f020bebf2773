from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from verax.data import Batch
from verax.debug import overfit_batch
from verax.debug._hold import hold, pinned
from verax.debug._rows import distinct_rows
from verax.findings import InputError
from verax.network import Network, Variables, as_network
from verax.train import objective_from_loss


class Value(NamedTuple):
    total: Any
    weight: Any
    outputs: Any
    model_state: Any
    aux: Any


@dataclass(frozen=True)
class Objective:
    """The part of an objective that an overfit check uses, written anew."""

    task: str
    losses: Any
    penalty: float = 0.0

    def bind(self, network, *, penalty=True):
        def loss(variables, batch, key=None, training=None):
            outputs, state = network.apply(variables, batch.inputs, key=key, training=training)
            losses = self.losses(outputs, batch)
            total = jnp.sum(losses * batch.weight)
            if penalty:
                total = total + self.penalty * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(variables.params))
            return Value(total, jnp.sum(batch.weight), outputs, state, {})

        return loss

    def predictions(self, outputs):
        return jax.nn.softmax(outputs) if self.task == "classification" else outputs


CLASSES = Objective(
    "classification", lambda out, batch: optax.softmax_cross_entropy_with_integer_labels(out, batch.targets)
)
VALUES = Objective("regression", lambda out, batch: (out - batch.targets) ** 2)


class MLP(nn.Module):
    outputs: int = 4
    last: Any = None
    zeroed: bool = False
    cut: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, training: bool = False):
        x = nn.relu(nn.Dense(32, name="hidden")(x))
        x = nn.BatchNorm(use_running_average=not training)(x)
        x = nn.Dropout(self.dropout, deterministic=not training)(x)
        x = x * 0 if self.zeroed else x
        x = jax.lax.stop_gradient(x) * 0.01 if self.cut else x
        x = nn.Dense(self.outputs, name="head")(x)
        x = self.last(x) if self.last else x
        return x[:, 0] if self.outputs == 1 else x


def batch(rows=24, seed=0, targets=None):
    inputs = np.random.default_rng(seed).normal(size=(rows, 5)).astype(np.float32)
    return Batch(inputs, np.arange(rows) % 4 if targets is None else targets, np.ones(rows, np.float32))


def values(rows=24, scale=1.0, shift=0.0):
    return batch(rows, targets=(np.random.default_rng(1).normal(size=rows) * scale + shift).astype(np.float32))


def test_a_healthy_classifier_passes_and_says_how():
    result = overfit_batch(MLP(), CLASSES, optax.adam(1e-2), batch())
    assert result.passed and result.criterion in ("accuracy", "excess")
    assert result.cause is None and result.findings == ()
    assert result.rows == 24
    assert result.final_loss < result.initial_loss
    assert result.steps == next(i for i, loss in enumerate(result.losses) if loss == result.final_loss)
    assert "passed by" in str(result)


def test_a_healthy_regressor_passes():
    result = overfit_batch(MLP(1), VALUES, optax.adam(1e-2), values())
    assert result.passed and result.criterion in ("r2", "excess")
    assert result.score > 0.98


def test_far_targets_are_not_learnt_by_their_mean_alone():
    only_a_bias = Network(
        lambda key, x: Variables({"bias": jnp.zeros(())}, {}),
        lambda v, x, key, training: (jnp.broadcast_to(v.params["bias"], x.shape[:1]), {}),
    )
    result = overfit_batch(only_a_bias, VALUES, optax.sgd(0.4), values(shift=100.0), max_steps=200)
    assert result.excess < 0.01  # of the initial loss, and yet nothing was learnt
    assert not result.passed


def test_penalty_and_weight_decay_are_off_and_the_peak_of_the_schedule_is_used():
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 400, 1000)
    strict = Objective("classification", CLASSES.losses, penalty=100.0)
    result = overfit_batch(MLP(), strict, optax.adamw(schedule, weight_decay=50.0), batch(), total_steps=1000)
    assert result.passed
    assert result.steps < 400
    assert "weight decay was off." in result.notes
    assert "the schedule was held at its peak, step 402." in result.notes or any(
        "step 39" in n or "step 40" in n for n in result.notes
    )


def test_dropout_is_off_where_the_network_can():
    result = overfit_batch(MLP(dropout=0.95), CLASSES, optax.adam(1e-2), batch())
    assert result.passed and result.notes == ()


def noisy(refuses):
    """A linear classifier with noise that a key switches on."""

    def apply(variables, x, key, training):
        if training and key is None and not refuses:
            raise KeyError("would need a key")
        outputs = x @ variables.params
        return outputs + (0.05 * jax.random.normal(key, outputs.shape) if key is not None else 0), variables.model_state

    reasons = (("statistics_without_noise", "its noise cannot be switched off."),) if refuses else ()
    return Network(lambda key, x: Variables(0.1 * jax.random.normal(key, (24, 4)), {}), apply, refuses=reasons)


def test_noise_that_cannot_be_switched_off_is_said():
    rows = Batch(np.eye(24, dtype=np.float32), np.arange(24) % 4, np.ones(24, np.float32))
    result = overfit_batch(noisy(refuses=True), CLASSES, optax.adam(1e-1), rows)
    assert result.passed
    assert [note.partition(":")[0] for note in result.notes] == ["noise stayed on"]
    assert "its noise cannot be switched off" in result.notes[0]


def test_an_error_that_is_no_refusal_is_not_hidden():
    rows = Batch(np.eye(24, dtype=np.float32), np.arange(24) % 4, np.ones(24, np.float32))
    with pytest.raises(KeyError, match="would need a key"):
        overfit_batch(noisy(refuses=False), CLASSES, optax.adam(1e-1), rows)


def test_model_state_with_a_typed_key_is_carried():
    def apply(variables, x, key, training):
        state = {
            "key": jax.random.fold_in(variables.model_state["key"], 1),
            "calls": variables.model_state["calls"] + 1,
        }
        return x @ variables.params, state

    def init(key, x):
        return Variables(jnp.zeros((24, 4)), {"key": key, "calls": jnp.array(0)})

    rows = Batch(np.eye(24, dtype=np.float32), np.arange(24) % 4, np.ones(24, np.float32))
    assert overfit_batch(Network(init, apply), CLASSES, optax.adam(1e-1), rows).passed


OPTIMIZERS = {
    "learning-rate-too-low": optax.sgd(1e-7),
    "learning-rate-too-high": optax.sgd(1e4),
    "update-sign-error": optax.scale(1e-3),
}


@pytest.mark.parametrize("cause", OPTIMIZERS)
def test_an_optimizer_at_fault_is_the_cause(cause):
    result = overfit_batch(MLP(), CLASSES, OPTIMIZERS[cause], batch(), max_steps=300)
    assert not result.passed
    assert result.cause == "optimizer"
    assert result.findings[0].id == cause
    assert "Adam at" in result.findings[0].advice


def test_a_frozen_leaf_is_named():
    def labels(params):
        return {"weight": "train", "bias": "freeze"}

    linear = Network(
        lambda key, x: Variables({"weight": jnp.zeros(5), "bias": jnp.zeros(())}, {}),
        lambda v, x, key, training: (x @ v.params["weight"] + v.params["bias"], {}),
    )
    rows = batch(24)
    rows = rows._replace(targets=(rows.inputs @ np.full(5, 0.3, np.float32) + 0.7).astype(np.float32))
    frozen = optax.partition({"train": optax.sgd(0.1), "freeze": optax.set_to_zero()}, labels)
    result = overfit_batch(linear, VALUES, frozen, rows)
    assert not result.passed
    assert result.cause == "optimizer"
    assert [(finding.id, str(finding.where)) for finding in result.findings] == [("unintended-freeze", "bias")]


NETWORKS = {
    "input-ignored": (MLP(zeroed=True), CLASSES, batch()),
    "parameter-without-gradient": (MLP(cut=True), CLASSES, batch(32)),
    "double-softmax": (MLP(last=lambda x: nn.softmax(0.01 * x)), CLASSES, batch()),
    "wrong-output-activation": (MLP(1, last=nn.tanh), VALUES, values(scale=10.0)),
    "loss-sign-error": (MLP(), Objective("classification", lambda out, b: -CLASSES.losses(out, b)), batch()),
    "non-differentiable-loss": (
        MLP(),
        Objective("classification", lambda out, b: (out.argmax(-1) != b.targets).astype(jnp.float32)),
        batch(),
    ),
    "non-finite-loss": (MLP(), Objective("classification", lambda out, b: jnp.log(-jnp.abs(out[:, 0]))), batch()),
}


@pytest.mark.parametrize("cause", NETWORKS)
def test_a_network_or_loss_at_fault_is_the_cause(cause):
    network, objective, rows = NETWORKS[cause]
    result = overfit_batch(network, objective, optax.adam(1e-3), rows, max_steps=150)
    assert not result.passed
    assert result.cause != "optimizer"
    assert cause in [finding.id for finding in result.findings]
    assert "failed, cause:" in str(result)


def test_too_narrow_a_network_has_a_cause_too():
    narrow = nn.Sequential([nn.Dense(1), nn.Dense(4)])
    result = overfit_batch(narrow, CLASSES, optax.adam(1e-2), batch(32), max_steps=200)
    assert not result.passed
    assert result.cause in ("insufficient-capacity", "loss-not-decreasing")


def test_repeats_contradictions_and_padding_are_left_out():
    inputs = np.array([[0.0], [0.0], [1.0], [1.0], [2.0], [3.0]], np.float32)
    chosen = distinct_rows(Batch(inputs, np.array([0, 0, 1, 2, 3, 3]), np.array([1, 1, 1, 1, 1, 0], np.float32)), 32)
    assert chosen.batch.inputs[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert chosen.batch.targets.tolist() == [0, 1, 3]
    assert (chosen.repeats, chosen.contradictions) == (1, 1)


def test_contradictions_are_said_and_do_not_fail():
    rows = batch(16)
    doubled = Batch(*(np.concatenate([leaf, leaf]) for leaf in rows))
    doubled = doubled._replace(targets=np.concatenate([rows.targets, (rows.targets + 1) % 4]))
    result = overfit_batch(MLP(), CLASSES, optax.adam(1e-2), doubled)
    assert result.passed and result.rows == 16
    assert result.notes == ("16 rows were left out whose inputs equal those of another row with another target.",)


def test_at_most_the_asked_number_of_rows_is_used():
    assert overfit_batch(MLP(), CLASSES, optax.adam(1e-2), batch(100)).rows == 32
    assert overfit_batch(MLP(), CLASSES, optax.adam(1e-2), batch(100), max_rows=8).rows == 8


def test_given_variables_are_used_and_left_alone():
    module, rows = MLP(), batch()
    start = module.init(jax.random.key(3), rows.inputs)
    variables = Variables(start["params"], {"batch_stats": start["batch_stats"]})
    before = jax.tree.map(np.array, variables)
    first = overfit_batch(module, CLASSES, optax.adam(1e-2), rows, variables=variables)
    again = overfit_batch(module, CLASSES, optax.adam(1e-2), rows, variables=variables)
    assert first.losses == again.losses
    jax.tree.map(np.testing.assert_array_equal, before, variables)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_steps": 0}, "max_steps must be at least 1, got 0."),
        ({"max_rows": 0}, "max_rows must be at least 1, got 0."),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError) as error:
        overfit_batch(MLP(), CLASSES, optax.adam(1e-2), batch(), **settings)
    assert str(error.value) == message


def test_a_batch_of_padding_is_refused():
    with pytest.raises(InputError, match="at least one row of positive weight"):
        overfit_batch(MLP(), CLASSES, optax.adam(1e-2), batch()._replace(weight=np.zeros(24, np.float32)))


PARAMS = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
SCHEDULE = optax.linear_schedule(0.0, 1.0, 50)
TRIANGLE = optax.join_schedules([optax.linear_schedule(0, 1, 20), optax.linear_schedule(1, 0, 20)], [20])


@pytest.mark.parametrize(
    ("optimizer", "peak"),
    [
        (optax.adam(1e-3), None),
        (optax.sgd(SCHEDULE), 50),
        (optax.adamw(TRIANGLE), 20),
        (optax.inject_hyperparams(optax.adam)(learning_rate=TRIANGLE), 20),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(TRIANGLE, momentum=0.9)), 20),
        (optax.partition({"a": optax.adam(TRIANGLE)}, lambda params: jax.tree.map(lambda _: "a", params)), 20),
        (optax.adam(optax.cosine_decay_schedule(1e-3, 100)), 0),
    ],
)
def test_the_peak_of_a_schedule_is_found_and_held(optimizer, peak):
    held = hold(optimizer, PARAMS, total_steps=256)
    assert held.peak == peak
    if peak is None:
        return
    state = held.init(PARAMS)
    for _ in range(3):
        _, state = held.update(PARAMS, state, PARAMS, jnp.float32(1.0))
        expected = jax.tree.leaves(pinned(state, peak))
        assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(state), expected, strict=True))


@pytest.mark.parametrize(
    ("optimizer", "decays", "off"),
    [
        (optax.adam(1e-2), False, False),
        (optax.adamw(1e-2, weight_decay=0.1), True, True),
        (optax.adamw(SCHEDULE, weight_decay=0.1), True, True),  # decays by zero at first
        (optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)), True, True),
        (optax.adamw(1e-2, weight_decay=0.1, mask={"kernel": True, "bias": False}), True, True),
    ],
)
def test_weight_decay_is_found_and_left_out(optimizer, decays, off):
    held = hold(optimizer, PARAMS, total_steps=100)
    assert (held.decays, held.decay_is_off) == (decays, off)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = held.update(zeros, held.init(PARAMS), PARAMS, jnp.float32(1.0))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))


def test_a_loss_is_held_against_its_own_floor():
    inputs = jnp.linspace(-1, 1, 8)[:, None]
    batch = Batch(inputs, 2 * inputs[:, 0], jnp.ones(8))
    linear = as_network((lambda key, x: jnp.zeros(1), lambda params, x: x @ params))

    def raised(outputs, batch):
        return (outputs - batch.targets) ** 2 + 5.0

    without = overfit_batch(linear, objective_from_loss(raised), optax.sgd(0.3), batch, max_steps=200)
    with_floor = overfit_batch(linear, objective_from_loss(raised, floor=5.0), optax.sgd(0.3), batch, max_steps=200)
    assert not without.passed
    assert with_floor.passed and with_floor.criterion == "excess"
