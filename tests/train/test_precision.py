"""Precision policies: what is narrow, what stays wide, and what a loss scale is for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.train.cases import LINEAR, MLP, WithNorm, experiment
from verax.findings import InputError
from verax.train import with_precision
from verax.train._precision import FIRST_SCALE, LossScale, first_loss_scale, next_loss_scale, unscaled
from verax.trees import is_floating


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("network", [MLP(), WithNorm()], ids=["dropout", "batch norm"])
def test_a_run_is_close_to_that_in_float32_and_its_state_is_wide(precision, network):
    narrow = vx.train(experiment(network=network, precision=precision, epochs=5, optimizer=optax.adam(1e-2)))
    wide = vx.train(experiment(network=network, epochs=5, optimizer=optax.adam(1e-2)))
    assert narrow.history.last("train/loss") == pytest.approx(wide.history.last("train/loss"), rel=0.02)
    assert narrow.history.last("train/loss") != wide.history.last("train/loss")
    leaves = jax.tree.leaves((narrow.state.variables, narrow.state.opt_state))
    assert {leaf.dtype.name for leaf in leaves if is_floating(leaf)} == {"float32"}


def mean_losses(run, variables, over=lambda loss: loss):
    """The mean validation loss in the precision of training, and in float32. `over` is of many weights at once: that
    is another program, which rounds other intermediate values."""
    rows = vx.Batch(*jax.tree.map(jnp.asarray, run.dataset.examples("validation")), jnp.ones(20))
    networks = (with_precision(run.network, "bfloat16"), run.network)
    losses = [over(lambda held, each=each: run.experiment.objective.bind(each)(held, rows).total) for each in networks]
    return [np.asarray(jax.jit(loss)(variables)) / 20 for loss in losses]


def test_the_gap_to_float32_is_measured():
    run = vx.train(experiment(network=MLP(), precision="bfloat16"))
    narrow, wide = mean_losses(run, run.variables)
    assert run.facts["precision_gap"]["validation/loss"] == pytest.approx(float(narrow - wide), abs=1e-6)
    assert narrow != wide
    assert "precision_gap" not in vx.train(experiment(network=MLP())).facts


def test_the_gap_of_each_lane_is_measured():
    runs = vx.train(experiment(network=MLP(), precision="bfloat16"), seeds=2)
    narrow, wide = mean_losses(runs[0], runs.stacked, jax.vmap)
    found = [run.facts["precision_gap"]["validation/loss"] for run in runs]
    np.testing.assert_allclose(found, narrow - wide, atol=1e-6)
    assert found[0] != found[1]
    assert "precision_gap" not in vx.train(experiment(network=MLP()), seeds=2)[0].facts


def tiny_gradients(precision):
    """A regressor whose gradients are about 1e-8: zero in float16, whose smallest number is 6e-8."""
    network = (lambda key, x: jnp.zeros((1, 1)), lambda params, x: 1e-4 * (x @ params))
    data = {"train": (np.full((8, 1), 1e-4, np.float32), np.ones(8, np.float32))}
    return experiment(
        network=network, objective=vx.regression(), data=data, optimizer=optax.sgd(1.0), epochs=1, precision=precision
    )


def test_small_gradients_survive_float16_by_the_loss_scale():
    run = vx.train(tiny_gradients("float16"))
    moved = float(run.state.variables.params[0, 0])
    assert moved == pytest.approx(float(vx.train(tiny_gradients("float32")).state.variables.params[0, 0]), rel=0.01)
    assert moved > 0


def test_without_the_scale_they_would_vanish():
    session = vx.train.prepare(tiny_gradients("float16"))
    unscaled_state = session.state.replace(extras={})
    data = session.epoch_data(0)[0]
    state, _ = vx.train.run_chunk(session.program, {}, unscaled_state, data, 1)
    assert float(state.variables.params[0, 0]) == 0


def test_a_step_with_gradients_that_overflow_is_left_out():
    session = vx.train.prepare(experiment(network=MLP(), precision="float16"))
    data = session.epoch_data(0)[0]
    huge = session.state.replace(extras={"loss_scale": LossScale(jnp.float32(2.0**40), jnp.int32(5), jnp.int32(0))})
    state, _ = vx.train.run_chunk(session.program, {}, huge, data, 1)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), state.variables, session.state.variables))
    assert int(state.extras["loss_scale"].skipped) == 1 and int(state.step) == 1
    state, _ = vx.train.run_chunk(session.program, {}, session.state, data, 1)
    assert int(state.extras["loss_scale"].skipped) == 0


def test_the_scale_halves_and_doubles():
    scale = first_loss_scale()
    halved = next_loss_scale(scale._replace(finite_steps=jnp.int32(7)), jnp.array(True))
    assert (float(halved.scale), int(halved.finite_steps), int(halved.skipped)) == (FIRST_SCALE / 2, 0, 1)
    kept = next_loss_scale(scale, jnp.array(False))
    assert (float(kept.scale), int(kept.finite_steps)) == (FIRST_SCALE, 1)
    grown = next_loss_scale(scale._replace(finite_steps=jnp.int32(1999)), jnp.array(False))
    assert (float(grown.scale), int(grown.finite_steps)) == (2 * FIRST_SCALE, 0)
    assert float(next_loss_scale(scale._replace(scale=jnp.float32(1.0)), jnp.array(True)).scale) == 1.0


def apply_with_nan(params, x):
    """A linear network whose gradient is NaN whatever the loss is scaled by."""
    return x @ params["kernel"] + params["bias"][None] + 0 * jnp.sqrt(params["bias"] * 0).sum()


def test_a_gradient_that_is_nan_at_every_scale_ends_the_run():
    """The scale falls to 1 first; from there on nothing is left out."""
    run = vx.train(experiment(network=(LINEAR[0], apply_with_nan), precision="float16", epochs=6))
    assert run.stop_reason.startswith("not finite") and [each.id for each in run.findings if each.severity == "error"]
    assert 0 < run.facts["loss_scale"]["skipped_steps"] < 20


def test_steps_left_out_are_no_error_of_an_optimizer_that_hides_them():
    hiding = optax.apply_if_finite(optax.adam(1e-3), 5)
    session = vx.train.prepare(experiment(network=MLP(), precision="float16", optimizer=hiding))
    assert session.facts["gradients_watched"]
    huge = session.state.replace(extras={"loss_scale": LossScale(jnp.float32(2.0**40), jnp.int32(5), jnp.int32(0))})
    state, record = vx.train.run_chunk(session.program, {}, huge, session.epoch_data(0)[0], 1)
    assert int(state.extras["loss_scale"].skipped) == 1 and bool(record.grads_finite.all())


def test_gradients_are_divided_again():
    grads, finite = unscaled({"a": jnp.array([FIRST_SCALE, 0.0])}, first_loss_scale())
    assert grads["a"].tolist() == [1.0, 0.0] and bool(finite)
    assert not bool(unscaled({"a": jnp.array([jnp.inf])}, first_loss_scale())[1])


def test_accumulation_and_scale_go_together():
    at_once = vx.train(experiment(network=MLP(dropout_rate=0.0), precision="float16"))
    in_parts = vx.train(experiment(network=MLP(dropout_rate=0.0), precision="float16", accumulate=3))
    assert at_once.history.last("train/loss") == pytest.approx(in_parts.history.last("train/loss"), rel=1e-3)


class Half(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, dtype=jnp.bfloat16)(x)


class HalfParams(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, param_dtype=jnp.bfloat16)(x)


SUMS = (lambda key, x: jnp.ones((4, 3)), lambda params, x: (x[:, :, None] * params[None]).sum(axis=1))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Half(), "narrows numbers by itself: float32 -> bfloat16"),
        (HalfParams(), "needs float32 parameters, but Dense_0/bias is bfloat16"),
        (SUMS, "would change nothing"),
    ],
    ids=["own dtype", "own param_dtype", "no products"],
)
def test_combinations_that_make_no_sense_are_refused(network, message):
    with jax.numpy_dtype_promotion("standard"):
        assert np.isfinite(vx.train(experiment(network=network, optimizer=optax.sgd(0.01))).history.last("train/loss"))
        with pytest.raises(InputError, match=message):
            vx.train(experiment(network=network, precision="float16"))
