"""converges, gradients, finite: each passes a healthy network and finds a fault that was planted."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.certify.cases import CLASSES, known_evidence, known_labels, known_splits, measure, small
from verax.certify import evidence_from_run


def test_a_small_network_learns_a_batch_by_heart():
    item = measure(known_evidence(), "converges")
    assert item.status == "passed"
    assert item.measured["rows"] == 32 and item.measured["steps"] <= item.limit["steps"] == 1000
    assert item.measured["criterion"] in ("excess", "accuracy")
    assert item.measured["accuracy"] == 1 or item.measured["excess_share"] <= item.limit["excess_share"]
    assert item.reason.startswith(f"passed by {item.measured['criterion']}")


@pytest.mark.parametrize(
    ("optimizer", "finding"),
    [(optax.adam(0.0), "learning-rate-too-low"), (optax.scale(0.1), "update-sign-error")],
    ids=["learning rate 0", "uphill"],
)
def test_an_optimizer_that_does_not_descend_is_the_cause(optimizer, finding):
    item = measure(known_evidence(optimizer=optimizer), "converges")
    assert item.status == "failed"
    assert item.measured["cause"] == "optimizer"
    assert [each.id for each in item.findings] == [finding]
    assert "passes" in item.findings[0].advice  # a reference Adam


def test_a_network_that_ignores_its_inputs_does_not_converge():
    init, apply = small()
    blind = (init, lambda params, x: apply(params, 0 * x))
    item = measure(known_evidence(network=blind), "converges")
    assert item.status == "failed"
    assert item.measured["cause"] != "optimizer"
    assert "input-ignored" in [each.id for each in item.findings]


def test_without_an_optimizer_converges_says_what_to_pass():
    item = measure(known_evidence(optimizer=None), "converges")
    assert (item.status, item.reason) == ("not_run", "no optimizer was given: pass optimizer= in the Evidence")


def test_repeated_rows_leave_enough_to_learn_by_heart():
    splits = known_splits()
    splits["train"] = tuple(np.repeat(part, 3, axis=0) for part in splits["train"])
    assert measure(known_evidence(data=splits), "converges").measured["rows"] == 32


@jax.custom_vjp
def slightly_wrong(x):
    return jnp.tanh(x)


slightly_wrong.defvjp(lambda x: (jnp.tanh(x), jnp.tanh(x)), lambda y, g: (1.01 * g * (1 - y**2),))


def hidden(activation):
    """Returns a network with a hidden layer as a pair of functions."""

    def init(key, x):
        first, second = jax.random.split(key)
        return {
            "hidden": {"kernel": jax.random.normal(first, (x.shape[1], 4))},
            "output": {"kernel": jax.random.normal(second, (4, CLASSES))},
        }

    return init, lambda params, x: activation(x @ params["hidden"]["kernel"]) @ params["output"]["kernel"]


def evidence_of_hidden(activation, **changes):
    network = hidden(activation)
    params = network[0](jax.random.key(0), jnp.zeros((1, 5)))
    return known_evidence(network=network, variables=params, **changes)


def test_right_gradients_pass_to_eight_digits():
    item = measure(evidence_of_hidden(jnp.tanh), "gradients")
    assert item.status == "passed" and item.measured["precision"] == "float64"
    assert item.measured["largest_relative_error"] < 1e-7 < item.limit["relative_error"]
    assert item.measured["coordinates"] == 5 * 4 + 4 * CLASSES and item.measured["wrong_leaves"] == []
    assert item.measured["would_detect"] <= 1e-4


def test_a_gradient_off_by_one_per_cent_fails_and_is_named():
    item = measure(evidence_of_hidden(slightly_wrong), "gradients")
    assert item.status == "failed"
    assert item.measured["largest_relative_error"] == pytest.approx(0.01, rel=0.1)
    assert item.measured["wrong_leaves"] == ["hidden/kernel"]
    assert [str(each.where) for each in item.findings] == ["hidden/kernel"]
    assert "slightly_wrong" in item.measured["wrong_rules"][0]
    assert item.reason.endswith("wrong: hidden/kernel")


def test_the_penalty_belongs_to_the_gradient_that_is_checked():
    calls = []

    def watched(x):
        calls.append(x)
        return jnp.tanh(x)

    item = measure(evidence_of_hidden(watched, objective=vx.classification(l2=0.1)), "gradients")
    assert item.status == "passed" and calls


def test_a_cast_inside_the_network_is_named_and_takes_nothing_from_the_check():
    item = measure(evidence_of_hidden(lambda x: jnp.tanh(x.astype(jnp.bfloat16)).astype(x.dtype)), "gradients")
    assert item.status == "passed"
    assert item.measured["precision"] == "float64" and "float64 -> bfloat16" in item.measured["narrowed_at"][0]
    assert item.measured["largest_relative_error"] < 1e-7 < item.limit["relative_error"] == 1e-5
    assert item.measured["would_detect"] <= 1e-4


def test_a_network_with_noise_is_checked_with_training_statistics():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x, training: bool):
            x = nn.BatchNorm(use_running_average=not training)(nn.Dense(4)(x))
            return nn.Dense(CLASSES)(nn.Dropout(0.5, deterministic=not training)(nn.tanh(x)))

    network = Noisy()
    variables = vx.as_network(network).init(jax.random.key(0), known_labels(8, 0)[0])
    item = measure(known_evidence(network=network, variables=variables), "gradients")
    assert item.status == "passed" and item.measured["mode"] == "training statistics, no noise"


def test_finite_losses_pass():
    item = measure(known_evidence(), "finite")
    assert item.status == "passed"
    assert item.measured == {
        "steps_watched": 100, "nonfinite_steps": 0, "first_nonfinite_step": None, "nonfinite_leaves": []
    }  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_step_that_is_not_finite_fails_though_the_end_is(value):
    losses = np.linspace(1, 0.5, 100)
    losses[[41, 60]] = value
    item = measure(known_evidence(losses=jnp.asarray(losses)), "finite")
    assert item.status == "failed"
    assert (item.measured["nonfinite_steps"], item.measured["first_nonfinite_step"]) == (2, 42)
    assert [(each.id, str(each.where)) for each in item.findings] == [("non-finite-loss", "step 42")]


def test_a_run_that_met_nan_in_its_parameters_fails_at_that_step():
    inputs, labels = known_labels(640, seed=1)
    inputs[350] = 1e30  # finite, but its square is not
    init, apply = small()
    squares = (init, lambda params, x: apply(params, x) + 1e-6 * (x * x).sum(axis=1)[:, None])
    data = vx.data.from_arrays(inputs, labels).split(test=100, validation=0, calibration=0, stratify=False)
    experiment = vx.Experiment(squares, vx.classification(), optax.adam(1e-3), data, steps=60)
    run = vx.train(experiment)
    item = measure(replace(evidence_from_run(run), data=known_splits()), "finite")
    assert item.status == "failed"
    assert item.findings[0].id == "non-finite-loss"
    assert item.measured["first_nonfinite_step"] == next(
        step for step, loss in zip(*run.history.series("train/loss", "chunk"), strict=True) if not np.isfinite(loss)
    )


def test_gradients_that_the_optimizer_hides_fail():
    def spiked(outputs, batch):
        spike = jnp.where(batch.inputs[:, 0] > 2.3, jnp.inf, 1.0)
        straight = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
        return straight + jax.lax.stop_gradient(straight) * 0 + _no_value(outputs.sum(axis=1), spike)

    objective = vx.objective_from_loss(spiked, task="classification")
    data = vx.data.from_arrays(*known_labels(640, seed=1))
    optimizer = optax.apply_if_finite(optax.adam(1e-3), 1000)
    run = vx.train(vx.Experiment(small(), objective, optimizer, data, epochs=2))
    item = measure(evidence_from_run(run), "finite")
    assert item.status == "failed"
    assert [each.id for each in item.findings] == ["non-finite-gradient"]
    assert item.measured["nonfinite_steps"] > 0 and item.measured["nonfinite_leaves"] == []


@jax.custom_vjp
def _no_value(x, factor):
    """Zero, with a gradient of `factor - 1`."""
    return 0 * x


_no_value.defvjp(lambda x, factor: (0 * x, factor), lambda factor, g: (g * (factor - 1), None))


@pytest.mark.parametrize("changes", [{"losses": None}, {"losses": []}])
def test_without_losses_finite_says_what_to_pass(changes):
    item = measure(known_evidence(**changes), "finite")
    assert item.status == "not_run" and "losses= (of every step)" in item.reason


def test_a_check_that_decides_nothing_is_not_passed(monkeypatch):
    from verax.certify import _training
    from verax.debug import GradientReport, LeafGradient, Worst

    leaf = LeafGradient("kernel", (2,), "undecided", 2, 0, 2, 0, 0.0, Worst(None, 0.0, 0.0), None)
    monkeypatch.setattr(_training, "check_gradients", lambda *args: GradientReport((leaf,), 1.0, "bfloat16"))
    item = measure(known_evidence(), "gradients")
    assert item.status == "not_run" and "decide nothing" in item.reason
