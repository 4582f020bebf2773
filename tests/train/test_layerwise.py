"""Learning rates by layer: groups by pattern, in any loop and under `vx.train`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import experiment
from verax.findings import InputError
from verax.train import decaying_rates, layerwise

PARAMS = {
    "Conv_0": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "Conv_1": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "Dense_0": {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)},
}


def sizes(optimizer, params=PARAMS, steps=1):
    """How far each leaf has moved after some steps of a gradient of ones, by path."""
    grads, state, moved = jax.tree.map(jnp.ones_like, params), optimizer.init(params), params
    for _ in range(steps):
        updates, state = optimizer.update(grads, state, moved)
        moved = optax.apply_updates(moved, updates)
    gap = jax.tree.map(lambda before, after: float(jnp.abs(before - after).max()), params, moved)
    return {path: round(value, 6) for path, value in vx.trees.leaves_by_path(gap).items()}


def test_each_parameter_takes_the_rate_of_its_first_pattern():
    found = sizes(layerwise(optax.sgd, {"*/bias": 0.5, "Conv_*": 0.1, "Dense_0": 0.2}))
    assert {path: value for path, value in found.items() if path.endswith("bias")} == {
        "Conv_0/bias": 0.5, "Conv_1/bias": 0.5, "Dense_0/bias": 0.5,
    }  # fmt: skip
    assert (found["Conv_0/kernel"], found["Conv_1/kernel"], found["Dense_0/kernel"]) == (0.1, 0.1, 0.2)


def test_with_a_base_the_values_are_factors_and_others_take_the_base():
    found = sizes(layerwise(optax.sgd, {"Conv_0": 0.1, "Conv_1/*": 0}, base=2.0))
    assert (found["Conv_0/bias"], found["Conv_1/kernel"], found["Dense_0/bias"]) == (0.2, 0.0, 2.0)


def test_a_base_may_be_a_schedule_and_so_may_a_rate():
    schedule = optax.linear_schedule(1.0, 0.0, 2)  # 1, then 1/2: together 1.5
    assert sizes(layerwise(optax.sgd, {"Conv_0": 0.1}, base=schedule), steps=2)["Conv_0/bias"] == 0.15
    assert sizes(layerwise(optax.sgd, {"*": schedule}), steps=2)["Conv_0/bias"] == 1.5


def test_one_group_is_the_optimizer_itself():
    grads, whole, alone = jax.tree.map(jnp.ones_like, PARAMS), optax.adamw(0.1), layerwise(optax.adamw, {"*": 0.1})
    with jax.numpy_dtype_promotion("standard"):  # Optax is written for it
        ours, theirs = (each.update(grads, each.init(PARAMS), PARAMS)[0] for each in (alone, whole))
    assert vx.trees.digest(ours) == vx.trees.digest(theirs)


def test_it_takes_what_optimizers_ask_for_besides_gradients():
    optimizer = layerwise(lambda rate: optax.chain(optax.sgd(rate), optax.contrib.reduce_on_plateau()), {"*": 0.5})
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, value=jnp.float32(1))
    assert float(updates["Dense_0"]["bias"][0]) == -0.5


def test_rates_decay_from_the_output_to_the_input():
    rates = decaying_rates(["Conv_0", "Conv_1", "Dense_0"], factor=0.5)
    assert rates == {"Conv_0": 0.25, "Conv_1": 0.5, "Dense_0": 1.0}
    found = sizes(layerwise(optax.sgd, rates, base=0.4))
    assert (found["Conv_0/bias"], found["Conv_1/bias"], found["Dense_0/bias"]) == (0.1, 0.2, 0.4)


def test_rates_may_be_traced():
    def moved(rate):
        optimizer = layerwise(optax.sgd, {"Conv_*": rate}, base=rate)
        updates, _ = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)
        return updates["Conv_0"]["bias"], updates["Dense_0"]["bias"]

    squared, plain = jax.vmap(moved)(jnp.array([0.1, 0.5]))
    np.testing.assert_allclose(squared[:, 0], [-0.01, -0.25], rtol=1e-6)
    np.testing.assert_allclose(plain[:, 0], [-0.1, -0.5], rtol=1e-6)


def test_a_pattern_for_what_is_frozen_is_not_idle():
    optimizer = layerwise(optax.sgd, {"Conv_*": 0.1}, base=1.0)
    labels = {"Conv_0": "frozen", "Conv_1": "frozen", "Dense_0": "trained"}
    frozen = optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)
    assert sizes(frozen)["Dense_0/bias"] == 1.0 and sizes(frozen)["Conv_0/bias"] == 0.0


def test_under_train_a_layer_of_rate_zero_stays_bit_for_bit():
    run = vx.train(experiment(optimizer=layerwise(optax.adam, {"bias": 0.0}, base=0.1), epochs=1))
    assert not np.asarray(run.state.variables.params["bias"]).any()
    assert np.abs(run.state.variables.params["kernel"]).max() > 0.3
    with pytest.raises(InputError, match=r"pattern 'head/.' matches no parameter"):
        vx.train(experiment(optimizer=layerwise(optax.adam, {"head/*": 0.0}, base=0.1), epochs=1))


@pytest.mark.parametrize(
    ("rates", "base", "message"),
    [
        ({"Conv_0": 0.1}, None, r"no pattern matches Conv_1/bias, Conv_1/kernel, Dense_0/bias, .*pass base="),
        ({"Cnov_0/kernel": 0.1}, 1.0, r"'Cnov_0/kernel' matches no parameter\. Paths look like this: Conv_0/kernel"),
        ({"*": 0.1, "Conv_0": 0.2}, None, r"'Conv_0' comes too late: '\*' before it matches the same"),
    ],
)
def test_patterns_that_do_not_fit_the_parameters_are_refused_at_init(rates, base, message):
    with pytest.raises(InputError, match=message):
        layerwise(optax.sgd, rates, base=base).init(PARAMS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layerwise(optax.sgd, {}), "rates must be a dict of learning rates by pattern"),
        (lambda: layerwise(optax.sgd, {"*": -0.1}), "a learning rate of at least 0 or a schedule .* got '.': -0.1"),
        (lambda: layerwise(optax.sgd, {"*": optax.constant_schedule(1.0)}, base=1.0), "a factor of at least 0"),
        (lambda: layerwise(optax.sgd, {"*": 1.0}, base="fast"), "base must be a learning rate"),
        (lambda: layerwise(optax.sgd(0.1), {"*": 1.0}), "got GradientTransformationExtraArgs.*Pass optax.adam"),
        (lambda: decaying_rates(["a", "b"], 1.5), r"factor must lie in \(0, 1\], got 1.5"),
        (lambda: decaying_rates(["a", "a"], 0.5), "distinct patterns"),
        (lambda: decaying_rates("a", 0.5), "distinct patterns"),
    ],
)
def test_a_wrong_argument_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
